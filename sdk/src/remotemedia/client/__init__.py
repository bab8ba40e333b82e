"""A Python peer: opens a session, or joins one, sends audio and receives typed events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remotemedia.client.events import (
    Bye,
    Coalesced,
    ErrorEvent,
    Event,
    Level,
    Metrics,
    NodeResult,
    Ready,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    Unknown,
    Vad,
)

if TYPE_CHECKING:
    from remotemedia.client.session import Session, connect

__all__ = [
    "Bye",
    "Coalesced",
    "ErrorEvent",
    "Event",
    "Level",
    "Metrics",
    "NodeResult",
    "Ready",
    "Session",
    "SpeechStarted",
    "SpeechStopped",
    "Transcript",
    "Unknown",
    "Vad",
    "connect",
]


def __getattr__(name: str) -> object:
    # Sessions bring aiortc along, which takes long to load; events alone do not need it.
    if name in {"Session", "connect"}:
        from remotemedia.client import session

        return getattr(session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
