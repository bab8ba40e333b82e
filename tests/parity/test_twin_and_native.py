"""The same cases through the native runtime and its Python twin."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
import remotemedia_runtime
from hypothesis import given, settings
from hypothesis import strategies as st
from remotemedia import twin
from remotemedia.errors import RemoteMediaError
from remotemedia.frames import Samples
from remotemedia.running.backend import Backend

from tests.parity.cases import CASES, Case, Sound, odd_pieces, spoken
from tests.parity.driving import compare, drive
from tests.parity.graphs import DATA, ENERGY, LEVEL, SILERO, Json, audio, chain, graph, node
from tests.test_message_schema import validator

TWIN = cast("Backend", twin)
NATIVE = cast("Backend", remotemedia_runtime)
VALIDATED = 20
"""Messages of each type that are held against the schema: it is slow."""
names = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=names)
def test_the_twin_gives_valid_messages(case: Case) -> None:
    outputs = drive(TWIN, case)
    assert len(outputs) >= case.least
    messages = validator("ServerMessage")
    numbers = [each.message["seq"] for each in outputs if each.message]
    assert numbers == list(range(len(numbers)))
    seen: Counter[object] = Counter()
    for each in outputs:
        assert (each.kind == "event") == (each.message is not None)
        if each.message is not None and seen[each.message["type"]] < VALIDATED:
            seen[each.message["type"]] += 1
            messages.validate(each.message)


@pytest.mark.parametrize("case", CASES, ids=names)
def test_both_runtimes_give_the_same(case: Case) -> None:
    worst = compare(case, drive(TWIN, case), drive(NATIVE, case))
    if worst:
        print(case.name, {field: float(f"{value:.3g}") for field, value in worst.items()})


@given(cuts=st.lists(st.integers(1, 20_000), min_size=1, max_size=10))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_both_give_the_same_however_audio_is_pushed(cuts: list[int]) -> None:
    mono = audio()
    manifest = chain(
        mono,
        node("vad", "vad", SILERO, mono, mono),
        node("buffer", "buffer", {"duration_ms": 70, "overlap_ms": 20}, mono, mono),
        node("level", "level", LEVEL, mono, mono),
    )
    samples, at, pieces = spoken(), 0, []
    for cut in cuts:
        pieces.append(Sound(samples[at : at + cut]))
        at += cut
    case = Case("any pushes", manifest, lambda: pieces)
    whole = Case("one push", manifest, lambda: [Sound(samples[:at])])
    compare(case, drive(TWIN, case), drive(NATIVE, whole))


QUALITIES = ("low", "medium", "high")
KEPT_HZ = 7_000
"""Of 48 to 16 kHz, at each quality."""


def resampled(backend: Backend, samples: Samples, quality: str) -> Samples:
    """From 48 to 16 kHz."""
    full = audio(48_000)
    manifest = chain(full, node("resample", "resample", {"quality": quality}, full, audio()))
    outputs = drive(backend, Case("resample", manifest, lambda: [Sound(samples)]))
    return np.concatenate([each.samples for each in outputs if each.samples is not None])


def apart_db(quality: str, samples: Samples) -> float:
    """How far the two are apart below 7 kHz, away from both ends."""
    ours, theirs = (resampled(backend, samples, quality) for backend in (NATIVE, TWIN))
    window = np.hanning(len(ours))
    powers = []
    for each in (ours.astype(np.float64) - theirs, theirs):
        spectrum = np.abs(np.fft.rfft(each * window)) ** 2
        kept = np.fft.rfftfreq(len(each), 1.0 / 16_000) < KEPT_HZ
        powers.append(float(spectrum[kept].sum()))
    return 10.0 * math.log10(powers[0] / powers[1])


@pytest.mark.parametrize("hz", [100, 1_000, 3_000, 5_000, 6_000, 6_500, 6_990])
@pytest.mark.parametrize("quality", QUALITIES)
def test_resamplers_agree_on_each_tone_below_7_khz(quality: str, hz: int) -> None:
    tone = np.sin(2 * np.pi * hz * np.arange(48_000) / 48_000).astype(np.float32)
    assert apart_db(quality, tone) <= -80.0


@pytest.mark.parametrize("quality", QUALITIES)
def test_resamplers_agree_below_7_khz_whatever_lies_above(quality: str) -> None:
    noise = np.random.default_rng(3).standard_normal(240_000).astype(np.float32) * 0.1
    for samples in (noise, spoken(48_000)):
        assert apart_db(quality, samples) <= -80.0


MONO = audio()
WRONG: dict[str, Json] = {
    "no version": {**chain(MONO, node("level", "level", LEVEL, MONO)), "version": "v2"},
    "unknown kind": chain(MONO, node("asr", "asr", {}, MONO)),
    "no such parameter": chain(MONO, node("level", "level", {**LEVEL, "x": 1}, MONO)),
    "missing parameter": chain(MONO, node("level", "level", {}, MONO)),
    "out of range": chain(MONO, node("vad", "vad", {**SILERO, "threshold": 2}, MONO)),
    "silero at 48 kHz": chain(audio(48_000), node("vad", "vad", SILERO, audio(48_000))),
    "energy of two channels": chain(audio(16_000, 2), node("v", "vad", ENERGY, audio(16_000, 2))),
    "another output": chain(MONO, node("level", "level", LEVEL, MONO, audio(48_000))),
    "gain too high": chain(MONO, node("gain", "gain", {"gain_db": 60.5}, MONO, MONO)),
    "gain of no audio": chain(DATA, node("gain", "gain", {"gain_db": 1.0}, DATA, DATA)),
    "mix of one": chain(MONO, node("mix", "mix", {"gains_db": [0.0]}, MONO, MONO)),
    "split of too few": chain(audio(16_000, 2), node("s", "split", {}, audio(16_000, 2), MONO)),
    "overlap too long": chain(
        MONO, node("b", "buffer", {"duration_ms": 20, "overlap_ms": 20}, MONO, MONO)
    ),
    "text of audio": chain(MONO, node("t", "text", {"operation": "words"}, MONO)),
    "unknown operation": chain(DATA, node("t", "text", {"operation": "shout"}, DATA)),
    "operand of text": chain(
        DATA, node("c", "calculator", {"operation": "add", "operand": "1"}, DATA)
    ),
    "audio to data": graph(
        {"input": MONO}, [node("t", "text", {"operation": "words"}, DATA)], "$source.input > t.in"
    ),
    "no such port": graph(
        {"input": MONO}, [node("l", "level", LEVEL, MONO)], "$source.input > l.left"
    ),
    "no such source": graph({"input": MONO}, [node("l", "level", LEVEL, MONO)], "$source.a > l.in"),
    "no such node": graph(
        {"input": MONO}, [node("l", "level", LEVEL, MONO)], "$source.input > m.in"
    ),
    "fed by nothing": graph({"input": MONO}, [node("l", "level", LEVEL, MONO)]),
    "fed twice": graph(
        {"input": MONO}, [node("l", "level", LEVEL, MONO)], *["$source.input > l.in"] * 2
    ),
    "cycle": graph(
        {"input": MONO},
        [node("a", "gain", {"gain_db": 0.0}, MONO, MONO), node("b", "level", LEVEL, MONO, MONO)],
        "a.out > b.in",
        "b.out > a.in",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_both_refuse_the_same_field(name: str) -> None:
    refusals = []
    for backend in (TWIN, NATIVE):
        with pytest.raises((RemoteMediaError, backend.RuntimeFault)) as caught:
            drive(backend, Case(name, WRONG[name], list))
        error: Any = caught.value
        refusals.append((error.code, error.field))
    assert refusals[0] == refusals[1]


def test_pieces_hold_all_samples() -> None:
    samples = spoken()
    assert np.array_equal(np.concatenate([each.samples for each in odd_pieces(samples)]), samples)
