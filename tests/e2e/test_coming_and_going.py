"""Many sessions, ended in every way: no connection, no descriptor, no thread of theirs stays."""

from __future__ import annotations

import asyncio

import psutil

from tests.support import sdp
from tests.support.api import Api, calling, until
from tests.support.peer import Peer, Tone
from tests.support.server import Server

ROUNDS, AT_ONCE = 6, 4
POOLED_THREADS = 8 + AT_ONCE
"""Pools start a thread only when work waits, so how many there are after a round depends on what
happened to come at once: those for calls to the engine, 8 at most, and those for nodes, one for
each that works at once. Were one thread left by any kind of end there would be more, as
`ROUNDS * AT_ONCE` sessions end in each way."""


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


async def round_of(server: Server) -> None:
    """Sessions at once, ended in every way, by clients that then close their connections."""
    async with calling(server.url) as api:
        await asyncio.gather(*(each_way_once(api) for _ in range(AT_ONCE)))
        await api.assert_nothing_left()
    process = psutil.Process(server.process.pid)

    async def hung_up() -> bool:
        connections = process.net_connections("tcp")
        return all(each.status == psutil.CONN_LISTEN for each in connections)

    await until(hung_up)


async def test_nothing_grows(shared: Server) -> None:
    process = psutil.Process(shared.process.pid)
    await round_of(shared)
    descriptors, threads = process.num_fds(), process.num_threads()
    for _ in range(ROUNDS):
        await round_of(shared)
    assert process.num_fds() == descriptors
    assert process.num_threads() <= threads + POOLED_THREADS
