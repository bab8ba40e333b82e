"""The stream of a node that runs in a worker process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remotemedia.lanes.mailbox import Key

if TYPE_CHECKING:
    from remotemedia.workers import Stream, Worker


@dataclass(eq=False)
class Isolated:
    """What stands in the place of a `Mailbox`: the worker has its frames."""

    key: Key
    worker: Worker
    stream: Stream = field(init=False)
    used: int = 0

    @property
    def idle(self) -> bool:
        """True while it has no frames."""
        return self.stream.idle
