"""The messages that a live session would send about the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from remotemedia.twin.chunks import Stamp

if TYPE_CHECKING:
    from pydantic import JsonValue

SESSION = "offline"
PARTICIPANT = "p1"
STREAM = "audio"
FLOOR_DBFS = -120.0
"""The level of silence."""
_HALF = 0.5


def message(kind: str, node: str, stamp: Stamp, seq: int, data: JsonValue) -> dict[str, JsonValue]:
    """Make a whole message; `data` is what its type asks for."""
    return {
        "v": 1,
        "type": kind,
        "node": node,
        "session": SESSION,
        "participant": PARTICIPANT,
        "stream": STREAM,
        "seq": seq,
        "pts_ms": millis(stamp.pts_us),
        "rtp_ts": stamp.rtp_ts,
        "latency_ms": 0.0,
        "data": data,
    }


def millis(micros: int) -> float:
    """Milliseconds with three decimals."""
    return micros / 1_000


def probability(value: float) -> float:
    """Four decimals, from 0 to 1."""
    return rounded(min(max(value, 0.0), 1.0), 4)


def decibels(value: float) -> float:
    """Two decimals, from the floor up."""
    return rounded(max(value, FLOOR_DBFS), 2)


def rounded(value: float, places: int) -> float:
    """Round halves away from zero, as the native runtime writes numbers."""
    if math.isnan(value):
        return 0.0
    scale = 10**places
    scaled = abs(value * scale)
    whole = math.floor(scaled)
    if scaled - whole >= _HALF:
        whole += 1
    return math.copysign(whole / scale, value) if whole else 0.0
