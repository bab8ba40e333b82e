"""Frames on their way to a Python node in a session, and the breaker that rests one that fails.

Live, a full mailbox loses its oldest frames, counted; nothing is tried again; five failures in a
row rest the node for a while, and the session goes on. Times are microseconds, given by the caller.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from remotemedia.twin.chunks import Signal
from remotemedia.twin.mailbox import BREAKER_FAILURES, MAX_IN_FLIGHT

BREAKER_PAUSE_US = 5_000_000
"""How long an open breaker skips the node's frames before it lets one through."""
REPORT_INTERVAL_US = 1_000_000
"""A mailbox reports lost frames at most this often."""


@dataclass(eq=False)
class Letter:
    """A frame for a Python node."""

    stream: int
    port: int
    signal: Signal
    epoch: int
    since_us: int


@dataclass(eq=False)
class LiveMailbox:
    """The mailbox of one Python node of one session; its streams share it.

    Attributes:
        frames: how many may wait or be worked on.
        time_us: how long one may wait.
    """

    frames: int
    time_us: int
    waiting: deque[Letter] = field(default_factory=deque)
    flying: int = 0
    listed: bool = False
    held: bool = False
    """It hands out nothing for now."""
    _failures: int = 0
    _open_until: int | None = None
    _trying: bool = False
    _unreported: int = 0
    _reported_us: int | None = None

    def __len__(self) -> int:
        return len(self.waiting) + self.flying

    def admits(self, now_us: int) -> bool:
        """Whether the breaker lets the next frame wait."""
        if self._trying:
            # The frame that was tried may have been lost to an interrupt: then this one is.
            return not len(self)
        if self._open_until is None:
            return True
        if now_us < self._open_until:
            return False
        self._open_until, self._trying = None, True
        return True

    def post(self, letter: Letter) -> int:
        """Take a frame; gives how many were lost for it, itself perhaps."""
        lost = self.expire(letter.since_us)
        while len(self) >= self.frames:
            lost += 1
            if not self.waiting:
                self._unreported += lost
                return lost
            self.waiting.popleft()
        self.waiting.append(letter)
        self._unreported += lost
        return lost

    def expire(self, now_us: int) -> int:
        """Lose what waited too long; gives how many that were."""
        lost = 0
        while self.waiting and now_us - self.waiting[0].since_us > self.time_us:
            self.waiting.popleft()
            lost += 1
        return lost

    def lose(self) -> None:
        """Learn that a frame that was taken was lost on its way."""
        self._unreported += 1

    def report(self, now_us: int) -> int:
        """Say how many lost frames an error should report now; 0 for none."""
        last = self._reported_us
        if not self._unreported or (last is not None and now_us - last < REPORT_INTERVAL_US):
            return 0
        self._reported_us, lost = now_us, self._unreported
        self._unreported = 0
        return lost

    @property
    def has_work(self) -> bool:
        """Whether a frame may be taken."""
        most = 0 if self.held else min(MAX_IN_FLIGHT, -(-self.frames // 2))
        return bool(self.waiting) and self.flying < most

    def take(self, now_us: int) -> tuple[Letter | None, int]:
        """Give the next frame, if one may be taken, and how many waited too long."""
        if not self.has_work:
            return None, 0
        lost = self.expire(now_us)
        self._unreported += lost
        if not self.waiting:
            return None, lost
        self.flying += 1
        return self.waiting.popleft(), lost

    def landed(self) -> None:
        """Learn that a frame that was taken is done."""
        self.flying -= 1

    def succeeded(self) -> None:
        """Learn that the node processed a frame."""
        if self._open_until is None:
            self._failures, self._trying = 0, False

    def failed(self, now_us: int) -> tuple[bool, int]:
        """Learn that a frame failed; says whether that opened the breaker, and what it skips."""
        if self._open_until is not None:
            return False, 0
        self._failures = BREAKER_FAILURES if self._trying else self._failures + 1
        if self._failures < BREAKER_FAILURES:
            return False, 0
        self._open_until, self._trying, self._failures = now_us + BREAKER_PAUSE_US, False, 0
        return True, self.clear()

    def clear(self) -> int:
        """Forget what waits; gives how many frames that were."""
        count = len(self.waiting)
        self.waiting.clear()
        return count
