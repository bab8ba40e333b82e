"""The messages of a session as types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Data = Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class Event:
    """What every result says.

    Attributes:
        type: the message's type, such as ``vad``.
        node: id of the node that it comes from.
        session: id of the session.
        participant: whose audio it is about.
        stream: which of their streams.
        seq: counts the messages of the session.
        pts_ms: media time in milliseconds that it is about; zero is where the stream began.
        rtp_ts: RTP timestamp of the packet that completed it.
        latency_ms: from that packet's arrival to the hand-over to the channel.
        text: the message as received.
    """

    type: str
    node: str = ""
    session: str = ""
    participant: str = ""
    stream: str = ""
    seq: int = 0
    pts_ms: float = 0.0
    rtp_ts: int = 0
    latency_ms: float = 0.0
    text: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Vad(Event):
    """One window: whether speech is going on, and its probability."""

    speech: bool
    probability: float


@dataclass(frozen=True, kw_only=True)
class SpeechStarted(Event):
    """Speech began at `pts_ms`."""

    probability: float


@dataclass(frozen=True, kw_only=True)
class SpeechStopped(Event):
    """Speech ended at `pts_ms`; it had begun at `start_ms`."""

    start_ms: float
    duration_ms: float


@dataclass(frozen=True, kw_only=True)
class Level(Event):
    """Loudness over an interval, in dBFS."""

    rms_dbfs: float
    peak_dbfs: float


@dataclass(frozen=True, kw_only=True)
class NodeResult(Event):
    """What a Python node returned."""

    data: Json


@dataclass(frozen=True, kw_only=True)
class Transcript(Event):
    """What was said; it may still change while it is not `final`."""

    transcript: str
    final: bool


@dataclass(frozen=True, kw_only=True)
class Metrics(Event):
    """Figures of the connection as the server sees it."""

    data: Data


@dataclass(frozen=True, kw_only=True)
class ErrorEvent(Event):
    """Something went wrong; the session goes on."""

    code: str
    message: str
    field: str | None = None
    hint: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ready(Event):
    """The session runs."""

    pipeline: str
    joined: bool
    data: Data


@dataclass(frozen=True, kw_only=True)
class Coalesced(Event):
    """So many results per window were left out, because they were read too slowly."""

    count: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Bye(Event):
    """The session ends; `code` says the error, if it is one."""

    reason: str
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Unknown(Event):
    """A message of a newer server."""

    data: Json


LIVE = (Vad, Level, Metrics)
"""Events of which the newest counts: the first to go when nobody reads."""


def parse(text: str) -> Event | None:
    """Read one message; None where it is no result (an answer to a control message, or damaged)."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return event_of(message, text) if isinstance(message, dict) else None


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def text_of(message: Mapping[str, Json]) -> str:
    """Write a message as it would be received."""
    return _encode(message)


def event_of(message: Mapping[str, Json], text: str | None = None) -> Event | None:
    """Make an event of a message; None where it is no result.

    Args:
        message: the message.
        text: the message as received; None writes it.
    """
    if "seq" not in message or "type" not in message:
        return None
    if text is None:
        text = text_of(message)
    type_ = str(message["type"])
    data = message.get("data")
    head = {
        "type": type_,
        "node": str(message.get("node", "")),
        "session": str(message.get("session", "")),
        "participant": str(message.get("participant", "")),
        "stream": str(message.get("stream", "")),
        "seq": _integer(message, "seq"),
        "pts_ms": _number(message, "pts_ms"),
        "rtp_ts": _integer(message, "rtp_ts"),
        "latency_ms": _number(message, "latency_ms"),
        "text": text,
    }
    body: Data = data if isinstance(data, dict) else {}
    make = _TYPES.get(type_)
    fields = make[1](body) if make and isinstance(data, dict) else {"data": data}
    kind = make[0] if make and isinstance(data, dict) else Unknown
    if type_ == "node":
        kind, fields = NodeResult, {"data": data}
    return kind(**head, **fields)  # type: ignore[arg-type]


def _number(data: Data, name: str) -> float:
    value = data.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _integer(data: Data, name: str) -> int:
    return int(_number(data, name))


def _text(data: Data, name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) else None


_TYPES: Mapping[str, tuple[type[Event], Callable[[Data], dict[str, object]]]] = {
    "vad": (
        Vad,
        lambda d: {"speech": d.get("speech") is True, "probability": _number(d, "probability")},
    ),
    "speech_started": (
        SpeechStarted,
        lambda d: {"probability": _number(d, "probability")},
    ),
    "speech_stopped": (
        SpeechStopped,
        lambda d: {
            "start_ms": _number(d, "start_ms"),
            "duration_ms": _number(d, "duration_ms"),
        },
    ),
    "level": (
        Level,
        lambda d: {"rms_dbfs": _number(d, "rms_dbfs"), "peak_dbfs": _number(d, "peak_dbfs")},
    ),
    "transcript": (
        Transcript,
        lambda d: {"transcript": _text(d, "text") or "", "final": d.get("final") is True},
    ),
    "metrics": (Metrics, lambda d: {"data": d}),
    "error": (
        ErrorEvent,
        lambda d: {
            "code": _text(d, "code") or "",
            "message": _text(d, "message") or "",
            "field": _text(d, "field"),
            "hint": _text(d, "hint"),
            "traceback": _text(d, "traceback"),
        },
    ),
    "ready": (
        Ready,
        lambda d: {
            "pipeline": _text(d, "pipeline") or "",
            "joined": d.get("joined") is True,
            "data": d,
        },
    ),
    "coalesced": (
        Coalesced,
        lambda d: {"count": _integer(d, "count"), "total": _integer(d, "total")},
    ),
    "bye": (Bye, lambda d: {"reason": _text(d, "reason") or "", "code": _text(d, "code")}),
}
