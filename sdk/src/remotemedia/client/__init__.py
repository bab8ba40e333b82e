"""A Python peer: opens a session, or joins one, sends audio and receives typed events."""

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
