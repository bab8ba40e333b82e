"""Python nodes that fail, in sessions beside others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.api import Api, calling
from tests.support.peer import Peer, Tone
from tests.support.server import Server, serving_files

LOUD, QUIET = -12.0, -30.0

NODES = """
import numpy as np
from remotemedia import Node, node


@node
def fragile(audio, session):
    if np.abs(audio).max() > 0.1:
        raise ValueError("too loud for me")
    return {"quiet": True}


@node
async def odd(audio, session):
    return object()


class Patient(Node):
    async def initialize(self):
        self.interrupts = 0

    async def process(self, audio):
        return {"interrupts": self.interrupts}

    async def on_interrupt(self):
        self.interrupts += 1
"""

MANIFEST = """
version: v1
metadata: {{name: {name}}}
nodes:
  - {{id: vad, node_type: VADNode, params: {{engine: energy}}}}
  - {{id: mine, node_type: PythonNode, params: {{entry: "nodes.py:{name}"}}}}
"""


@pytest.fixture(scope="module")
def fragile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the nodes above, each beside a VAD."""
    names = ("fragile", "odd", "Patient")
    files = {"nodes.py": NODES, **{f"{name}.yaml": MANIFEST.format(name=name) for name in names}}
    with serving_files(tmp_path_factory.mktemp("fragile"), files, failing=True) as server:
        yield server


@pytest.fixture
async def fragile_api(fragile_server: Server) -> AsyncIterator[Api]:
    """Calls to it; nothing may be left on it."""
    async with calling(fragile_server.url) as made:
        yield made
        await made.assert_nothing_left()


async def test_a_node_that_raises_tells_why_and_harms_nobody(fragile_api: Api) -> None:
    async with (
        Peer(fragile_api, audio=Tone(LOUD)) as loud,
        Peer(fragile_api, audio=Tone(QUIET)) as quiet,
    ):
        await loud.open(pipeline="fragile")
        await quiet.open(pipeline="fragile")
        (error, *_) = await loud.wait_for("error")
        assert (error["node"], error["session"]) == ("mine", loud.session)
        assert error["participant"] == loud.participant
        assert error["data"]["code"] == "RM-5001"
        assert "too loud for me" in error["data"]["message"]
        assert "nodes.py" in error["data"]["traceback"]
        assert "raise ValueError" in error["data"]["traceback"]
        await loud.more("vad", 25)
        await quiet.wait_for("node", 25)
        assert quiet.of_type("error") == []
        assert loud.of_type("node") == []
        assert {message["node"] for message in quiet.of_type("node")} == {"mine"}


async def test_a_node_that_fails_every_time_is_rested(fragile_api: Api) -> None:
    async with Peer(fragile_api, audio=Tone(LOUD)) as peer:
        await peer.open(pipeline="fragile")
        await peer.wait_for("error", 5)
        await peer.more("vad", 50)
        # After five in a row it is left alone for a while: fifty more frames give no more errors.
        assert len(peer.of_type("error")) < 10
        (session,) = await fragile_api.sessions()
        assert session["state"] == "running"


async def test_a_node_that_returns_what_cannot_be_sent(fragile_api: Api) -> None:
    async with Peer(fragile_api, audio=Tone()) as peer:
        await peer.open(pipeline="odd")
        (error, *_) = await peer.wait_for("error")
        assert (error["node"], error["data"]["code"]) == ("mine", "RM-5001")
        assert "object" in error["data"]["message"]
        await peer.more("vad", 10)


async def test_a_node_is_told_when_a_client_interrupts(fragile_api: Api) -> None:
    async with Peer(fragile_api, audio=Tone()) as one, Peer(fragile_api, audio=Tone()) as other:
        await one.open(pipeline="Patient")
        await other.open(pipeline="Patient")
        await one.wait_for("node")
        await other.wait_for("node")
        one.say({"type": "interrupt", "id": 1})
        await one.wait_until(lambda: one.of_type("node")[-1]["data"] == {"interrupts": 1})
        await other.more("node", 5)
        assert {each["data"]["interrupts"] for each in other.of_type("node")} == {0}


async def test_the_lanes_are_empty_afterwards(fragile_api: Api) -> None:
    async with Peer(fragile_api, audio=Tone(QUIET)) as peer:
        await peer.open(pipeline="fragile")
        await peer.wait_for("node", 5)
        figures = await fragile_api.figures()
        assert figures["remotemedia_lane_instances"] == 1.0
        assert figures["remotemedia_lane_frames_total"] >= 5.0
    await fragile_api.assert_nothing_left()
    assert (await fragile_api.figures())["remotemedia_lane_instances"] == 0.0
