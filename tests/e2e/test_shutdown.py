"""Ctrl-C: everybody is told, and nothing is left running."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.support import sdp
from tests.support.api import Api, calling
from tests.support.peer import Peer, Tone
from tests.support.server import STOP_TIMEOUT_S, Server, serving

NODES = """
import asyncio
import time
from remotemedia import node


@node
def blocks(audio, session):
    time.sleep(1_000)


@node
async def waits(audio, session):
    await asyncio.sleep(1_000)


@node
async def blocks_the_loop(audio, session):
    time.sleep(1_000)
"""

MANIFEST = """
version: v1
metadata: {{name: {name}}}
nodes:
  - {{id: vad, node_type: VADNode, params: {{engine: energy}}}}
  - {{id: mine, node_type: PythonNode, params: {{entry: "nodes.py:{name}"}}}}
"""


@dataclass
class Traces:
    """What of a server could be left."""

    processes: list[psutil.Process]
    port: int
    media_port: int

    def assert_gone(self) -> None:
        """No process lives, no port is taken."""
        assert [each for each in self.processes if each.is_running()] == []
        with socket.create_server(("127.0.0.1", self.port)):
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("0.0.0.0", self.media_port))


def traces(server: Server, answer: str) -> Traces:
    process = psutil.Process(server.process.pid)
    port = re.search(r":(\d+)$", server.url)
    assert port is not None
    return Traces(
        [process, *process.children(recursive=True)], int(port[1]), sdp.media_address(answer)[1]
    )


async def stopped(server: Server, how: signal.Signals) -> int:
    """Send a signal, and wait for the exit code."""
    server.process.send_signal(how)
    return await asyncio.to_thread(server.process.wait, STOP_TIMEOUT_S)


@asynccontextmanager
async def opened(api: Api, pipeline: str) -> AsyncIterator[tuple[Peer, str]]:
    """A session under way, and its answer."""
    async with Peer(api, audio=Tone()) as peer:
        reply = await peer.open(pipeline=pipeline)
        await peer.wait_for("vad", 5)
        yield peer, reply.body["sdp"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_everybody_is_told(tmp_path: Path, how: signal.Signals) -> None:
    with serving(["mic-energy", "mic-python"], tmp_path / "server.log") as server:
        async with (
            calling(server.url) as api,
            opened(api, "mic-energy") as (first, answer),
            opened(api, "mic-python") as (second, _),
            api.events(first.session) as events,
            api.http.ws_connect(f"{api.url}/ws") as websocket,
        ):
            left = traces(server, answer)
            code, told, last = await asyncio.gather(
                stopped(server, how), rest(events), websocket.receive()
            )
            assert code == 0
            for peer in (first, second):
                (bye,) = await peer.wait_for("bye")
                assert bye["data"]["code"] == "RM-6002"
                assert "shutting down" in bye["data"]["reason"]
            assert (told[-1], "bye") == (first.messages[-1], told[-1]["type"])
            assert last.type is aiohttp.WSMsgType.CLOSE
            assert last.data == aiohttp.WSCloseCode.GOING_AWAY
        left.assert_gone()
        assert (tmp_path / "server.log").read_text() == ""


async def rest(events: AsyncIterator[tuple[int, dict[str, object]]]) -> list[dict[str, object]]:
    return [message async for _, message in events]


@pytest.mark.parametrize("node", ["blocks", "waits", "blocks_the_loop"])
async def test_a_node_that_never_returns_does_not_keep_the_server(
    tmp_path: Path, node: str
) -> None:
    await asyncio.to_thread((tmp_path / "nodes.py").write_text, NODES)
    manifest = tmp_path / f"{node}.yaml"
    await asyncio.to_thread(manifest.write_text, MANIFEST.format(name=node))
    with serving([manifest], tmp_path / "server.log") as server:
        async with calling(server.url) as api, opened(api, node) as (peer, answer):
            left = traces(server, answer)
            assert await stopped(server, signal.SIGINT) == 0
            await peer.wait_for("bye")
        left.assert_gone()


async def test_a_second_ctrl_c_is_no_trouble(tmp_path: Path) -> None:
    with serving(["mic-energy"], tmp_path / "server.log") as server:
        async with calling(server.url) as api, opened(api, "mic-energy") as (peer, answer):
            left = traces(server, answer)
            server.process.send_signal(signal.SIGINT)
            await peer.wait_for("bye")
            with contextlib.suppress(ProcessLookupError):
                server.process.send_signal(signal.SIGINT)
            await asyncio.to_thread(server.process.wait, STOP_TIMEOUT_S)
        left.assert_gone()
        assert "Traceback" not in (tmp_path / "server.log").read_text()
