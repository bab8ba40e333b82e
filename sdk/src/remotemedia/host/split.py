"""A host for pipelines of which some run natively and others, by their ``runtime_hint``, do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

from remotemedia_signaling import Answer, HostError, IceCandidate, Offer, PipelineInfo, SessionEvent

from remotemedia.host.host import EngineHost, find_pipeline

if TYPE_CHECKING:
    from pydantic import JsonValue

SERVER_FULL = "RM-6001"
PYTHON_IDS = ("s_p", "pc_p")
"""How the ids of the Python engine begin; those of the native one go on in hexadecimal digits."""


class SplitHost:
    """Two `EngineHost` as one: each call goes to the one whose pipeline, session or peer it names.

    It is signaling's `PipelineHost`.
    """

    def __init__(self, native: EngineHost, python: EngineHost, max_sessions: int) -> None:
        """Join two hosts; they may have `max_sessions` sessions together."""
        self._native = native
        self._python = python
        self._max_sessions = max_sessions
        self._hosts = {info.name: host for host in (native, python) for info in host.pipelines()}

    async def drain(self) -> None:
        """Admit nobody and tell every peer ``bye``; events still flow."""
        await asyncio.gather(self._native.drain(), self._python.drain())

    async def close(self) -> None:
        """Stop everything; nothing is left running."""
        await asyncio.gather(self._native.close(), self._python.close())

    async def offer(self, offer: Offer) -> Answer:
        """Create, join, renegotiate or replace a connection."""
        named = offer.pc_id or offer.join
        if named is not None:
            return await self._of(named).offer(offer)
        host = self._hosts[find_pipeline(offer.pipeline, self._hosts)]
        if self.counters().get("remotemedia_live_sessions", 0.0) >= self._max_sessions:
            text = f"all {self._max_sessions} sessions are taken"
            raise HostError(SERVER_FULL, text, hint="try again later")
        return await host.offer(offer)

    async def add_candidates(self, pc_id: str, candidates: Sequence[IceCandidate]) -> None:
        """Add trickled candidates; an empty one is the end of them."""
        await self._of(pc_id).add_candidates(pc_id, candidates)

    async def close_peer(self, pc_id: str) -> None:
        """End one connection, and its session with the last one."""
        await self._of(pc_id).close_peer(pc_id)

    async def close_session(self, session_id: str) -> None:
        """End a session with all its connections."""
        await self._of(session_id).close_session(session_id)

    async def session(self, session_id: str) -> Mapping[str, JsonValue]:
        """State and figures of a session."""
        return await self._of(session_id).session(session_id)

    async def sessions(self) -> Sequence[Mapping[str, JsonValue]]:
        """State and figures of all sessions."""
        both = await asyncio.gather(self._native.sessions(), self._python.sessions())
        return [each for sessions in both for each in sessions]

    def pipelines(self) -> Sequence[PipelineInfo]:
        """Say what is served."""
        return [*self._native.pipelines(), *self._python.pipelines()]

    def events(self, session_id: str, after_seq: int | None) -> AsyncIterator[SessionEvent]:
        """Results of a session as they come, those kept after `after_seq` first."""
        return self._of(session_id).events(session_id, after_seq)

    async def check_ready(self) -> None:
        """See that both answer."""
        await asyncio.gather(self._native.check_ready(), self._python.check_ready())

    def counters(self) -> Mapping[str, float]:
        """Figures for metrics: the sums of both."""
        figures = dict(self._native.counters())
        for name, value in self._python.counters().items():
            # Fallbacks are counted once for the whole process.
            added = 0.0 if name.startswith("remotemedia_fallback") else value
            figures[name] = figures.get(name, 0.0) + added
        return figures

    def _of(self, name: str) -> EngineHost:
        return self._python if name.startswith(PYTHON_IDS) else self._native
