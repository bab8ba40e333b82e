"""The Python nodes of a run."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from remotemedia.base import Node
    from remotemedia.formats import AudioFormat
    from remotemedia.frames import NodeSession
    from remotemedia.running.backend import Backend, LaneDone, LaneItem
    from remotemedia.running.instances import Instance
    from remotemedia.running.isolated import IsolatedInstance
    from remotemedia.running.loop import LoopThread
    from remotemedia.twin.metrics import NodeMetrics

CLEANUP_SECONDS = 3.0
"""How long nodes may take to clean up; one that takes longer is left behind with its thread."""


@dataclass(frozen=True)
class Recipe:
    """A Python node of a plan.

    Attributes:
        node: what instances are made of.
        outputs: the format of audio by output; None where an output takes none.
        fed: the outputs from which other nodes take.
        isolated: it runs in a process of its own.
    """

    node: Node
    outputs: Mapping[str, AudioFormat | None]
    fed: frozenset[str] = frozenset()
    isolated: bool = False


class Workers:
    """Runs Python nodes: ``async def`` on a loop of this run's own, others on threads.

    Frames of one node are worked on in their order; different nodes work at the same time. Each
    run has its own instances.
    """

    def __init__(
        self,
        pipeline: str,
        recipes: Mapping[str, Recipe],
        backend: Backend,
        *,
        measure: bool,
        flowing: bool = False,
    ) -> None:
        """Make workers that have not begun.

        Args:
            pipeline: its name.
            recipes: what instances are made of, by node.
            backend: makes what goes back.
            measure: keep times.
            flowing: hand results on as they come, what a generator yields one by one, rather than
                those of a node and a wave of frames together.
        """
        self.metrics: dict[str, NodeMetrics] = {}
        self.failures: dict[str, BaseException] = {}
        self.backend = backend
        self.flowing = flowing
        self._measure = measure
        self._loop: LoopThread | None = None
        self._pipeline = pipeline
        self._recipes = recipes
        self._instances: dict[tuple[str, str], Instance | IsolatedInstance] = {}
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, str], list[LaneItem]] = {}
        """By instance that is at work, the frames that came meanwhile."""
        self._done: list[LaneDone] = []
        self._failed: list[BaseException] = []
        self._cancelled = False

    @property
    def loop(self) -> LoopThread:
        """The loop of this run."""
        with self._changed:
            if self._loop is None:
                from remotemedia.running.loop import LoopThread

                self._loop = LoopThread()
            return self._loop

    def work(self, items: Sequence[LaneItem]) -> list[LaneDone]:
        """Work on frames, and give what became of them in the same order.

        Raises:
            NodeError: a node cannot begin: making it, or its `initialize`, failed.
            Cancelled: `cancel` was called.
        """
        self.start(items)
        done: dict[int, LaneDone] = {}
        while self.busy:
            done.update({each[0]: each for each in self.take()})
        self.check()
        return [done[item.token] for item in items]

    def start(self, items: Sequence[LaneItem]) -> None:
        """Begin to work on frames, or after those that their nodes have."""
        batches: dict[tuple[str, str], list[LaneItem]] = {}
        for item in items:
            batches.setdefault((item.node, item.stream), []).append(item)
        for key, batch in batches.items():
            with self._changed:
                waiting = self._waiting.get(key)
                if waiting is not None:
                    waiting += batch
                    continue
                self._waiting[key] = []
            self._begin(key, batch)

    @property
    def busy(self) -> bool:
        """Whether there is something to `take`, now or soon."""
        with self._changed:
            return bool(self._waiting or self._done or self._failed)

    def take(self, seconds: float | None = None) -> list[LaneDone]:
        """Wait for what becomes of frames, for so long at most, and give it.

        Raises:
            NodeError, Cancelled: as `work`.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._done or self._failed or not self._waiting or self._cancelled, seconds
            )
            if self._cancelled:
                raise Cancelled
            if self._failed:
                raise self._failed[0]
            done, self._done = self._done, []
            return done

    def hand(self, done: Sequence[LaneDone]) -> None:
        """Take what became of frames. May be called from any thread."""
        with self._changed:
            self._done += done
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for a time.

        Raises:
            Cancelled: `cancel` was called.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._cancelled, seconds):
                raise Cancelled

    def check(self) -> None:
        """See whether the run goes on.

        Raises:
            Cancelled: `cancel` was called.
        """
        if self._cancelled:
            raise Cancelled

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Let whoever waits go. May be called from any thread."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def close(self) -> None:
        """Clean the nodes up and end the loop."""
        if self._cancelled:
            for instance in self._instances.values():
                instance.abandon()
        if self._instances:
            from concurrent.futures import wait

            wait([each.finish() for each in self._instances.values()], CLEANUP_SECONDS)
            self._instances.clear()
        if self._loop is not None:
            self._loop.stop()

    def _begin(self, key: tuple[str, str], batch: Sequence[LaneItem]) -> None:
        self._instance(*key).start(batch).add_done_callback(partial(self._finished, key))

    def _finished(self, key: tuple[str, str], future: Future[None]) -> None:
        with self._changed:
            batch = self._waiting[key]
            error = None if future.cancelled() else future.exception()
            if error is not None:
                self._failed.append(error)
            going = bool(batch) and error is None and not self._cancelled
            if going:
                self._waiting[key] = []
            else:
                del self._waiting[key]
            self._changed.notify_all()
        if going:
            self._begin(key, batch)

    def _instance(self, node: str, stream: str) -> Instance | IsolatedInstance:
        key = (node, stream)
        if key not in self._instances:
            from remotemedia.frames import NodeSession
            from remotemedia.twin.metrics import NodeMetrics

            session = NodeSession("offline", "p1", stream, self._pipeline, node)
            self.metrics.setdefault(node, NodeMetrics(node, self._measure))
            self._instances[key] = self._make(self._recipes[node], session)
        return self._instances[key]

    def _make(self, recipe: Recipe, session: NodeSession) -> Instance | IsolatedInstance:
        if not recipe.isolated:
            from remotemedia.running.instances import Instance

            return Instance(self, recipe, session)
        from remotemedia.running.isolated import IsolatedInstance, Sorting

        sorting = Sorting(recipe.outputs, recipe.fed)
        metrics = self.metrics[session.node]
        return IsolatedInstance(self, recipe.node, sorting, session, metrics)


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """The run was cancelled."""
