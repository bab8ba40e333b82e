"""Segments of speech: where they are, and whether two lists agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Segment:
    """One stretch of speech in milliseconds of media time."""

    start_ms: float
    end_ms: float


def segments_of(messages: Iterable[Mapping[str, Any]]) -> list[Segment]:
    """The finished segments that result messages tell of, in order."""
    found = []
    for message in messages:
        if message["type"] == "speech_stopped":
            start_ms = float(message["data"]["start_ms"])
            found.append(Segment(start_ms, start_ms + float(message["data"]["duration_ms"])))
    return sorted(found, key=lambda segment: segment.start_ms)


def merged(segments: Iterable[Segment], pause_ms: float = 300.0) -> list[Segment]:
    """Utterances: segments with shorter pauses between them are one.

    Whether a pause of about the least silence splits speech is a matter of one window.
    """
    found: list[Segment] = []
    for segment in sorted(segments, key=lambda one: one.start_ms):
        if found and segment.start_ms - found[-1].end_ms < pause_ms:
            found[-1] = Segment(found[-1].start_ms, max(found[-1].end_ms, segment.end_ms))
        else:
            found.append(segment)
    return found


def distance_ms(these: Sequence[Segment], those: Sequence[Segment]) -> float:
    """How far the edges of any of `these` are, at most, from those of the nearest of `those`."""
    errors = np.abs(_edges(these)[:, None] - _edges(those)[None]).max(axis=2)
    return float(errors.min(axis=1).max())


def repeated(known: Sequence[Segment], found: Sequence[Segment], period_ms: float) -> list[Segment]:
    """Where `known`, said over and over each `period_ms`, must be in a recording with `found`.

    The recording begins anywhere; one offset, by which `found` fits best, goes for all.
    """
    turns = range(-1, int(found[-1].end_ms // period_ms) + 3)
    pattern = [
        Segment(one.start_ms + turn * period_ms, one.end_ms + turn * period_ms)
        for turn in turns
        for one in known
    ]
    offsets = (_edges(found)[:, None] - _edges(pattern)[None]).mean(axis=2).ravel()

    def shifted(offset: float) -> list[Segment]:
        return [Segment(one.start_ms + offset, one.end_ms + offset) for one in pattern]

    return min(map(shifted, offsets), key=lambda moved: distance_ms(found, moved))


def _edges(segments: Sequence[Segment]) -> NDArray[np.float64]:
    """Starts and ends, shape ``(n, 2)``."""
    assert segments, "there are no segments"
    return np.array([(one.start_ms, one.end_ms) for one in segments])
