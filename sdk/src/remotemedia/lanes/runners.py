"""Many short coroutines on one event loop, without a task for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

J = TypeVar("J")


class Runners(Generic[J]):
    """Runs jobs in tasks that they share.

    A task works on one job after another for as long as none waits for anything. One that does has
    its task for itself, and a new task goes on with the rest, so it keeps no other from running.
    Each job runs in one task from its beginning to its end. To be used on the loop's thread only,
    where nothing else is said.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run: Callable[[J], Awaitable[None]],
        waits: Callable[[J], None] | None = None,
    ) -> None:
        """Run jobs on `loop` by `run`, which must not raise; `waits` is told of those that wait."""
        self._loop = loop
        self._job = run
        self._waits = waits
        self._ready: deque[J] = deque()
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._current: J | None = None
        self._waiting: dict[J, asyncio.Task[None]] = {}

    def submit(self, job: J) -> None:
        """Run `job` soon."""
        self._ready.append(job)
        if not self._scheduled:
            self._schedule()

    def submit_all(self, jobs: Sequence[J]) -> None:
        """Run `jobs` soon."""
        self._ready.extend(jobs)
        if self._ready and not self._scheduled:
            self._schedule()

    def cancel(self, job: J) -> None:
        """Cancel a job if it waits for something: no other job will run in its task."""
        task = self._waiting.get(job)
        if task is not None:
            task.cancel()

    def waiting(self) -> list[J]:
        """Give the jobs that wait for something."""
        return list(self._waiting)

    def at_work(self) -> J | None:
        """Give the job that runs now. May be called from any thread."""
        task = asyncio.current_task(self._loop)
        if task not in self._tasks:
            return None
        resumed = (job for job, each in list(self._waiting.items()) if each is task)
        return next(resumed, self._current)

    def take_ready(self) -> list[J]:
        """Take out the jobs that did not begin yet. May be called from any thread."""
        taken: list[J] = []
        try:
            while True:
                taken.append(self._ready.popleft())
        except IndexError:
            return taken

    def _schedule(self) -> None:
        self._scheduled = True
        task = self._loop.create_task(self._run(), name="nodes")  # numbering it takes longer
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        # It comes right after the task's first step.
        self._loop.call_soon(self._pump, task)

    def _pump(self, task: asyncio.Task[None]) -> None:
        self._scheduled = False
        job = self._current
        if job is not None and not task.done():
            self._waiting[job] = task
            if self._waits is not None:
                self._waits(job)
        if self._ready:
            self._schedule()

    async def _run(self) -> None:
        ready, run, waiting = self._ready, self._job, self._waiting
        while ready:
            try:
                job = self._current = ready.popleft()
            except IndexError:
                return
            await run(job)
            if waiting and waiting.pop(job, None) is not None:
                return

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._ready and not self._scheduled:
            self._schedule()
