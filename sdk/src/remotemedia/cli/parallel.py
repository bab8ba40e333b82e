"""Several inputs at once, each in one of some processes.

Each process runs one input after the other. One that dies, whatever kills it, fails the input that
it worked on, and another takes its place. They end with the process that started them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler
from multiprocessing import connection
from typing import TYPE_CHECKING, cast

from remotemedia.cli.work import Done, Failed, Job, Report, Tell, Telling, Writing, work
from remotemedia.errors import INTERNAL, RemoteMediaError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from remotemedia.pipeline import Pipeline

LOGGERS = ("remotemedia", "remotemedia_signaling")
"""Whose messages are taken to the parent."""
END_SECONDS = 2.0
"""How long a process may take to end that has nothing more to do."""

_context = multiprocessing.get_context("spawn")


def run_all(
    named: str,
    jobs: Sequence[Job],
    count: int,
    telling: Telling,
    report: Callable[[Job, Report], None],
) -> None:
    """Run all jobs, by so many processes.

    Args:
        named: the pipeline as the command line names it; each process loads it.
        jobs: the inputs.
        count: how many processes.
        telling: what shall be told of each.
        report: is told, on this thread. `Done` or `Failed` is the last of each job.
    """
    waiting = deque(jobs)
    workers: list[_Worker] = []
    logged: set[str] = set()
    try:
        while waiting or workers:
            while waiting and len(workers) < count:
                workers.append(_Worker(named, telling))
                workers[-1].give(waiting.popleft())
            for worker in _ready(workers):
                told = worker.receive()
                if isinstance(told, logging.LogRecord):
                    # What is so of the machine or the pipeline each process finds out anew.
                    if told.getMessage() not in logged:
                        logged.add(told.getMessage())
                        logging.getLogger(told.name).handle(told)
                    continue
                job = cast("Job", worker.job)
                if isinstance(told, Done | Failed):
                    if worker.alive and waiting:
                        worker.give(waiting.popleft())
                    else:
                        worker.dismiss()
                report(job, told)
            workers = [each for each in workers if each.job is not None]
    finally:
        for worker in workers:
            worker.kill()


class _Worker:
    """A process, as its parent holds it.

    Attributes:
        job: what it works on.
        alive: whether it can be given another.
    """

    def __init__(self, named: str, telling: Telling) -> None:
        self.connection, theirs = _context.Pipe()
        self.job: Job | None = None
        self.alive = True
        self._writing = False
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        self.process = _context.Process(
            target=_serve, args=(theirs, named, telling, levels), name="remotemedia-run"
        )
        with _interrupts_held():
            self.process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Let it work on a job."""
        self.job, self._writing = job, False
        with suppress(OSError):  # one that is gone is noticed by `receive`
            self.connection.send(job)

    def receive(self) -> Report | logging.LogRecord:
        """Take what it tells; `Failed` where it died."""
        try:
            if not self.connection.poll():  # its own children may keep the pipe open
                raise EOFError
            told: Report | logging.LogRecord = self.connection.recv()
        except (EOFError, OSError):
            self.alive = False
            self.process.join(END_SECONDS)
            if self.job is not None and self._writing:
                self.job.discard()
            return Failed(f"its process {_ended(self.process.exitcode)}", INTERNAL)
        if isinstance(told, Writing):
            self._writing = True
        return told

    def dismiss(self) -> None:
        """Let it end."""
        self.job = None
        self.connection.close()
        self.process.join(END_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()

    def kill(self) -> None:
        """End it at once, and take away what it was writing."""
        self.process.kill()
        self.process.join()
        self.connection.close()
        if self.job is not None and self._writing:
            self.job.discard()


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait until some have something to tell, or have died."""
    told = connection.wait(
        [each.connection for each in workers] + [each.process.sentinel for each in workers]
    )
    return [each for each in workers if each.connection in told or each.process.sentinel in told]


def _ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exited with {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " Perhaps memory ran out: --jobs 1 runs one at a time." if name == "SIGKILL" else ""
    return f"was killed by {name}.{hint}"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach: it is for the parent, which ends the others."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(parent: Connection, named: str, telling: Telling, levels: dict[str, int]) -> None:
    """Run jobs until the parent has no more. This is where a process begins."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_watch, name="remotemedia-watch", daemon=True).start()
    lock = threading.Lock()

    def tell(report: Report | logging.LogRecord) -> None:
        try:
            with lock:
                parent.send(report)
        except OSError:
            os._exit(1)  # it is gone

    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).addHandler(_Handler(tell))
    with suppress(EOFError, OSError):  # it has no more jobs
        _work(parent, named, telling, tell)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that are stuck in a node must not keep it


def _work(parent: Connection, named: str, telling: Telling, tell: Tell) -> None:
    from remotemedia.cli.pipelines import load_pipeline

    pipeline: Pipeline | None = None
    while True:
        job: Job = parent.recv()
        try:
            pipeline = pipeline or load_pipeline(named)
            work(pipeline, job, telling, tell)
        except RemoteMediaError as error:
            tell(Failed(str(error), error.code))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            tell(Failed(text, INTERNAL, traceback.format_exc()))


def _watch() -> None:
    """End this process as soon as the one that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Handler(QueueHandler):
    """Takes log messages to the parent."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)  # type: ignore[arg-type]  # `enqueue` is all that uses it

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue(record)  # type: ignore[operator]
