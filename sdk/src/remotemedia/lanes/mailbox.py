"""The work of one node on one stream, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remotemedia.base import Node
from remotemedia.frames import Item, NodeSession
from remotemedia.lanes.calling import Call, Calling

if TYPE_CHECKING:
    from remotemedia._native import LaneItem, LaneResult
    from remotemedia.lanes.loops import LoopLane

Key = tuple[str, str, str, str]
"""Session, participant, stream, node."""


@dataclass(frozen=True, eq=False)
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
    queue is bounded there. At most one runner works on a mailbox at a time: it empties `waiting`
    and then calls `pause`.

    Attributes:
        key: whose it is.
        recipe: what its instance is made of.
        session: what the node is told about the stream.
        call: the instance, once there is one.
        failing: its last frame failed.
        ended: nothing will come any more.
        lane: the loop that an ``async def`` runs on.
        bound: the instance may hold on to that loop: it has waited for something there.
        item: the frame that an ``async def`` works on.
        used: when the last frame came, as a number that grows.
        interrupting: the node is being told of an interrupt.
        epoch: nobody wants what comes of frames of earlier ones.
        waiting: the frames that wait.
    """

    key: Key
    recipe: Recipe
    session: NodeSession
    call: Call[LaneResult] | None = None
    failing: bool = False
    ended: bool = False
    lane: LoopLane | None = None
    bound: bool = False
    item: LaneItem | None = None
    used: int = 0
    interrupting: bool = False
    epoch: int = 0
    waiting: deque[LaneItem] = field(default_factory=deque)
    _busy: threading.Lock = field(default_factory=threading.Lock)
    """Held by the runner, if there is one."""

    def put(self, item: LaneItem) -> bool:
        """Add a frame; True when a runner must be started."""
        self.waiting.append(item)
        return self._busy.acquire(False)

    def end(self) -> tuple[list[LaneItem], bool]:
        """Ask for the end: gives the frames that will not be worked on, and whether to start."""
        self.ended = True
        return self.drain(), self._busy.acquire(False)

    def drain(self) -> list[LaneItem]:
        """Take out what waits; a runner may take some at the same time."""
        drained: list[LaneItem] = []
        try:
            while True:
                drained.append(self.waiting.popleft())
        except IndexError:
            return drained

    def pause(self) -> bool:
        """Stop the runner; False when there is more to do, or it has ended."""
        self._busy.release()
        return not ((self.waiting or self.ended) and self._busy.acquire(False))

    def wants(self, item: Item) -> bool:
        """Say whether anybody wants what still comes of a frame."""
        return not self.ended and item.epoch >= self.epoch

    @property
    def running(self) -> bool:
        """True while somebody works on it, or is about to."""
        return self._busy.locked()

    @property
    def idle(self) -> bool:
        """True while nothing waits and nobody works on it."""
        return not self._busy.locked() and not self.waiting
