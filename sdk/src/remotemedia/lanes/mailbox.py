"""The work of one node on one stream, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remotemedia.base import Node
from remotemedia.frames import NodeSession
from remotemedia.lanes.calling import Call, Calling

if TYPE_CHECKING:
    from remotemedia._native import LaneItem, LaneResult

Key = tuple[str, str, str, str]
"""Session, participant, stream, node."""


@dataclass(frozen=True)
class Recipe:
    """What instances are made of."""

    node: Node
    calling: Calling
    results: Callable[[object], list[LaneResult]]
    """Converts what the node returned."""


@dataclass(eq=False, slots=True)
class Mailbox:
    """Frames that wait for one instance of a node, and the instance once it is made.

    The native runtime hands out a bounded number of frames a node before it wants results, so the
    queue is bounded there. At most one runner works on a mailbox at a time.
    """

    key: Key
    recipe: Recipe
    session: NodeSession
    call: Call[LaneResult] | None = None
    failing: bool = False
    ended: bool = False
    """Nothing will come any more."""
    waiting: deque[LaneItem] = field(default_factory=deque)
    _running: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, item: LaneItem) -> bool:
        """Add a frame; True when a runner must be started."""
        with self._lock:
            self.waiting.append(item)
            return self._start()

    def end(self) -> tuple[list[LaneItem], bool]:
        """Ask for the end: gives the frames that will not be worked on, and whether to start."""
        with self._lock:
            self.ended = True
            abandoned = list(self.waiting)
            self.waiting.clear()
            return abandoned, self._start()

    def take(self) -> LaneItem | None:
        """Give the next frame; None ends the runner, which must then look at `ended`."""
        with self._lock:
            if self.waiting:
                return self.waiting.popleft()
            self._running = self.ended
            return None

    @property
    def idle(self) -> bool:
        """True while nothing waits and nobody works on it."""
        with self._lock:
            return not self._running and not self.waiting

    def _start(self) -> bool:
        started, self._running = not self._running, True
        return started


class LoopMailbox(Mailbox):
    """One whose runner is on the thread that puts frames in: nothing needs a lock.

    The runner empties `waiting` itself and then calls `pause`.
    """

    __slots__ = ()

    def put(self, item: LaneItem) -> bool:
        """Add a frame; True when a runner must be started."""
        self.waiting.append(item)
        started, self._running = not self._running, True
        return started

    def pause(self) -> bool:
        """End the runner; True when nothing will come any more."""
        self._running = self.ended
        return self.ended
