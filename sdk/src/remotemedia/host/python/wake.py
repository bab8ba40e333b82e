"""A bounded queue between threads whose descriptor is readable while something waits."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class WakeQueue(Generic[T]):
    """Hands items to another thread's event loop, which listens to `fileno`."""

    def __init__(self, limit: int, may_go: Callable[[T], bool] = lambda _: True) -> None:
        """Make a queue.

        Args:
            limit: items that may wait; then the oldest goes that may.
            may_go: says which may.
        """
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._limit = limit
        self._may_go = may_go
        self._awake = False
        self.dropped = 0
        """Items that had to go."""

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._reader.fileno()

    def put(self, items: Iterable[T]) -> list[T]:
        """Add items; gives those that had to go."""
        lost: list[T] = []
        with self._lock:
            self._items.extend(items)
            while len(self._items) > self._limit:
                gone = next((each for each in self._items if self._may_go(each)), None)
                if gone is None:
                    break
                self._items.remove(gone)
                lost.append(gone)
            self.dropped += len(lost)
            self._wake()
        return lost

    def drain(self, most: int) -> list[T]:
        """Take up to `most` items; the descriptor stays readable while more wait."""
        with self._lock:
            if self._awake:
                with contextlib.suppress(OSError):
                    self._reader.recv(1)
                self._awake = False
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._wake()
        return taken

    def close(self) -> None:
        """Give the descriptors back."""
        with self._lock:
            self._items.clear()
            self._reader.close()
            self._writer.close()

    def _wake(self) -> None:
        if self._items and not self._awake:
            with contextlib.suppress(OSError):  # it is closed: nobody listens
                self._writer.send(b"\1")
                self._awake = True
