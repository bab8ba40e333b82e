"""``def`` nodes in a worker: no change of threads for a frame, and yet none waits for another."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from remotemedia.base import Node
from remotemedia.lanes.calling import Call
from remotemedia.workers.link import Link
from remotemedia.workers.pulse import ALONE_SECONDS, TICK_SECONDS, Pulse
from remotemedia.workers.streams import ChildStream, Streams, failure, log
from remotemedia.workers.work import Frame, Work

T = TypeVar("T")

MAX_THREADS = 64
"""Threads at most; when all are blocked, streams wait for the first that is free."""
IDLE_SECONDS = 30.0
"""A thread that had nothing to do for so long ends."""
BURST_FRAMES = 16
"""Frames of a stream that are worked on before others get their turn."""


class Crew:
    """Threads that take turns: whoever has nothing to do receives, and works on what comes.

    So a frame is worked on by the thread that the kernel woke for it. When all threads are in
    nodes for longer than a tick of the `Pulse`, another one takes over.
    """

    def __init__(self, link: Link, work: Work) -> None:
        """Be ready to `run`."""
        self._link = link
        self._work = work
        self._streams = Streams(link, work, self)
        self._ready: deque[ChildStream] = deque()
        self._receiving = threading.Lock()
        self._changed = threading.Condition()
        self._threads = 1
        self._idle = 0
        self._wanted = 0
        self._progress = 0
        self._seen = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pulse = Pulse(self._tick)
        self._finished = threading.Event()

    def run(self) -> None:
        """Work until the parent says that it is over, and everything is cleaned up."""
        self._pulse.start()
        self._join()
        self._finished.wait()

    def start(self, stream: ChildStream) -> None:
        """See `Driver`; it is called while receiving, by the thread that works next."""
        self._ready.append(stream)

    def interrupt(self, stream: ChildStream, node: Node) -> None:
        """See `Driver`. On a thread of its own, for all others may be in nodes."""
        threading.Thread(
            target=self._tell, args=(stream, node), name="remotemedia-interrupt", daemon=True
        ).start()

    # On any thread.

    def _tell(self, stream: ChildStream, node: Node) -> None:
        self._try(stream, node.on_interrupt)
        stream.interrupting = False

    def _join(self) -> None:
        try:
            self._take_turns()
        except BaseException:
            # A bug. Nobody may notice that a thread is missing; the parent notices this.
            log.critical("the worker of %s gives up", self._work.id, exc_info=True)
            os._exit(70)

    def _take_turns(self) -> None:
        while True:
            stream = _first(self._ready)
            if stream is not None:
                self._work_on(stream)
            elif self._streams.quitting:
                self._leave()
                return
            elif self._receiving.acquire(blocking=False):
                self._receive()
            elif not self._rest():
                return

    def _receive(self) -> None:
        try:
            if not self._streams.quitting:
                self._streams.take(self._link.receive())
                self._pulse.seconds = ALONE_SECONDS if self._streams.alone else TICK_SECONDS
        finally:
            self._progress += 1
            self._pulse.wake()
            self._receiving.release()

    def _rest(self) -> bool:
        with self._changed:
            self._idle += 1
            woken = self._changed.wait_for(
                lambda: self._wanted or self._streams.quitting, IDLE_SECONDS
            )
            self._idle -= 1
            if woken:
                self._wanted = max(self._wanted - 1, 0)
                return True
            self._threads -= 1
            return False

    def _leave(self) -> None:
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()
            if not self._threads:
                self._finished.set()

    def _tick(self) -> bool:
        self._link.memory.beat()
        progress = self._progress
        moved, self._seen = progress != self._seen, progress
        if not moved and not self._receiving.locked():
            self._recruit(len(self._ready) + 1)
        busy = self._threads - self._idle - self._receiving.locked()
        return moved or busy > 0

    def _recruit(self, count: int) -> None:
        with self._changed:
            self._wanted = min(count, self._idle)
            self._changed.notify(self._wanted)
            for _ in range(min(count - self._idle, MAX_THREADS - self._threads)):
                self._threads += 1
                threading.Thread(target=self._join, name="remotemedia-node", daemon=True).start()

    # The work.

    def _work_on(self, stream: ChildStream) -> None:
        for _ in range(BURST_FRAMES):
            frame = _first(stream.waiting)
            if frame is None:
                break
            self._link.send(self._answer(stream, frame))
            self._progress += 1
        if stream.pause():
            return
        if stream.waiting:
            self._ready.append(stream)
            return
        self._finish(stream)
        self._link.ended(stream.number)

    def _answer(self, stream: ChildStream, frame: Frame) -> bytes:
        try:
            call = stream.call or self._prepare(stream)
            if frame.end:
                stream.flushed = True
                results = call.results_on_thread(self._step(call.node.flush), frame)
            else:
                results = call.on_thread(frame)
            return self._link.results(frame.token, results)
        except (Exception, SystemExit) as error:
            return failure(stream, frame, error)

    def _prepare(self, stream: ChildStream) -> Call[object]:
        node = self._work.node.fresh()
        self._step(node.initialize)
        return stream.prepared(node, self._send_part)

    def _send_part(self, token: int, results: list[object]) -> None:
        self._link.send(self._link.part(token, results))

    def _finish(self, stream: ChildStream) -> None:
        if stream.call is None:
            return
        for step in stream.last_steps(stream.call.node):
            self._try(stream, step)

    def _try(self, stream: ChildStream, step: Callable[[], object]) -> None:
        try:
            self._step(step)
        except (Exception, SystemExit):
            stream.failed_step(step)

    def _step(self, step: Callable[[], object]) -> object:
        value = step()
        if isinstance(value, Awaitable):
            return asyncio.run_coroutine_threadsafe(_await(value), self._own_loop()).result()
        return value

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop on which an ``async def initialize`` of a ``def`` node runs."""
        with self._changed:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="remotemedia-loop", daemon=True
                ).start()
            return self._loop


def _first(waiting: deque[T]) -> T | None:
    """Take the first, if there is one and no other thread was quicker."""
    try:
        return waiting.popleft() if waiting else None  # an exception takes a microsecond
    except IndexError:
        return None


async def _await(value: Awaitable[object]) -> object:
    return await value
