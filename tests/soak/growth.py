"""Whether memory grows, told from what it was after each round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median


def growth_a_connect(after: Sequence[tuple[int, float]]) -> float:
    """The slope of the second half of ``(connects, memory)``: the median over all pairs of points.

    The first half warms up: the interpreter's lists of free tuples alone fill for 1,500 connects.
    A median (Theil and Sen's), because a buffer that grows once to a new record is a step, which
    would tilt a line of least squares; a leak lifts every later point over every earlier one.
    """
    half = after[len(after) // 2 - 1 :]
    return median((y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in combinations(half, 2))
