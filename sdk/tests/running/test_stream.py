"""`stream`: events as they come, and what happens when nobody wants them any more."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from remotemedia import MediaFileError, Node, NodeError, Pipeline, node
from remotemedia.client import NodeResult
from remotemedia.nodes.audio import LevelMeterNode, PassThroughNode
from remotemedia.running.events import AudioEvent, ValueEvent

pytestmark = pytest.mark.usefixtures("backend")


@node
async def number(audio, session):
    return {"seq": session.seq}


def pieces(count, samples=320):
    async def give():
        for _ in range(count):
            await asyncio.sleep(0)
            yield np.zeros(samples, np.float32)

    return give()


async def test_events_come_as_pieces_go_in():
    fed, seen, came = [], [], asyncio.Event()

    async def source():
        for each in range(5):
            fed.append(each)
            yield np.zeros(320, np.float32)
            await came.wait()  # the next piece is given when the event has come
            came.clear()

    async for event in Pipeline(number).stream(source()):
        assert isinstance(event, NodeResult)
        seen.append(event.data["seq"])
        came.set()
    assert seen == fed == [0, 1, 2, 3, 4]


async def test_audio_and_objects_are_events_too(noise):
    @node
    def boxed(audio):
        return [audio, object()]

    events = [event async for event in Pipeline(boxed).stream(noise(0.04))]
    assert [type(event) for event in events] == [AudioEvent, ValueEvent] * 2
    audio = events[0]
    assert (audio.rate, audio.samples.shape, audio.pts_ms) == (16000, (320,), 0.0)
    assert events[2].pts_ms == 20.0


async def test_the_run_waits_for_its_reader():
    given = []

    async def source():
        for each in range(500):
            given.append(each)
            yield np.zeros(320, np.float32)

    events = Pipeline(number).stream(source())
    await anext(events)
    for _ in range(200):
        await asyncio.sleep(0.001)
    assert len(given) < 20
    rest = [event async for event in events]
    assert len(rest) == 499


async def test_leaving_early_cleans_up():
    cleaned = threading.Event()

    class Kept(Node):
        def process(self, audio):
            return {"n": len(audio)}

        def cleanup(self):
            cleaned.set()

    events = Pipeline(Kept()).stream(pieces(1000))
    async for _ in events:
        break
    await events.aclose()
    assert cleaned.is_set()


async def test_leaving_while_the_source_is_silent():
    async def silent():
        yield np.zeros(320, np.float32)
        await asyncio.Event().wait()

    events = Pipeline(number).stream(silent())
    await anext(events)
    await asyncio.wait_for(events.aclose(), 10)


async def drain(events):
    return [event async for event in events]


async def test_errors_come_out(noise):
    @node
    def fails(audio):
        raise ValueError("no")

    async def broken():
        yield noise(0.1)
        raise LookupError("the source broke")

    with pytest.raises(MediaFileError):
        await drain(Pipeline(PassThroughNode()).stream("no-such-file.wav"))
    with pytest.raises(NodeError, match="no"):
        await drain(Pipeline(fails).stream(noise(1.0)))
    with pytest.raises(LookupError, match="the source broke"):
        await drain(Pipeline(number).stream(broken()))


async def test_many_streams_at_once(noise):
    pipeline = Pipeline(LevelMeterNode(interval_ms=100))

    async def count():
        return sum(
            [isinstance(event, AudioEvent) is False async for event in pipeline.stream(noise(1.0))]
        )

    assert await asyncio.gather(*(count() for _ in range(8))) == [10] * 8
