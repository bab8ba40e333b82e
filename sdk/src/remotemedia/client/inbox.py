"""Events on their way to the reader: each once, in a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque

from remotemedia.client.events import LIVE, Event

MAX_WAITING = 10_000
"""Events that wait for the reader. When there are more, the oldest that is per window goes, or
the oldest of all; either is counted."""
REMEMBERED = 8_192
"""Sequence numbers remembered to know a second copy by."""


class Inbox:
    """Takes events from both channels and gives each once, in the order of arrival."""

    def __init__(self) -> None:
        """Make an empty inbox."""
        self._waiting: deque[Event] = deque()
        self._seen: set[int] = set()
        self._order: deque[int] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None
        self.dropped = 0
        """Events that were not read in time."""
        self.duplicates = 0
        """Second copies that were left out."""

    def put(self, event: Event) -> None:
        """Add an event, unless it came before."""
        if event.seq in self._seen:
            self.duplicates += 1
            return
        self._seen.add(event.seq)
        self._order.append(event.seq)
        if len(self._order) > REMEMBERED:
            self._seen.discard(self._order.popleft())
        if len(self._waiting) >= MAX_WAITING:
            oldest = next((e for e in self._waiting if isinstance(e, LIVE)), self._waiting[0])
            self._waiting.remove(oldest)
            self.dropped += 1
        self._waiting.append(event)
        self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        """End once everything is read, with an error if there is one. The first end counts."""
        if not self._ended:
            self._ended, self._error = True, error
            self._changed.set()

    @property
    def ended(self) -> bool:
        """True when nothing more will come."""
        return self._ended

    async def changed(self) -> None:
        """Wait until something comes or it ends."""
        self._changed.clear()
        await self._changed.wait()

    async def get(self) -> Event | None:
        """Give the next event; None at the end.

        Raises:
            Exception: the error that it ended with, once everything is read.
        """
        while not self._waiting:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return None
            await self.changed()
        return self._waiting.popleft()
