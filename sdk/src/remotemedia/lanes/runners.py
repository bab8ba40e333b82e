"""Many short coroutines on one event loop, without a task for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

J = TypeVar("J")


class Runners(Generic[J]):
    """Runs jobs in tasks that they share.

    A task works on one job after another for as long as none waits for anything. When one does, a
    new task goes on with the rest, so a job that waits keeps no other from running. Each job runs
    in one task from its beginning to its end. To be used on the loop's thread only.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, run: Callable[[J], Awaitable[None]]
    ) -> None:
        """Run jobs on `loop` by `run`, which must not raise."""
        self._loop = loop
        self._job = run
        self._ready: deque[J] = deque()
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancelled: set[asyncio.Task[None]] = set()

    def submit(self, job: J) -> None:
        """Run `job` soon."""
        self._ready.append(job)
        self._schedule()

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Cancel the job that runs in `task` now; others do not run in it any more."""
        self._cancelled.add(task)
        task.cancel()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            task = self._loop.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._forget)
            # It comes after the task's first step: what is left then waits for a job that waits.
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        if self._ready:
            self._schedule()

    async def _run(self) -> None:
        task = asyncio.current_task()
        ready, run = self._ready, self._job
        while ready and task not in self._cancelled:
            await run(ready.popleft())

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._cancelled.discard(task)
        if self._ready:
            self._schedule()
