"""What a driver meets at the border of both runtimes: frames for nodes, refusals, figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import remotemedia_runtime
from remotemedia import twin
from remotemedia.running.backend import Backend, Run

from tests.parity.cases import spoken
from tests.parity.graphs import (
    DATA,
    LEVEL,
    PYTHON,
    SILERO,
    Json,
    anything,
    audio,
    chain,
    graph,
    node,
)

BACKENDS = (cast("Backend", twin), cast("Backend", remotemedia_runtime))
MONO, STEREO = audio(), audio(16_000, 2)
FIELDS = (
    "session", "participant", "stream", "pipeline", "node", "entry", "port", "end", "seq", "pts_us",
    "rate", "channels",
)  # fmt: skip
MANIFEST = graph(
    {"left": STEREO, "any": anything(), "data": DATA},
    [
        node(
            "python",
            "python",
            PYTHON,
            {"stereo": anything(16_000, 2), "other": anything(), "words": DATA},
            {"out": anything(), "second": DATA},
        ),
        node("level", "level", LEVEL, MONO, MONO),
    ],
    "$source.left > python.stereo",
    "$source.any > python.other",
    "$source.data > python.words",
    "python.out > level.in",
)


def begun(backend: Backend, manifest: Json = MANIFEST, **options: Any) -> Run:
    return backend.Run(json.dumps(manifest), **options)


def test_frames_for_nodes_are_the_same() -> None:
    marker = object()

    def items(backend: Backend) -> list[tuple[Any, ...]]:
        run = begun(backend)
        seen: list[Any] = []
        run.push_audio("left", np.ascontiguousarray(np.stack([spoken()[:700]] * 2)))
        run.push_data("any", marker)
        run.push_data("any", np.arange(3))
        run.push_audio("any", spoken()[:400], 5_000_000)
        run.push_data("any", {"a": [1, 2.5, None, True, "x"]})
        run.push_data("data", np.float32(0.5))
        run.end()
        while taken := run.take_work(2):
            seen += taken
            run.complete([(item.token, []) for item in taken])
        return [
            (
                *(getattr(item, field) for field in FIELDS),
                None if item.samples is None else (item.samples.shape, item.samples.tobytes()),
                item.value.tolist() if isinstance(item.value, np.ndarray) else item.value,
            )
            for item in seen
        ]

    ours, theirs = map(items, BACKENDS)
    assert ours == theirs
    assert [each[6] for each in ours][-1] == ""


def test_nodes_may_change_the_frames_of_both() -> None:
    for backend in BACKENDS:
        run = begun(backend, chain(MONO, node("python", "python", PYTHON, anything())))
        run.push_audio("input", spoken()[:320])
        [item] = run.take_work(1)
        assert item.samples is not None
        item.samples[:] = 0.0


def after_the_end(_: Backend, run: Run) -> None:
    run.end("any")
    run.push_audio("any", spoken()[:10])


Misuse = Callable[[Backend, Run], object]
MISUSES: dict[str, Misuse] = {
    "no such source": lambda _, run: run.push_audio("mic", spoken()[:10]),
    "values to no such source": lambda _, run: run.push_data("mic", 1),
    "the end of no such source": lambda _, run: run.end("mic"),
    "audio to data": lambda _, run: run.push_audio("data", spoken()[:10]),
    "values to audio": lambda _, run: run.push_data("left", 1),
    "too few channels": lambda _, run: run.push_audio("left", spoken()[:10]),
    "too many dimensions": lambda _, run: run.push_audio("any", np.zeros((1, 1, 4), np.float32)),
    "other numbers": lambda _, run: run.push_audio("any", cast("Any", np.zeros(4))),
    "no array": lambda _, run: run.push_audio("any", cast("Any", [0.0])),
    "every other sample": lambda _, run: run.push_audio("any", spoken()[:10:2]),
    "bytes as data": lambda _, run: run.push_data("data", b"x"),
    "infinite data": lambda _, run: run.push_data("data", float("inf")),
    "numbers of too many bits": lambda _, run: run.push_data("data", 1 << 64),
    "keys that are no text": lambda _, run: run.push_data("data", {1: 2}),
    "too much data": lambda _, run: run.push_data("data", "x" * 70_000),
    "half a pair": lambda _, run: run.push_data("data", "\ud800"),
    "after the end": after_the_end,
    "frames of no length": lambda backend, _: begun(backend, frame_ms=0),
    "frames of two seconds": lambda backend, _: begun(backend, frame_ms=2_000),
    "data that is none": lambda backend, _: backend.LaneData(b"x"),
    "results that are none": lambda _, run: run.complete([(1, cast("Any", [7]))]),
    "more after a failure": lambda backend, run: run.complete(
        [(1, cast("Any", backend.LaneFailure("no")), True)]
    ),
    "audio that is none": lambda _, run: run.complete([(1, [cast("Any", np.zeros(4))])]),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_refused_alike(name: str) -> None:
    refusals = []
    for backend in BACKENDS:
        run = begun(backend)
        with pytest.raises(backend.RuntimeFault) as caught:
            MISUSES[name](backend, run)
        error: Any = caught.value
        refusals.append((error.code, error.field))
    assert refusals[0] == refusals[1]


def test_both_end_a_run_that_keeps_failing() -> None:
    said = []
    for backend in BACKENDS:
        manifest = chain(MONO, node("python", "python", PYTHON, anything()))
        run = begun(backend, manifest)
        run.push_audio("input", spoken()[:4_000])
        items = run.take_work(8)
        with pytest.raises(backend.RuntimeFault) as caught:
            run.complete([(item.token, backend.LaneFailure("broke", "trace")) for item in items])
        error: Any = caught.value
        messages = [dict(each.message or {}) for each in run.poll()]
        with pytest.raises(backend.RuntimeFault):
            run.push_audio("input", spoken()[:320])
        said.append((error.code, error.field, error.message, messages, list(run.take_work(1))))
    assert said[0] == said[1]
    assert len(said[0][3]) == 5


def test_both_count_alike() -> None:
    manifest = chain(
        MONO,
        node("python", "python", PYTHON, anything(), anything()),
        node("vad", "vad", SILERO, MONO, MONO),
        node("level", "level", LEVEL, MONO),
    )
    counts = []
    for backend in BACKENDS:
        for metrics in (False, True):
            run = begun(backend, manifest, metrics=metrics)
            run.push_audio("input", spoken()[:5_000])
            while items := run.take_work(16):
                done = [
                    (item.token, [item.samples] if item.seq % 4 else backend.LaneFailure("no"))
                    for item in items
                    if item.samples is not None
                ]
                run.complete(cast("Any", done))
            figures = cast("dict[str, dict[str, Any]]", run.metrics())
            counts.append(
                {n: (f["success_count"], f["error_count"], list(f)) for n, f in figures.items()}
            )
    assert counts[0] == counts[2] == {}
    assert counts[1] == counts[3]
    assert {name: each[:2] for name, each in counts[1].items()} == {
        "python": (11, 4),
        "vad": (11, 0),
        "level": (11, 0),
    }
