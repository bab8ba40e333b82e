"""Looking again and again instead of sleeping, while frames come back to back."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SPIN_SECONDS = 50e-6
"""How long one looks at most. A thread that sleeps needs about 30 us to be awake again."""
NEAR_SECONDS = 150e-6
"""What was waited for came so soon that looking may pay the next time."""
NEAR_WAITS = 3
"""So often in a row, then it does; to look in vain makes an end of it."""


class Spin(Generic[T]):
    """Looks for something for a moment before one sleeps until it is there.

    Call `look`; when it finds nothing, sleep, and say by `waited` that something came. What comes
    alone, as a frame every 20 ms does, costs nothing more. Others get their turn after every look:
    it gives up the interpreter, and the core if somebody wants it.
    """

    def __init__(
        self, find: Callable[[], T | None], now: Callable[[], float] = time.perf_counter
    ) -> None:
        """Look by `find`, which must not wait; `now` tells seconds."""
        self._find = find
        self._now = now
        self._near = 0
        self._began = 0.0

    def look(self) -> T | None:
        """Look for as long as seems worth it; None is nothing yet."""
        now, find = self._now, self._find
        began = self._began = now()
        if self._near < NEAR_WAITS:
            return None
        while True:
            found = find()
            if found is not None:
                return found
            if now() - began > SPIN_SECONDS:
                self._near = 0
                return None
            give_way()

    def waited(self) -> None:
        """Something came after a sleep."""
        self._near = self._near + 1 if self._now() - self._began < NEAR_SECONDS else 0


def receiving(connection: socket.socket, size: int) -> Callable[[], bytes | None]:
    """Give what receives from a socket and does not wait; empty is its end, however it came."""

    def receive() -> bytes | None:
        try:
            return connection.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    return receive


class SpinSelector(selectors.DefaultSelector):
    """The selector of an event loop that does not sleep between frames back to back."""

    def __init__(self) -> None:
        """Select among nothing yet."""
        super().__init__()
        self._spin = Spin(lambda: super(SpinSelector, self).select(0) or None)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as any selector does, and at most 50 us longer."""
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        found = self._spin.look()
        if found is None:
            found = super().select(timeout)
            self._spin.waited()
        return found


give_way: Callable[[], object] = getattr(os, "sched_yield", lambda: time.sleep(0))
"""Let others run, in this process and on this core."""
