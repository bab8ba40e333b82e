"""The worker's side: where a process begins, and how it ends."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, cast

from remotemedia.workers import shipping
from remotemedia.workers.linux import die_with_parent, go_first_when_memory_is_short
from remotemedia.workers.memory import Memory
from remotemedia.workers.messages import Head, Kind, message, write_broken

if TYPE_CHECKING:
    from remotemedia.workers.link import Link
    from remotemedia.workers.work import Work

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from remotemedia.workers.child import main; main()"
)
"""What a worker's interpreter is told to run; see `main` for its arguments."""

starting = False
"""True while a worker imports its node: then it may start no workers of its own."""


def main() -> None:
    """Run a worker.

    The command line is the parent's ``sys.path`` as JSON, the parent's process id, and the
    descriptors of the socket, the memory and the pipe that lives as long as the parent.
    """
    _, _, parent, connection, memory, lifeline = sys.argv
    die_with_parent()
    if os.getppid() != int(parent):
        os._exit(0)  # it died before it was watched
    for each in (sys.stdout, sys.stderr):
        if isinstance(each, io.TextIOWrapper):
            each.reconfigure(line_buffering=True)  # nothing that it says may be lost with it
    faulthandler.enable()
    go_first_when_memory_is_short()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    watch(int(lifeline))
    with socket.socket(fileno=int(connection)) as each:
        mapped = Memory(int(memory))
        os.close(int(memory))
        _run(each, mapped)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that are stuck in a node must not keep it


def watch(lifeline: int) -> None:
    """End this process at once when the pipe's other end is closed."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, name="remotemedia-watch", daemon=True).start()


def _run(connection: socket.socket, memory: Memory) -> None:
    # Imports that take a while come after the watch has begun.
    from remotemedia.workers.link import Link, trace_of

    link = Link(connection, memory)
    received = link.receive()
    if not received:
        return
    try:
        work = _load(received[0][1])
    except BaseException as error:
        link.send(write_broken(f"{type(error).__name__}: {error}", trace_of(error)))
        return
    # What is loaded stays: collections need not look at it again.
    gc.collect()
    gc.freeze()
    link.send(message(Head(Kind.READY)))
    _serve(link, work)


def _load(luggage: bytes) -> Work:
    global starting  # noqa: PLW0603 - the main program may be imported, and start again
    starting = True
    try:
        return cast("Work", shipping.unpack(luggage))
    finally:
        starting = False


def _serve(link: Link, work: Work) -> None:
    if work.calling.on_loop:
        from remotemedia.workers.looping import Looping

        Looping(link, work).run()
    else:
        from remotemedia.workers.crew import Crew

        Crew(link, work).run()
