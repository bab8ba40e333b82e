"""Many sessions one after the other, ended in every way: no descriptor, no thread stays."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from tests.support import sdp
from tests.support.api import Api, until
from tests.support.peer import Peer, Tone
from tests.support.server import Server

ROUNDS = 5


@dataclass(frozen=True)
class Used:
    """What the server's process holds."""

    descriptors: int
    threads: int


def used_by(server: Server) -> Used:
    process = psutil.Process(server.process.pid)
    return Used(process.num_fds(), process.num_threads())


async def each_way_once(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:  # the peer leaves
        await peer.open(pipeline="mic-python")
        await peer.wait_for("vad")
    async with Peer(api, audio=Tone(), channels=()) as peer:  # ended by request, while it is read
        await peer.open(pipeline="mic-energy")
        async with api.events(peer.session) as events:
            async for _, message in events:
                if message["type"] == "vad":
                    await api.call("DELETE", f"/api/sessions/{peer.session}")
    async with Peer(api, audio=Tone()) as peer:  # ended before it has begun
        await peer.ask(pipeline="mic-vad")
        await api.call("DELETE", f"/api/sessions/{peer.session}")
    async with Peer(api, audio=Tone()) as peer:  # refused by its certificate
        reply = await peer.ask(sdp.with_wrong_fingerprints, pipeline="mic-level")
        async with api.events(peer.session) as events:
            await peer.accept(reply.body["sdp"])
            assert [message["type"] async for _, message in events] == ["bye"]
    await api.offer("v=0\r\n", pipeline="mic-energy")


async def test_nothing_grows(api: Api, shared: Server) -> None:
    await each_way_once(api)
    await api.assert_nothing_left()
    before = used_by(shared)
    for _ in range(ROUNDS):
        await each_way_once(api)
    await api.assert_nothing_left()

    async def as_before() -> bool:
        now = used_by(shared)
        return now.descriptors <= before.descriptors and now.threads <= before.threads

    await until(as_before)
