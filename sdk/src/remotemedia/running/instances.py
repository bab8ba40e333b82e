"""A Python node of a run at work."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from concurrent.futures import Future, wait
from functools import cache
from time import perf_counter_ns
from typing import TYPE_CHECKING, TypeVar

from remotemedia.base import FunctionNode, Node
from remotemedia.errors import NodeError, TransientError
from remotemedia.frames import Item, NodeSession
from remotemedia.lanes.calling import Call, Calling
from remotemedia.lanes.failures import describe, trace
from remotemedia.lanes.pool import ThreadPool
from remotemedia.lanes.results import Results, is_json, plain_of

if TYPE_CHECKING:
    from remotemedia.running.backend import (
        LaneDone,
        LaneItem,
        LaneResult,
        LaneValue,
    )
    from remotemedia.running.working import Recipe, Workers

T = TypeVar("T")
_log = logging.getLogger("remotemedia.running")


class Instance:
    """A node with its state."""

    def __init__(self, workers: Workers, recipe: Recipe, session: NodeSession) -> None:
        self._workers = workers
        self._recipe = recipe
        self._session = session
        self._calling = Calling.of(recipe.node)
        self._metrics = workers.metrics[session.node]
        self._call: Call[LaneResult] | None = None
        self._failing = False
        self._yielded: list[LaneResult] = []
        """What a generator yielded for the frame that it works on, where that waits for its end."""
        self._working: Future[None] | None = None

    def start(self, batch: Sequence[LaneItem]) -> Future[None]:
        """Work on frames; the future fails only where the node cannot begin."""
        if self._calling.on_loop:
            self._working = self._workers.loop.submit(self._work(batch))
        else:
            self._working = _pool().call(lambda: _driven(self._work(batch)))
        return self._working

    def abandon(self) -> None:
        """Cancel what can be cancelled."""
        if self._working is not None:
            self._working.cancel()

    def finish(self) -> Future[None]:
        """Clean up."""
        call = self._call
        if call is None or not _overrides(call.node, "cleanup"):
            done: Future[None] = Future()
            done.set_result(None)
            return done
        if self._calling.on_loop:
            return self._workers.loop.submit(self._finish_on_loop(call.node))
        return _pool().call(lambda: self._finish_on_thread(call.node))

    # On the loop, or driven on a thread of the pool, where nothing is awaited.

    async def _work(self, batch: Sequence[LaneItem]) -> None:
        call = self._call
        if call is None:
            try:
                call = self._call = await self._prepared()
            except (Exception, SystemExit) as error:
                raise self._cannot_begin(error) from error
        done: list[LaneDone] = []
        for item in batch:
            if self._workers.cancelled:
                break  # nobody waits for the rest
            began = perf_counter_ns()
            self._yielded = []
            try:
                results = await self._results(call, item)
                done.append(self._succeeded(item, self._yielded + results))
            except (Exception, SystemExit) as error:
                done.append(self._failed(item, error))
            if not is_end(item):
                self._metrics.took(perf_counter_ns() - began)
            if self._workers.flowing:
                self._workers.hand(done)
                done.clear()
        self._workers.hand(done)

    def _give(self, item: Item, results: list[LaneResult]) -> bool:
        if self._workers.flowing and results:
            self._workers.hand([(item.token, results, True)])
        elif results:
            self._yielded += results
        return not self._workers.cancelled

    async def _results(self, call: Call[LaneResult], item: LaneItem) -> list[LaneResult]:
        on_loop = self._calling.on_loop
        if not is_end(item):
            return await call.on_loop(item) if on_loop else call.on_thread(item)
        if not _overrides(call.node, "flush"):
            return []
        self._session.pts_ms = item.pts_us / 1000.0
        value = call.node.flush()
        if on_loop:
            return await call.results_on_loop(value, item)
        return call.results_on_thread(self._wait_for(value), item)

    async def _prepared(self) -> Call[LaneResult]:
        node = self._recipe.node
        if not self._calling.on_loop:
            node = node.fresh()
            if _overrides(node, "initialize"):
                self._wait_for(node.initialize())
        elif not isinstance(node, FunctionNode):
            # Making it and a plain `def initialize` may load a model: not on the loop.
            node = await asyncio.wrap_future(_pool().call(node.fresh))
            if inspect.iscoroutinefunction(node.initialize):
                await node.initialize()
            elif _overrides(node, "initialize"):
                value = await asyncio.wrap_future(_pool().call(node.initialize))
                if value is not None:
                    await value
        return self._made(node)

    # On a thread of the pool.

    def _finish_on_thread(self, node: Node) -> None:
        if self._working is not None:
            wait([self._working])  # a cancelled run leaves a node behind that still works
        try:
            self._wait_for(node.cleanup())
        except (Exception, SystemExit):
            self._complain("cleanup")

    def _wait_for(self, value: object) -> object:
        """Give what a method returned, or what it made where it was ``async def``."""
        if inspect.isasyncgen(value):
            value = _listed(value)
        if isinstance(value, Awaitable):
            return self._workers.loop.submit(_awaited(value)).result()
        return value

    # On the loop.

    async def _finish_on_loop(self, node: Node) -> None:
        try:
            value = node.cleanup()
            if value is not None:
                await value
        except (Exception, SystemExit):
            self._complain("cleanup")

    # On either.

    def _made(self, node: Node) -> Call[LaneResult]:
        backend, fed = self._workers.backend, self._recipe.fed

        def data(port: str, value: object) -> LaneValue:
            if not is_json(value):
                if port in fed:
                    return backend.LaneOpaque(value)
                try:
                    value = plain_of(value)
                except NodeError:
                    return backend.LaneOpaque(value)
            try:
                return backend.LaneData(value)
            except backend.RuntimeFault as fault:
                raise NodeError(fault.message) from None

        results: Results[LaneValue] = Results(self._recipe.outputs, data)
        return Call(
            node,
            self._calling,
            self._session,
            lambda value: [*results.of(value)],
            self._give,
            paced=False,
        )

    def _succeeded(self, item: LaneItem, results: list[LaneResult]) -> LaneDone:
        self._failing = False
        self._metrics.success_count += not is_end(item)
        return item.token, results

    def _failed(self, item: LaneItem, error: BaseException) -> LaneDone:
        self._metrics.error_count += 1
        self._workers.failures[self._session.node] = error
        transient = isinstance(error, TransientError)
        if not self._failing and not transient:
            self._failing = True
            _log.warning("node %s failed", self._session.node, exc_info=error)
        failure = self._workers.backend.LaneFailure(describe(error), trace(error), transient)
        return item.token, failure

    def _cannot_begin(self, error: BaseException) -> NodeError:
        made = NodeError(f"{self._session.node}: the node cannot begin: {describe(error)}")
        made.node, made.traceback = self._session.node, trace(error)
        return made

    def _complain(self, step: str) -> None:
        _log.warning("%s of %s failed", step, self._session.node, exc_info=True)


def is_end(item: LaneItem) -> bool:
    """Say whether an item is the end of its node's input."""
    return item.end


def _overrides(node: Node, method: str) -> bool:
    return getattr(type(node), method) is not getattr(Node, method)


@cache
def _pool() -> ThreadPool:
    """Make the threads that all runs share."""
    return ThreadPool(name="remotemedia-run-node")


def _driven(coroutine: Coroutine[object, object, T]) -> T:
    """Run what never has to wait, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise RuntimeError("it waits for something")


async def _awaited(value: Awaitable[object]) -> object:
    return await value


async def _listed(values: AsyncIterator[object]) -> list[object]:
    return [value async for value in values]
