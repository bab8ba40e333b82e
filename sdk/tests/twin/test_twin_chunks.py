"""However audio is cut into pushes, a run gives the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remotemedia.twin import RunOutput
from remotemedia.twin.messages import rounded
from remotemedia.twin.metrics import Histogram

from .graphs import ENERGY, VAD, audio, chain, graph, node, noise, run, start

MONO = audio()
CASES: dict[str, dict[str, Any]] = {
    "silero": chain(MONO, node("vad", VAD, MONO, MONO)),
    "energy": chain(
        MONO, node("vad", ENERGY, MONO, MONO), node("level", {"interval_ms": 30}, MONO)
    ),
    "down": chain(
        MONO,
        node("resample", {"quality": "high"}, MONO, audio(8_000)),
        node("vad", ENERGY, audio(8_000), audio(8_000)),
    ),
    "odd": chain(MONO, node("resample", {"quality": "low"}, MONO, audio(11_025))),
    "buffer": chain(
        MONO,
        node("gain", {"gain_db": 3.0}, MONO, MONO),
        node("buffer", {"duration_ms": 33, "overlap_ms": 11}, MONO, MONO),
    ),
    "mix": graph(
        {"input": MONO},
        [
            node("resample", {"quality": "high"}, MONO, audio(8_000), "down"),
            node("resample", {"quality": "high"}, audio(8_000), MONO, "up"),
            node("mix", {"gains_db": [0.0, -3.0]}, [MONO, MONO], MONO),
        ],
        "$source.input > down.in",
        "down.out > up.in",
        "up.out > mix.in-1",
        "$source.input > mix.in-2",
    ),
}


def shown(outputs: list[RunOutput]) -> list[tuple[object, ...]]:
    return [
        (
            o.node,
            o.port,
            o.pts_us,
            o.kind,
            o.message,
            None if o.samples is None else o.samples.tobytes(),
        )
        for o in outputs
    ]


@pytest.mark.parametrize("name", CASES)
@given(
    length=st.integers(1, 12_000),
    cuts=st.lists(st.integers(1, 4_000), min_size=1, max_size=12),
)
@settings(max_examples=12)
def test_pushes_of_any_size_give_the_same(name: str, length: int, cuts: list[int]) -> None:
    samples = noise(length)
    whole = shown(run(CASES[name], samples))
    made, at, outputs = start(CASES[name]), 0, []
    while at < length:
        size = cuts.pop(0) if cuts else length
        made.push_audio("input", samples[at : at + size].copy())
        outputs += made.poll()
        at += size
    made.end()
    assert shown(outputs + made.poll()) == whole


@pytest.mark.parametrize("name", CASES)
@given(frame_ms=st.integers(1, 200))
@settings(max_examples=8)
def test_audio_does_not_depend_on_the_frames(name: str, frame_ms: int) -> None:
    samples = noise(6_000)

    def sound(length_ms: int) -> Any:
        made = start(CASES[name], frame_ms=length_ms)
        made.push_audio("input", samples)
        made.end()
        parts = [o.samples for o in made.poll() if o.samples is not None]
        return np.concatenate(parts) if parts else None

    assert np.array_equal(sound(frame_ms), sound(20))


def test_two_runs_never_mix() -> None:
    one, other = start(CASES["silero"]), start(CASES["silero"])
    samples, silence = noise(16_000), np.zeros(16_000, np.float32)
    for at in range(0, 16_000, 1_600):
        one.push_audio("input", samples[at : at + 1_600])
        other.push_audio("input", silence[at : at + 1_600])
    one.end()
    other.end()
    assert shown(one.poll()) == shown(run(CASES["silero"], samples))
    assert shown(other.poll()) == shown(run(CASES["silero"], silence))


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=200))
def test_quantiles_are_within_three_percent(found: list[int]) -> None:
    histogram = Histogram()
    for value in found:
        histogram.add(value)
    for share in (0.5, 0.95, 0.99):
        exact = sorted(found)[max(int(np.ceil(share * len(found))) - 1, 0)]
        assert abs(histogram.quantile(share) - exact) <= 0.03 * exact


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(0.97, 4, 0.97), (0.99996, 4, 1.0), (-0.125, 2, -0.13), (0.125, 2, 0.13), (-0.001, 2, 0.0)],
)
def test_numbers_round_as_the_native_runtime_writes_them(
    value: float, places: int, text: float
) -> None:
    assert rounded(value, places) == text
    assert rounded(float("nan"), places) == 0.0
