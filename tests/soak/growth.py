"""Whether memory grows, told from what it was after each round."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

APART = 2
"""Rounds between the points that are compared: pages and pools come in lumps."""


def growth_a_connect(after: Sequence[tuple[int, float]]) -> float:
    """The median slope over `APART` rounds in the second half of ``(connects, memory)``.

    The first half warms up: the interpreter's lists of free tuples alone fill for 1,500 connects.
    A median, because buffers that grow once to a new record are steps, which tilt a line of least
    squares by as much as a leak does; a leak grows in every round.
    """
    half = after[len(after) // 2 - 1 :]
    pairs = zip(half, half[APART:], strict=False)
    return median((y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairs)
