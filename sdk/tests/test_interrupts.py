"""`on_interrupt`: nodes are told at once, wherever they run."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

import pytest

from remotemedia import Node

from .fakes import frame
from .test_lanes import pipeline_of


class Speaks(Node):
    """Speaks until it is interrupted."""

    def initialize(self):
        self.stopped = threading.Event()

    def process(self, audio):
        assert self.stopped.wait(10)
        return "stopped"

    def on_interrupt(self):
        self.stopped.set()


class SpeaksLater(Node):
    async def initialize(self):
        self.stopped = asyncio.Event()

    async def process(self, audio):
        await asyncio.wait_for(self.stopped.wait(), 10)
        return "stopped"

    async def on_interrupt(self):
        self.stopped.set()


@pytest.mark.parametrize("made", [Speaks, SpeaksLater])
def test_a_node_at_work_is_told_at_once(engine, lanes, made):
    started = lanes(pipeline_of(made()))
    engine.push(frame(1, node="a"))
    # While it begins it has nothing to stop.
    while 1 not in engine.done:
        started.interrupt("s1", 1)
        asyncio.run(started.ping())
    assert json.loads(engine.result(1)[0]) == "stopped"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_only_nodes_of_that_session_are_told(engine, lanes, asynchronous):
    told = []
    done = threading.Event()

    class Listens(Node):
        def process(self, audio, session):
            self.session = session.id

        def _note(self):
            told.append(self.session)
            done.set()

        if asynchronous:

            async def on_interrupt(self):
                await asyncio.sleep(0)
                self._note()
        else:

            def on_interrupt(self):
                self._note()

    made = lanes(pipeline_of(Listens()))
    engine.push(frame(1, node="a", session="s1"), frame(2, node="a", session="s2"))
    engine.results([1, 2])
    made.interrupt("s2", 1)
    assert done.wait(10)
    assert told == ["s2"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_one_that_fails_is_logged_and_goes_on(engine, lanes, caplog, asynchronous):
    class Fails(Node):
        if asynchronous:

            async def process(self, audio):
                return "on"
        else:

            def process(self, audio):
                return "on"

        def on_interrupt(self):
            raise ValueError("not now")

    made = lanes(pipeline_of(Fails()))
    engine.push(frame(1, node="a"))
    engine.result(1)
    with caplog.at_level(logging.WARNING):
        while "on_interrupt of a failed" not in caplog.text:
            made.interrupt("s1", 1)
            asyncio.run(made.ping())
    engine.push(frame(2, node="a"))
    assert json.loads(engine.result(2)[0]) == "on"


def test_who_has_nothing_to_stop_is_not_told(engine, lanes):
    class Plain(Node):
        def process(self, audio):
            return 1

    made = lanes(pipeline_of(Plain()))
    engine.push(frame(1, node="a"))
    engine.result(1)
    made.interrupt("s1", 1)
    made.interrupt("nobody", 1)
    asyncio.run(made.ping())
    engine.push(frame(2, node="a"))
    assert json.loads(engine.result(2)[0]) == 1
