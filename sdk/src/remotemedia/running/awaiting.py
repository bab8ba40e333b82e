"""Runs inside of an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterator,
    Sequence,
)
from concurrent.futures import CancelledError, Future
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from remotemedia.lanes.pool import ThreadPool
from remotemedia.running.driver import Execution, Options
from remotemedia.running.events import typed
from remotemedia.running.runs import NOTHING, prepare
from remotemedia.running.working import Cancelled

if TYPE_CHECKING:
    from remotemedia.client.events import Event
    from remotemedia.pipeline import Pipeline
    from remotemedia.running.backend import RunOutput
    from remotemedia.running.metrics import Metrics

T = TypeVar("T")
WAITING_BATCHES = 4
"""How many batches of outputs a stream may be ahead of its reader; then the run waits."""


async def stream(
    pipeline: Pipeline, source: object, options: Options, done: Callable[[Metrics], None]
) -> AsyncGenerator[Event, None]:
    """Run a pipeline over a source; see `Pipeline.stream`."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Queue[Sequence[RunOutput] | None] = asyncio.Queue()
    room = threading.Semaphore(WAITING_BATCHES)
    stopped = threading.Event()
    holder: list[Execution] = []
    bridge = _Bridge(aiter(source), loop) if isinstance(source, AsyncIterable) else None
    data = source if bridge is None else bridge

    def work() -> None:
        try:
            execution = prepare(pipeline, data, options, holder)
            with closing(execution.outputs()) as outputs:
                for batch in outputs:
                    room.acquire()
                    if stopped.is_set():
                        return
                    loop.call_soon_threadsafe(ready.put_nowait, batch)
            if execution.metrics is not None:
                done(execution.metrics)
        finally:
            loop.call_soon_threadsafe(ready.put_nowait, None)

    running = asyncio.ensure_future(on_thread(work, holder))
    try:
        while (batch := await ready.get()) is not None:
            for output in batch:
                yield typed(output)
            room.release()
        await running
    finally:
        stopped.set()
        room.release()
        if bridge is not None:
            bridge.stop()
        for execution in holder:
            execution.cancel()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def on_thread(work: Callable[[], T], holder: list[Execution]) -> T:
    """Run on a thread of its own; a cancelled caller cancels the run and waits for its end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def job() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:
            failure = error
        loop.call_soon_threadsafe(settle, result, failure)

    _pool().submit(job)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        for execution in holder:
            execution.cancel()
        await asyncio.gather(future, return_exceptions=True)
        raise


@cache
def _pool() -> ThreadPool:
    """Make the threads that runs inside of loops are driven on."""
    return ThreadPool(name="remotemedia-run")


class _Bridge(Iterator[object]):
    """An async iterator, read from another thread."""

    def __init__(self, source: AsyncIterator[object], loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop
        self._stopped = threading.Event()
        self._next: Future[object] | None = None

    def stop(self) -> None:
        """Let whoever waits for the next piece go."""
        self._stopped.set()
        if self._next is not None:
            self._next.cancel()

    def __next__(self) -> object:
        self._next = asyncio.run_coroutine_threadsafe(_next(self._source), self._loop)
        if self._stopped.is_set():
            self._next.cancel()
        try:
            item = self._next.result()
        except CancelledError:
            raise Cancelled from None
        if item is NOTHING:
            raise StopIteration
        return item


async def _next(source: AsyncIterator[object]) -> object:
    return await anext(source, NOTHING)
