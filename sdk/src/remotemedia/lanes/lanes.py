"""From the native runtime to nodes and back."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING, cast

from remotemedia.base import FunctionNode, Node
from remotemedia.frames import NodeSession
from remotemedia.lanes.calling import Call, Calling
from remotemedia.lanes.failures import describe, trace
from remotemedia.lanes.isolated import Isolated
from remotemedia.lanes.mailbox import Key, LoopMailbox, Mailbox, Recipe
from remotemedia.lanes.pool import ThreadPool
from remotemedia.lanes.runners import Runners
from remotemedia.lanes.sorting import Make, Opaque, Sorting

if TYPE_CHECKING:
    from remotemedia._native import (
        FailureType,
        LaneDone,
        LaneEngine,
        LaneFailure,
        LaneItem,
        LaneResult,
    )
    from remotemedia.planning import Plan
    from remotemedia.workers import Done, Limits, Worker

POLL_ITEMS = 32
"""Frames taken at once; the rest waits for the loop's next turn, so that the first answers of a
burst do not wait for the last."""
SEND_ITEMS = 16
"""Results that are handed back at once, or as many as a turn of the loop gave."""
BURST_FRAMES = 16
"""Frames that a thread works on before others get their turn."""
MAX_INSTANCES = 256
"""Instances of one session; the one that was unused for longest makes room for another."""
MAX_ENDED = 4_096
"""Sessions that ended while frames waited to be taken and that are remembered, so that late frames
make nothing new; the oldest goes. All are forgotten as soon as no frame waits."""
END_GRACE_SECONDS = 1.0
"""How long an ``async def`` may go on when its session has ended; then it is cancelled."""
STOP_SECONDS = 3.0
"""How long nodes may take to clean up when everything stops."""
JOIN_SECONDS = 1.0
"""How long the loop's thread may take to end; an ``async def`` that blocks it keeps it longer."""

_log = logging.getLogger("remotemedia.lanes")


class Lanes:
    """Runs Python nodes: on an event loop, on threads, and in worker processes.

    ``async def`` runs on a loop of its own, ``def`` on threads, unless they ask for a process.

    Frames of one node and stream are worked on in their order, one at a time; one stream never
    waits for another, unless an ``async def`` blocks the loop. Each stream has its own instance of
    each node.

    Call `start`, then `end_session` for every session that has ended, and `stop` at the end.
    """

    def __init__(
        self,
        engine: LaneEngine,
        failure: FailureType,
        limits: Limits | None = None,
        *,
        data: Make | None = None,
        opaque: Make | None = None,
    ) -> None:
        """Make lanes.

        Args:
            engine: what hands frames out.
            failure: the native module's ``LaneFailure``.
            limits: how patient they are with worker processes.
            data: its ``LaneData``; without it values go back as JSON text.
            opaque: its ``LaneOpaque``; without it nodes can pass on JSON values only.
        """
        self._engine = engine
        self._failure = failure
        self._data = data
        self._opaque = opaque
        self._recipes: dict[tuple[str, str], Recipe] = {}
        self._limits = limits
        self._workers: dict[tuple[str, str], Worker] = {}
        self._sessions: dict[str, OrderedDict[Key, Mailbox | Isolated]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._outbox: list[LaneDone] = []
        self._loop: asyncio.AbstractEventLoop
        self._runners: Runners[LoopMailbox]
        self._pool = ThreadPool()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._fd = -1
        self._counts = dict.fromkeys(("frames", "failures", "late", "evicted"), 0)

    def add(self, plan: Plan) -> None:
        """Learn the Python nodes of a pipeline, before its first session."""
        outputs = {
            node.id: {port.port: port.format.audio for port in node.outputs}
            for node in plan.resolved.nodes
        }
        for node_id, entry in plan.python.items():
            fed = frozenset(
                edge.source.port
                for edge in plan.resolved.edges
                if edge.source.node == node_id and self._opaque is not None
            )
            sorting = Sorting(outputs[node_id], fed, self._data, self._opaque)
            recipe = Recipe(entry.node, Calling.of(entry.node), sorting)
            self._recipes[plan.name, node_id] = recipe
            if entry.isolation == "process":
                self._workers[plan.name, node_id] = self._worker(plan.name, node_id, recipe)

    def start(self) -> None:
        """Start the worker processes and the loop's thread, and listen."""
        for worker in self._workers.values():
            worker.start()
        self._fd = self._engine.lane_fd()
        self._loop = asyncio.new_event_loop()
        self._runners = Runners(self._loop, self._work_on_loop)
        self._loop.add_reader(self._fd, self._readable)
        self._thread = threading.Thread(target=self._run, name="remotemedia-lanes", daemon=True)
        self._thread.start()

    def end_session(self, session: str) -> None:
        """Clean up the instances of a session. May be called from any thread."""
        self._call_soon(lambda: self._end_session(session))

    async def ping(self) -> None:
        """Return once the loop has had a turn: it is not blocked."""
        turned: Future[None] = Future()
        self._call_soon(lambda: turned.set_result(None))
        await asyncio.wrap_future(turned)

    def counters(self) -> dict[str, float]:
        """Give figures for metrics; those that end in ``_total`` only grow."""
        return {
            **{
                f"remotemedia_lane_{name}_total": float(count)
                for name, count in self._counts.items()
            },
            "remotemedia_lane_instances": float(sum(map(len, list(self._sessions.values())))),
            "remotemedia_lane_threads": float(self._pool.threads),
            **self._worker_counters(),
        }

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """End every session, wait for the clean-up, and stop.

        Args:
            timeout: how long to wait, in seconds.

        Returns:
            False when a node is still busy: its thread is left behind and ends with the process.
        """
        if self._thread is None:
            return True
        done: Future[None] = Future()
        self._call_soon(lambda: self._stop(done))
        finished = bool(wait([done], timeout).done)
        if not finished:
            _log.warning("nodes are still busy: %s", ", ".join(self._busy()))
        for worker in self._workers.values():
            worker.close(wait=False)
        for worker in self._workers.values():
            worker.close()
        self._call_soon(self._loop.stop)
        self._thread.join(JOIN_SECONDS)
        self._pool.close()
        self._thread = None
        return finished

    def _worker(self, pipeline: str, node_id: str, recipe: Recipe) -> Worker:
        from remotemedia.workers import Work, Worker

        results = cast("Callable[[object], list[object]]", recipe.results)
        work = Work(pipeline, node_id, recipe.node, recipe.calling, results)
        return Worker(work, self._completed, self._limits)

    # On the loop's thread.

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.remove_reader(self._fd)
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _readable(self) -> None:
        # What is left keeps the descriptor readable.
        items = self._engine.poll_lane(POLL_ITEMS)
        self._counts["frames"] += len(items)
        touched: set[Worker] = set()
        for item in items:
            worker = self._dispatch(item)
            if worker is not None:
                touched.add(worker)
        for worker in touched:
            worker.flush()
        if len(items) < POLL_ITEMS:
            # The engine queues a session's last frame before it tells that the session has ended.
            self._ended.clear()

    def _dispatch(self, item: LaneItem) -> Worker | None:
        """Pass a frame on; gives the worker that must be flushed, if one has it."""
        name, node = item.session, item.node
        if self._stopping or name in self._ended:
            self._counts["late"] += 1
            self._complete([(item.token, [])])
            return None
        key = (name, item.participant, item.stream, node)
        mailboxes = self._sessions.get(name)
        if mailboxes is None:
            mailboxes = self._sessions[name] = OrderedDict()
        mailbox = mailboxes.get(key)
        if mailbox is None:
            mailbox = self._make(mailboxes, key, item)
            if mailbox is None:
                message = f"{item.pipeline} has no Python node {node}."
                self._complete([(item.token, self._failure(message))])
                return None
        if len(mailboxes) > 1:
            mailboxes.move_to_end(key)
        if isinstance(mailbox, Isolated):
            mailbox.worker.put(mailbox.stream, item)
            return mailbox.worker
        if mailbox.put(item):
            self._start(mailbox)
        return None

    def _make(
        self, mailboxes: OrderedDict[Key, Mailbox | Isolated], key: Key, item: LaneItem
    ) -> Mailbox | Isolated | None:
        recipe = self._recipes.get((item.pipeline, item.node))
        if recipe is None:
            if not mailboxes:
                del self._sessions[item.session]
            return None
        self._make_room(mailboxes)
        worker = self._workers.get((item.pipeline, item.node))
        made: Mailbox | Isolated
        if worker is not None:
            made = Isolated(key, worker)
            forget = partial(self._call_soon, partial(self._forget, made))
            made.stream = worker.stream(*key[:3], on_end=forget)
        else:
            kind = LoopMailbox if recipe.calling.on_loop else Mailbox
            made = kind(key, recipe, NodeSession(*key[:3], item.pipeline, item.node))
        mailboxes[key] = made
        return made

    def _make_room(self, mailboxes: OrderedDict[Key, Mailbox | Isolated]) -> None:
        if len(mailboxes) < MAX_INSTANCES:
            return
        unused = next((each for each in mailboxes.values() if each.idle), None)
        if unused is not None:
            self._counts["evicted"] += 1
            del mailboxes[unused.key]
            self._end(unused)

    def _start(self, mailbox: Mailbox) -> None:
        if isinstance(mailbox, LoopMailbox):
            self._runners.submit(mailbox)
        else:
            self._pool.submit(lambda: self._work_on_thread(mailbox))

    def _end_session(self, session: str) -> None:
        self._ended[session] = None
        while len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        for mailbox in list(self._sessions.get(session, {}).values()):
            self._end(mailbox)
        self._readable()

    def _end(self, mailbox: Mailbox | Isolated) -> None:
        if isinstance(mailbox, Isolated):
            mailbox.worker.end(mailbox.stream)
            return
        abandoned, start = mailbox.end()
        self._complete((item.token, []) for item in abandoned)
        if start:
            self._start(mailbox)
        elif isinstance(mailbox, LoopMailbox):
            self._loop.call_later(END_GRACE_SECONDS, self._cancel, mailbox)

    def _cancel(self, mailbox: LoopMailbox) -> None:
        task = self._runners.waiting(mailbox)
        if task is not None:
            task.cancel()

    def _forget(self, mailbox: Mailbox | Isolated) -> None:
        session = mailbox.key[0]
        mailboxes = self._sessions.get(session)
        # One that made room is not there any more; another may have taken its place.
        if mailboxes is not None and mailboxes.get(mailbox.key) is mailbox:
            del mailboxes[mailbox.key]
            if not mailboxes:
                del self._sessions[session]

    def _stop(self, done: Future[None]) -> None:
        self._stopping = True
        for session in list(self._sessions):
            self._end_session(session)
        self._watch(done)

    def _watch(self, done: Future[None]) -> None:
        if not self._sessions:
            done.set_result(None)
        elif not done.done():
            self._loop.call_later(0.01, lambda: self._watch(done))

    def _busy(self) -> Iterable[str]:
        sessions = list(self._sessions.values())
        return sorted({key[3] for mailboxes in sessions for key in list(mailboxes)})

    def _send(self) -> None:
        outbox, self._outbox = self._outbox, []
        self._complete(outbox)

    async def _work_on_loop(self, mailbox: LoopMailbox) -> None:
        waiting = mailbox.waiting
        while waiting:
            item = waiting.popleft()
            done: LaneDone
            try:
                call = mailbox.call or await self._prepare_on_loop(mailbox)
                done = (item.token, call.results(await call.begin(item)))
                mailbox.failing = False
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                done = (item.token, self._failed(mailbox, error))
            # Results are handed back once a turn of the loop, or when there are enough.
            outbox = self._outbox
            if not outbox:
                self._loop.call_soon(self._send)
            outbox.append(done)
            if len(outbox) >= SEND_ITEMS:
                self._send()
        if mailbox.pause():
            if mailbox.call is not None:
                await self._finish_on_loop(mailbox, mailbox.call.node)
            self._forget(mailbox)

    async def _prepare_on_loop(self, mailbox: Mailbox) -> Call[LaneResult]:
        recipe = mailbox.recipe
        node = recipe.node
        if not isinstance(node, FunctionNode):
            # Making it and a plain `def initialize` may load a model: not on the loop.
            node = await asyncio.wrap_future(self._pool.call(node.fresh))
            await self._step_on_loop(node.initialize)
        mailbox.call = Call(node, recipe.calling, mailbox.session, recipe.results)
        return mailbox.call

    async def _finish_on_loop(self, mailbox: Mailbox, node: Node) -> None:
        for step in (node.flush, node.cleanup):
            try:
                await self._step_on_loop(step)
            except (Exception, SystemExit, asyncio.CancelledError):
                _log.warning("%s of %s failed", step.__name__, mailbox.key[3], exc_info=True)

    async def _step_on_loop(self, step: Callable[[], object]) -> None:
        if _is_default(step):
            return
        if not inspect.iscoroutinefunction(step):
            value = await asyncio.wrap_future(self._pool.call(step))
        else:
            value = step()
        if isinstance(value, Awaitable):
            await value

    # On a thread of the pool.

    def _work_on_thread(self, mailbox: Mailbox) -> None:
        for _ in range(BURST_FRAMES):
            item = mailbox.take()
            if item is None:
                break
            done: LaneDone
            try:
                call = mailbox.call or self._prepare_on_thread(mailbox)
                done = (item.token, call.on_thread(item))
                mailbox.failing = False
            except (Exception, SystemExit) as error:
                done = (item.token, self._failed(mailbox, error))
            self._complete([done])
        else:
            self._pool.submit(lambda: self._work_on_thread(mailbox))
            return
        if mailbox.ended:
            if mailbox.call is not None:
                self._finish_on_thread(mailbox, mailbox.call.node)
            self._call_soon(lambda: self._forget(mailbox))

    def _prepare_on_thread(self, mailbox: Mailbox) -> Call[LaneResult]:
        recipe = mailbox.recipe
        node = recipe.node.fresh()
        self._step_on_thread(node.initialize)
        mailbox.call = Call(node, recipe.calling, mailbox.session, recipe.results)
        return mailbox.call

    def _finish_on_thread(self, mailbox: Mailbox, node: Node) -> None:
        for step in (node.flush, node.cleanup):
            try:
                self._step_on_thread(step)
            except (Exception, SystemExit):
                _log.warning("%s of %s failed", step.__name__, mailbox.key[3], exc_info=True)

    def _step_on_thread(self, step: Callable[[], object]) -> None:
        if _is_default(step):
            return
        value = step()
        if isinstance(value, Awaitable):
            asyncio.run_coroutine_threadsafe(_await(value), self._loop).result()

    # On any thread.

    def _complete(self, done: Iterable[LaneDone]) -> None:
        batch = list(done)
        if not batch:
            return
        try:
            self._engine.complete_lane(batch)
        except Exception:
            _log.debug("results were not taken", exc_info=True)

    def _completed(self, done: list[Done]) -> None:
        """Take what a worker made of frames."""
        answers: list[LaneDone] = []
        for token, result in done:
            if isinstance(result, list):
                answers.append((token, [self._native(each) for each in result]))
            else:
                self._counts["failures"] += 1
                answers.append((token, self._failure(result.message, result.traceback)))
        self._complete(answers)

    def _native(self, result: object) -> LaneResult:
        """Make a result of a worker what the native runtime takes."""
        if isinstance(result, tuple):
            port, value = result
            return cast("LaneResult", (port, self._native(value)))
        if isinstance(result, Opaque) and self._opaque is not None:
            return cast("LaneResult", self._opaque(result.value))
        return cast("LaneResult", result)

    def _worker_counters(self) -> dict[str, float]:
        workers = self._workers.values()
        if not workers:
            return {}
        counts = {
            f"remotemedia_worker_{name}_total": float(sum(each.counts[name] for each in workers))
            for name in ("restarts", "lost", "dropped")
        }
        counts["remotemedia_workers"] = float(sum(each.pid is not None for each in workers))
        return counts

    def _failed(self, mailbox: Mailbox, error: BaseException) -> LaneFailure:
        self._counts["failures"] += 1
        if not mailbox.failing:
            mailbox.failing = True
            _log.warning("node %s failed", mailbox.key[3], exc_info=error)
        return self._failure(describe(error), trace(error))

    def _call_soon(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is left to do
            self._loop.call_soon_threadsafe(function)


async def _await(value: Awaitable[object]) -> None:
    await value


def _is_default(step: Callable[[], object]) -> bool:
    return getattr(step, "__func__", None) in {Node.initialize, Node.flush, Node.cleanup}


__all__ = ["Lanes", "describe", "trace"]
