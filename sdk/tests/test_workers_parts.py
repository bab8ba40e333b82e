"""The parts of worker processes, without a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia.lanes.pool import ThreadPool
from remotemedia.lanes.runners import Runners
from remotemedia.workers.ledger import Stream
from remotemedia.workers.limits import Limits
from remotemedia.workers.memory import SLOT_SAMPLES, Memory
from remotemedia.workers.messages import (
    HEADER,
    MAX_TAIL,
    Head,
    Inbox,
    Kind,
    ProtocolError,
    TooLarge,
    message,
    read_failure,
    read_results,
    write_failure,
    write_results,
)
from remotemedia.workers.process import ended
from remotemedia.workers.watch import Watch


@pytest.fixture(scope="module")
def memory():
    fd = Memory.create()
    made = Memory(fd)
    os.close(fd)
    return made


def there_and_back(memory, results, slot=3):
    ((head, tail),) = Inbox().feed(write_results(memory, slot, results))
    assert (head.kind, head.slot) == (Kind.DONE, slot)
    return read_results(memory, head, tail)


@given(
    tails=st.lists(st.binary(max_size=300), max_size=8),
    cuts=st.lists(st.integers(1, 200), min_size=1, max_size=30),
)
def test_messages_survive_any_cut(tails, cuts):
    data = b"".join(message(Head(Kind.OPEN, seq=n), tail) for n, tail in enumerate(tails))
    inbox, got = Inbox(), []
    position = turn = 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        got += inbox.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    assert [(head.seq, tail) for head, tail in got] == list(enumerate(tails))


def test_a_message_that_is_too_long_is_refused_before_it_comes():
    head = HEADER.pack(Kind.DONE, 0, 0, 0, 0, 0, 0, 0, MAX_TAIL + 1, 0, 0, 0)
    with pytest.raises(ProtocolError):
        Inbox().feed(head)
    with pytest.raises(TooLarge):
        message(Head(Kind.DONE), bytes(MAX_TAIL + 1))


@pytest.mark.parametrize(
    "results",
    [
        [],
        ["text"],
        ["\ud800 alone"],
        ["one", "two"],
        [("left", "text"), ("right", {"any": (1, 2)})],
        [{"a": 1}, None, b"bytes"],
    ],
)
def test_results_come_back_as_they_were(memory, results):
    assert there_and_back(memory, results) == results


@pytest.mark.parametrize("size", [0, 1, 320, SLOT_SAMPLES, SLOT_SAMPLES + 1])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_audio_comes_back_whether_it_fits_or_not(memory, size, rows):
    shape = (rows, size) if rows else (size,)
    audio = np.random.default_rng(size).standard_normal(shape).astype(np.float32)
    for given_ in ([audio], ["before", audio, ("port", audio)]):
        back = there_and_back(memory, given_)
        for each, expected in zip(back, given_, strict=True):
            value, wanted = (each[1], expected[1]) if isinstance(each, tuple) else (each, expected)
            if isinstance(wanted, str):
                assert value == wanted
            else:
                np.testing.assert_array_equal(value, wanted)


def test_audio_that_was_read_is_not_written_over(memory):
    first = there_and_back(memory, [np.ones(10, np.float32)])
    there_and_back(memory, [np.zeros(10, np.float32)])
    assert first[0].sum() == 10


@given(tail=st.binary(max_size=200), count=st.integers(1, 2**32 - 1))
def test_garbage_is_an_error_and_nothing_else(tail, count):
    fd = Memory.create()
    memory = Memory(fd)
    os.close(fd)
    head = Head(Kind.DONE, channels=count, slot=1)
    with contextlib.suppress(ProtocolError):
        read_results(memory, head, tail)


def test_failures_come_back():
    ((head, tail),) = Inbox().feed(write_failure(5, "text", "where", transient=True))
    assert head.slot == 5
    assert read_failure(tail) == ("text", "where", True, False)
    with pytest.raises(ProtocolError):
        read_failure(b"{")


def test_it_is_said_how_a_process_ended():
    assert ended(3) == "exited with 3"
    assert ended(-9) == "was killed by SIGKILL"
    assert ended(-1000) == "was killed by signal 1000"


def watch(now=0.0, **limits):
    memory = SimpleNamespace(beats=0)
    return Watch(memory, Limits(**limits), now), memory


def test_a_process_must_come_in_time():
    looking, _ = watch(start=1.0)
    assert looking.look(0.5, False, []) is None
    assert "did not load it within 1 s" in looking.look(1.5, False, [])


def test_a_frame_may_take_as_long_as_said():
    looking, memory = watch(initialize=2.0, frame=1.0, frozen=1.5)
    stream = Stream(1, ("s", "p", "a"), held=1, since=0.0)
    for now in (0.5, 1.0, 1.5):
        memory.beats += 1
        assert looking.look(now, True, [stream]) is None
    stream.fresh = False
    assert "more than 1 s" in looking.look(1.6, True, [stream])


def test_a_process_without_work_need_show_no_life():
    looking, _ = watch(frozen=1.0)
    stream = Stream(1, ("s", "p", "a"))
    for tick in range(20):
        assert looking.look(tick * 0.5, True, [stream]) is None
    stream.held = 1
    stream.since = 10.0
    assert looking.look(10.0, True, [stream]) is None
    assert "no sign of life" in looking.look(11.0, True, [stream])


def test_the_time_that_the_watch_slept_does_not_count():
    looking, _ = watch(frame=1.0, frozen=1.0, initialize=1.0)
    stream = Stream(1, ("s", "p", "a"), held=1, since=0.0)
    assert looking.look(0.2, True, [stream]) is None
    assert looking.look(1000.0, True, [stream]) is None
    assert looking.look(1000.5, True, [stream]) is None
    assert looking.look(1001.1, True, [stream]) is not None


async def turns_until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never comes")


async def test_a_job_that_waits_keeps_no_other_from_running():
    order, release = [], asyncio.Event()

    async def run(job):
        if job == "waits":
            await release.wait()
        order.append((job, asyncio.current_task()))

    runners = Runners(asyncio.get_running_loop(), run)
    for job in ("one", "waits", "two", "three"):
        runners.submit(job)
    await turns_until(lambda: len(order) == 3)
    release.set()
    await turns_until(lambda: len(order) == 4)
    assert [job for job, _ in order] == ["one", "two", "three", "waits"]
    tasks = dict(order)
    assert tasks["one"] is tasks["waits"]
    assert tasks["two"] is tasks["three"] is not tasks["one"]


async def test_a_cancelled_job_takes_no_other_with_it():
    ended_, tasks = {}, {}

    async def run(job):
        tasks[job] = asyncio.current_task()
        try:
            await (asyncio.Event().wait() if job == "hangs" else asyncio.sleep(0))
            ended_[job] = "done"
        except asyncio.CancelledError:
            ended_[job] = "cancelled"
            runners.submit("after")

    runners = Runners(asyncio.get_running_loop(), run)
    runners.submit("hangs")
    runners.submit("other")
    await turns_until(lambda: "other" in ended_)
    assert runners.waiting() == ["hangs"]
    runners.cancel("hangs")
    runners.cancel("other")
    await turns_until(lambda: "after" in ended_)
    assert ended_ == {"other": "done", "hangs": "cancelled", "after": "done"}
    assert tasks["after"] is not tasks["hangs"]


def test_quick_jobs_need_few_threads_and_blocking_ones_get_theirs():
    pool = ThreadPool(8)
    everyone = threading.Barrier(9)
    for _ in range(8):
        pool.submit(lambda: everyone.wait(10))
    everyone.wait(10)
    assert pool.threads == 8
    done = threading.Semaphore(0)
    for _ in range(100):
        pool.submit(done.release)
    for _ in range(100):
        assert done.acquire(timeout=10)
    pool.close()


def test_a_pool_forgets_threads_that_had_nothing_to_do(monkeypatch):
    from remotemedia.lanes import pool as module

    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    pool, turns = ThreadPool(2), threading.Semaphore(0)
    for _ in range(50):
        pool.submit(turns.release)
        assert turns.acquire(timeout=10)
    pool.close()
