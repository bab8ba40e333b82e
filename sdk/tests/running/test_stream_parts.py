"""What nodes of a stream yield, as it comes; of a run, all together."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from sdk.tests.worker_nodes import Says, SaysLater

from remotemedia import Node, Pipeline, TransientError, node
from remotemedia.client import ErrorEvent, NodeResult

pytestmark = pytest.mark.usefixtures("backend")
TIMEOUT = 10
FRAME = np.zeros(320, np.float32)


class Talks(Node):
    """Says a word, waits, and says another."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.closed = threading.Event()

    def fresh(self):
        return self

    def process(self, audio, session):
        try:
            yield {"seq": session.seq, "word": 1}
            assert self.go.wait(TIMEOUT)
            yield {"seq": session.seq, "word": 2}
        finally:
            self.closed.set()


class TalksLater(Talks):
    async def process(self, audio, session):
        try:
            yield {"seq": session.seq, "word": 1}
            assert await asyncio.to_thread(self.go.wait, TIMEOUT)
            yield {"seq": session.seq, "word": 2}
        finally:
            self.closed.set()


@node
def heard(value):
    return {"heard": value}


BOTH = pytest.mark.parametrize("made", [Talks, TalksLater])


@BOTH
async def test_each_comes_as_it_is_yielded(made):
    talks = made()
    events = Pipeline(talks).stream(FRAME)
    assert (await anext(events)).data == {"seq": 0, "word": 1}
    assert not talks.closed.is_set()
    talks.go.set()
    assert [event.data async for event in events] == [{"seq": 0, "word": 2}]


@BOTH
async def test_nodes_behind_it_need_not_wait_for_its_end(made):
    talks = made()
    events = Pipeline(talks, heard).stream(FRAME)
    assert (await anext(events)).data == {"heard": {"seq": 0, "word": 1}}
    assert not talks.closed.is_set()
    talks.go.set()
    assert [event.data["heard"]["word"] async for event in events] == [2]


@BOTH
async def test_frames_keep_their_order(made):
    talks = made()
    talks.go.set()
    events = Pipeline(talks, heard).stream(np.zeros(320 * 20, np.float32))
    found = [event.data["heard"] async for event in events]
    assert found == [{"seq": seq, "word": word} for seq in range(20) for word in (1, 2)]


@BOTH
async def test_leaving_early_closes_it(made):
    talks = made()
    events = Pipeline(talks).stream(FRAME)
    await anext(events)
    leaving = asyncio.create_task(events.aclose())
    await asyncio.sleep(0)
    talks.go.set()
    await leaving
    assert await asyncio.to_thread(talks.closed.wait, TIMEOUT)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_failure_midway_leaves_what_came_and_is_not_tried_again(asynchronous):
    tries = []

    class Busy(Node):
        if asynchronous:

            async def process(self, audio):
                tries.append(1)
                yield "fine"
                raise TransientError("busy")
        else:

            def process(self, audio):
                tries.append(1)
                yield "fine"
                raise TransientError("busy")

    word, error = [event async for event in Pipeline(Busy()).stream(FRAME)]
    assert isinstance(word, NodeResult)
    assert isinstance(error, ErrorEvent)
    assert (word.data, error.message, len(tries)) == ("fine", "TransientError: busy", 1)


async def test_one_that_fails_before_its_first_is_tried_again():
    tries = []

    @node
    def busy(audio):
        tries.append(1)
        if len(tries) < 3:
            raise TransientError("busy")
        yield "fine"

    assert [event.data async for event in Pipeline(busy).stream(FRAME)] == ["fine"]
    assert len(tries) == 3


def test_a_run_gives_all_or_nothing_of_a_frame():
    tries = []

    @node
    def busy(audio):
        tries.append(1)
        yield "fine"
        if len(tries) < 3:
            raise TransientError("busy")
        yield "done"

    result = Pipeline(busy).run(FRAME)
    assert [event.data for event in result.events] == ["fine", "done"]


async def test_what_is_held_back_comes_as_it_is_yielded_too():
    class Holds(Talks):
        def process(self, audio, session):
            yield from ()

        def flush(self):
            yield {"word": 1}
            assert self.go.wait(TIMEOUT)
            yield {"word": 2}

    talks = Holds()
    events = Pipeline(talks, heard).stream(FRAME)
    assert (await anext(events)).data == {"heard": {"word": 1}}
    talks.go.set()
    assert [event.data async for event in events] == [{"heard": {"word": 2}}]


@pytest.mark.parametrize("made", [Says, SaysLater])
async def test_a_worker_gives_each_as_it_is_yielded(made, script):
    events = Pipeline(made(script.path), heard).stream(FRAME)
    first = asyncio.ensure_future(anext(events))
    await asyncio.to_thread(script.meet)
    assert (await first).data == {"heard": {"seq": 0}}
    # It is a value and audio, of which the node behind it takes both.
    assert (await anext(events)).data["heard"] == [0.0] * 320
    script.say("word")
    assert (await anext(events)).data == {"heard": "word"}
    script.say("")
    rest = [event.data async for event in events]
    assert len(rest) == 1


@pytest.mark.parametrize("made", [Says, SaysLater])
def test_a_run_collects_what_a_worker_yields(made, script):
    thread = threading.Thread(target=lambda: (script.meet(), script.say("word"), script.say("")))
    thread.start()
    result = Pipeline(made(script.path)).run(FRAME)
    thread.join()
    assert [event.data for event in result.events] == [{"seq": 0}, "word"]
    assert np.asarray(result).tolist() == [0.0] * 320 + [0.5] * 320
