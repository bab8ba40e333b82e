"""One table of cases for both runtimes: a manifest and what is pushed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.parity.graphs import (
    DATA,
    ENERGY,
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
from tests.support import speech

Samples = NDArray[np.float32]
MONO, STEREO, FULL = audio(), audio(16_000, 2), audio(48_000)


@dataclass(frozen=True)
class Sound:
    """Audio pushed to a source; `pts_us` where it does not follow on."""

    samples: Samples
    pts_us: int | None = None
    source: str = "input"


@dataclass(frozen=True)
class Datum:
    """A value pushed to a source."""

    value: object
    source: str = "input"


@dataclass(frozen=True)
class End:
    """The end of one source."""

    source: str


@dataclass(frozen=True)
class Interrupt:
    """Everything under way becomes worthless."""


Step = Sound | Datum | End | Interrupt

PART = ("", "part", None)

Worker = Callable[[Any], Sequence[tuple[str, str, object]]]
"""A Python node: from an item to (port, kind, value).

Kinds are audio, data, opaque, fail, and busy: a failure that passes, so that the frame is tried
again and the node asked once more. With part, what came before it leaves while the node goes on.
"""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        worker: stands for all Python nodes.
        late_first: of frames that nodes have at a time, the last give their parts first.
        apart_db: where resamplers are at work, how far their outputs may be apart. They cut the top
            of the band in different ways and give their audio at different times: outputs are
            compared node by node, levels and probabilities with more room.
        least: how many outputs there must be at least.
    """

    name: str
    manifest: Json
    steps: Callable[[], Sequence[Step]]
    worker: Worker | None = None
    late_first: bool = False
    apart_db: float | None = None
    least: int = 1


@cache
def spoken(rate: int = 16_000, channels: int = 1) -> Samples:
    """Real speech with silence around it; each channel is louder than the one before."""
    mono = speech.utterances(rate)
    if channels == 1:
        return mono
    gains = np.linspace(0.2, 1.0, channels, dtype=np.float32)[:, None]
    return np.ascontiguousarray(mono * gains)


@cache
def band_limited(rate: int) -> Samples:
    """Speech without anything above 6 kHz, which all resamplers keep alike."""
    samples = spoken(rate)
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1.0 / rate) > 6_000.0] = 0.0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def odd_pieces(samples: Samples) -> list[Sound]:
    """The samples in pushes of very different lengths."""
    sizes, at = [1, 7, 320, 4_801, 13, 16_000, 999], 0
    pieces: list[Sound] = []
    while at < samples.shape[-1]:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(Sound(np.ascontiguousarray(samples[..., at : at + size])))
        at += size
    return pieces


def resample(quality: str, given: Json, wanted: Json, node_id: str = "resample") -> Json:
    """A resampler."""
    return node(node_id, "resample", {"quality": quality}, given, wanted)


def _jumps() -> list[Step]:
    samples = spoken()
    return [
        Sound(samples[:20_000]),
        Sound(samples[20_000:40_000], 1_250_000 + 60_000),
        Sound(samples[40_000:60_000], 9_000_000),
        Sound(samples[60_000:70_123], 2_000_000),
    ]


def _faded_jumps() -> list[Step]:
    """Pieces that begin and end softly: a cut has frequencies that no two resamplers share."""
    ramp = np.hanning(4_800)[:2_400].astype(np.float32)
    steps: list[Step] = []
    for at, length, pts_us in [
        (0, 60_000, 0),
        (60_000, 48_000, 1_310_000),
        (108_000, 70_001, 9_000_000),
        (200_000, 33_333, 4_000_000),
    ]:
        piece = band_limited(48_000)[at : at + length].copy()
        piece[:2_400] *= ramp
        piece[-2_400:] *= ramp[::-1]
        steps.append(Sound(piece, pts_us))
    return steps


def _two_sources() -> list[Step]:
    a, b = spoken(), spoken()[::-1].copy()
    steps: list[Step] = []
    for at in range(0, 64_000, 8_000):
        steps += [Sound(a[at : at + 8_000], None, "a"), Sound(b[at : at + 5_000], None, "b")]
    return [*steps, End("b"), Sound(a[64_000:66_000], None, "a")]


def _late_source() -> list[Step]:
    tone = spoken()[:16_000]
    return [
        Sound(tone, None, "a"),
        Sound(tone[:4_000], 300_000, "b"),
        Sound(tone[:4_000], 700_000, "b"),
    ]


def _silences() -> list[Step]:
    times_us = (0, 12_345_678, 100_000_000)
    pieces = [(spoken()[at : at + 4_000], us) for at, us in zip((0, 9, 99), times_us, strict=True)]
    return [Sound(samples, us, name) for samples, us in pieces for name in "ab"]


def _loud(item: Any) -> Sequence[tuple[str, str, object]]:
    if item.samples is None:
        return [("out", "data", {"end": True})]
    peak = round(float(np.abs(item.samples).max()), 3)
    return [("out", "audio", item.samples * np.float32(0.5)), ("out", "data", {"peak": peak})]


def _by_port(item: Any) -> Sequence[tuple[str, str, object]]:
    if item.port == "":
        return []
    if item.samples is not None:
        return [("sound", "audio", item.samples), ("words", "data", f"{item.port} {item.seq}")]
    return [("words", "data", item.value), ("sound", "opaque", b"object")]


def _failing(item: Any) -> Sequence[tuple[str, str, object]]:
    if item.samples is None:
        return []
    kind = item.seq % 3
    if kind == 0:
        return [("out", "fail", f"frame {item.seq} is not liked")]
    if kind == 1:
        return [("left", "data", 1)]
    return [("out", "data", item.seq)]


def _busy(item: Any) -> Sequence[tuple[str, str, object]]:
    again: list[tuple[str, str, object]] = [("out", "busy", "try later")]
    return (again if item.seq == 1 else []) + [("out", "data", [item.port, item.seq])]


def _longer(item: Any) -> Sequence[tuple[str, str, object]]:
    return [] if item.samples is None else [("out", "audio", np.tile(item.samples, 2))]


def _in_parts(item: Any) -> Sequence[tuple[str, str, object]]:
    """Audio in two halves, a word before and one behind."""
    if item.samples is None:
        return [("out", "data", "rest"), PART, ("out", "data", "end")]
    half = len(item.samples) // 2
    return [
        ("out", "data", {"seq": item.seq}), PART, PART, ("out", "audio", item.samples[:half]), PART,
        ("out", "audio", item.samples[half:]), ("out", "data", "done"),
    ]  # fmt: skip


def _failing_midway(item: Any) -> Sequence[tuple[str, str, object]]:
    """Fails after a part, in each way there is; what went stays, and nothing is tried again."""
    first = [("out", "data", item.seq), PART]
    wrong: list[tuple[str, str, object]] = [
        ("out", "fail", "broke"), ("out", "busy", "try again"), ("nowhere", "data", 1),
        ("out", "data", "fine"),
    ]  # fmt: skip
    ending = wrong[item.seq % len(wrong)]
    return [*first, ending, *([PART, ("out", "data", "later")] if ending[0] == "nowhere" else [])]


def _wide(item: Any) -> Sequence[tuple[str, str, object]]:
    """Two channels of every other frame, where one is wanted; none of each third."""
    if item.samples is None:
        return []
    if item.seq % 3 == 2:
        return [("out", "audio", np.zeros((0, 4), dtype=np.float32))]
    return [("out", "audio", np.stack([item.samples] * (1 + item.seq % 2)))]


APART_DB = -90.0
"""How far resamplers may be apart on speech, at any quality."""
MIX_TWO = {"in-1": MONO, "in-2": MONO}
CALCULATIONS: list[object] = [
    3, 2.5, -7, [1, 2, 3], [10], {"operation": "divide", "operands": [1, 4]},
    {"operation": "modulo", "args": [-7, 3]}, {"operation": "power", "operands": [2, 10]},
    {"operation": "divide", "operands": [1, 0]}, "text", None, [], {"operation": "root"}, [1, "2"],
    {"operation": "power", "operands": [-8, 0.5]},
    {"operation": "multiply", "operands": [1e200, 1e200]},
]  # fmt: skip
TEXTS: list[object] = [
    " Hello, World ", "straße ΑΣ", "", "\u2003a\u00a0b\tc\n", "añ😀", {"text": "in an object"},
    3, None, {"words": "x"}, "\x1cseparator", "ΐ" * 11_000,
]  # fmt: skip

CASES: list[Case] = [
    Case("silero", chain(MONO, node("vad", "vad", SILERO, MONO)), lambda: [Sound(spoken())]),
    Case(
        "silero in odd pieces",
        chain(MONO, node("vad", "vad", SILERO, MONO, MONO)),
        lambda: odd_pieces(spoken()),
    ),
    Case("silero over jumps", chain(MONO, node("vad", "vad", SILERO, MONO)), _jumps),
    Case("energy", chain(FULL, node("vad", "vad", ENERGY, FULL)), lambda: [Sound(spoken(48_000))]),
    Case(
        "energy and level over jumps",
        chain(MONO, node("vad", "vad", ENERGY, MONO, MONO), node("level", "level", LEVEL, MONO)),
        _jumps,
    ),
    Case(
        "events alone",
        chain(MONO, node("vad", "vad", {**SILERO, "emit": "events"}, MONO)),
        lambda: [Sound(spoken())],
    ),
    Case(
        "level of two channels",
        chain(STEREO, node("level", "level", LEVEL, STEREO)),
        lambda: odd_pieces(spoken(16_000, 2)),
    ),
    Case(
        "pass",
        chain(STEREO, node("same", "pass_through", {}, STEREO, STEREO)),
        lambda: odd_pieces(spoken(16_000, 2)),
    ),
    Case(
        "sink",
        chain(STEREO, node("out", "sink", {}, STEREO, STEREO)),
        lambda: odd_pieces(spoken(16_000, 2)),
    ),
    Case(
        "average",
        chain(STEREO, node("mono", "format", {}, STEREO, MONO)),
        lambda: [Sound(spoken(16_000, 2))],
    ),
    Case(
        "copy",
        chain(MONO, node("four", "format", {}, MONO, audio(16_000, 4))),
        lambda: [Sound(spoken())],
    ),
    Case(
        "gain",
        chain(STEREO, node("gain", "gain", {"gain_db": -7.3}, STEREO, STEREO)),
        lambda: [Sound(spoken(16_000, 2))],
    ),
    Case(
        "split and mix",
        graph(
            {"input": STEREO},
            [
                node("split", "split", {}, STEREO, {"left": MONO, "right": MONO}),
                node("louder", "gain", {"gain_db": 3.0}, MONO, MONO),
                node("mix", "mix", {"gains_db": [-6.0, 2.5]}, MIX_TWO, MONO),
            ],
            "$source.input > split.in",
            "split.left > louder.in",
            "louder.out > mix.in-1",
            "split.right > mix.in-2",
        ),
        lambda: odd_pieces(spoken(16_000, 2)),
    ),
    Case(
        "mix of two sources",
        graph(
            {"a": MONO, "b": MONO},
            [
                node("mix", "mix", {"gains_db": [0.0, -12.0]}, MIX_TWO, MONO),
                node("level", "level", LEVEL, MONO, MONO),
            ],
            "$source.a > mix.in-1",
            "$source.b > mix.in-2",
            "mix.out > level.in",
        ),
        _two_sources,
    ),
    Case(
        "mix with gaps",
        graph(
            {"a": MONO, "b": MONO},
            [node("mix", "mix", {"gains_db": [0.0, 0.0]}, MIX_TWO, MONO)],
            "$source.a > mix.in-1",
            "$source.b > mix.in-2",
        ),
        _late_source,
    ),
    Case(
        "mix over a long silence",
        graph(
            {"a": MONO, "b": MONO},
            [
                node("mix", "mix", {"gains_db": [0.0, 0.0]}, MIX_TWO, MONO),
                node("vad", "vad", ENERGY, MONO, MONO),
            ],
            "$source.a > mix.in-1",
            "$source.b > mix.in-2",
            "mix.out > vad.in",
        ),
        _silences,
    ),
    Case(
        "buffer",
        chain(MONO, node("buffer", "buffer", {"duration_ms": 333, "overlap_ms": 33}, MONO, MONO)),
        lambda: odd_pieces(spoken()),
    ),
    Case(
        "buffer over jumps",
        chain(
            MONO,
            node("buffer", "buffer", {"duration_ms": 100, "overlap_ms": 0}, MONO, MONO),
            node("vad", "vad", ENERGY, MONO, MONO),
        ),
        _jumps,
    ),
    Case(
        "branches",
        graph(
            {"input": MONO},
            [
                node("b", "vad", SILERO, MONO, MONO),
                node("a", "level", LEVEL, MONO),
                node("c", "vad", {**SILERO, "min_silence_ms": 500}, MONO),
            ],
            "$source.input > a.in",
            "$source.input > b.in",
            "b.out > c.in",
        ),
        lambda: [Sound(spoken())],
    ),
    *[
        Case(
            f"{operation} of text",
            chain(DATA, node("text", "text", {"operation": operation}, DATA, DATA)),
            lambda: [Datum(each) for each in TEXTS],
        )
        for operation in ("uppercase", "lowercase", "strip", "reverse", "length", "words")
    ],
    *[
        Case(
            f"{operation}, operand {operand}",
            chain(
                DATA,
                node(
                    "calculator",
                    "calculator",
                    {"operation": operation, "operand": operand},
                    DATA,
                    DATA,
                ),
            ),
            lambda: [Datum(each) for each in CALCULATIONS],
        )
        for operation, operand in [
            ("add", 2),
            ("subtract", 0.5),
            ("multiply", None),
            ("divide", 0),
            ("power", -2),
            ("modulo", 4),
        ]
    ],
    Case(
        "values in turn",
        chain(
            DATA,
            node("words", "text", {"operation": "words"}, DATA, DATA),
            node("sum", "calculator", {"operation": "add", "operand": 1}, DATA, DATA),
        ),
        lambda: [Datum("a b"), Datum("")],
    ),
    Case(
        "python",
        chain(
            MONO,
            node("python", "python", PYTHON, anything(), anything()),
            node("level", "level", LEVEL, MONO, MONO),
            node("vad", "vad", SILERO, MONO, MONO),
        ),
        lambda: odd_pieces(spoken()[:80_000]),
        worker=_loud,
    ),
    Case(
        "python with ports",
        graph(
            {"input": MONO, "text": DATA},
            [
                node(
                    "both",
                    "python",
                    PYTHON,
                    {"voice": anything(), "words": DATA},
                    {"sound": anything(), "words": DATA},
                ),
                node("upper", "text", {"operation": "uppercase"}, DATA, DATA),
                node("level", "level", LEVEL, MONO),
            ],
            "$source.input > both.voice",
            "$source.text > both.words",
            "both.words > upper.in",
            "both.sound > level.in",
        ),
        lambda: [Sound(spoken()[:4_000]), Datum("hello", "text"), Sound(spoken()[:4_000])],
        worker=_by_port,
    ),
    Case(
        "python that fails",
        chain(MONO, node("python", "python", PYTHON, anything(), anything())),
        lambda: [Sound(spoken()[:12_000])],
        worker=_failing,
    ),
    *(
        Case(
            f"python in parts, {name}",
            chain(
                MONO,
                node("python", "python", PYTHON, anything(), anything()),
                node("python-2", "python", PYTHON, anything(), anything()),
            ),
            lambda: [Sound(spoken()[:6_000])],
            worker=_in_parts,
            late_first=late_first,
            least=100,
        )
        for name, late_first in (("in order", False), ("the last first", True))
    ),
    *(
        Case(
            f"python that fails midway, {name}",
            chain(MONO, node("python", "python", PYTHON, anything(), anything())),
            lambda: [Sound(spoken()[:6_000]), Interrupt(), Sound(spoken()[:2_000])],
            worker=_failing_midway,
            late_first=late_first,
            least=20,
        )
        for name, late_first in (("in order", False), ("the last first", True))
    ),
    Case(
        "python that is busy",
        chain(MONO, node("python", "python", PYTHON, anything(), anything())),
        lambda: [Sound(spoken()[:2_000])],
        worker=_busy,
    ),
    Case(
        "python that gives more than it takes",
        chain(
            MONO,
            node("python", "python", PYTHON, anything(), anything()),
            node("buffer", "buffer", {"duration_ms": 100, "overlap_ms": 50}, MONO, MONO),
        ),
        lambda: [Sound(spoken()[:12_000])],
        worker=_longer,
    ),
    Case(
        "python that gives too many channels",
        chain(
            MONO,
            node("python", "python", PYTHON, anything(), anything()),
            node("level", "level", LEVEL, MONO, MONO),
        ),
        lambda: [Sound(spoken()[:4_000])],
        worker=_wide,
    ),
    Case(
        "interrupt",
        chain(
            MONO,
            node("python", "python", PYTHON, anything(), anything()),
            node("buffer", "buffer", {"duration_ms": 500, "overlap_ms": 0}, MONO, MONO),
        ),
        lambda: [Sound(spoken()[:9_000]), Interrupt(), Sound(spoken()[:9_000])],
        worker=_loud,
    ),
    Case(
        "interrupt of what a mix holds",
        graph(
            {"left": MONO, "right": MONO},
            [
                node("mix", "mix", {"gains_db": [0.0, -6.0]}, MIX_TWO, {"out": MONO}),
            ],
            "$source.left > mix.in-1",
            "$source.right > mix.in-2",
        ),
        lambda: [
            Sound(spoken()[:9_000], source="left"),
            Sound(spoken()[:3_000], source="right"),
            Interrupt(),
            Sound(spoken()[9_000:12_000], source="left"),
            Sound(spoken()[3_000:6_500], source="right"),
            End("left"),
            Sound(spoken()[6_500:13_000], source="right"),
            Interrupt(),
        ],
        least=3,
    ),
    Case(
        "interrupt of all that a mix was to give",
        graph(
            {"left": MONO, "right": MONO},
            [
                node("mix", "mix", {"gains_db": [0.0, 0.0]}, MIX_TWO, {"out": MONO}),
                node("level", "level", LEVEL, MONO, MONO),
            ],
            "$source.left > mix.in-1",
            "$source.right > mix.in-2",
            "mix.out > level.in",
        ),
        lambda: [
            Sound(spoken()[:1_000], source="left"),
            Sound(spoken()[:1_000], source="right"),
            Sound(spoken()[1_000:9_000], source="left"),
            Interrupt(),
            Sound(spoken()[1_000:2_000], source="right"),
        ],
        least=3,
    ),
    *[
        Case(
            f"{given} to {wanted} at {quality}",
            chain(
                audio(given),
                resample(quality, audio(given), audio(wanted)),
                node("vad", "vad", ENERGY, audio(wanted), audio(wanted)),
            ),
            lambda given=given: odd_pieces(band_limited(given)),  # type: ignore[misc]
            apart_db=APART_DB,
        )
        for given, wanted in [
            (48_000, 16_000),
            (16_000, 48_000),
            (44_100, 16_000),
            (16_000, 44_100),
            (24_000, 16_000),
        ]
        for quality in ("low", "medium", "high")
    ],
    Case(
        "two channels resampled, averaged, judged",
        chain(
            audio(48_000, 2),
            resample("high", audio(48_000, 2), STEREO),
            node("mono", "format", {}, STEREO, MONO),
            node("vad", "vad", SILERO, MONO, MONO),
        ),
        lambda: [Sound(np.stack([band_limited(48_000)] * 2))],
        apart_db=APART_DB,
    ),
    Case(
        "frames that are no whole number of microseconds",
        chain(
            audio(22_050),
            node("level", "level", LEVEL, audio(22_050), audio(22_050)),
            resample("high", audio(22_050), MONO),
            node("vad", "vad", SILERO, MONO, MONO),
        ),
        lambda: [Sound(band_limited(22_050))],
        apart_db=APART_DB,
        least=60,
    ),
    Case(
        "a resampler over jumps",
        chain(FULL, resample("high", FULL, MONO)),
        _faded_jumps,
        apart_db=APART_DB,
    ),
]
