"""One stream in a worker: its instance of the node, and what is called when."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from remotemedia.base import Node
from remotemedia.errors import TransientError
from remotemedia.frames import Item, NodeSession
from remotemedia.lanes.calling import Call, begin_interrupt
from remotemedia.lanes.failures import describe, trace
from remotemedia.workers.link import Link, names_of
from remotemedia.workers.messages import Head, Kind, write_failure
from remotemedia.workers.work import Frame, Work

log = logging.getLogger("remotemedia.workers")


@dataclass(eq=False, slots=True)
class ChildStream:
    """A stream. Frames wait in `waiting` until whoever `start` told to works on them."""

    number: int
    work: Work
    names: tuple[str, str, str, str, str]
    session: NodeSession
    call: Call[object] | None = None
    waiting: deque[Frame] = field(default_factory=deque)
    ended: bool = False
    flushed: bool = False
    interrupting: bool = False
    epoch: int = 0
    _running: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, work: Work, head: Head, tail: bytes) -> ChildStream:
        """Read an ``OPEN``."""
        session, participant, stream = names_of(tail)
        names = (work.pipeline, session, participant, stream, work.id)
        about = NodeSession(session, participant, stream, work.pipeline, work.id)
        return cls(head.stream, work, names, about, epoch=head.epoch)

    def wants(self, item: Item) -> bool:
        """Say whether anybody wants what still comes of a frame."""
        return not self.ended and item.epoch >= self.epoch

    def start(self) -> bool:
        """Say whether somebody must begin to work on it: nobody does."""
        with self._lock:
            started, self._running = not self._running, True
            return started

    def pause(self) -> bool:
        """Stop working on it; False when there is more to do, or it has ended."""
        with self._lock:
            self._running = bool(self.waiting or self.ended)
            return not self._running

    def prepared(self, node: Node, send: Callable[[int, list[object]], None]) -> Call[object]:
        """Remember an instance that is initialised; `send` sends what it yields for a frame."""

        def give(item: Item, results: list[object]) -> bool:
            if not self.wants(item):
                return False
            if results:
                send(item.token, results)
            return True

        work = self.work
        self.call = Call(node, work.calling, self.session, work.results, give, paced=work.paced)
        return self.call

    def last_steps(self, node: Node) -> list[Callable[[], object]]:
        """Say what is called at the end."""
        return [node.cleanup] if self.flushed else [node.flush, node.cleanup]

    def failed_step(self, step: Callable[[], object]) -> None:
        """Log that such a step failed."""
        name = getattr(step, "__name__", "a step")
        log.warning("%s of %s failed", name, self.work.id, exc_info=True)


class Driver(Protocol):
    """What runs streams."""

    def start(self, stream: ChildStream) -> None:
        """Work on a stream on which nobody else works."""

    def interrupt(self, stream: ChildStream, node: Node) -> None:
        """Tell its node that a client interrupts; none is told twice at a time."""


class Streams:
    """The streams of a worker. One thread at a time calls `take`."""

    def __init__(self, link: Link, work: Work, driver: Driver) -> None:
        """Have none."""
        self._link = link
        self._work = work
        self._driver = driver
        self._streams: dict[int, ChildStream] = {}
        self.quitting = False

    @property
    def alone(self) -> bool:
        """Whether there is one stream at most, which keeps nobody waiting."""
        return len(self._streams) <= 1

    def take(self, messages: list[tuple[Head, bytes]]) -> None:
        """Do what the parent says; no messages are its end."""
        if not messages:
            self.quit()
        for head, tail in messages:
            if head.kind == Kind.FRAME:
                self._frame(head, tail)
            elif head.kind == Kind.OPEN:
                self._streams[head.stream] = ChildStream.of(self._work, head, tail)
            elif head.kind == Kind.INTERRUPT:
                self._interrupt(self._streams[head.stream], head.epoch)
            elif head.kind == Kind.END:
                self._end(self._streams.pop(head.stream))
            elif head.kind == Kind.QUIT:
                self.quit()

    def quit(self) -> None:
        """End all streams; nothing more comes."""
        self.quitting = True
        while self._streams:
            self._end(self._streams.popitem()[1])

    def _frame(self, head: Head, tail: bytes) -> None:
        stream = self._streams[head.stream]
        try:
            frame = self._link.frame(head, tail, stream.names)
        except Exception as error:
            text = f"the value cannot be read in the process: {error}"
            self._link.send(write_failure(head.slot, text))
            return
        stream.waiting.append(frame)
        self._start(stream)

    def _interrupt(self, stream: ChildStream, epoch: int) -> None:
        stream.epoch = epoch
        node = begin_interrupt(stream)
        if node is not None:
            self._driver.interrupt(stream, node)

    def _end(self, stream: ChildStream) -> None:
        stream.ended = True
        # Those that are left out are answered all the same.
        abandoned = []
        with contextlib.suppress(IndexError):
            while True:
                abandoned.append(stream.waiting.popleft())
        self._link.complete(self._link.results(frame.token, []) for frame in abandoned)
        self._start(stream)

    def _start(self, stream: ChildStream) -> None:
        if stream.start():
            self._driver.start(stream)


def failure(stream: ChildStream, frame: Frame, error: BaseException) -> bytes:
    """Answer a frame with what the node raised."""
    transient, beginning = isinstance(error, TransientError), stream.call is None
    return write_failure(frame.token, describe(error), trace(error), transient, beginning)
