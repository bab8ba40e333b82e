"""ICE restarts over real sockets: from one path to the next, and what is left of the old ones."""

from __future__ import annotations

import asyncio

import pytest
from aioice import Candidate, Connection, ConnectionClosed

from remotemedia.host.python import paths as paths_module
from remotemedia.host.python.paths import Paths

PATIENCE = 20


def on_loopback(connection):
    """Gather on this machine only."""
    inner = connection.get_component_candidates

    async def gather(component, addresses, **rest):
        return await inner(component=component, addresses=["127.0.0.1"], **rest)

    connection.get_component_candidates = gather


async def introduced(other, ours):
    """Tell two sides of each other."""
    other.remote_username, other.remote_password = ours.local_username, ours.local_password
    for each in ours.local_candidates:
        await other.add_remote_candidate(Candidate.from_sdp(each.to_sdp()))
    for each in other.local_candidates:
        await ours.add_remote_candidate(Candidate.from_sdp(each.to_sdp()))


async def another():
    """The other side of a path."""
    made = Connection(ice_controlling=True)
    on_loopback(made)
    await made.gather_candidates()
    return made


@pytest.fixture
async def pair():
    """A path, and who is at its other end."""
    paths = Paths(Connection(ice_controlling=False), on_loopback)
    await paths.gather_candidates()
    other = await another()
    await introduced(other, paths)
    paths.remote_username, paths.remote_password = other.local_username, other.local_password
    await asyncio.wait_for(asyncio.gather(paths.connect(), other.connect()), PATIENCE)
    yield paths, other
    await paths.close()
    await other.close()


async def restarted(paths):
    """Give the other end of a new path that was found."""
    newer = await another()
    assert await paths.restart(newer.local_username, newer.local_password, lite=False)
    await introduced(newer, paths)
    await asyncio.wait_for(newer.connect(), PATIENCE)
    return newer


async def received(connection):
    return await asyncio.wait_for(connection.recv(), PATIENCE)


async def test_everything_goes_over_to_the_new_path(pair):
    paths, _ = pair
    name = paths.local_username
    waiting = asyncio.ensure_future(paths.recv())
    ended = asyncio.ensure_future(paths.get_event())
    newer = await restarted(paths)
    assert paths.local_username != name
    await newer.send(b"by the new one")
    assert await asyncio.wait_for(waiting, PATIENCE) == b"by the new one"
    await paths.send(b"back")
    assert await received(newer) == b"back"
    assert not ended.done()
    again = await restarted(paths)
    await again.send(b"by the third")
    assert await received(paths) == b"by the third"
    await paths.close()
    assert isinstance(await asyncio.wait_for(ended, PATIENCE), ConnectionClosed)
    await asyncio.gather(newer.close(), again.close())


async def test_the_old_path_is_used_until_there_is_a_new_one(pair):
    paths, other = pair
    assert await paths.restart("name", "p" * 22, lite=False)
    await paths.send(b"still")
    assert await received(other) == b"still"
    await other.send(b"here")
    assert await received(paths) == b"here"


async def test_a_path_that_is_not_found_is_given_up(pair, monkeypatch):
    monkeypatch.setattr(paths_module, "RESTART_SECONDS", 0.05)
    paths, other = pair
    name = paths.local_username
    assert await paths.restart("name", "p" * 22, lite=False)
    await asyncio.wait_for(asyncio.wait({paths._going}), PATIENCE)
    assert paths.local_username == name
    await other.send(b"here")
    assert await received(paths) == b"here"


async def test_without_any_path_it_is_over(pair, monkeypatch):
    monkeypatch.setattr(paths_module, "RESTART_SECONDS", 0.3)
    paths, _ = pair
    assert await paths.restart("name", "p" * 22, lite=False)
    ended = asyncio.ensure_future(paths.get_event())
    await asyncio.sleep(0)
    await paths._current.close()
    await paths.send(b"lost, while the next is looked for")
    with pytest.raises(ConnectionError):
        await received(paths)
    assert isinstance(await asyncio.wait_for(ended, PATIENCE), ConnectionClosed)
    with pytest.raises(ConnectionError):
        await paths.send(b"nowhere")


async def test_the_path_may_be_lost_while_the_next_is_looked_for(pair):
    paths, _ = pair
    newer = await another()
    assert await paths.restart(newer.local_username, newer.local_password, lite=False)
    waiting = asyncio.ensure_future(paths.recv())
    await asyncio.sleep(0)
    await paths._current.close()
    await introduced(newer, paths)
    await asyncio.wait_for(newer.connect(), PATIENCE)
    await newer.send(b"found")
    assert await asyncio.wait_for(waiting, PATIENCE) == b"found"
    await newer.close()


async def test_without_a_socket_nothing_changes(pair, monkeypatch):
    paths, other = pair
    name = paths.local_username

    async def none(self):
        pass

    monkeypatch.setattr(Connection, "gather_candidates", none)
    assert not await paths.restart("name", "p" * 22, lite=False)
    assert paths.local_username == name
    await other.send(b"here")
    assert await received(paths) == b"here"
