"""From the native runtime to nodes and back."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, cast

from remotemedia.frames import NodeSession
from remotemedia.lanes.answers import Answers, log
from remotemedia.lanes.calling import Calling
from remotemedia.lanes.failures import describe, shortened, trace
from remotemedia.lanes.isolated import Isolated
from remotemedia.lanes.loops import END_GRACE_SECONDS, LoopLane
from remotemedia.lanes.mailbox import Key, Mailbox, Recipe
from remotemedia.lanes.pool import ThreadPool
from remotemedia.lanes.registry import Registry, Stream
from remotemedia.lanes.sorting import Make, Opaque, Sorting
from remotemedia.lanes.threads import ThreadLane
from remotemedia.lanes.watch import Watch, place_of, stack_of

if TYPE_CHECKING:
    from traceback import StackSummary

    from remotemedia._native import (
        FailureType,
        LaneDone,
        LaneEngine,
        LaneItem,
        LaneResult,
    )
    from remotemedia.planning import Plan
    from remotemedia.workers import Done, Limits, Worker

POLL_ITEMS = 64
"""Frames taken at once; the rest waits for the loop's next turn, so that the first answers of a
burst do not wait for the last."""
MAX_ENDED = 4_096
"""Sessions that ended while frames waited to be taken and that are remembered, so that late frames
make nothing new; the oldest goes. All are forgotten as soon as no frame waits."""
MAX_LOOPS = 16
"""Loops besides the first, for streams of nodes that blocked it: one each, and when there are so
many, further streams share them."""
STOP_SECONDS = 3.0
"""How long nodes may take to clean up when everything stops."""
JOIN_SECONDS = 1.0
"""How long the loops' threads may take to end; an ``async def`` that blocks one keeps it longer."""


class Lanes:
    """Runs Python nodes: on an event loop, on threads, and in worker processes.

    ``async def`` runs on a loop of its own, ``def`` on threads, unless they ask for a process.

    Frames of one node and stream are worked on in their order, one at a time; one stream never
    waits for another. Each stream has its own instance of each node. When an ``async def`` blocks
    the loop, that frame fails and says where, and all other streams go on on another loop: with
    their instances, unless these have ever waited for something on the old one; such begin anew.
    From then on streams of that node run on loops of their own.

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
        self._data = data
        self._opaque = opaque
        self._limits = limits
        self._recipes: dict[tuple[str, str], Recipe] = {}
        self._workers: dict[tuple[str, str], Worker] = {}
        self._registry = Registry()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._epochs: dict[str, int] = {}
        """Those of sessions that were interrupted, until they end."""
        self._answers = Answers(engine, failure)
        self._pool = ThreadPool()
        self._threads = ThreadLane(self._answers, self._pool, self._wait_for, self._forget_soon)
        self._home: LoopLane
        """The loop that takes frames, and on which every ``async def`` begins."""
        self._apart: list[LoopLane] = []
        """The loops of nodes that blocked it."""
        self._blocking: set[Recipe] = set()
        self._watch = Watch(lambda: self._home, self._blocked)
        self._lock = threading.Lock()
        """Held by whoever changes what is above: the home's thread, or the watch."""
        self._tasks: deque[Callable[[], object]] = deque()
        self._stopped: Future[None] | None = None
        self._started = False
        self._fd = -1

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
            recipe = Recipe(entry.node, Calling.of(entry.node), sorting.of)
            self._recipes[plan.name, node_id] = recipe
            if entry.isolation == "process":
                self._workers[plan.name, node_id] = self._worker(plan.name, node_id, recipe)

    def start(self) -> None:
        """Start the worker processes and the loop's thread, and listen."""
        for worker in self._workers.values():
            worker.start()
        self._fd = self._engine.lane_fd()
        self._home = self._make_home()
        self._watch.start()
        self._started = True

    def end_session(self, session: str) -> None:
        """Clean up the instances of a session. May be called from any thread."""
        self._call_soon(partial(self._end_session, session))

    def interrupt(self, session: str, epoch: int) -> None:
        """Tell the nodes of a session that a client interrupts. May be called from any thread.

        Args:
            session: its id.
            epoch: of the first frames after it; generators at work on others are closed.
        """
        self._call_soon(partial(self._interrupt, session, epoch))

    async def ping(self) -> None:
        """Return once the loop has had a turn: it is not blocked."""
        turned: Future[None] = Future()
        self._call_soon(partial(_settle, turned))
        await asyncio.wrap_future(turned)

    def counters(self) -> dict[str, float]:
        """Give figures for metrics; those that end in ``_total`` only grow."""
        return {
            **{
                f"remotemedia_lane_{name}_total": float(count)
                for name, count in self._answers.counts.items()
            },
            "remotemedia_lane_instances": float(len(self._registry)),
            "remotemedia_lane_threads": float(self._pool.threads),
            "remotemedia_lane_loops": float(self._started + len(self._apart)),
            **self._worker_counters(),
        }

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """End every session, wait for the clean-up, and stop.

        Args:
            timeout: how long to wait, in seconds.

        Returns:
            False when a node is still busy: its thread is left behind and ends with the process.
        """
        if not self._started:
            return True
        done: Future[None] = Future()
        self._call_soon(partial(self._stop, done))
        finished = bool(wait([done], timeout).done)
        if not finished:
            log.warning("nodes are still busy: %s", ", ".join(self._busy()))
        for worker in self._workers.values():
            worker.close(wait=False)
        for worker in self._workers.values():
            worker.close()
        self._watch.stop()
        with self._lock:
            lanes = [self._home, *self._apart]
        for lane in lanes:
            lane.stop()
        deadline = monotonic() + JOIN_SECONDS
        for lane in lanes:
            lane.thread.join(max(0.0, deadline - monotonic()))
        self._pool.close()
        self._started = False
        return finished

    def _worker(self, pipeline: str, node_id: str, recipe: Recipe) -> Worker:
        from remotemedia.workers import Work, Worker

        results = cast("Callable[[object], list[object]]", recipe.results)
        work = Work(pipeline, node_id, recipe.node, recipe.calling, results)
        return Worker(work, self._completed, self._limits)

    def _make_home(self) -> LoopLane:
        lane = LoopLane("remotemedia-lanes", self._answers, self._pool, self._forget_soon)
        lane.loop.add_reader(self._fd, self._readable, lane)
        lane.thread.start()
        return lane

    def _call_soon(self, task: Callable[[], object]) -> None:
        """Call `task` on the home's thread. May be called from any thread."""
        self._tasks.append(task)
        home = self._home
        home.call_soon(partial(self._run_tasks, home))

    def _wait_for(self, value: Awaitable[object]) -> None:
        self._home.wait_for(value)

    def _forget_soon(self, stream: Stream) -> None:
        self._call_soon(partial(self._forget, stream))

    # On the home's thread, with the lock.

    def _run_tasks(self, lane: LoopLane) -> None:
        with self._lock:
            while lane is self._home and self._tasks:
                self._tasks.popleft()()
            lane.turned = True

    def _readable(self, lane: LoopLane) -> None:
        with self._lock:
            if lane is self._home:
                self._take_frames()
            else:
                lane.loop.remove_reader(self._fd)
            lane.turned = True

    def _take_frames(self) -> None:
        # What is left keeps the descriptor readable.
        items = self._engine.poll_lane(POLL_ITEMS)
        frames = self._answers.counts["frames"] = self._answers.counts["frames"] + len(items)
        home, streams, ended = self._home, self._registry.streams, self._ended
        ready: list[Mailbox] = []
        others: list[Mailbox] = []
        workers: set[Worker] = set()
        for item in items:
            key = (item.session, item.participant, item.stream, item.node)
            stream = streams.get(key)
            if stream is None or ended:
                stream = self._stream(item, key)
                if stream is None:
                    continue
            stream.used = frames
            if isinstance(stream, Isolated):
                stream.worker.put(stream.stream, item)
                workers.add(stream.worker)
            elif stream.put(item):
                (ready if stream.lane is home else others).append(stream)
        home.submit(ready)
        self._submit(others)
        for worker in workers:
            worker.flush()
        if len(items) < POLL_ITEMS and self._stopped is None:
            # The engine queues a session's last frame before it tells that the session has ended.
            self._ended.clear()

    def _stream(self, item: LaneItem, key: Key) -> Stream | None:
        """Find where a frame goes, or make it; a frame that goes nowhere is answered."""
        if self._stopped is not None or key[0] in self._ended:
            self._answers.counts["late"] += 1
            self._answers.complete([(item.token, [])])
            return None
        known = self._registry.streams.get(key)
        if known is not None:
            return known
        recipe = self._recipes.get((item.pipeline, item.node))
        if recipe is None:
            message = f"{item.pipeline} has no Python node {item.node}."
            self._answers.complete([(item.token, self._answers.failure(message))])
            return None
        unused = self._registry.in_the_way(key[0])
        if unused is not None:
            self._answers.counts["evicted"] += 1
            self._registry.remove(unused)
            self._end(unused)
        worker = self._workers.get((item.pipeline, item.node))
        made: Stream
        if worker is not None:
            made = Isolated(key, worker)
            end = partial(self._forget_soon, made)
            made.stream = worker.stream(*key[:3], on_end=end, epoch=self._epochs.get(key[0], 0))
        else:
            made = self._mailbox(recipe, NodeSession(*key[:3], item.pipeline, item.node))
        self._registry.put(made)
        return made

    def _submit(self, mailboxes: Sequence[Mailbox]) -> None:
        self._threads.submit([each for each in mailboxes if each.lane is None])
        for each in mailboxes:
            if each.lane is not None:
                each.lane.submit_soon(each)

    def _mailbox(self, recipe: Recipe, session: NodeSession) -> Mailbox:
        key = (session.id, session.participant, session.stream, session.node)
        made = Mailbox(key, recipe, session, epoch=self._epochs.get(session.id, 0))
        if recipe.calling.on_loop:
            self._settle_on(self._lane_for(recipe), made)
        return made

    def _settle_on(self, lane: LoopLane, mailbox: Mailbox) -> None:
        if mailbox.lane is not None:
            mailbox.lane.streams.discard(mailbox)
        mailbox.lane = lane
        lane.streams.add(mailbox)

    def _lane_for(self, recipe: Recipe) -> LoopLane:
        if recipe not in self._blocking:
            return self._home
        if len(self._apart) >= MAX_LOOPS:
            busy = self._apart
            return min(busy, key=lambda lane: (lane.at_work() is not None, len(lane.streams)))
        lane = LoopLane("remotemedia-lane-apart", self._answers, self._pool, self._forget_soon)
        lane.thread.start()
        self._apart.append(lane)
        return lane

    def _interrupt(self, session: str, epoch: int) -> None:
        self._epochs[session] = epoch
        for stream in self._registry.of(session):
            if isinstance(stream, Isolated):
                stream.worker.interrupt(stream.stream, epoch)
                continue
            stream.epoch = epoch
            if stream.lane is not None:
                stream.lane.interrupt(stream)
            else:
                self._threads.interrupt(stream)

    def _end_session(self, session: str) -> None:
        self._ended[session] = None
        self._epochs.pop(session, None)
        while len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        for stream in self._registry.of(session):
            self._end(stream)
        self._take_frames()

    def _end(self, stream: Stream) -> None:
        if isinstance(stream, Isolated):
            stream.worker.end(stream.stream)
            return
        abandoned, start = stream.end()
        self._answers.complete([(item.token, []) for item in abandoned])
        if start:
            self._submit((stream,))
        elif stream.lane is not None:
            stream.lane.cancel(stream, END_GRACE_SECONDS)

    def _forget(self, stream: Stream) -> None:
        self._registry.remove(stream)
        self._check_stopped()
        if isinstance(stream, Mailbox) and stream.lane is not None:
            stream.lane.streams.discard(stream)
            self._close_unused(stream.lane)

    def _close_unused(self, lane: LoopLane) -> None:
        if lane in self._apart and not lane.streams:
            self._apart.remove(lane)
            lane.stop()

    def _stop(self, done: Future[None]) -> None:
        self._stopped = done
        for session in self._registry.sessions():
            self._end_session(session)
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._stopped is not None and not self._registry:
            _settle(self._stopped)

    def _busy(self) -> Iterable[str]:
        return sorted({key[3] for key in list(self._registry.streams)})

    # On the watch's thread.

    def _blocked(self, lane: LoopLane) -> None:
        """Go on without a loop that does not turn."""
        stack = stack_of(lane.thread)
        with self._lock:
            guilty = lane.at_work()
            if lane is not self._home or lane.turned:
                return
            name = "something" if guilty is None else f"node {guilty.key[3]}"
            log.warning("%s blocks the loop of the lanes %s", name, place_of(stack))
            if guilty is None and len(self._apart) >= MAX_LOOPS:
                return
            home = self._make_home()  # it waits for the lock
            self._answers.counts["blocked"] += 1
            self._apart.append(lane)
            done, held, queued = lane.give_up()
            if guilty is not None:
                self._blocking.add(guilty.recipe)
                done += self._explain(guilty, held.pop(guilty, None), stack)
            lost = f"the frame is lost: {name} blocked the event loop, and this one begins anew."
            done += [(token, self._answers.failure(lost)) for token in held.values()]
            self._answers.complete(done)
            self._home = home
            lane.leave()
            for mailbox in list(lane.streams):
                if mailbox is not guilty:
                    self._move(mailbox, lane, mailbox in queued)
            self._close_unused(lane)
        home.call_soon(partial(self._run_tasks, home))

    def _explain(self, guilty: Mailbox, token: int | None, stack: StackSummary) -> list[LaneDone]:
        """Fail the frame of a node that blocks; one that begins or ends has none."""
        if token is None:
            try:
                token = guilty.waiting.popleft().token
            except IndexError:
                return []
        message = (
            f"the node blocked the event loop {place_of(stack)}. "
            'Let it `await`, make it a plain `def`, or set isolation="process".'
        )
        text = "".join(["Traceback (most recent call last):\n", *stack.format()])
        return [(token, self._answers.failure(message, shortened(text)))]

    def _move(self, mailbox: Mailbox, lane: LoopLane, queued: bool) -> None:
        """Take a stream off a loop that is blocked; `queued` if its runner did not begin yet."""
        if not mailbox.bound and (queued or not mailbox.running):
            target = self._lane_for(mailbox.recipe)
            self._settle_on(target, mailbox)
            if queued:
                target.submit_soon(mailbox)
            return
        # The instance may hold on to the loop: another takes its place, and it ends there.
        ending = mailbox.ended
        frames, start = mailbox.end()
        if queued or start:
            lane.submit_soon(mailbox)
        else:
            lane.cancel(mailbox)
        if ending:
            self._registry.remove(mailbox)
            self._check_stopped()
            return
        self._answers.counts["restarts"] += 1
        session = mailbox.session
        made = self._mailbox(
            mailbox.recipe, NodeSession(*mailbox.key[:3], session.pipeline, session.node)
        )
        self._registry.put(made)
        if [item for item in frames if made.put(item)] and made.lane is not None:
            made.lane.submit_soon(made)

    # On any thread.

    def _completed(self, done: list[Done]) -> None:
        """Take what a worker made of frames."""
        answers: list[LaneDone] = []
        for token, result, *more in done:
            if not isinstance(result, list):
                answers.append((token, self._answers.failure(result.message, result.traceback)))
            elif more:
                answers.append((token, [self._native(each) for each in result], True))
            else:
                answers.append((token, [self._native(each) for each in result]))
        self._answers.complete(answers)

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


def _settle(future: Future[None]) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(None)


__all__ = ["Lanes", "describe", "trace"]
