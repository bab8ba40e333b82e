"""Offers that come too fast, and a server that is full: 429, and when to come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Api, Reply, calling, until
from tests.support.peer import Peer, Tone
from tests.support.server import Server, serving

OFFERS_AT_ONCE = 8
"""Offers about one connection that are taken at once; then it is one a second."""
ROOM = 2

CONFIG = """
limits: {{new_sessions_per_second: {per_second}, new_sessions_at_once: {at_once}}}
media: {{limits: {{max_sessions: {room}}}}}
"""


def small(folder: Path, *, per_second: float = 50.0, at_once: int = 100) -> list[str]:
    """Options of a server with room for two sessions."""
    file = folder / "server.yaml"
    file.write_text(CONFIG.format(per_second=per_second, at_once=at_once, room=ROOM))
    return ["--config", str(file)]


@pytest.fixture
def full_server(tmp_path: Path) -> Iterator[Server]:
    """A server for two sessions."""
    with serving(["mic-energy"], tmp_path / "log", *small(tmp_path)) as server:
        yield server


def assert_come_back(reply: Reply, code: str, at_most_s: int) -> None:
    assert (reply.status, reply.error["code"]) == (429, code)
    assert 1 <= int(reply.headers["Retry-After"]) <= at_most_s
    assert reply.error["hint"]


async def test_one_connection_negotiated_over_and_over(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer, Peer(api, audio=Tone()) as other:
        await peer.open(pipeline="mic-energy")
        await other.open(pipeline="mic-energy")
        await peer.wait_for("vad")
        offer = peer.connection.localDescription.sdp
        replies = [await api.offer(offer, pc_id=peer.pc_id) for _ in range(4 * OFFERS_AT_ONCE)]
        answered = [reply for reply in replies if reply.status == 200]
        refused = [reply for reply in replies if reply.status != 200]
        assert OFFERS_AT_ONCE <= len(answered) < 2 * OFFERS_AT_ONCE
        for reply in refused:
            assert_come_back(reply, "RM-2008", at_most_s=2)
        # It goes on meanwhile, others may negotiate, and so may it after a while.
        await peer.more("vad", 10)
        assert (await other.open(pc_id=other.pc_id)).status == 200

        async def taken_again() -> bool:
            return (await api.offer(offer, pc_id=peer.pc_id)).status == 200

        assert await until(taken_again)


async def test_a_full_server_has_room_again_when_one_leaves(full_server: Server) -> None:
    async with calling(full_server.url) as api:
        async with Peer(api, audio=Tone()) as first, Peer(api, audio=Tone()) as late:
            await first.open()
            async with Peer(api, audio=Tone()) as second:
                await second.open()
                for peer in (first, second):
                    await peer.wait_for("vad")
                refused = await late.ask()
                assert_come_back(refused, "RM-6001", at_most_s=5)
                assert f"{ROOM} sessions" in refused.error["message"]
                # Who joins takes no session.
                async with Peer(api) as listener:
                    await listener.open(join=first.session)
                    await listener.wait_for("vad")
            await until(lambda: room_in(api))
            await late.open()
            await late.wait_for("vad")
            await first.more("vad", 10)
        await api.assert_nothing_left()


async def room_in(api: Api) -> bool:
    return len(await api.sessions()) < ROOM


async def test_new_sessions_that_come_too_fast(tmp_path: Path) -> None:
    options = small(tmp_path, per_second=0.01, at_once=2)
    with serving(["mic-energy"], tmp_path / "log", *options) as server:
        async with (
            calling(server.url) as api,
            Peer(api, audio=Tone()) as one,
            Peer(api, audio=Tone()) as two,
            Peer(api, audio=Tone()) as three,
        ):
            await one.open()
            await two.open(join=one.session)
            assert_come_back(await three.ask(), "RM-6001", at_most_s=100)
            await one.wait_for("vad")
            assert (await one.open(pc_id=one.pc_id)).status == 200
