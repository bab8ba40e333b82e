"""All sessions of an engine: how they begin, are found, and end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remotemedia.host.python.faults import (
    CONFLICT,
    DRAINING,
    INTERNAL,
    SERVER_FULL,
    TOO_MANY_OFFERS,
    UNKNOWN_PIPELINE,
    RuntimeFault,
    fault,
    unknown,
)
from remotemedia.host.python.hearing import sent_channels
from remotemedia.host.python.instance import Program
from remotemedia.host.python.negotiation import MAX_TRACKS, Agreed, Want, negotiate
from remotemedia.host.python.offers import parse
from remotemedia.host.python.participant import Participant
from remotemedia.host.python.peer import End, Network, Peer
from remotemedia.host.python.session import Session, Shared
from remotemedia.host.python.voice import Voice

if TYPE_CHECKING:
    from pydantic import JsonValue

_log = logging.getLogger("remotemedia.host")


@dataclass(frozen=True)
class Limits:
    """Bounds on what runs at once."""

    max_sessions: int = 1_000
    max_participants: int = 16


@dataclass(frozen=True)
class Request:
    """An offer: to open a session, enter one, renegotiate or replace a connection."""

    sdp: str
    pipeline: str | None = None
    pc_id: str | None = None
    join: str | None = None
    restart_pc: bool = False


@dataclass(frozen=True)
class Reply:
    """What was negotiated."""

    sdp: str
    pc_id: str
    session_id: str
    participant: str


class Sessions:
    """See the module. All of it lives on one event loop."""

    def __init__(self, shared: Shared, network: Network, limits: Limits) -> None:
        """Serve nothing yet."""
        self.programs: dict[str, Program] = {}
        self.sessions: dict[str, Session] = {}
        self.peers: dict[str, Participant] = {}
        self._shared = shared
        self._network = network
        self._limits = limits
        self._opening = 0
        self._draining = False
        self._changed = asyncio.Event()

    async def offer(self, request: Request) -> Reply:
        """Answer an offer.

        Raises:
            RuntimeFault: what is wrong with it; nothing is left behind then.
        """
        self._check_draining()
        if request.pc_id is not None:
            participant = self._peer(request.pc_id)
            if not participant.offers.take(self._shared.clock()):
                raise fault(
                    TOO_MANY_OFFERS,
                    "offers on this connection follow each other too fast",
                    hint="wait a second before the next one",
                )
            if request.restart_pc:
                return await self._restart(participant, request)
            return await self._renegotiate(participant, request)
        if request.join is not None:
            return await self._join(request.join, request)
        return await self._create(request)

    async def add_candidates(self, pc_id: str, lines: list[str]) -> None:
        """Add remote candidates; see `Peer.add_candidates`."""
        await self._peer(pc_id).peer.add_candidates(lines)

    def close_peer(self, pc_id: str) -> None:
        """End a connection; its session ends with its last participant."""
        self._peer(pc_id).leave(End("the connection was closed"))

    def close_session(self, name: str, reason: str) -> None:
        """End a session: its participants are told ``bye`` with the reason."""
        session = self.session(name)
        if session.closing is not None:
            raise fault(CONFLICT, "the session is ending")
        session.begin_close(End(reason))

    def observe(self, name: str, on: bool) -> None:
        """Switch on or off that a session's messages come as notifications too."""
        self.session(name).observe(on)

    def give(self, token: int, results: Sequence[object]) -> None:
        """Take some of what a Python node makes of a frame; tokens as for `complete`."""
        session = self._shared.holders.get(token)
        if session is not None:
            session.give(token, results)

    def complete(self, token: int, result: object) -> None:
        """Take what a Python node made of a frame; tokens of what has ended are ignored."""
        session = self._shared.holders.pop(token, None)
        if session is not None:
            session.complete(token, result)

    async def drain(self, timeout: float) -> bool:
        """Admit nobody, tell every peer ``bye`` and wait; True when every session has closed."""
        self._draining = True
        end = End("the server is shutting down", DRAINING)
        for session in list(self.sessions.values()):
            session.begin_close(end)
        try:
            await asyncio.wait_for(self._emptied(), timeout)
        except asyncio.TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End everything now."""
        self._draining = True
        for participant in list(self.peers.values()):
            participant.cut(End("the server stops", DRAINING))
        await self._emptied()

    async def stats(self) -> list[dict[str, JsonValue]]:
        """Give every session's state."""
        return [await self.session_stats(session) for session in list(self.sessions.values())]

    async def session_stats(self, session: Session) -> dict[str, JsonValue]:
        """Give a session's state."""
        participants: list[JsonValue] = [
            {
                **each.stats(),
                "streams": await each.stream_stats(),
                "voice": await each.voice_stats(),
            }
            for each in list(session.participants)
        ]
        return {
            "session": session.id,
            "pipeline": session.pipeline,
            "state": "running" if session.closing is None else "closing",
            "age_ms": (self._shared.clock() - session.started_us) / 1_000,
            "messages": session.seq,
            "observed": session.observed,
            "audience": "all",
            "participants": participants,
            "graph": dict(session.instance.figures()),
        }

    def live(self) -> dict[str, int]:
        """Count what is alive: all zero when nothing is left of any session."""
        sessions = list(self.sessions.values())
        return {
            "sessions": len(sessions),
            "peers": max(len(self.peers), sum(len(each.participants) for each in sessions)),
            "instances": len(sessions),
            "streams": sum(each.open_streams for each in sessions),
            "addresses": 0,
            "in_flight": len(self._shared.holders),
        }

    def session(self, name: str) -> Session:
        """Find a session."""
        found = self.sessions.get(name)
        if found is None:
            raise unknown("session", name)
        return found

    async def _create(self, request: Request) -> Reply:
        name, program = self._program(request.pipeline)
        if len(self.sessions) + self._opening >= self._limits.max_sessions:
            text = f"all {self._limits.max_sessions} sessions are taken"
            raise fault(SERVER_FULL, text, hint="try again later")
        program.sources.check()
        # A pipeline takes its audio from someone, and at first there is nobody else.
        agreed = _negotiated(request, program, program.sources.want)
        session = Session(_new_id("s"), name, program, self._shared)
        self._opening += 1
        try:
            return await self._enter(session, agreed, _new_id("pc"))
        finally:
            self._opening -= 1

    async def _join(self, name: str, request: Request) -> Reply:
        session = self.session(name)
        self._check_room(session)
        agreed = _negotiated(request, session.program, session.sources.want_of_others)
        return await self._enter(session, agreed, _new_id("pc"))

    async def _renegotiate(self, participant: Participant, request: Request) -> Reply:
        if not participant.active:
            raise fault(CONFLICT, "the connection is closing")
        # Who has muted their track keeps their place.
        session = participant.session
        agreed = _negotiated(request, session.program, session.sources.want_of_others)
        try:
            sdp = await participant.peer.answer(agreed)
        except RuntimeFault:
            raise
        except Exception as error:
            participant.ended(End("it could not be negotiated again", INTERNAL))
            raise _bug() from error
        participant.negotiated(agreed)
        return Reply(sdp, participant.pc_id, session.id, participant.name)

    async def _restart(self, old: Participant, request: Request) -> Reply:
        self._check_open(old.session)
        sources = old.session.sources
        want = sources.want_of_others if old.joined else sources.want
        agreed = _negotiated(request, old.session.program, want)
        reply = await self._enter(old.session, agreed, old.pc_id, old)
        old.cut(End("replaced by a new connection"))
        return reply

    async def _enter(
        self, session: Session, agreed: Agreed, pc_id: str, old: Participant | None = None
    ) -> Reply:
        """Answer, then make the connection a participant; nothing is left where that fails."""
        clock = self._shared.clock
        joined = bool(session.participants) if old is None else old.joined
        name = session.name_participant() if old is None else old.name
        participant = Participant(session, pc_id, name, joined, clock, self._freed)
        sinks = session.program.sinks
        voice = participant.voice = Voice(sinks, clock, session.played) if sinks else None
        peer = participant.peer = Peer(
            self._network, session.sources.receive, clock, participant, voice
        )
        try:
            sdp = await peer.answer(agreed)
            # Others may have come or gone meanwhile.
            self._check_draining()
            self._check_open(session)
            if old is None:
                self._check_room(session)
        except BaseException as error:
            await peer.close()
            if isinstance(error, Exception) and not isinstance(error, RuntimeFault):
                _log.exception("an offer could not be answered")
                raise _bug() from error
            raise
        if session.id not in self.sessions:
            self.sessions[session.id] = session
            session.begin()
        if old is not None:
            participant.offers = old.offers
        session.participants.append(participant)
        self.peers[pc_id] = participant
        participant.enter(agreed)
        return Reply(sdp, pc_id, session.id, name)

    def _freed(self, participant: Participant, end: End) -> None:
        if self.peers.get(participant.pc_id) is participant:
            del self.peers[participant.pc_id]
        if participant.session.remove(participant, end):
            del self.sessions[participant.session.id]
        self._changed.set()

    async def _emptied(self) -> None:
        while self.sessions or self.peers or self._opening:
            self._changed.clear()
            await self._changed.wait()

    def _check_draining(self) -> None:
        if self._draining:
            raise fault(DRAINING, "the server is shutting down", hint="try again in a moment")

    def _check_open(self, session: Session) -> None:
        ended = session.participants == [] and session.id in self.sessions
        if session.closing is not None or ended:
            raise fault(CONFLICT, "the session is ending")

    def _check_room(self, session: Session) -> None:
        most = self._limits.max_participants
        if len(session.participants) >= most:
            text = f"the session has {most} participants, which is the most that it may have"
            raise fault(SERVER_FULL, text)

    def _peer(self, pc_id: str) -> Participant:
        found = self.peers.get(pc_id)
        if found is None:
            raise unknown("peer", pc_id)
        return found

    def _program(self, name: str | None) -> tuple[str, Program]:
        if name is None and len(self.programs) == 1:
            return next(iter(self.programs.items()))
        if name is None or name not in self.programs:
            hint = f"served here: {', '.join(sorted(self.programs))}"
            text = "say which pipeline" if name is None else f'no pipeline "{name[:64]}"'
            raise fault(UNKNOWN_PIPELINE, text, "pipeline", hint)
        return name, self.programs[name]


def _negotiated(request: Request, program: Program, want: Want) -> Agreed:
    tracks = max(MAX_TRACKS, len(program.sources.audio))
    sent = sent_channels(program.sinks)
    return negotiate(parse(request.sdp), audio=want, sent_channels=sent, tracks=tracks)


def _new_id(prefix: str) -> str:
    # The native engine's go on in hexadecimal digits: no id is of both.
    return f"{prefix}_p{secrets.token_hex(16)}"


def _bug() -> RuntimeFault:
    return fault(INTERNAL, "the offer could not be answered: the server's log says more")
