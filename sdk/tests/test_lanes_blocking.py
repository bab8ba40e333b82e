"""An `async def` that blocks its event loop harms nobody else."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from remotemedia import Node, node
from remotemedia.lanes import lanes as lanes_module
from remotemedia.lanes import watch as watch_module
from remotemedia.lanes.watch import BLOCKED_TICKS, Watch

from .fakes import FakeFailure, frame
from .test_lanes import pipeline_of


@pytest.fixture(autouse=True)
def _only_our_ticks(monkeypatch):
    monkeypatch.setattr(watch_module, "TICK_SECONDS", 3600.0)


class Block:
    """Where a node of a test blocks."""

    def __init__(self):
        self.entered, self.release = threading.Event(), threading.Event()

    def here(self):
        self.entered.set()
        assert self.release.wait(10)

    def noticed_by(self, running):
        """Let the watch of `running` tick until it has seen enough."""
        assert self.entered.wait(10)
        for _ in range(1 + BLOCKED_TICKS):
            running._watch.tick()


@pytest.fixture
def block():
    made = Block()
    yield made
    made.release.set()


def blocker(block):
    @node
    async def blocks(audio, session):
        if not block.entered.is_set():
            block.here()
        return session.seq

    return blocks


def values(results):
    return [json.loads(each) for each in results]


def test_a_watch_tells_of_a_loop_that_does_not_turn():
    class Loop:
        turned = True

        def ask(self):
            self.turned = answers

    loop, told, answers = Loop(), [], True
    watch = Watch(lambda: loop, told.append)
    for _ in range(100):
        watch.tick()
    assert not told
    loop.turned, answers = True, False
    for _ in range(1 + BLOCKED_TICKS):
        assert not told
        watch.tick()
    assert told == [loop]


def test_others_go_on_while_a_node_blocks(engine, lanes, block):
    @node
    async def other(audio, session):
        return session.seq

    running = lanes(pipeline_of(blocker(block), other))
    engine.push(frame(1, node="a"))
    assert block.entered.wait(10)
    engine.push(frame(2, node="b", session="s2"))
    block.noticed_by(running)
    assert values(engine.result(2)) == [2]
    assert not block.release.is_set()


def test_the_failure_says_where_the_node_blocks(engine, lanes, block, caplog):
    running = lanes(pipeline_of(blocker(block)))
    engine.push(frame(1, node="a"))
    block.noticed_by(running)
    failure = engine.result(1)
    assert isinstance(failure, FakeFailure)
    assert "blocked the event loop in wait (threading.py" in failure.message
    assert 'a plain `def`, or set isolation="process"' in failure.message
    assert "block.here()" in failure.traceback
    assert "self.release.wait(10)" in failure.traceback
    assert "remotemedia/lanes" not in failure.traceback
    assert "node a blocks the loop" in caplog.text
    assert running.counters()["remotemedia_lane_blocked_total"] == 1


def test_a_node_that_returns_goes_on_and_its_late_result_is_counted(engine, lanes, block):
    running = lanes(pipeline_of(blocker(block)))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    block.noticed_by(running)
    block.release.set()
    assert values(engine.result(2)) == [2]
    assert isinstance(engine.result(1), FakeFailure)
    assert running.counters()["remotemedia_lane_late_total"] == 1


def test_a_loop_ends_with_the_streams_that_it_was_left_with(engine, lanes, block):
    running = lanes(pipeline_of(blocker(block)))
    engine.push(frame(1, node="a"))
    block.noticed_by(running)
    assert running.counters()["remotemedia_lane_loops"] == 2
    block.release.set()
    running.end_session("s1")
    engine.push(frame(2, node="a", session="s2"))
    assert running.stop()
    assert running.counters()["remotemedia_lane_loops"] == 0


def test_instances_that_never_waited_keep_their_state(engine, lanes, block):
    class Counter(Node):
        def __init__(self):
            super().__init__()
            self.count = 0

        async def process(self, audio):
            self.count += 1
            return self.count

    running = lanes(pipeline_of(blocker(block), Counter()))
    engine.push(frame(1, node="b", session="s2"))
    assert values(engine.result(1)) == [1]
    engine.push(frame(2, node="a"))
    block.noticed_by(running)
    engine.push(frame(3, node="b", session="s2"))
    assert values(engine.result(3)) == [2]
    assert running.counters()["remotemedia_lane_restarts_total"] == 0


def test_what_waits_on_the_blocked_loop_begins_anew(engine, lanes, block):
    waits, ended = threading.Event(), threading.Event()

    class Waits(Node):
        def __init__(self):
            super().__init__()
            self.count = 0

        async def process(self, audio, session):
            self.count += 1
            if session.seq == 1:
                waits.set()
                await asyncio.Event().wait()
            return self.count

        async def cleanup(self):
            ended.set()

    running = lanes(pipeline_of(blocker(block), Waits()))
    engine.push(frame(1, node="b", session="s2"), frame(2, node="b", session="s2"))
    assert waits.wait(10)
    engine.push(frame(3, node="a"))
    block.noticed_by(running)
    assert "the frame is lost: node a blocked the event loop" in engine.result(1).message
    assert values(engine.result(2)) == [1]
    assert running.counters()["remotemedia_lane_restarts_total"] == 1
    assert not ended.is_set()
    block.release.set()  # now the old loop turns, and the old instance ends there
    assert ended.wait(10)


def test_an_instance_that_once_waited_begins_anew(engine, lanes, block):
    class Waited(Node):
        def __init__(self):
            super().__init__()
            self.count = 0

        async def process(self, audio):
            await asyncio.sleep(0)
            self.count += 1
            return self.count

    running = lanes(pipeline_of(blocker(block), Waited()))
    engine.push(frame(1, node="b", session="s2"))
    assert values(engine.result(1)) == [1]
    engine.push(frame(2, node="a"))
    block.noticed_by(running)
    engine.push(frame(3, node="b", session="s2"))
    assert values(engine.result(3)) == [1]


def test_a_node_that_blocked_once_gets_loops_of_its_own(engine, lanes, block):
    seen = {}
    blocks = blocker(block)

    @node
    async def other(audio, session):
        seen[session.id] = threading.current_thread()

    class Blocks(Node):
        async def process(self, audio, session):
            seen[session.id] = threading.current_thread()
            return await blocks(audio, session)

    running = lanes(pipeline_of(Blocks(), other))
    engine.push(frame(1, node="a"))
    block.noticed_by(running)
    for token in (2, 3):
        engine.push(frame(token, node="a", session=f"s{token}"))
    engine.push(frame(4, node="b", session="s4"))
    engine.results([2, 3, 4])
    assert len({seen[session] for session in ("s1", "s2", "s3", "s4")}) == 4
    assert running.counters()["remotemedia_lane_loops"] == 4


def test_further_streams_of_such_a_node_share_loops(engine, lanes, block, monkeypatch):
    monkeypatch.setattr(lanes_module, "MAX_LOOPS", 2)
    running = lanes(pipeline_of(blocker(block)))
    engine.push(frame(1, node="a"))
    block.noticed_by(running)
    for token in (2, 3, 4):
        engine.push(frame(token, node="a", session=f"s{token}"))
    # None of them is put where a node still blocks.
    assert [values(each) for each in engine.results([2, 3, 4])] == [[2], [3], [4]]
    assert running.counters()["remotemedia_lane_loops"] == 3


def test_a_node_may_block_in_initialize(engine, lanes, block):
    class Blocks(Node):
        async def initialize(self):
            block.here()

        async def process(self, audio):
            return 1

    running = lanes(pipeline_of(Blocks()))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    block.noticed_by(running)
    assert "blocked the event loop in wait" in engine.result(1).message
    block.release.set()
    assert values(engine.result(2)) == [1]


def test_whatever_else_blocks_is_left_behind(engine, lanes, block, caplog):
    kept = []

    @node
    async def leaves_a_task(audio):
        async def task():
            block.here()

        kept.append(asyncio.create_task(task()))

    @node
    async def other(audio):
        return 1

    running = lanes(pipeline_of(leaves_a_task, other))
    engine.push(frame(1, node="a"))
    block.noticed_by(running)
    engine.push(frame(2, node="b"))
    assert engine.result(1) == []
    assert values(engine.result(2)) == [1]
    assert "something blocks the loop of the lanes in wait" in caplog.text


def test_a_blocked_loop_keeps_no_initialize_of_a_thread_waiting(engine, lanes, block):
    begun = threading.Event()

    class OnThread(Node):
        async def initialize(self):
            begun.set()
            if not block.entered.is_set():
                await asyncio.Event().wait()

        def process(self, audio):
            return 1

    running = lanes(pipeline_of(blocker(block), OnThread()))
    engine.push(frame(1, node="b", session="s2"), frame(2, node="b", session="s2"))
    assert begun.wait(10)
    engine.push(frame(3, node="a"))
    block.noticed_by(running)
    assert isinstance(engine.result(1), FakeFailure)
    assert values(engine.result(2)) == [1]


def test_sessions_end_while_a_node_blocks(engine, lanes, block):
    ended = threading.Event()

    class Other(Node):
        async def process(self, audio):
            return 1

        async def cleanup(self):
            ended.set()

    running = lanes(pipeline_of(blocker(block), Other()))
    engine.push(frame(1, node="b", session="s2"))
    engine.result(1)
    engine.push(frame(2, node="a"))
    assert block.entered.wait(10)
    running.end_session("s2")
    block.noticed_by(running)
    assert ended.wait(10)


def test_stop_leaves_a_node_that_never_returns(engine, lanes, block, monkeypatch, caplog):
    monkeypatch.setattr(lanes_module, "JOIN_SECONDS", 0.0)
    running = lanes(pipeline_of(blocker(block)))
    engine.push(frame(1, node="a"))
    block.noticed_by(running)
    assert not running.stop(timeout=0.0)
    assert "still busy: a" in caplog.text


async def test_a_ping_is_answered_by_the_new_loop(engine, lanes, block):
    running = lanes(pipeline_of(blocker(block)))
    engine.push(frame(1, node="a"))
    assert block.entered.wait(10)
    waiting = asyncio.create_task(running.ping())
    await asyncio.to_thread(block.noticed_by, running)
    await waiting
