"""Peers that vanish, never finish, or stop reading: the server ends them by itself.

Its patience is 30 s (RFC 7675) and not to be set, so all of them are begun together and each test
waits for its own end.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.support import opus, sdp, speech
from tests.support.api import Api, Message, calling, until
from tests.support.peer import RATE, Peer, Tone
from tests.support.relay import Direction, relayed
from tests.support.server import ROOT, serving
from tests.support.stun import check, stranger

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

LARGEST_THAT_PASSES = 130
"""Checks and acknowledgements get through a stalled link, messages do not."""
AUDIO_SECONDS = 60


class Doomed:
    """Sessions that will end, and how each did."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._ends: dict[str, asyncio.Task[Message]] = {}

    def watch(self, name: str, session: str) -> None:
        """Listen for a session's end."""
        self._ends[name] = asyncio.create_task(self._end_of(session))

    async def end_of(self, name: str) -> Mapping[str, Any]:
        """What the session's `bye` says."""
        bye = await self._ends[name]
        assert bye["type"] == "bye"
        data: Mapping[str, Any] = bye["data"]
        return data

    async def _end_of(self, session: str) -> Message:
        last: Message = {}
        async with self.api.events(session) as events:
            async for _, message in events:
                last = message
        return last


async def killed(api: Api, command: list[str]) -> str:
    """Kill a peer's process as soon as its audio comes; gives its session."""
    before = {session["session"] for session in await api.sessions()}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT / "tests", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    async def speaking() -> str:
        for session in await api.sessions():
            streams = session["participants"][0]["streams"]
            if session["session"] not in before and streams and streams[0]["frames"] > 20:
                return str(session["session"])
        return ""

    session = await until(speaking)
    process.kill()
    await process.wait()
    return session


def aiortc(api: Api, folder: Path) -> list[str]:
    silence = speech.silence(AUDIO_SECONDS, RATE)
    file = speech.write_wav(folder / "long.wav", silence, RATE)
    return [sys.executable, "-m", "remotemedia", "call", f"{api.url}/mic-energy", str(file)]


def libdatachannel(api: Api, folder: Path) -> list[str]:
    packets = opus.encode(np.zeros(RATE * AUDIO_SECONDS, np.float32))
    file = opus.write_packets(folder / "packets.json", packets)
    options = {"url": api.url, "pipeline": "mic-energy", "packets": str(file)}
    node = shutil.which("node")
    assert node is not None, "node is needed for libdatachannel"
    return [node, "support/libdatachannel.mjs", json.dumps(options)]


async def never_finish_ice(api: Api, stack: AsyncExitStack) -> str:
    """Offer, and never send a datagram."""
    peer = await stack.enter_async_context(Peer(api, audio=Tone()))
    await peer.ask(sdp.without_candidates, pipeline="mic-energy")
    return peer.session


async def never_finish_dtls(api: Api, stack: AsyncExitStack) -> str:
    """Find a path, nominate it, and answer nothing but checks."""
    peer = await stack.enter_async_context(Peer(api, audio=Tone()))
    answer = (await peer.ask(sdp.without_candidates, pipeline="mic-energy")).body["sdp"]
    mine = sdp.credentials(peer.connection.localDescription.sdp)
    deaf = await stack.enter_async_context(stranger(sdp.media_address(answer)))
    deaf.answer_checks(mine)
    await deaf.ask(check(sdp.credentials(answer), mine, USE_CANDIDATE=None))

    async def hello_came() -> bool:
        return any(data[:1] == b"\x16" for data in deaf.received)

    await until(hello_came)
    return peer.session


async def stop_reading(api: Api, stack: AsyncExitStack) -> str:
    """Have events to read, and let none of them through."""
    audio = Tone(frames_on_off=(15, 15))
    peer = await stack.enter_async_context(Peer(api, audio=audio))
    relay, answer = await stack.enter_async_context(relayed(peer, pipeline="mic-energy"))
    await peer.accept(answer)
    await peer.wait_for("speech_started")

    def stalled(direction: Direction, data: bytes) -> bool:
        return direction == "up" or len(data) <= LARGEST_THAT_PASSES

    relay.passes = stalled
    return peer.session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doomed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doomed]:
    """All of them under way, and one that does nothing wrong."""
    folder = tmp_path_factory.mktemp("gone")
    with serving(["mic-energy"], folder / "server.log") as server:
        async with calling(server.url) as api, AsyncExitStack() as stack:
            found = Doomed(api)
            healthy = await stack.enter_async_context(Peer(api, audio=Tone()))
            await healthy.open(pipeline="mic-energy")
            found.watch("no ICE", await never_finish_ice(api, stack))
            found.watch("no DTLS", await never_finish_dtls(api, stack))
            found.watch("slow", await stop_reading(api, stack))
            found.watch("aiortc", await killed(api, await asyncio.to_thread(aiortc, api, folder)))
            found.watch(
                "libdatachannel",
                await killed(api, await asyncio.to_thread(libdatachannel, api, folder)),
            )
            yield found
            await healthy.more("vad", 10)
            assert healthy.of_type("error", "bye") == []
            await healthy.close()
            await api.assert_nothing_left()


@pytest.mark.parametrize("stack", ["aiortc", "libdatachannel"])
async def test_a_peer_whose_process_is_killed(doomed: Doomed, stack: str) -> None:
    bye = await doomed.end_of(stack)
    assert bye["code"] == "RM-3004"
    assert "stopped answering" in bye["reason"]


async def test_a_peer_that_never_finishes_ice(doomed: Doomed) -> None:
    bye = await doomed.end_of("no ICE")
    assert bye["code"] == "RM-3001"
    assert "ICE found no path" in bye["reason"]


async def test_a_peer_that_never_finishes_dtls(doomed: Doomed) -> None:
    bye = await doomed.end_of("no DTLS")
    assert bye["code"] == "RM-3002"
    assert "handshake" in bye["reason"]


async def test_a_reader_that_stops_reading(doomed: Doomed) -> None:
    bye = await doomed.end_of("slow")
    assert bye["code"] == "RM-3005"
    assert "10 s" in bye["reason"]
