"""One participant's results on their way out: which channel, what may wait, what may be replaced,
and when a reader is too slow.

Times are microseconds, given by the caller.
"""  # noqa: D205 - one sentence

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

MAX_LIVE_BYTES = 256 * 1024
"""Live results outstanding on their channel; past this the newest of each kind is kept and the
others are replaced, counted."""
MAX_EVENT_BYTES = 1024 * 1024
"""Events outstanding on the results channel; past this the reader is too slow and its connection
is closed."""
MAX_EVENT_AGE_US = 10_000_000
"""How long an event may stay undelivered before the reader is too slow."""
MAX_BACKLOG = 64
"""Events kept for a channel that was negotiated and has not opened yet; then the oldest goes,
counted."""
MAX_KEPT = 256
"""Kinds of live results (by type, node and stream) of which the newest is kept while a channel is
full; further ones are lost, counted."""
_MARK_STEP_US = 100_000


class Channel(Protocol):
    """A channel's sending side."""

    @property
    def is_open(self) -> bool:
        """Whether it takes messages."""

    @property
    def buffered(self) -> int:
        """Bytes that have not gone out."""

    def send(self, text: str) -> None:
        """Hand a message to it."""


class SlowReader(Exception):  # noqa: N818 - it is what a client is
    """A reader is too slow; the text says how."""


@dataclass
class OutboxStats:
    """What an outbox has done."""

    messages: int = 0
    coalesced: int = 0
    dropped: int = 0
    too_large: int = 0


LiveKey = tuple[str, str, str, str]
"""What a live result is about (type, node, participant, stream): a newer one replaces it."""


class Outbox:
    """See the module."""

    def __init__(self, expects_channel: bool) -> None:
        """Make one; `expects_channel` says that a channel was negotiated and will open."""
        self.results: Channel | None = None
        self.live: Channel | None = None
        self.stats = OutboxStats()
        self._waiting_for_channel = expects_channel
        self._backlog: deque[str] = deque()
        self._kept: dict[LiveKey, str] = {}
        self._sent = 0
        self._marks: deque[tuple[int, int]] = deque()
        self._unreported = 0

    def expect_channel(self, expected: bool) -> None:
        """Learn that a negotiation added a channel or took the hope for one."""
        self._waiting_for_channel = expected and self.results is None

    def open_results(self, channel: Channel) -> None:
        """Send results to this channel; then send ``ready`` and call `release`."""
        self.results = channel
        self._waiting_for_channel = False
        self._sent = 0
        self._marks.clear()

    def open_live(self, channel: Channel) -> None:
        """Send live results to this channel."""
        self.live = channel

    def close_channel(self, channel: Channel) -> None:
        """Learn that a channel has closed."""
        if self.live is channel:
            self.live = None
        if self.results is channel:
            self.results = None
            self._marks.clear()
            self._kept.clear()

    def release(self, now_us: int) -> None:
        """Send the events that came before the channel did."""
        while self._backlog:
            self.event(now_us, self._backlog.popleft())

    def send_live(self, key: LiveKey, text: str) -> None:
        """Send one of the results that come per window."""
        channel = self._live_target()
        if channel is None:
            return
        size = len(text.encode())
        if self._kept or channel.buffered + size > MAX_LIVE_BYTES:
            self._keep(key, text)
        elif channel.is_open:
            self._hand_over(channel, text, size)

    def event(self, now_us: int, text: str) -> None:
        """Send what must not be lost: on the results channel, with a copy on the live one.

        Raises:
            SlowReader: 1 MiB waits already.
        """
        if self.results is None:
            if self._waiting_for_channel:
                if len(self._backlog) >= MAX_BACKLOG:
                    self._backlog.popleft()
                    self.stats.dropped += 1
                self._backlog.append(text)
            return
        live, size = self.live, len(text.encode())
        if live is not None and live.is_open and live.buffered + size <= MAX_LIVE_BYTES:
            # Only a copy, so that loss does not delay it: the reliable channel has it too.
            live.send(text)
        self.reply(now_us, text)

    def reply(self, now_us: int, text: str) -> None:
        """Send what must not be lost on the results channel alone.

        Raises:
            SlowReader: 1 MiB waits already.
        """
        channel = self.results
        if channel is None or not channel.is_open:
            return
        size = len(text.encode())
        if channel.buffered + size > MAX_EVENT_BYTES:
            raise SlowReader("1 MiB of events could not be delivered")
        self._hand_over(channel, text, size)
        if self._marks and now_us - self._marks[-1][1] < _MARK_STEP_US:
            self._marks[-1] = (self._sent, self._marks[-1][1])
        else:
            self._marks.append((self._sent, now_us))

    def pump(self, now_us: int) -> int:
        """Send what waits where there is room now; call it as the other side may have read.

        Returns:
            How many live results were replaced, once the newest are on their way.

        Raises:
            SlowReader: an event has waited for too long.
        """
        if self.results is not None:
            delivered = self._sent - self.results.buffered
            while self._marks and self._marks[0][0] <= delivered:
                self._marks.popleft()
            if self._marks and now_us - self._marks[0][1] > MAX_EVENT_AGE_US:
                raise SlowReader("an event could not be delivered for 10 s")
        channel = self._live_target()
        if channel is None or not self._kept or channel.buffered > MAX_LIVE_BYTES // 2:
            return 0
        kept, self._kept = self._kept, {}
        for text in kept.values():
            self._hand_over(channel, text, len(text.encode()))
        told, self._unreported = self._unreported, 0
        return told

    @property
    def drained(self) -> bool:
        """Whether everything that must not be lost has gone out."""
        return self.results is None or self.results.buffered == 0

    @property
    def waits(self) -> bool:
        """Whether `pump` has something to do."""
        return bool(self._kept or self._marks)

    def too_large(self) -> None:
        """Count a message that is larger than the other side takes."""
        self.stats.dropped += 1
        self.stats.too_large += 1

    def _live_target(self) -> Channel | None:
        # Nothing goes anywhere before `ready` went to the results channel.
        return None if self.results is None else self.live or self.results

    def _hand_over(self, channel: Channel, text: str, size: int) -> None:
        channel.send(text)
        self.stats.messages += 1
        if channel is self.results:
            self._sent += size

    def _keep(self, key: LiveKey, text: str) -> None:
        if key in self._kept or len(self._kept) >= MAX_KEPT:
            self.stats.coalesced += 1
            self._unreported += 1
        if key in self._kept or len(self._kept) < MAX_KEPT:
            self._kept[key] = text
