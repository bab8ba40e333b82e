"""Python nodes of the twin: mailboxes, retries, the breaker, the end and interrupts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from remotemedia.errors import NODE_FAILED
from remotemedia.twin import (
    LaneData,
    LaneFailure,
    LaneItem,
    LaneOpaque,
    Run,
    RuntimeFault,
)
from remotemedia.twin import run as run_module

from .graphs import (
    DATA,
    PYTHON,
    anything,
    audio,
    chain,
    data,
    events,
    graph,
    heard,
    node,
    noise,
    run,
    start,
    values,
    work,
)

MONO = audio()
PY = node("python", PYTHON, anything(), anything())
ONE = chain(MONO, PY)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Virtual time, in microseconds."""
    now = [0]
    monkeypatch.setattr(run_module, "now_us", lambda: now[0])
    return now


def frames(count: int, made: Run) -> Run:
    made.push_audio("input", noise(320 * count))
    return made


def take(made: Run, count: int = 100) -> list[LaneItem]:
    return list(made.take_work(count))


def test_a_frame_says_where_it_comes_from() -> None:
    made = frames(2, start(ONE))
    assert made.pending() == 2
    first, second = take(made)
    assert (first.node, first.entry, first.port, first.pipeline) == ("python", "e", "in", "test")
    assert (first.session, first.participant, first.stream) == ("offline", "p1", "audio")
    assert (second.seq, second.pts_us, second.rate, second.channels) == (1, 20_000, 16_000, 1)
    assert first.samples is not None
    assert first.samples.shape == (320,)


def test_nodes_may_change_what_they_are_given() -> None:
    nodes = [node("python", PYTHON, anything(), anything(), name) for name in "ab"]
    edges = [f"$source.input > {name}.in" for name in "ab"]
    made = frames(1, start(graph({"input": MONO}, nodes, *edges)))
    first, second = take(made)
    assert first.samples is not None
    assert second.samples is not None
    before = second.samples.copy()
    first.samples[:] = 0.0
    assert np.array_equal(second.samples, before)


def test_frames_of_a_node_are_taken_in_order_and_a_bounded_number_at_once() -> None:
    made = frames(40, start(ONE))
    items = take(made)
    assert [item.seq for item in items] == list(range(16))
    made.complete([(items[0].token, []), (items[1].token, [])])
    assert [item.seq for item in take(made)] == [16, 17]
    assert made.pending() == 38


def test_nodes_take_turns() -> None:
    nodes = [node("python", PYTHON, anything(), node_id=name) for name in "ab"]
    edges = [f"$source.input > {name}.in" for name in "ab"]
    made = frames(3, start(graph({"input": MONO}, nodes, *edges)))
    assert [item.node for item in take(made, 4)] == ["a", "b", "a", "b"]


def test_results_go_on_or_come_out() -> None:
    level = node("level", {"interval_ms": 20}, MONO)
    outputs = run(
        chain(MONO, PY, level),
        noise(640),
        node_of=lambda item: (
            []
            if item.samples is None
            else [item.samples * np.float32(2), LaneData({"n": item.seq})]
        ),
    )
    assert [each["type"] for each in events(outputs)] == ["level", "node", "level", "node"]
    assert data(outputs) == [{"n": 0}, {"n": 1}]
    assert heard(outputs).size == 0


def test_data_and_opaque_values_reach_other_python_nodes() -> None:
    marker = object()
    shared: dict[str, list[int]] = {"a": [1]}
    seen: list[object] = []

    def node_of(item: LaneItem) -> list[Any]:
        if item.node == "first":
            return [LaneOpaque(marker), LaneData(shared)] if item.port else []
        seen.append(item.value)
        return []

    nodes = [
        node("python", PYTHON, anything(), anything(), "first"),
        node("python", PYTHON, anything(), anything(), "second"),
    ]
    run(chain(MONO, *nodes), noise(320), node_of=node_of)
    assert seen[0] is marker
    assert seen[1] == shared
    assert seen[1] is not shared


def test_an_opaque_value_that_nobody_takes_comes_out() -> None:
    marker = object()
    outputs = run(ONE, noise(320), node_of=lambda item: [LaneOpaque(marker)] if item.port else [])
    assert [(o.kind, o.node, o.port, o.value is marker) for o in outputs] == [
        ("value", "python", "out", True)
    ]


def test_opaque_values_may_be_pushed_where_anything_is_taken() -> None:
    made = start(chain(anything(), PY))
    made.push_data("input", b"bytes")
    made.push_data("input", {"a": 1})
    array = np.arange(3)
    made.push_data("input", array)
    first, second, third = take(made)
    assert (first.value, second.value) == (b"bytes", {"a": 1})
    assert third.value is array


def test_results_leave_by_named_ports() -> None:
    both = node("python", PYTHON, anything(), [anything(), DATA], outs=["sound", "words"])
    upper = node("text", {"operation": "uppercase"}, DATA, DATA)
    manifest = graph(
        {"input": MONO}, [both, upper], "$source.input > python.in", "python.words > text.in"
    )

    def node_of(item: LaneItem) -> list[Any]:
        if item.samples is None:
            return []
        return [("words", LaneData("hi")), item.samples, ("sound", LaneData(1))]

    outputs = run(manifest, noise(320), node_of=node_of)
    assert [(o.node, o.port, o.kind) for o in outputs] == [
        ("text", "out", "event"),
        ("python", "sound", "audio"),
        ("python", "sound", "event"),
    ]
    assert data(outputs) == ["HI", 1]


def test_the_time_of_audio_never_goes_backwards() -> None:
    outputs = run(
        ONE,
        noise(640),
        node_of=lambda item: [] if item.samples is None else [np.tile(item.samples, 3)],
    )
    assert [o.pts_us for o in outputs] == [0, 60_000]


def test_audio_of_no_length_is_nothing() -> None:
    assert run(ONE, noise(320), node_of=lambda item: [np.zeros(0, np.float32)]) == []


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (np.zeros((2, 320), np.float32), "2 ch"),
        ("{", "not JSON"),
        (("left", LaneData(1)), "left"),
    ],
)
def test_results_that_cannot_go_on_are_the_nodes_failure(result: Any, text: str) -> None:
    outputs = run(ONE, noise(320), node_of=lambda item: [result] if item.port else [])
    [failed] = data(outputs, "error")
    assert failed["code"] == NODE_FAILED
    assert text in failed["message"]


def test_audio_of_a_node_without_outputs_is_its_failure() -> None:
    manifest = chain(MONO, node("python", PYTHON, anything()))
    outputs = run(
        manifest, noise(320), node_of=lambda i: [i.samples, LaneData(1)] if i.port else []
    )
    assert "declares no output" in data(outputs, "error")[0]["message"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("inf"), "JSON cannot say"),
        ({1: 2}, "keys must be text"),
        (b"x", "bytes, which is not JSON"),
        ("x" * 70_000, "bytes as JSON"),
        (1 << 64, "64 bits"),
        ("\ud800", "surrogate"),
    ],
)
def test_data_is_checked_when_it_is_made(value: object, text: str) -> None:
    with pytest.raises(RuntimeFault, match=text) as caught:
        LaneData(value)
    assert caught.value.field == "value"


def test_numpy_becomes_json() -> None:
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": (np.int64(1), np.bool_(True))}
    assert LaneData(value).value == {"a": 0.5, "b": [0, 1, 2], "c": [1, True]}


@pytest.mark.parametrize(
    "result", [7, "text", [7], [("out",)], [np.zeros(3)], [np.zeros(4, np.float32)[::2]]]
)
def test_results_that_no_driver_may_give_are_refused(result: Any) -> None:
    made = frames(1, start(ONE))
    [item] = take(made)
    with pytest.raises(RuntimeFault) as caught:
        made.complete([(item.token, result)])
    assert caught.value.field == "done"


def test_unknown_tokens_are_ignored() -> None:
    made = frames(1, start(ONE))
    assert made.metrics() == {}
    [item] = take(made)
    made.complete([(99, [LaneData(1)]), (item.token, [LaneData(2)]), (item.token, [LaneData(3)])])
    assert data(made.poll()) == [2]


def test_a_failure_keeps_its_traceback_and_the_run_goes_on() -> None:
    def node_of(item: LaneItem) -> Any:
        return LaneFailure("broke", "Traceback") if item.seq == 1 else [LaneData(item.seq)]

    outputs = run(ONE, noise(960), node_of=node_of)
    assert data(outputs, "error") == [
        {"code": NODE_FAILED, "message": "broke", "traceback": "Traceback"}
    ]
    assert data(outputs) == [0, 2, 2]


def test_a_transient_failure_is_tried_again_and_what_follows_waits_for_it(
    clock: list[int],
) -> None:
    made = frames(2, start(ONE))
    first, second = take(made)
    made.complete([(second.token, [LaneData("second")])])
    waits = []
    for _ in range(3):
        made.complete([(first.token, LaneFailure("busy", transient=True))])
        wait = made.retry_in_us()
        assert wait is not None
        waits.append(wait)
        assert (take(made), made.pending(), made.poll()) == ([], 2, [])
        clock[0] += wait
        assert made.retry_in_us() == 0
        [first] = take(made)
        assert first.seq == 0
        assert made.retry_in_us() is None
    for wait, least in zip(waits, (100_000, 200_000, 400_000), strict=True):
        assert least <= wait <= least * 1.2
    made.complete([(first.token, [LaneData("first")])])
    assert data(made.poll()) == ["first", "second"]


def test_results_come_in_the_order_of_the_frames() -> None:
    made = frames(3, start(ONE))
    items = take(made)
    for item in reversed(items):
        assert made.poll() == []
        made.complete([(item.token, [LaneData(item.seq)])])
    assert data(made.poll()) == [0, 1, 2]


def test_an_interrupt_forgets_what_is_to_be_tried_again(clock: list[int]) -> None:
    made = frames(1, start(ONE))
    [item] = take(made)
    made.complete([(item.token, LaneFailure("busy", transient=True))])
    made.interrupt()
    assert (made.pending(), made.retry_in_us()) == (0, None)


def test_the_end_waits_for_what_is_tried_again(clock: list[int]) -> None:
    made = frames(1, start(ONE))
    made.end()
    [item] = take(made)
    made.complete([(item.token, LaneFailure("busy", transient=True))])
    assert take(made) == []
    clock[0] += 1_000_000
    [item] = take(made)
    assert item.port == "in"
    made.complete([(item.token, [])])
    [item] = take(made)
    assert (item.port, item.samples, item.value, item.pts_us) == ("", None, None, 20_000)


def test_a_frame_that_failed_four_times_is_an_error(clock: list[int]) -> None:
    made = frames(1, start(ONE))
    for _ in range(4):
        clock[0] += 1_000_000
        [item] = take(made)
        made.complete([(item.token, LaneFailure("busy", transient=True))])
    assert [each["message"] for each in data(made.poll(), "error")] == ["busy"]
    assert made.pending() == 0


def test_the_fifth_failure_in_a_row_ends_the_run() -> None:
    made = frames(11, start(ONE))
    items = take(made)
    fail: Callable[[LaneItem], Any] = lambda item: (item.token, LaneFailure("broke"))  # noqa: E731
    made.complete([fail(item) for item in items[:4]])
    made.complete([(items[4].token, [])])
    made.complete([fail(item) for item in items[5:9]])
    with pytest.raises(RuntimeFault, match="broke") as caught:
        made.complete([fail(items[9])])
    assert (caught.value.code, caught.value.field) == (NODE_FAILED, "python")
    assert len(data(made.poll(), "error")) == 9
    with pytest.raises(RuntimeFault):
        made.push_audio("input", noise(320))


def test_the_end_comes_last_and_its_results_go_on() -> None:
    order: list[tuple[str, str]] = []

    def node_of(item: LaneItem) -> Any:
        order.append((item.node, item.port))
        return [LaneData(item.node)] if not item.port else []

    nodes = [node("python", PYTHON, anything(), anything(), name) for name in "ab"]
    outputs = run(chain(MONO, *nodes), noise(320), node_of=node_of)
    assert order == [("a", "in"), ("a", ""), ("b", "in"), ("b", "")]
    assert data(outputs) == ["b"]


def test_native_nodes_end_after_the_python_node_that_feeds_them() -> None:
    buffer = node("buffer", {"duration_ms": 1000, "overlap_ms": 0}, MONO, MONO)
    made = frames(2, start(chain(MONO, PY, buffer)))
    made.end()
    assert made.poll() == []
    outputs = work(made, lambda item: [] if item.samples is None else [item.samples])
    assert [o.samples is not None and o.samples.shape for o in outputs] == [(640,)]
    assert made.pending() == 0


def test_an_interrupt_drops_what_waits_and_what_runs() -> None:
    made = frames(20, start(ONE))
    items = take(made)
    made.interrupt()
    assert made.pending() == 16
    made.complete([(item.token, [LaneData(1)]) for item in items])
    assert made.poll() == []
    frames(1, made)
    made.end()
    assert data(work(made, lambda item: [LaneData(item.seq)])) == [20, 20]


def test_the_end_survives_an_interrupt() -> None:
    made = frames(1, start(ONE))
    made.end()
    [item] = take(made)
    made.complete([(item.token, [])])
    made.interrupt()
    assert data(work(made, lambda item: [LaneData("end")] if not item.port else [])) == ["end"]


def test_each_node_is_measured() -> None:
    manifest = chain(MONO, PY, node("level", {"interval_ms": 50}, MONO))
    made = start(manifest, metrics=True)
    frames(4, made)
    work(made, lambda item: [item.samples])
    figures = made.metrics()
    for name in ("python", "level"):
        each = figures[name]
        assert isinstance(each, dict)
        assert (each["node_id"], each["success_count"], each["error_count"]) == (name, 4, 0)
        assert 0 < each["p50_us"] <= each["p95_us"] <= each["p99_us"]
        assert each["execution_time_us"] > 0


def test_values_in_order(clock: list[int]) -> None:
    outputs = values(chain(DATA, node("pass_through", {}, DATA, DATA)), 1, "a", [None, {"b": 2.5}])
    assert data(outputs) == [1, "a", [None, {"b": 2.5}]]
    assert all(a["seq"] + 1 == b["seq"] for a, b in pairwise(events(outputs)))
