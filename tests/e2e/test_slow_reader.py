"""A reader that falls behind by too much is closed; who is beside it notices nothing.

What is coalesced at 256 KiB, and that no event is lost on the way there, is shown in virtual time
(`runtime/crates/session/tests/slow.rs`); the bound of ten seconds in `test_gone.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api import calling
from tests.support.peer import Peer, Tone
from tests.support.relay import Direction, relayed
from tests.support.server import Server, serving

LARGEST_THAT_PASSES = 130
"""Checks and acknowledgements get through a stalled link, messages do not."""

NODE = """
from remotemedia import node


@node
async def verbose(audio, session):
    return {"text": "x" * 50_000}
"""

MANIFEST = """
version: v1
metadata: {name: verbose}
nodes:
  - {id: mine, node_type: PythonNode, params: {entry: "nodes.py:verbose"}}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A pipeline with 2.5 MB of results a second."""
    (tmp_path / "nodes.py").write_text(NODE)
    path = tmp_path / "verbose.yaml"
    path.write_text(MANIFEST)
    return path


async def test_a_megabyte_of_events_that_is_not_read_ends_the_connection(
    manifest: Path, tmp_path: Path
) -> None:
    with serving([manifest, "mic-energy"], tmp_path / "server.log") as server:
        await fall_behind(server)


async def fall_behind(server: Server) -> None:
    async with (
        calling(server.url) as api,
        Peer(api, audio=Tone()) as beside,
        Peer(api, audio=Tone()) as peer,
        relayed(peer, pipeline="verbose") as (relay, answer),
        api.events(peer.session) as events,
    ):
        await beside.open(pipeline="mic-energy")
        await peer.accept(answer)
        await peer.wait_for("node")

        def stalled(direction: Direction, data: bytes) -> bool:
            return direction == "up" or len(data) <= LARGEST_THAT_PASSES

        relay.passes = stalled
        *_, bye = [message async for _, message in events]
        assert (bye["type"], bye["data"]["code"]) == ("bye", "RM-3005")
        assert "1 MiB" in bye["data"]["reason"]
        (stream,) = (await api.session(beside.session))["participants"][0]["streams"]
        assert (stream["packets_lost"], stream["concealed"]) == (0, 0)
        await beside.more("vad", 25)
    async with calling(server.url) as api:
        await api.assert_nothing_left()
