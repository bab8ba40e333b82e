"""Frames that wait for Python nodes, those that it holds, and those to be tried again."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from remotemedia.twin.chunks import Audio, Signal, Stamp
from remotemedia.twin.plan import Output
from remotemedia.twin.values import LaneFailure

MAX_IN_FLIGHT = 16
"""Frames of one node that are handed out at once; the others wait here."""
BREAKER_FAILURES = 5
"""Failures in a row that end a run."""
RETRIES_US = (100_000, 200_000, 400_000)
"""How long a frame waits before it is tried again, each time."""
JITTER = 0.2
"""So much longer at most, so that what failed together is not tried together."""

_START = Stamp(0, 0, 0)


@dataclass(eq=False)
class Work:
    """A frame for a Python node, and what became of it."""

    node: int
    port: int
    stamp: Stamp
    epoch: int
    signal: Signal | None
    """None is the end of the input."""
    state: Literal["waiting", "running", "pausing", "due", "done"] = "waiting"
    tries: int = 0
    due_us: int = 0
    since_ns: int = 0
    result: LaneFailure | Sequence[object] = ()
    parts: list[tuple[Output | None, Signal]] = field(default_factory=list)
    """Results that came before the frame was done and wait for those of the frames before it."""
    begun: bool = False
    """Some of its results are out, or wait for their turn: it is not tried again."""


@dataclass(eq=False)
class Mailbox:
    """The frames of one node: those that wait, and those handed out, until they are done in order.

    A frame that failed transiently is handed out again after a pause; those behind it go on
    meanwhile, but what they give waits.
    """

    limit: int
    waiting: deque[Work] = field(default_factory=deque)
    flights: deque[Work] = field(default_factory=deque)
    failures: int = 0
    last: Stamp = _START
    """The end of the last frame."""

    @classmethod
    def of(cls, frames: int) -> Mailbox:
        """Make one that may hold so many frames when live."""
        return cls(min(MAX_IN_FLIGHT, -(-frames // 2)))

    def __len__(self) -> int:
        return len(self.waiting) + len(self.flights)

    def post(self, node: int, port: int, signal: Signal, epoch: int) -> None:
        """Put a frame in."""
        stamp = signal.stamp
        end_us = signal.end_us if isinstance(signal, Audio) else stamp.pts_us
        self.last = stamp.at(max(end_us, self.last.pts_us))
        self.waiting.append(Work(node, port, stamp, epoch, signal))

    def post_end(self, node: int, epoch: int) -> None:
        """Put the end in, behind the last frame."""
        self.waiting.append(Work(node, 0, self.last, epoch, None))

    def wake(self, now_us: int) -> None:
        """End the pauses that are over."""
        for work in self.flights:
            if work.state == "pausing" and work.due_us <= now_us:
                work.state = "due"

    def has_work(self) -> bool:
        """Whether a frame may be taken."""
        if any(work.state == "due" for work in self.flights):
            return True
        if not self.waiting:
            return False
        # The end comes when everything before it is done, further tries too.
        limit = 1 if self.waiting[0].signal is None else self.limit
        return len(self.flights) < limit

    def take(self) -> Work:
        """Give the next frame, those to be tried again first."""
        for work in self.flights:
            if work.state == "due":
                break
        else:
            work = self.waiting.popleft()
            self.flights.append(work)
        work.state = "running"
        return work

    def again(self, work: Work, now_us: int, chance: random.Random) -> bool:
        """Let a frame be tried again after a pause; False when it had its tries."""
        if work.tries >= len(RETRIES_US):
            return False
        pause_us = RETRIES_US[work.tries] * (1.0 + JITTER * chance.random())
        work.due_us = now_us + round(pause_us)
        work.tries += 1
        work.state = "pausing"
        return True

    def next_done(self) -> Work | None:
        """Give the next frame that is done and waits for none before it."""
        if self.flights and self.flights[0].state == "done":
            return self.flights.popleft()
        return None

    def first(self) -> Work | None:
        """Give the first frame that is handed out and not done."""
        return self.flights[0] if self.flights else None

    def retry_us(self) -> int | None:
        """Say when the next frame is tried again."""
        return min((work.due_us for work in self.flights if work.state == "pausing"), default=None)

    def clear(self, epoch: int) -> None:
        """Forget all but what runs; the end of the input stays, as one of the new epoch."""
        for work in (*self.waiting, *self.flights):
            work.parts.clear()
            if work.signal is None and work.state != "running":
                work.epoch = epoch
        self.waiting = deque(work for work in self.waiting if work.signal is None)
        self.flights = deque(
            work for work in self.flights if work.signal is None or work.state == "running"
        )
