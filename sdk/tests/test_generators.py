"""What a node yields leaves as it is yielded, and an interrupt or the end closes the generator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading

import pytest

from remotemedia import Node, node
from remotemedia.lanes import calling

from .fakes import FakeFailure, frame
from .test_lanes import pipeline_of
from .worker_nodes import Says, SaysLater

TIMEOUT = 10


def said(part):
    return [json.loads(each) for each in part]


class Talks(Node):
    """Says what it is told to say, and when, until it is closed."""

    def __init__(self):
        super().__init__()
        self.go = threading.Semaphore(0)
        self.closed = threading.Event()
        self.waiting = threading.Event()

    def fresh(self):
        return self

    def process(self, audio, session):
        yield [session.seq, "first"]
        try:
            for word in ("second", "third"):
                self.waiting.set()
                assert self.go.acquire(timeout=TIMEOUT)
                yield [session.seq, word]
        finally:
            self.closed.set()


class TalksLater(Talks):
    async def process(self, audio, session):
        yield [session.seq, "first"]
        try:
            for word in ("second", "third"):
                self.waiting.set()
                assert await asyncio.to_thread(self.go.acquire, timeout=TIMEOUT)
                yield [session.seq, word]
        finally:
            # What it waits for here is waited for.
            await asyncio.sleep(0)
            self.closed.set()


BOTH = pytest.mark.parametrize("made", [Talks, TalksLater])


@BOTH
def test_each_result_leaves_as_it_is_yielded(engine, lanes, made):
    talks = made()
    lanes(pipeline_of(talks))
    engine.push(frame(1, node="a"))
    assert engine.parts(1, 1) == [["1", '"first"']]
    assert talks.waiting.wait(TIMEOUT)
    talks.go.release()
    assert said(engine.parts(1, 2)[1]) == [1, "second"]
    assert 1 not in engine.done
    talks.go.release()
    assert said(engine.result(1)) == [1, "first", 1, "second", 1, "third"]


@BOTH
def test_an_interrupt_closes_it_at_its_next_yield(engine, lanes, made):
    talks = made()
    running = lanes(pipeline_of(talks))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    engine.parts(1, 1)
    assert talks.waiting.wait(TIMEOUT)
    running.interrupt("s1", 1)
    asyncio.run(running.ping())
    assert not talks.closed.is_set(), "it waits for something"
    talks.go.release()
    assert said(engine.result(1)) == [1, "first"]
    assert talks.closed.is_set()
    # One that waited comes from before the interrupt, too: it ends with its first result.
    assert engine.result(2) == []
    talks.go.release(2)
    engine.push(frame(3, node="a", epoch=1))
    assert said(engine.result(3)) == [3, "first", 3, "second", 3, "third"]


@BOTH
def test_an_interrupt_that_is_told_late_leaves_later_frames_alone(engine, lanes, made):
    talks = made()
    running = lanes(pipeline_of(talks))
    engine.push(frame(1, node="a", epoch=2))
    engine.parts(1, 1)
    running.interrupt("s1", 2)
    asyncio.run(running.ping())
    talks.go.release(2)
    assert said(engine.result(1)) == [1, "first", 1, "second", 1, "third"]


@BOTH
def test_a_stream_that_begins_after_the_interrupt_knows_of_it(engine, lanes, made):
    talks = made()
    running = lanes(pipeline_of(talks))
    running.interrupt("s1", 1)
    asyncio.run(running.ping())
    engine.push(frame(1, node="a"))
    assert engine.result(1) == []


@BOTH
def test_the_end_of_its_session_closes_it(engine, lanes, made):
    talks = made()
    running = lanes(pipeline_of(talks))
    engine.push(frame(1, node="a"))
    engine.parts(1, 1)
    assert talks.waiting.wait(TIMEOUT)
    running.end_session("s1")
    asyncio.run(running.ping())
    talks.go.release()
    assert said(engine.result(1)) == [1, "first"]
    assert talks.closed.is_set()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failure_midway_leaves_what_went(engine, lanes, asynchronous):
    if asynchronous:

        class Fails(Node):
            async def process(self, audio):
                yield "fine"
                raise ZeroDivisionError("by nothing")
    else:

        class Fails(Node):
            def process(self, audio):
                yield "fine"
                raise ZeroDivisionError("by nothing")

    lanes(pipeline_of(Fails()))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    for token in (1, 2):
        failure = engine.result(token)
        assert isinstance(failure, FakeFailure)
        assert failure.message == "ZeroDivisionError: by nothing"
        assert engine.parts(token, 1) == [['"fine"']]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_cannot_be_sent_fails_it_and_closes_it(engine, lanes, asynchronous):
    closed = threading.Event()

    class Yields(Node):
        if asynchronous:

            async def process(self, audio):
                with contextlib.ExitStack() as stack:
                    stack.callback(closed.set)
                    yield 1
                    yield object()
        else:

            def process(self, audio):
                with contextlib.ExitStack() as stack:
                    stack.callback(closed.set)
                    yield 1
                    yield object()

    lanes(pipeline_of(Yields()))
    engine.push(frame(1, node="a"))
    assert "which is not JSON" in engine.result(1).message
    assert engine.parts(1, 1) == [["1"]]
    assert closed.is_set()


def test_one_that_is_returned_leaves_as_it_comes_too(engine, lanes):
    go = threading.Event()

    class Returns(Node):
        def process(self, audio):
            return self.words()

        def words(self):
            yield 1
            assert go.wait(TIMEOUT)
            yield 2

    lanes(pipeline_of(Returns()))
    engine.push(frame(1, node="a"))
    assert engine.parts(1, 1) == [["1"]]
    go.set()
    assert engine.result(1) == ["1", "2"]


def test_one_that_waits_delays_no_other_stream(engine, lanes):
    talks = TalksLater()
    lanes(pipeline_of(talks))
    engine.push(frame(1, node="a"), frame(2, node="a", session="s2"))
    for token in (1, 2):
        assert said(engine.parts(token, 1)[0]) == [token, "first"]
    talks.go.release(4)
    engine.results([1, 2])


def test_a_long_answer_passes(engine, lanes, monkeypatch):
    monkeypatch.setattr(calling, "PACE_SECONDS", 0.0)

    class Reads(Node):
        async def process(self, audio):
            for word in range(5_000):
                yield word

    lanes(pipeline_of(Reads()))
    engine.push(frame(1, node="a"))
    assert said(engine.result(1)) == list(range(5_000))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_more_than_a_reader_may_take_at_once_is_slowed_down(
    engine, lanes, monkeypatch, asynchronous
):
    monkeypatch.setattr(calling, "FREE_RESULTS", 5)
    waited = []

    async def later(seconds):
        waited.append(seconds)

    if asynchronous:
        monkeypatch.setattr(calling.asyncio, "sleep", later)

        @node
        async def reads(audio):
            for word in range(9):
                yield [word, word]
    else:
        monkeypatch.setattr(calling.time, "sleep", waited.append)

        @node
        def reads(audio):
            for word in range(9):
                yield [word, word]

    lanes(pipeline_of(reads))
    engine.push(frame(1, node="a"))
    assert len(engine.result(1)) == 18
    assert waited == [calling.PACE_SECONDS] * 7


def test_lists_count_by_what_is_in_them(engine, lanes, monkeypatch):
    monkeypatch.setattr(calling, "MAX_YIELDED", 5)

    class Lists(Node):
        def process(self, audio):
            yield [1, 2, 3]
            yield None
            yield [4, 5, 6]

    lanes(pipeline_of(Lists()))
    engine.push(frame(1, node="a"))
    assert "at most 5 results" in engine.result(1).message
    assert engine.parts(1, 1) == [["1", "2", "3"]]


def test_one_that_blocks_the_loop_ends_with_its_frame(engine, lanes):
    blocked, closed = threading.Event(), threading.Event()

    class Blocks(Node):
        async def process(self, audio):
            try:
                yield "before"
                blocked.wait(TIMEOUT)
                yield "after"
                yield "long after"
            finally:
                closed.set()

    running = lanes(pipeline_of(Blocks()))
    engine.push(frame(1, node="a"))
    assert "blocked the event loop" in engine.result(1).message
    assert engine.parts(1, 1) == [['"before"']]
    blocked.set()
    assert closed.wait(TIMEOUT)
    engine.push(frame(2, node="a"))
    assert said(engine.result(2)) == ["before", "after", "long after"]
    assert running.counters()["remotemedia_lane_late_total"] == 1


# In a worker process.

WORKERS = pytest.mark.parametrize("made", [Says, SaysLater])


@WORKERS
def test_a_worker_sends_each_as_it_is_yielded(engine, lanes, made, script):
    lanes(pipeline_of(made(script.path)))
    engine.push(frame(1, 0.5, node="a"))
    script.meet()
    (first,) = engine.parts(1, 1)
    assert (json.loads(first[0]), first[1].tolist()) == ({"seq": 1}, [0.5] * 320)
    script.say("hello")
    second = engine.parts(1, 2)[1]
    assert (json.loads(second[0]), second[1].tolist()) == ("hello", [1.0] * 320)
    script.say("")
    assert script.hear() == "at its end"
    assert len(engine.result(1)) == 4


@WORKERS
def test_an_interrupt_closes_one_in_a_worker(engine, lanes, made, script):
    running = lanes(pipeline_of(made(script.path)))
    engine.push(frame(1, node="a"))
    script.meet()
    engine.parts(1, 1)
    running.interrupt("s1", 1)
    assert script.hear() == "interrupted"
    script.say("for nobody")
    assert script.hear() == "closed"
    assert len(engine.result(1)) == 2
    engine.push(frame(2, node="a", epoch=1))
    engine.parts(2, 1)
    script.say("again")
    assert json.loads(engine.parts(2, 2)[1][0]) == "again"
    script.say("")
    assert script.hear() == "at its end"
    engine.result(2)


@WORKERS
def test_the_end_of_its_session_closes_one_in_a_worker(engine, lanes, made, script):
    running = lanes(pipeline_of(made(script.path)))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    script.meet()
    engine.parts(1, 1)
    running.end_session("s1")
    assert engine.result(2) == [], "the worker knows"
    script.say("for nobody")
    assert script.hear() == "closed"
    assert len(engine.result(1)) == 2


@WORKERS
def test_a_worker_that_dies_midway_leaves_what_went(engine, lanes, made, script):
    running = lanes(pipeline_of(made(script.path)))
    engine.push(frame(1, node="a"))
    script.meet()
    engine.parts(1, 1)
    (worker,) = running._workers.values()
    os.kill(worker.pid, signal.SIGKILL)
    failure = engine.result(1)
    assert "killed by SIGKILL" in failure.message
    assert "a frame is lost" in failure.message
    assert len(engine.parts(1, 1)) == 1


@WORKERS
def test_a_worker_that_is_new_knows_of_the_interrupt(engine, lanes, made, script):
    running = lanes(pipeline_of(made(script.path)))
    running.interrupt("s1", 1)
    asyncio.run(running.ping())
    engine.push(frame(1, node="a"))
    script.meet()
    assert script.hear() == "closed"
    assert engine.result(1) == []
