"""`Pipeline.run` and `Pipeline.stream`."""

from __future__ import annotations

import asyncio
import sys
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

from remotemedia.errors import ParameterError
from remotemedia.lanes.pool import ThreadPool
from remotemedia.running.choice import choose
from remotemedia.running.driver import Execution, Options
from remotemedia.running.events import typed
from remotemedia.running.inputs import Input, inputs_of
from remotemedia.running.result import Outcome, Result
from remotemedia.running.working import Cancelled

if TYPE_CHECKING:
    from remotemedia.client.events import Event
    from remotemedia.pipeline import Pipeline
    from remotemedia.planning import Plan
    from remotemedia.running.backend import RunOutput
    from remotemedia.running.metrics import Metrics

T = TypeVar("T")
NOTHING = object()
"""Stands for input that was not given."""
WAITING_BATCHES = 4
"""How many batches of outputs a stream may be ahead of its reader; then the run waits."""


def run(
    pipeline: Pipeline, data: object, options: Options, done: Callable[[Metrics], None]
) -> Result:
    """Run a pipeline; see `Pipeline.run`."""
    if not in_loop():
        return Result(_collect(prepare(pipeline, data, options), done))

    async def start() -> Outcome:
        holder: list[Execution] = []

        def work() -> Outcome:
            execution = prepare(pipeline, data, options, holder)
            return _collect(execution, done)

        return await _on_thread(work, holder)

    return Result(start=start)


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

    running = asyncio.ensure_future(_on_thread(work, holder))
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


def prepare(
    pipeline: Pipeline,
    data: object,
    options: Options,
    holder: list[Execution] | None = None,
) -> Execution:
    """Plan for the data that there is, and choose the runtime.

    Args:
        pipeline: what to run.
        data: as `Pipeline.run` takes it.
        options: how.
        holder: gets the run before it can be needed.
    """
    plan = pipeline.plan()
    sources = {source.id: source.format for source in plan.resolved.sources}
    files = {name: path for name, path in plan.files.items() if name in sources}
    open_ = {name: taken for name, taken in sources.items() if name not in files}
    inputs: dict[str, Input] = {}
    if data is not NOTHING:
        inputs.update(inputs_of(data, open_))
    elif open_:
        raise ParameterError(
            "nothing was given to run on.", hint="Give an array, (array, rate) or a file's path."
        )
    if files:
        inputs.update(inputs_of(files, {name: sources[name] for name in files}))
    try:
        wanted = {
            name: each.format
            for name, each in inputs.items()
            if each.format is not None and each.format != sources[name].audio
        }
        if wanted:
            plan = pipeline.plan(sources=wanted)
        ordered = {source.id: inputs[source.id] for source in plan.resolved.sources}
        execution = Execution(plan, choose(plan), ordered, options)
    except BaseException:
        for each in inputs.values():
            each.close()
        raise
    if holder is not None:
        holder.append(execution)
    return execution


def outcome_for(plan: Plan) -> Outcome:
    """Make an empty outcome that knows the outputs of a plan."""
    fed = {(edge.source.node, edge.source.port) for edge in plan.resolved.edges}
    first = {node.id: node.outputs[0].port for node in plan.resolved.nodes if node.outputs}
    outcome = Outcome(first_ports=first)
    ends = [
        outcome.key(node.id, port.port)
        for node in plan.resolved.nodes
        for port in node.outputs
        if (node.id, port.port) not in fed
    ]
    # Where there are sinks their audio is the run's, whatever comes before them.
    outcome.sinks = tuple(sorted(ends, key=lambda name: name not in plan.sinks))
    return outcome


def main_audio(plan: Plan) -> str | None:
    """Name the output whose audio is the run's, as far as the plan alone can tell."""
    outcome = outcome_for(plan)
    ports = {
        outcome.key(node.id, port.port): port.format.type
        for node in plan.resolved.nodes
        for port in node.outputs
    }
    for wanted in ("audio", "any"):
        for name in outcome.sinks:
            if ports[name] == wanted:
                return name
    return None


def in_loop() -> bool:
    """Say whether an event loop runs on this thread."""
    # Without asyncio there is none, and importing it takes its time.
    if "asyncio" not in sys.modules:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _collect(execution: Execution, done: Callable[[Metrics], None]) -> Outcome:
    outcome = outcome_for(execution.plan)
    try:
        for batch in execution.outputs():
            outcome.add(batch)
    finally:
        if execution.metrics is not None:
            done(execution.metrics)
    return outcome


async def _on_thread(work: Callable[[], T], holder: list[Execution]) -> T:
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
