"""One process of a worker, as its parent holds it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from multiprocessing import spawn

from remotemedia.workers import child
from remotemedia.workers.memory import Memory
from remotemedia.workers.messages import Head, Inbox
from remotemedia.workers.output import Output
from remotemedia.workers.spin import Spin, receiving

RECEIVE_BYTES = 256 * 1024


class Process:
    """A running interpreter, its socket and the memory that is shared with it.

    Make it on a thread that lives as long as the process must: when that thread ends, the process
    is killed (see `linux.die_with_parent`).
    """

    def __init__(self, node: str) -> None:
        """Start it for a node.

        Raises:
            OSError: the system has no room for it.
        """
        with contextlib.ExitStack() as stack:
            ours, theirs = socket.socketpair()
            stack.callback(theirs.close)
            failed = stack.enter_context(contextlib.ExitStack())
            failed.callback(ours.close)
            fd = Memory.create()
            stack.callback(os.close, fd)
            watched, lifeline = os.pipe()
            stack.callback(os.close, watched)
            failed.callback(os.close, lifeline)
            printed, printing = os.pipe()
            stack.callback(os.close, printing)
            failed.callback(os.close, printed)
            self.memory = Memory(fd)
            passed = (theirs.fileno(), fd, watched)
            arguments = [json.dumps(sys.path), str(os.getpid()), *map(str, passed)]
            # The interpreter and its options as `multiprocessing` starts it, without what it runs.
            line = spawn.get_command_line()
            interpreter = line[: line.index("-c")]
            self._popen = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
                [*interpreter, "-c", child.PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=printing,
                stderr=printing,
                pass_fds=passed,
            )
            failed.pop_all()
        ours.setblocking(False)
        self._socket = ours
        self._lifeline = lifeline
        self._inbox = Inbox()
        self._receive = receiving(ours, RECEIVE_BYTES)
        self._spin = Spin(self._receive)
        self._output = Output(node, printed)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._poll = select.poll()
        self._poll.register(ours, select.POLLIN)
        self._poll.register(self._wake_in, select.POLLIN)
        self._poll.register(printed, select.POLLIN)
        self._unsent = bytearray()
        self.closed = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def unsent(self) -> int:
        """Bytes that wait until the socket takes more."""
        return len(self._unsent)

    def send(self, data: bytes) -> None:
        """Send bytes, or keep what the socket does not take now. The caller holds a lock."""
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is gone, which `receive` notices
        if sent < len(data):
            self._unsent += data[sent:]
            self.wake()

    def flush(self) -> None:
        """Send what was kept. The caller holds a lock."""
        if self._unsent:
            data = bytes(self._unsent)
            self._unsent.clear()
            self.send(data)

    def wake(self) -> None:
        """Let `receive` return."""
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\1")

    def receive(self, timeout: float) -> list[tuple[Head, bytes]] | None:
        """Wait for messages; None is the end of the process.

        Raises:
            ProtocolError: it said what cannot be read.
        """
        writing = bool(self._unsent)
        if writing:
            self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)
        else:
            data = self._spin.look()
            if data is not None:
                return self._inbox.feed(data) if data else None
        ready = self._poll.poll(timeout * 1000)
        if writing:
            self._poll.modify(self._socket, select.POLLIN)
        messages: list[tuple[Head, bytes]] = []
        for fd, _ in ready:
            if fd == self._wake_in.fileno():
                with contextlib.suppress(BlockingIOError):
                    self._wake_in.recv(64)
                continue
            if fd == self._output.fd:
                if not self._output.read():
                    self._poll.unregister(fd)
                continue
            data = self._receive()
            if data is None:
                continue
            if not data:
                return None
            messages += self._inbox.feed(data)
            self._spin.waited()
        if not messages and self._popen.poll() is not None:
            # A process that it started may keep the socket open.
            last = self._receive()
            return self._inbox.feed(last) if last else None
        return messages

    def look(self) -> None:
        """Do what is to be done now and then: take what it printed."""
        self._output.read()
        self._poll.register(self._output.fd, select.POLLIN)

    def close(self, grace: float) -> str:
        """End it, by force when it does not go within `grace` seconds, and say how it ended."""
        forced = False
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            forced = True
            self._popen.kill()
            self._popen.wait()
        self.closed = True
        self._output.close()
        for each in (self._socket, self._wake_in, self._wake_out):
            each.close()
        os.close(self._lifeline)
        return "was stopped" if forced else ended(self._popen.returncode)


def ended(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exited with {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"
