"""Results of sessions for readers without a data channel: kept for a while, fanned out, bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from remotemedia_signaling import HostError, SessionEvent

KEPT_EVENTS = 1_024
"""Events of a session kept for readers that come back; the oldest goes."""
WAITING_EVENTS = 1_024
"""Events that wait for one reader. When there are more, the oldest that is per window goes,
counted; with none of those the reader is cut off with an error."""
LINGER_SECONDS = 60.0
"""How long a session is still observed after its last reader has left: long polls come back."""

ENDED_SECONDS = 10.0
"""How long the events of a session that has ended wait for a long poll or a reader that had lost
its connection."""
MAX_ENDED = 64
"""Ended sessions of which events are kept; the oldest goes."""

_LIVE = ('{"v":1,"type":"vad"', '{"v":1,"type":"level"')

Observe = Callable[[str, bool], Awaitable[None]]


@dataclass(eq=False)
class _Reader:
    waiting: deque[SessionEvent] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    overrun: bool = False


@dataclass(eq=False)
class _Observed:
    kept: deque[SessionEvent] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    readers: set[_Reader] = field(default_factory=set)
    leave: asyncio.TimerHandle | None = None
    ended: bool = False


class EventHub:
    """Fans the results of observed sessions out. Everything happens on one event loop."""

    def __init__(self, observe: Observe) -> None:
        """Make a hub; `observe` switches the notifications of a session on and off."""
        self._observe = observe
        self._sessions: dict[str, _Observed] = {}
        self._ended: dict[str, _Observed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.dropped = 0
        """Events that slow readers did not get."""

    @property
    def observed(self) -> int:
        """Running sessions whose events are kept for readers."""
        return len(self._sessions)

    async def read(self, session: str, after: int | None) -> AsyncIterator[SessionEvent]:
        """Give a session's events: those kept after number `after`, all of them if it is None,
        then those to come. Ends with the session.

        Raises:
            HostError: there is no such session, or the reader is too slow.
        """  # noqa: D205 - one sentence
        observed = await self._enter(session)
        # It may have ended while it was asked for.
        reader = _Reader(ended=observed.ended)
        observed.readers.add(reader)
        reader.waiting.extend(e for e in observed.kept if after is None or e.seq > after)
        try:
            while True:
                while reader.waiting:
                    yield reader.waiting.popleft()
                if reader.overrun:
                    raise HostError("RM-3005", "events came faster than they were read.")
                if reader.ended:
                    return
                reader.changed.clear()
                await reader.changed.wait()
        finally:
            observed.readers.discard(reader)
            self._linger(session, observed)

    async def keep(self, session: str) -> None:
        """Keep a session's events from now on, for a reader that will come.

        Raises:
            HostError: there is no such session.
        """
        self._linger(session, await self._enter(session))

    def put(self, session: str, event: SessionEvent) -> None:
        """Hand an event to the session's readers."""
        observed = self._sessions.get(session)
        if observed is None:
            return
        observed.kept.append(event)
        for reader in observed.readers:
            if len(reader.waiting) >= WAITING_EVENTS:
                self._make_room(reader)
            if not reader.overrun:
                reader.waiting.append(event)
            reader.changed.set()

    def end(self, session: str) -> None:
        """Let the session's readers end when they have read what waits.

        Who comes within `ENDED_SECONDS` still gets what there was: a long poll is away in between.
        """
        observed = self._sessions.pop(session, None)
        if observed is None:
            return
        observed.ended = True
        if observed.leave is not None:
            observed.leave.cancel()
        if observed.kept:
            while len(self._ended) >= MAX_ENDED:
                self._forget(next(iter(self._ended)))
            self._ended[session] = observed
            loop = asyncio.get_running_loop()
            observed.leave = loop.call_later(ENDED_SECONDS, self._forget, session)
        for reader in observed.readers:
            reader.ended = True
            reader.changed.set()

    async def close(self) -> None:
        """End every reader."""
        for session in list(self._sessions):
            self.end(session)
        for session in list(self._ended):
            self._forget(session)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, session: str) -> None:
        observed = self._ended.pop(session)
        if observed.leave is not None:
            observed.leave.cancel()

    async def _enter(self, session: str) -> _Observed:
        if session in self._ended:
            return self._ended[session]
        observed = self._sessions.get(session)
        if observed is None:
            # Known before the first event can come.
            observed = self._sessions[session] = _Observed()
            try:
                await self._observe(session, True)
            except BaseException:
                if self._sessions.get(session) is observed:
                    self.end(session)
                raise
        if observed.leave is not None:
            observed.leave.cancel()
            observed.leave = None
        return observed

    def _linger(self, session: str, observed: _Observed) -> None:
        if observed.readers or self._sessions.get(session) is not observed:
            return
        loop = asyncio.get_running_loop()
        observed.leave = loop.call_later(LINGER_SECONDS, self._leave, session, observed)

    def _leave(self, session: str, observed: _Observed) -> None:
        if self._sessions.get(session) is observed:
            del self._sessions[session]
            task = asyncio.get_running_loop().create_task(self._unobserve(session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _unobserve(self, session: str) -> None:
        try:
            await self._observe(session, False)
        except HostError:
            return  # it has ended meanwhile

    def _make_room(self, reader: _Reader) -> None:
        for event in reader.waiting:
            if event.json.startswith(_LIVE):
                reader.waiting.remove(event)
                self.dropped += 1
                return
        reader.overrun = True
