"""Nodes that run in worker processes: these must be able to import them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path

import numpy as np

from remotemedia import AudioFrame, Node, Out, node


@node(isolation="process")
def where(audio, session):
    return {
        "pid": os.getpid(),
        "executable": sys.executable,
        "mark": os.environ.get("REMOTEMEDIA_TEST_MARK"),
        "session": [session.id, session.participant, session.stream, session.pipeline],
        "seq": session.seq,
    }


@node(isolation="process")
def double(audio):
    return audio * 2


@node(isolation="process")
async def double_later(audio):
    await asyncio.sleep(0)
    return audio * 2


@node(isolation="process")
def several(audio):
    yield {"first": float(audio[0])}
    yield None
    yield audio
    yield "last"


@node(isolation="process")
async def several_later(audio):
    yield {"first": float(audio[0])}
    await asyncio.sleep(0)
    yield audio
    yield "last"


class Counter(Node):
    """Counts the frames of its stream, and does what their first sample says."""

    def __init__(self, step=1):
        super().__init__(isolation="process")
        self.step = step
        self.count = 0
        self.kept = []

    def initialize(self):
        self.count = 0

    def process(self, frame: AudioFrame):
        self.count += self.step
        self.kept.append(frame.samples)
        behave(float(frame.samples.flat[0]))
        same = all((each == each.flat[0]).all() for each in self.kept)
        return {"count": self.count, "pid": os.getpid(), "same": bool(same)}


class CounterLater(Counter):
    async def process(self, frame: AudioFrame):
        return super().process(frame)


KILL, EXIT, RAISE, BLOCK, FREEZE, GARBAGE, UNPICKLABLE = range(2, 9)


def behave(what):
    if what == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == EXIT:
        os._exit(3)
    elif what == RAISE:
        raise ZeroDivisionError("by nothing")
    elif what == BLOCK:
        threading.Event().wait()
    elif what == FREEZE:
        ctypes.PyDLL(None).pause()  # with the interpreter's lock
    elif what == GARBAGE:
        # The socket to the parent is the only stream socket that this process has.
        for fd in map(int, os.listdir("/proc/self/fd")):
            if os.path.exists(f"/proc/self/fd/{fd}") or fd > 2:
                with contextlib.suppress(OSError):
                    socket.socket(fileno=os.dup(fd)).sendall(b"garbage" * 1000)
        threading.Event().wait()


class Writing(Node):
    """Writes what is called into a file."""

    def __init__(self, path):
        super().__init__(isolation="process")
        self.path = path

    def note(self, what):
        with open(self.path, "a") as file:
            file.write(f"{what}\n")

    async def initialize(self):
        self.note("initialize")

    def process(self, audio):
        self.note("process")

    def flush(self):
        self.note("flush")

    def cleanup(self):
        self.note("cleanup")


class WritingLater(Writing):
    async def process(self, audio):
        self.note("process")


class Slow(Node):
    """Waits in some sessions until somebody writes into a pipe."""

    def __init__(self, path):
        super().__init__(isolation="process")
        self.path = path

    def process(self, audio, session):
        if session.id.startswith("slow"):
            Path(self.path).open("rb").close()
        return session.id


class Unloadable(Node):
    """Can be made here and not in a worker."""

    def __init__(self, pid, until=Path("/nowhere")):
        super().__init__(isolation="process")
        if pid != os.getpid() and not until.exists():
            raise RuntimeError("not here")

    def process(self, audio):
        return 1


@node(isolation="process")
def talkative(audio):
    print("to everybody")
    print("something is wrong", file=sys.stderr)
    if audio[0]:
        ctypes.string_at(0)


class CannotBegin(Node):
    def initialize(self):
        raise OSError("no model")

    def process(self, audio):
        return 1


class CannotBeginLater(Node):
    async def initialize(self):
        raise OSError("no model")

    async def process(self, audio):
        return 1


class NotPicklable(Node):
    def __init__(self, thing):
        super().__init__(isolation="process")

    def process(self, audio):
        return 1


@node(isolation="process")
def sizes(audio):
    return np.concatenate([audio, audio])


@node(isolation="process")
def tell(value):
    return repr(value)


class Leaking(Node):
    """Keeps every descriptor and all memory that it can get."""

    def __init__(self, what):
        super().__init__(isolation="process")
        self.what = what
        self.kept = []

    def initialize(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    def process(self, audio):
        if audio[0]:
            while True:
                if self.what == "descriptors":
                    self.kept.append(os.dup(0))
                else:
                    self.kept.append(np.empty(1 << 45, np.uint8))
        return "well"


class Hanging(Writing):
    async def process(self, audio):
        self.note("process")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.note("cancelled")
            raise


@node(isolation="process")
def oom_score(audio):
    return int(open("/proc/self/oom_score_adj").read())


class Set(Node):
    def __init__(self):
        super().__init__(isolation="process")

    def process(self, audio):
        return {1, 2}


class Cut(Node):
    outputs = ("out", "thing")

    def __init__(self):
        super().__init__(isolation="process")

    def process(self, audio):
        return [1, Out("thing", {3}), Out("thing", audio[:2])]


class Total(Node):
    """Says at the end how much there was."""

    def __init__(self):
        super().__init__(isolation="process")
        self.samples = 0

    def process(self, audio):
        self.samples += len(audio)

    def flush(self):
        return {"samples": self.samples}


class TotalLater(Total):
    async def process(self, audio):
        self.samples += len(audio)

    async def flush(self):
        return {"samples": self.samples}


class Unpicklable(Node):
    outputs = ("out", "thing")

    def __init__(self):
        super().__init__(isolation="process")

    def process(self, audio):
        return Out("thing", lambda: None) if audio[0] else "well"


class Speaks(Node):
    """Speaks until it is interrupted."""

    def __init__(self):
        super().__init__(isolation="process")
        self.stopped = threading.Event()

    def process(self, audio):
        return "stopped" if self.stopped.wait(10) else "forgotten"

    def on_interrupt(self):
        self.stopped.set()


class SpeaksLater(Node):
    def __init__(self):
        super().__init__(isolation="process")

    async def initialize(self):
        self.stopped = asyncio.Event()

    async def process(self, audio):
        await asyncio.wait_for(self.stopped.wait(), 10)
        return "stopped"

    async def on_interrupt(self):
        self.stopped.set()


class Says(Node):
    """Yields the words that a socket tells it until there is none, and tells how it ends."""

    isolation = "process"

    def __init__(self, path):
        super().__init__()
        self.path = path

    def process(self, audio, session):
        ending = "closed"
        try:
            yield [{"seq": session.seq}, audio]
            while word := self.read():
                yield [word, audio + np.float32(0.5)]
            ending = "at its end"
        finally:
            self.tell(ending)

    def on_interrupt(self):
        self.tell("interrupted")

    def initialize(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(self.path)

    def read(self):
        return self.socket.recv(100).decode().strip()

    def tell(self, text):
        self.socket.send(text.encode())


class SaysLater(Says):
    async def process(self, audio, session):
        ending = "closed"
        try:
            yield [{"seq": session.seq}, audio]
            while word := await asyncio.to_thread(self.read):
                yield [word, audio + np.float32(0.5)]
            ending = "at its end"
        finally:
            self.tell(ending)
