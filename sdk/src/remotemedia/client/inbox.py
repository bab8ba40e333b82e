"""Events on their way to the reader: each once, in a bounded queue."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from remotemedia.client.events import LIVE, Event
from remotemedia.running.events import AudioEvent

MAX_WAITING = 10_000
"""Events that wait for the reader. When there are more, the oldest that is per window goes, or
the oldest of all; either is counted."""
MAX_AUDIO_SECONDS = 60.0
"""Audio that waits for the reader. When there is more, the oldest goes, counted; a warning is
logged when that begins."""
REMEMBERED = 8_192
"""Sequence numbers remembered to know a second copy by."""

_log = logging.getLogger("remotemedia.client")


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
        self._audio: deque[AudioEvent] = deque()
        self._audio_seconds = 0.0
        self.dropped = 0
        """Events that were not read in time, without those of audio."""
        self.dropped_audio_seconds = 0.0
        """Audio that was not read in time."""
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
        if len(self._waiting) - len(self._audio) >= MAX_WAITING:
            self._waiting.remove(self._oldest())
            self.dropped += 1
        self._waiting.append(event)
        self._changed.set()

    def put_audio(self, event: AudioEvent) -> None:
        """Add audio; it has numbers of its own, and comes only once."""
        if self._ended:
            return
        self._audio_seconds += _seconds(event)
        while self._audio and self._audio_seconds > MAX_AUDIO_SECONDS:
            oldest = self._audio.popleft()
            self._waiting.remove(oldest)
            self._audio_seconds -= _seconds(oldest)
            if not self.dropped_audio_seconds:
                _log.warning(
                    "audio comes back faster than it is read: the oldest is dropped. "
                    "Read the session's events while audio is sent."
                )
            self.dropped_audio_seconds += _seconds(oldest)
        self._audio.append(event)
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
        event = self._waiting.popleft()
        if isinstance(event, AudioEvent):
            self._audio_seconds -= _seconds(self._audio.popleft())
        return event

    def _oldest(self) -> Event:
        """Give what goes first: the oldest that is per window, or the oldest of all but audio."""
        others = [event for event in self._waiting if not isinstance(event, AudioEvent)]
        return next((event for event in others if isinstance(event, LIVE)), others[0])


def _seconds(event: AudioEvent) -> float:
    return int(event.samples.shape[-1]) / event.rate
