"""Looking for frames before sleeping."""

from __future__ import annotations

import asyncio
import socket

from remotemedia.workers.spin import (
    NEAR_SECONDS,
    NEAR_WAITS,
    SPIN_SECONDS,
    Spin,
    SpinSelector,
)


class Bench:
    """A spin on a clock that goes on by a microsecond a look."""

    def __init__(self):
        self.time = 0.0
        self.looks = 0
        self.comes_at = float("inf")
        self.spin = Spin(self.find, lambda: self.time)

    def find(self):
        self.looks += 1
        self.time += 1e-6
        return "frame" if self.time >= self.comes_at else None

    def sleep(self, seconds):
        assert self.spin.look() is None
        self.time += seconds
        self.spin.waited()


def test_who_never_waited_does_not_look():
    bench = Bench()
    assert bench.spin.look() is None
    assert bench.looks == 0


def test_frames_far_apart_cost_no_look():
    bench = Bench()
    for _ in range(100):
        bench.sleep(0.02)
    assert bench.looks == 0


def test_frames_back_to_back_are_found_without_sleeping():
    bench = Bench()
    for _ in range(NEAR_WAITS):
        bench.sleep(NEAR_SECONDS / 2)
    for _ in range(10):
        bench.comes_at = bench.time + SPIN_SECONDS / 2
        assert bench.spin.look() == "frame"


def test_one_that_comes_late_ends_the_looking():
    bench = Bench()
    for _ in range(NEAR_WAITS):
        bench.sleep(NEAR_SECONDS / 2)
    began = bench.time
    assert bench.spin.look() is None
    assert SPIN_SECONDS < bench.time - began < SPIN_SECONDS + 3e-6
    looks = bench.looks
    assert bench.spin.look() is None
    assert bench.looks == looks


def test_one_far_wait_begins_the_count_anew():
    bench = Bench()
    for _ in range(10):
        for _ in range(NEAR_WAITS - 1):
            bench.sleep(NEAR_SECONDS / 2)
        bench.sleep(NEAR_SECONDS * 2)
    assert bench.looks == 0


def test_a_loop_that_spins_sees_sockets_timers_and_other_threads():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)

    async def run():
        loop = asyncio.get_running_loop()
        for n in range(3 * NEAR_WAITS):
            await loop.sock_sendall(theirs, bytes([n]))
            assert await loop.sock_recv(ours, 16) == bytes([n])
            assert await loop.run_in_executor(None, lambda n=n: n) == n
        await asyncio.sleep(0.001)

    loop = asyncio.SelectorEventLoop(SpinSelector())
    with ours, theirs:
        loop.run_until_complete(asyncio.wait_for(run(), 10))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
