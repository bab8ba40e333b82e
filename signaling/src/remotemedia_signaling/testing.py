"""A `PipelineHost` in memory and a client, for tests of whatever speaks to signaling."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import JsonValue
from yarl import URL

from remotemedia_signaling.errors import ErrorCode
from remotemedia_signaling.host import (
    Answer,
    AudioFormat,
    HostError,
    IceCandidate,
    Offer,
    PipelineInfo,
    PipelinePort,
    SessionEvent,
)


@dataclass
class FakeSession:
    """A session of the fake: its connections and the events so far."""

    pc_ids: list[str] = field(default_factory=list)
    events: list[SessionEvent] = field(default_factory=list)
    ended: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


class FakeHost:
    """Answers every offer whose SDP begins with `v=0`, remembers what it was asked.

    `hold` blocks offers until it is set; `failures` maps a method's name to what it raises.
    """

    def __init__(self, names: Sequence[str] = ("mic-vad", "mic-energy")) -> None:
        self.infos = [fake_pipeline(name) for name in names]
        self.offers: list[Offer] = []
        self.cancelled_offers = 0
        self.candidates: dict[str, list[IceCandidate]] = {}
        self.running: dict[str, FakeSession] = {}
        self.hold: asyncio.Event | None = None
        self.offer_waits = asyncio.Event()
        self.failures: dict[str, Exception] = {}
        self.readers = 0
        self.ready_checks = 0
        self.figures: dict[str, float] = {"remotemedia_frames_total": 3}

    async def offer(self, offer: Offer) -> Answer:
        """Create, join or renegotiate."""
        self._fail("offer")
        if self.hold is not None:
            self.offer_waits.set()
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled_offers += 1
                raise
        if not offer.sdp.startswith("v=0"):
            raise HostError(ErrorCode.INVALID_SDP, "expected v=0", field="sdp")
        names = [info.name for info in self.infos]
        if offer.pipeline is not None and offer.pipeline not in names:
            raise HostError(
                ErrorCode.UNKNOWN_PIPELINE, "no pipeline has that name", field="pipeline"
            )
        self.offers.append(offer)
        known = [key for key, each in self.running.items() if offer.pc_id in each.pc_ids]
        if known:
            pc_id, session_id = str(offer.pc_id), known[0]
        else:
            pc_id = f"pc-{len(self.offers)}"
            session_id = offer.join or f"session-{len(self.offers)}"
            if offer.join is not None:
                self._session(offer.join)
            self.running.setdefault(session_id, FakeSession()).pc_ids.append(pc_id)
            self.candidates[pc_id] = []
        count = len(self.running[session_id].pc_ids)
        return Answer("v=0\r\nanswer", pc_id, session_id, participant=f"p{count}")

    async def add_candidates(self, pc_id: str, candidates: Sequence[IceCandidate]) -> None:
        """Remember candidates."""
        self._fail("add_candidates")
        if pc_id not in self.candidates:
            raise HostError(ErrorCode.UNKNOWN_ID, "no connection has that id", field="pc_id")
        self.candidates[pc_id].extend(candidates)

    async def close_peer(self, pc_id: str) -> None:
        """Forget a connection."""
        if self.candidates.pop(pc_id, None) is None:
            raise HostError(ErrorCode.UNKNOWN_ID, "no connection has that id", field="pc_id")
        for session_id, session in list(self.running.items()):
            if pc_id in session.pc_ids:
                session.pc_ids.remove(pc_id)
                if not session.pc_ids:
                    await self.close_session(session_id)

    async def close_session(self, session_id: str) -> None:
        """End a session."""
        session = self._session(session_id)
        del self.running[session_id]
        for pc_id in session.pc_ids:
            self.candidates.pop(pc_id, None)
        async with session.changed:
            session.ended = True
            session.changed.notify_all()

    async def session(self, session_id: str) -> Mapping[str, JsonValue]:
        """Report the number of participants."""
        self._fail("session")
        return {"id": session_id, "participants": len(self._session(session_id).pc_ids)}

    async def sessions(self) -> Sequence[Mapping[str, JsonValue]]:
        """Report all."""
        self._fail("sessions")
        return [await self.session(each) for each in self.running]

    def pipelines(self) -> Sequence[PipelineInfo]:
        """List the pipelines."""
        return self.infos

    async def events(self, session_id: str, after_seq: int | None) -> AsyncIterator[SessionEvent]:
        """Yield the kept events after `after_seq`, then those that come."""
        session = self._session(session_id)
        position = 0
        self.readers += 1
        try:
            while True:
                self._fail("events")
                async with session.changed:
                    while position >= len(session.events) and not session.ended:
                        await session.changed.wait()
                if position >= len(session.events):
                    return
                event = session.events[position]
                position += 1
                if after_seq is None or event.seq > after_seq:
                    yield event
        finally:
            self.readers -= 1

    async def check_ready(self) -> None:
        """Count the check."""
        self.ready_checks += 1
        self._fail("check_ready")

    def counters(self) -> Mapping[str, float]:
        """Give `figures`."""
        return self.figures

    async def emit(self, session_id: str, text: str) -> None:
        """Let an event happen in a session; its `seq` counts from 1."""
        session = self._session(session_id)
        async with session.changed:
            session.events.append(SessionEvent(len(session.events) + 1, text))
            session.changed.notify_all()

    def start(self, session_id: str) -> FakeSession:
        """Begin a session without an offer."""
        self.running[session_id] = FakeSession()
        return self.running[session_id]

    def _session(self, session_id: str) -> FakeSession:
        if session_id not in self.running:
            raise HostError(ErrorCode.UNKNOWN_ID, "no session has that id", field="id")
        return self.running[session_id]

    def _fail(self, name: str) -> None:
        if name in self.failures:
            raise self.failures[name]


def fake_pipeline(name: str) -> PipelineInfo:
    """Make a pipeline that takes audio and reports."""
    return PipelineInfo(
        name=name,
        ports=[
            PipelinePort("input", "in", format=AudioFormat(16_000, 1)),
            PipelinePort("results", "out", kind="events"),
        ],
        manifest={"version": "v1", "metadata": {"name": name}, "nodes": [], "connections": []},
        resolved={"version": "resolved/1", "name": name},
        description="for tests",
    )


@dataclass(frozen=True)
class Reply:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The JSON body."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """What stands under `error`; raises if that is not all there is."""
        (error,) = (self.json[key] for key in self.json)
        found: dict[str, Any] = error
        if not ({"code", "message"} <= set(found) <= {"code", "message", "field", "hint"}):
            raise ValueError(f"not an error: {self.body!r}")
        return found


class Client:
    """Calls a server, a line a call."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def call(self, method: str, path: str | URL, **options: Any) -> Reply:
        """Send a request and read the whole answer; `options` are aiohttp's."""
        async with self.session.request(method, path, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def offer(self, **fields: Any) -> Reply:
        """Post an offer with further fields."""
        return await self.call("POST", "/api/offer", json={"sdp": "v=0", "type": "offer", **fields})


async def settled(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Let the loop turn until `condition` holds: for what happens on the far side of a socket."""

    async def turn() -> None:
        while not condition():  # noqa: ASYNC110 (the condition is on the far side: no event tells)
            await asyncio.sleep(0.001)

    await asyncio.wait_for(turn(), seconds)
