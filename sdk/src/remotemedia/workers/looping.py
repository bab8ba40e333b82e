"""``async def`` nodes in a worker, on an event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from remotemedia.base import FunctionNode, Node
from remotemedia.lanes.calling import Call
from remotemedia.lanes.runners import Runners
from remotemedia.workers.link import Link
from remotemedia.workers.pulse import Pulse
from remotemedia.workers.spin import SpinSelector
from remotemedia.workers.streams import ChildStream, Streams, failure
from remotemedia.workers.work import Frame, Work

END_GRACE_SECONDS = 1.0
"""How long a frame may go on when its stream has ended; then it is cancelled."""


class Looping:
    """Runs the streams of a worker on the loop of its main thread."""

    def __init__(self, link: Link, work: Work) -> None:
        """Be ready to `run`."""
        self._link = link
        self._work = work
        self._streams = Streams(link, work, self)
        self._outbox: list[bytes] = []
        self._busy = 0
        self._frames = 0
        self._seen = 0
        self._interrupts: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._runners: Runners[ChildStream]
        self._idle: asyncio.Event
        self._quit: asyncio.Event
        self._pulse = Pulse(self._tick)

    def run(self) -> None:
        """Work until the parent says that it is over, and everything is cleaned up."""
        self._pulse.start()
        loop = asyncio.SelectorEventLoop(SpinSelector())
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._main())
        finally:
            # As `asyncio.run` ends, which takes no selector.
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def start(self, stream: ChildStream) -> None:
        """See `Driver`."""
        self._busy += 1
        self._runners.submit(stream)
        if stream.ended:
            self._cancel_later(stream)

    def interrupt(self, stream: ChildStream, node: Node) -> None:
        """See `Driver`."""
        task = self._loop.create_task(self._tell(stream, node))
        self._interrupts.add(task)
        task.add_done_callback(self._interrupts.discard)

    async def _tell(self, stream: ChildStream, node: Node) -> None:
        await self._try(stream, node.on_interrupt)
        stream.interrupting = False

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._runners = Runners(self._loop, self._work_on)
        self._idle, self._quit = asyncio.Event(), asyncio.Event()
        connection = self._link.socket.fileno()
        self._loop.add_reader(connection, self._readable)
        await self._quit.wait()
        self._loop.remove_reader(connection)
        while self._busy:
            self._idle.clear()
            await self._idle.wait()
        self._send()

    def _readable(self) -> None:
        messages = self._link.receive()
        ending = [stream for stream in self._runners.waiting() if not stream.ended]
        self._streams.take(messages)
        for stream in ending:
            if stream.ended:
                self._cancel_later(stream)
        self._pulse.wake()
        if self._streams.quitting:
            self._quit.set()

    def _cancel_later(self, stream: ChildStream) -> None:
        self._loop.call_later(END_GRACE_SECONDS, self._runners.cancel, stream)

    def _tick(self) -> bool:
        # A loop that is blocked by an `async def` is alive; the parent ends it by the frame's age.
        self._link.memory.beat()
        moved, self._seen = self._frames != self._seen, self._frames
        return moved or self._busy > 0

    async def _work_on(self, stream: ChildStream) -> None:
        while True:
            while stream.waiting:
                frame = stream.waiting.popleft()
                self._later(await self._answer(stream, frame))
                self._frames += 1
            if stream.pause():
                break
            if not stream.waiting:
                await self._finish(stream)
                self._send()
                self._link.ended(stream.number)
                break
        self._busy -= 1
        self._idle.set()

    def _later(self, answer: bytes) -> None:
        if not self._outbox:
            self._loop.call_soon(self._send)
        self._outbox.append(answer)

    def _send(self) -> None:
        outbox, self._outbox = self._outbox, []
        if outbox:
            self._link.complete(outbox)

    async def _answer(self, stream: ChildStream, frame: Frame) -> bytes:
        try:
            call = stream.call or await self._prepare(stream)
            if frame.end:
                stream.flushed = True
                results = await call.results_on_loop(call.node.flush(), frame)
            else:
                results = await call.on_loop(frame)
            return self._link.results(frame.token, results)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            return failure(stream, frame, error)

    async def _prepare(self, stream: ChildStream) -> Call[object]:
        node = self._work.node
        if not isinstance(node, FunctionNode):
            # Making it and a plain `def initialize` may load a model: not on the loop.
            node = await asyncio.to_thread(node.fresh)
            await self._step(node.initialize)
        return stream.prepared(node, self._send_part)

    def _send_part(self, token: int, results: list[object]) -> None:
        self._later(self._link.part(token, results))

    async def _finish(self, stream: ChildStream) -> None:
        if stream.call is None:
            return
        for step in stream.last_steps(stream.call.node):
            await self._try(stream, step)

    async def _try(self, stream: ChildStream, step: Callable[[], object]) -> None:
        try:
            await self._step(step)
        except (Exception, SystemExit, asyncio.CancelledError):
            stream.failed_step(step)

    async def _step(self, step: Callable[[], object]) -> None:
        value = step() if inspect.iscoroutinefunction(step) else await asyncio.to_thread(step)
        if isinstance(value, Awaitable):
            await value
