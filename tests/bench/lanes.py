"""What frames to Python nodes cost: on the event loop, on threads, and in worker processes.

python -m tests.bench.lanes [--quick]

A stand-in takes the place of the native engine, so that only the Python side is measured; what it
takes itself is in all rows, and has one of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import psutil
from numpy.typing import NDArray
from remotemedia import Node, Pipeline, node
from remotemedia.formats import AudioFormat
from remotemedia.frames import Samples
from remotemedia.lanes import Lanes
from remotemedia.lanes.calling import Calling
from remotemedia.lanes.lanes import POLL_ITEMS
from remotemedia.lanes.loops import SEND_ITEMS
from remotemedia.lanes.results import results_of
from remotemedia.workers import Done, Failed, Work, Worker
from remotemedia_runtime import LaneData, LaneOpaque
from rich.console import Console
from rich.table import Table

SAMPLES = np.zeros(320, np.float32)
BURST = 100
INTERVAL = 0.02


@dataclass(frozen=True)
class Failure:
    """A node's failure, which no node here has."""

    message: str
    traceback: str | None = None


@dataclass
class Item:
    """A frame."""

    token: int
    session: str
    node: str
    samples: Samples = field(default_factory=lambda: SAMPLES)
    participant: str = "p1"
    stream: str = "audio"
    pipeline: str = "bench"
    port: str = "in"
    seq: int = 0
    pts_us: int = 0
    rate: int = 16_000
    channels: int = 1
    value: object = None
    end: bool = False
    epoch: int = 0


class Engine:
    """Hands frames out and notes when they come back."""

    def __init__(self) -> None:
        """Have no frames."""
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._items: deque[Item] = deque()
        self._sent: list[tuple[int, list[int]]] = []
        self._back: list[tuple[int, list[int]]] = []
        self._returned = 0
        self.answered: Callable[[], None] = lambda: None

    def push(self, items: Sequence[Item]) -> None:
        """Let frames wait for the lanes."""
        tokens = [item.token for item in items]
        self._sent.append((time.perf_counter_ns(), tokens))
        self._items.extend(items)
        self._writer.send(b"\1")

    def lane_fd(self) -> int:
        """See `LaneEngine`."""
        return self._reader.fileno()

    def poll_lane(self, most: int) -> list[Item]:
        """See `LaneEngine`."""
        items = self._items
        taken = [items.popleft() for _ in range(min(most, len(items)))]
        if not items:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(64)
            if items:
                self._writer.send(b"\1")
        return taken

    def complete_lane(self, done: Sequence[tuple[int, object]]) -> None:
        """See `LaneEngine`."""
        tokens = [token for token, result in done if type(result) is list]
        assert len(tokens) == len(done), done
        self._back.append((time.perf_counter_ns(), tokens))
        self._returned += len(done)
        self.answered()

    def latencies_us(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        """Give the time from push to answer."""
        sent, back = (
            {token: at for at, tokens in batches for token in tokens}
            for batches in (self._sent, self._back)
        )
        times = [back[each] - sent[each] for each in tokens]
        latencies: NDArray[np.float64] = np.array(times, dtype=np.float64) / 1000.0
        return latencies

    def wait(self, count: int) -> None:
        """Wait until so many came back."""
        while self._returned < count:
            time.sleep(0.001)


@dataclass(frozen=True)
class Measured:
    """A row of the table."""

    name: str
    cpu_us: float | None
    p50_us: float
    p99_us: float
    asked: str
    other_cpu_us: float | None = None
    """The same of the other process."""

    @property
    def cpu(self) -> str:
        """The CPU time of both."""
        times = (self.cpu_us, self.other_cpu_us)
        return " + ".join(f"{each:.1f}" for each in times if each is not None)


class Cpu:
    """CPU time of this process and of those that it has started."""

    def __init__(self) -> None:
        """Begin to count."""
        self._children = psutil.Process().children()
        self._began = self._now()

    def _now(self) -> tuple[float, float]:
        times = [each.cpu_times() for each in self._children]
        return time.process_time(), sum(each.user + each.system for each in times)

    def each_us(self, frames: int) -> tuple[float, float]:
        """Give the time per frame since then."""
        own, others = self._now()
        return (own - self._began[0]) * 1e6 / frames, (others - self._began[1]) * 1e6 / frames


@node
async def peak(audio: Samples) -> dict[str, float]:
    """Answer each frame with a number."""
    return {"peak": float(audio[0])}


@node
def peak_on_thread(audio: Samples) -> dict[str, float]:
    """Do the same on a thread."""
    return {"peak": float(audio[0])}


@node(isolation="process")
def peak_in_process(audio: Samples) -> dict[str, float]:
    """Do the same in a worker process."""
    return {"peak": float(audio[0])}


@node(isolation="process")
def double_in_process(audio: Samples) -> Samples:
    """Answer with audio."""
    doubled: Samples = audio * np.float32(2)
    return doubled


@node(isolation="process")
async def peak_in_process_later(audio: Samples) -> dict[str, float]:
    """Do the same on the loop of a worker process."""
    return {"peak": float(audio[0])}


class Sleeper(Node):
    """Blocks its thread."""

    def process(self, audio: Samples) -> None:
        """Sleep."""
        time.sleep(0.5)


@contextlib.contextmanager
def running(**nodes: Node) -> Iterator[Engine]:
    """Run lanes with nodes by these ids."""
    pipeline = Pipeline("bench")
    for name, each in nodes.items():
        pipeline.add_node(name, each)
    engine = Engine()
    # It has of the native engine and its failures what the lanes use.
    lanes = Lanes(cast("Any", engine), cast("Any", Failure), data=LaneData, opaque=LaneOpaque)
    lanes.add(pipeline.plan())
    lanes.start()
    try:
        yield engine
    finally:
        lanes.stop()


def bursts(
    name: str,
    made: Node,
    seconds: float,
    asked: str,
    *,
    sleepers: int = 0,
    interval: float = INTERVAL,
) -> Measured:
    """Push bursts of frames to as many sessions."""
    nodes = {"a": made, "s": Sleeper()} if sleepers else {"a": made}
    with running(**nodes) as engine:
        return paced(name, engine, seconds, asked, sleepers=sleepers, interval=interval)


def paced(
    name: str,
    engine: Engine,
    seconds: float,
    asked: str,
    *,
    sleepers: int = 0,
    interval: float = INTERVAL,
) -> Measured:
    """Push bursts of frames, and count the CPU time of all threads but this one."""
    engine.push([Item(n, f"s{n}", "a") for n in range(BURST)])
    engine.wait(BURST)
    asleep = 0
    begin = time.perf_counter()
    process, thread = time.process_time(), time.thread_time()
    tokens: list[int] = []
    count = int(seconds / interval)
    for turn in range(count):
        first = (turn + 1) * BURST
        items = [Item(first + n, f"s{n}", "a") for n in range(BURST)]
        if sleepers and turn % 25 == 0:
            asleep += sleepers
            items[:0] = [Item(-asleep + n, f"asleep{n}", "s") for n in range(sleepers)]
        tokens += [first + n for n in range(BURST)]
        engine.push(items)
        time.sleep(max(0.0, begin + (turn + 1) * interval - time.perf_counter()))
    engine.wait(BURST * (count + 1))
    own = time.thread_time() - thread
    cpu = (time.process_time() - process - own) * 1e6 / len(tokens)
    p50, p99 = np.percentile(engine.latencies_us(tokens), [50, 99])
    return Measured(name, cpu, float(p50), float(p99), asked)


def stand_in(name: str, seconds: float) -> Measured:
    """Take frames and answer them on an event loop, without lanes and nodes."""
    engine = Engine()
    loop = asyncio.new_event_loop()

    def readable() -> None:
        items = engine.poll_lane(POLL_ITEMS)
        done: list[tuple[int, object]] = [(item.token, []) for item in items]
        for begin in range(0, len(done), SEND_ITEMS):
            engine.complete_lane(done[begin : begin + SEND_ITEMS])

    loop.add_reader(engine.lane_fd(), readable)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    measured = paced(name, engine, seconds, "")
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    return measured


def back_to_back(name: str, made: Node, frames: int, asked: str) -> Measured:
    """Push the next frame when the last one came back, on the thread that brought it."""
    with running(a=made) as engine:
        finished = threading.Event()
        turn = 0

        def answered() -> None:
            nonlocal turn
            turn += 1
            if turn <= frames:
                engine.push([Item(turn, "s", "a")])
            else:
                finished.set()

        engine.push([Item(-1, "s", "a")])
        engine.wait(1)
        engine.answered = answered
        cpu = Cpu()
        engine.push([Item(0, "s", "a")])
        finished.wait()
        own, others = cpu.each_us(frames)
        latencies = engine.latencies_us(range(frames // 20, frames))
    p50, p99 = np.percentile(latencies, [50, 99])
    return Measured(name, own, float(p50), float(p99), asked, others)


def direct(name: str, made: Node, frames: int, asked: str, interval: float = 0.0) -> Measured:
    """Do so without the lanes: to a worker and back, at once or every `interval` seconds."""
    (entry,) = Pipeline("bench", made).plan().python.values()
    results = cast("Any", partial(results_of, output=AudioFormat(16_000, 1)))
    came = threading.Semaphore(0)
    latencies: list[int] = []
    sent = 0
    at_once = False

    def push() -> None:
        nonlocal sent
        item = Item(len(latencies), "s", "a")
        sent = time.perf_counter_ns()
        worker.put(stream, item)
        worker.flush()

    def complete(done: list[Done]) -> None:
        latencies.append(time.perf_counter_ns() - sent)
        if isinstance(done[0][1], Failed):
            raise AssertionError(done[0][1].message)
        if at_once and len(latencies) < frames:
            push()
        else:
            came.release()

    work = Work("bench", "a", entry.node, Calling.of(entry.node), results)
    worker = Worker(work, complete)
    worker.start()
    stream = worker.stream("s", "p1", "audio", on_end=lambda: None)
    push()
    came.acquire()
    latencies.clear()
    cpu = Cpu()
    if interval:
        began = time.perf_counter()
        for turn in range(frames):
            push()
            came.acquire()
            time.sleep(max(0.0, began + (turn + 1) * interval - time.perf_counter()))
    else:
        at_once = True
        push()
        came.acquire()
    own, others = cpu.each_us(frames)
    worker.close()
    p50, p99 = np.percentile(np.array(latencies[frames // 20 :]) / 1000.0, [50, 99])
    return Measured(name, own, float(p50), float(p99), asked, others)


BY_SOCKET = """
import socket, sys
each = socket.socket(fileno=int(sys.argv[1]))
while data := each.recv(65536):
    each.send(data)
"""
BY_EVENTFD = """
import os, sys
there, back = map(int, sys.argv[1:])
while os.eventfd_read(there) == 1:
    os.eventfd_write(back, 1)
"""


def bare(frames: int, by: str) -> Measured:
    """Wake another interpreter and be woken by it, and nothing else: what the system takes."""
    if by == "socket":
        ours, theirs = socket.socketpair()
        passed, program = [theirs.fileno()], BY_SOCKET
    else:
        ours, theirs = None, None
        passed, program = [os.eventfd(0), os.eventfd(0)], BY_EVENTFD
    arguments = [sys.executable, "-c", program, *map(str, passed)]
    child = subprocess.Popen(arguments, pass_fds=passed)

    def turn() -> None:
        if ours is None:
            os.eventfd_write(passed[0], 1)
            os.eventfd_read(passed[1])
        else:
            ours.send(bytes(64))
            ours.recv(65536)

    turn()
    times = []
    cpu = Cpu()
    for _ in range(frames):
        began = time.perf_counter_ns()
        turn()
        times.append((time.perf_counter_ns() - began) / 1000.0)
    own, others = cpu.each_us(frames)
    if ours is None or theirs is None:
        os.eventfd_write(passed[0], 2)
        for each in passed:
            os.close(each)
    else:
        theirs.close()
        ours.close()
    child.wait()
    p50, p99 = np.percentile(times[frames // 20 :], [50, 99])
    name = f"for comparison, to wake a process by {by} and back"
    return Measured(name, own, float(p50), float(p99), "", others)


def main() -> None:
    """Measure everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    seconds, frames = (1.0, 2_000) if quick else (10.0, 50_000)
    rows = [
        stand_in("none: the stand-in alone, bursts of 100", seconds),
        bursts("async def, bursts of 100", peak, seconds, "8 us, p50 500 us"),
        bursts("the same every 2 ms, so that no core goes idle", peak, seconds, "", interval=0.002),
        bursts("def, bursts of 100", peak_on_thread, seconds, ""),
        bursts("def, beside 20 that sleep 500 ms", peak_on_thread, seconds, "", sleepers=20),
        bursts("def in a process, bursts of 100", peak_in_process, seconds, ""),
        bare(frames, "socket"),
        bare(frames, "eventfd"),
        direct("to a worker (def) and back", peak_in_process, frames, "p50 40 us, p99 500 us"),
        direct("the same, audio both ways", double_in_process, frames, ""),
        direct("the same every 20 ms", double_in_process, int(seconds / 0.02), "", 0.02),
        direct("to a worker (async def) and back", peak_in_process_later, frames, ""),
        back_to_back("def in a process, through the lanes", peak_in_process, frames, ""),
    ]
    table = Table("frames", "CPU us a frame", "p50 us", "p99 us", "asked")
    for row in rows:
        table.add_row(row.name, row.cpu, f"{row.p50_us:.0f}", f"{row.p99_us:.0f}", row.asked)
    Console().print(table)


if __name__ == "__main__":
    main()
