"""Threads for nodes that may block."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

MAX_THREADS = 64
"""Threads at most; when all are busy, work waits for the first that is free."""
IDLE_SECONDS = 30.0
"""A thread that had nothing to do for so long ends."""


class ThreadPool:
    """Grows while every thread is busy, up to a bound, and shrinks when idle.

    The threads are daemons: a node that never returns does not keep the process alive. What waits
    is bounded by the callers, who hand in one job for each mailbox.
    """

    def __init__(self, max_threads: int = MAX_THREADS, name: str = "remotemedia-node") -> None:
        """Make a pool without threads."""
        self._max = max_threads
        self._name = name
        self._jobs: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._threads = 0
        self._idle = 0
        self._started = 0
        self._closed = False
        self._waking = False

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return self._threads

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job`, which must not raise, on a thread as soon as one is free."""
        self.submit_all((job,))

    def submit_all(self, jobs: Iterable[Callable[[], None]]) -> None:
        """Run `jobs`, which must not raise."""
        self._jobs.extend(jobs)
        if self._jobs and not self._waking:
            with self._lock:
                self._wake()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` on a thread as soon as one is free, and give what becomes of it."""
        result: Future[T] = Future()

        def job() -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(function())
            except BaseException as error:
                result.set_exception(error)

        self.submit(job)
        return result

    def close(self) -> None:
        """Let idle threads end; busy ones end after their job."""
        with self._lock:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()

    def _wake(self) -> None:
        """Let one more thread come, unless one is on its way; that one calls the next.

        So a burst of quick jobs wakes few threads, and jobs that block as many as there are.
        """
        if self._waking or not self._jobs:
            return
        if self._idle:
            self._waking = True
            self._changed.notify()
        elif self._threads < self._max:
            self._waking = True
            self._threads += 1
            self._started += 1
            threading.Thread(
                target=self._work, name=f"{self._name}-{self._started}", daemon=True
            ).start()

    def _work(self) -> None:
        self._waking = False
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                if not self._rest():
                    return
                continue
            if self._jobs and not self._waking:
                with self._lock:
                    self._wake()
            job()

    def _rest(self) -> bool:
        """Wait for jobs; False when the thread must end."""
        with self._lock:
            while not self._jobs:
                if self._closed or not self._wait():
                    self._threads -= 1
                    return False
            return True

    def _wait(self) -> bool:
        self._idle += 1
        notified = self._changed.wait(IDLE_SECONDS)
        self._idle -= 1
        # Whoever was told may have found its time over at that moment.
        self._waking = False
        return notified or bool(self._jobs)
