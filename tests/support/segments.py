"""Segments of speech: where they are, and whether two lists agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


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


def best_offset_ms(
    known: Sequence[Segment], found: Sequence[Segment], period_ms: float
) -> tuple[float, float]:
    """Fit `found` to `known` repeated each `period_ms`, with one offset for all.

    Returns:
        The offset to add to `known`, and the largest distance of any found edge to its known one
        under it. The first and the last found segment may be cut by the capture and are left out
        when there are more than two.
    """
    whole = list(found[1:-1]) if len(found) > 2 else list(found)
    edges = np.array([(s.start_ms, s.end_ms) for s in whole])
    pattern = np.array([(s.start_ms, s.end_ms) for s in known])
    best = (0.0, float("inf"))
    # Each pairing of one found with one known segment proposes an offset.
    for found_start, found_end in edges:
        for known_start, known_end in pattern:
            offset = ((found_start - known_start) + (found_end - known_end)) / 2
            worst = 0.0
            for start, end in edges:
                shifted = pattern[:, 0] + offset
                turns = np.round((start - shifted) / period_ms)
                errors = np.maximum(
                    np.abs(start - shifted - turns * period_ms),
                    np.abs(end - pattern[:, 1] - offset - turns * period_ms),
                )
                worst = max(worst, float(errors.min()))
            if worst < best[1]:
                best = (float(offset), worst)
    return best
