from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from remotemedia_signaling import HostError

from remotemedia import Pipeline, node
from remotemedia.host import EngineHost
from remotemedia.host.choosing import stand_in
from remotemedia.nodes import LevelMeterNode, VADNode

from .clients import PATIENCE, Client

SETTINGS = {"bind": "127.0.0.1", "limits": {"max_sessions": 3, "max_participants": 2}}


@node
async def loud(audio, session):
    """Say how loud a frame is."""
    return {"loud": float(abs(audio).max()), "stream": session.stream}


@node
def broken(audio):
    """Fail."""
    raise ValueError("no such luck")


@node
def chatty(audio):
    """Say more than most take."""
    return "x" * 2000


def pipelines():
    """Make what the tests are served."""
    return [
        Pipeline("energy", VADNode(engine="energy", min_speech_ms=40, min_silence_ms=40)),
        Pipeline("loud", VADNode(engine="energy", emit="events"), loud),
        Pipeline("broken", LevelMeterNode(interval_ms=20), broken),
        Pipeline("chatty", chatty),
    ]


@contextlib.asynccontextmanager
async def hosting(pipelines, settings=SETTINGS):
    """Serve by aiortc, and see that nothing of it is left."""
    made = await EngineHost.start(pipelines, settings, stand_in())
    yield made
    for each in await made.sessions():
        with contextlib.suppress(HostError):  # it ends already
            await made.close_session(each["session"])
    await nothing_left(made)
    await made.close()


@pytest.fixture
async def host(loopback):
    """Serve what the tests are served."""
    async with hosting(pipelines()) as made:
        yield made


@pytest.fixture
async def client(host):
    """A client that sends sound and silence in turn."""
    async with Client(host) as made:
        yield made


async def nothing_left(host):
    """Wait until no object of any session is left."""

    async def empty():
        told = await asyncio.to_thread(host._engine.live_objects)
        return not any(json.loads(told).values())

    await until(empty)


async def until(predicate):
    """Wait until something is so that tells nobody."""
    give_up = asyncio.get_running_loop().time() + PATIENCE
    while not await predicate():
        assert asyncio.get_running_loop().time() < give_up, "it never became true"
        await asyncio.sleep(0.005)  # a loop that spins would keep the other threads waiting
