"""What signaling asks of the process that runs the pipelines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import JsonValue

from remotemedia_signaling.errors import ApiError


class HostError(ApiError):
    """What a host raises when a call cannot be done; it reaches the client as it is."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A client's wish to connect.

    Without `pipeline` the host takes the only one it serves. `pc_id` of a live connection
    renegotiates it, or replaces it with `restart_pc`. `join` is the session to enter.
    """

    sdp: str
    pipeline: str | None = None
    pc_id: str | None = None
    join: str | None = None
    restart_pc: bool = False
    request_data: JsonValue = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an offer; `participant` is the client's name in the session's results."""

    sdp: str
    pc_id: str
    session_id: str
    participant: str | None = None


@dataclass(frozen=True, slots=True)
class IceCandidate:
    """A trickled candidate as in `RTCIceCandidate`; an empty `candidate` is the end of them."""

    candidate: str
    sdp_mid: str | None = None
    sdp_mline_index: int | None = None


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Sample rate in hertz and number of channels."""

    rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class PipelinePort:
    """Where media, data or results enter or leave a pipeline.

    Attributes:
        id: what data for it names as its ``node``.
        kind: ``audio``, ``data``, ``any`` (both), or ``results``.
        format: of its audio.

    """

    id: str
    direction: Literal["in", "out"]
    kind: str = "audio"
    format: AudioFormat | None = None


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """A pipeline that is served: its manifest as written (v1) and as it runs (resolved)."""

    name: str
    ports: Sequence[PipelinePort]
    manifest: Mapping[str, JsonValue]
    resolved: Mapping[str, JsonValue] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One message of the results channel: its `seq` and its JSON text."""

    seq: int
    json: str


class PipelineHost(Protocol):
    """Runs the pipelines and their peer connections. Signaling keeps no state of either.

    Calls raise `HostError` for what a client did wrong or must wait for; anything else is logged
    and answered as an internal error. A call may be cancelled (time-out, shutdown): the host then
    undoes what it began, so that nothing is left behind.
    """

    async def offer(self, offer: Offer) -> Answer:
        """Create, join, renegotiate or replace a connection."""
        ...

    async def add_candidates(self, pc_id: str, candidates: Sequence[IceCandidate]) -> None:
        """Add trickled candidates to a connection, in their order."""
        ...

    async def close_peer(self, pc_id: str) -> None:
        """End one connection, and its session with the last one."""
        ...

    async def close_session(self, session_id: str) -> None:
        """End a session with all its connections."""
        ...

    async def session(self, session_id: str) -> Mapping[str, JsonValue]:
        """Report state and figures of a session."""
        ...

    async def sessions(self) -> Sequence[Mapping[str, JsonValue]]:
        """Report the same of all sessions."""
        ...

    def pipelines(self) -> Sequence[PipelineInfo]:
        """List what is served."""
        ...

    def events(self, session_id: str, after_seq: int | None) -> AsyncIterator[SessionEvent]:
        """Results of a session as they come, those after `after_seq` that are still kept first.

        Ends with the session; raises `HostError` for an unknown one. Of a session that has ended
        it may still give at once what is kept: a long poll is away in between. What waits for a
        slow reader must be bounded. The iterator's `aclose`, where it has one, is called when the
        reader goes.
        """
        ...

    async def check_ready(self) -> None:
        """Push one synthetic frame through; raise when that fails."""
        ...

    def counters(self) -> Mapping[str, float]:
        """Figures for `/metrics`: `name` or `name{label="value"}`; `..._total` only ever grows.

        It is called on the event loop, so it must not wait.
        """
        ...
