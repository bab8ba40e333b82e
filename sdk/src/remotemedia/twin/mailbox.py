"""Frames that wait for Python nodes, those that it holds, and those to be tried again."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from remotemedia.twin.chunks import Signal

MAX_IN_FLIGHT = 16
"""Frames of one node that are handed out at once; the others wait here."""
BREAKER_FAILURES = 5
"""Failures in a row that end a run."""
RETRIES_US = (100_000, 200_000, 400_000)
"""How long a frame waits before it is tried again, each time."""
JITTER = 0.2
"""So much longer at most, so that what failed together is not tried together."""


@dataclass(eq=False)
class Work:
    """A frame for a Python node; without a signal it is the end of the input."""

    node: int
    port: int
    signal: Signal | None
    epoch: int
    tries: int = 0
    due_us: int = 0
    taken_us: int = 0


@dataclass(eq=False)
class Mailbox:
    """The frames of one node, in order."""

    limit: int
    waiting: deque[Work] = field(default_factory=deque)
    in_flight: int = 0
    failures: int = 0
    flushed: bool = False
    """The end of the input was put in."""

    @classmethod
    def of(cls, frames: int) -> Mailbox:
        """Make one that may hold so many frames when live."""
        return cls(min(MAX_IN_FLIGHT, -(-frames // 2)))

    def __len__(self) -> int:
        return len(self.waiting) + self.in_flight

    def has_work(self, now_us: int) -> bool:
        """Whether a frame may be taken."""
        ready = bool(self.waiting) and self.in_flight < self.limit
        return ready and self.waiting[0].due_us <= now_us

    def take(self) -> Work:
        """Give the next frame."""
        self.in_flight += 1
        return self.waiting.popleft()

    def again(self, work: Work, now_us: int, chance: random.Random) -> bool:
        """Put a frame back before the others, to be tried again; False when it had its tries."""
        if work.tries >= len(RETRIES_US):
            return False
        pause_us = RETRIES_US[work.tries] * (1.0 + JITTER * chance.random())
        work.due_us = now_us + round(pause_us)
        work.tries += 1
        self.waiting.appendleft(work)
        return True

    def clear(self, epoch: int) -> None:
        """Forget what waits; the end of the input stays, as one of the new epoch."""
        end = [work for work in self.waiting if work.signal is None]
        for work in end:
            work.epoch = epoch
        self.waiting = deque(end)
