"""Sessions over links that lose, delay, double and swap datagrams."""

from __future__ import annotations

import pytest

from tests.support.api import Api
from tests.support.peer import Peer, Tone
from tests.support.relay import Direction, Faults, kind_of, relayed

SPEECHES = 3
EVENTS = ("speech_started", "speech_stopped")


def speaker() -> Tone:
    """Half a second of sound, half a second of silence, and again."""
    return Tone(frames_on_off=(25, 25), speed=2.0)


def first_message(datagram: bytes) -> bytes:
    """Kind, epoch and message number of its first record (RFC 6347, sections 4.1 and 4.2.2)."""
    kind, epoch = datagram[:1], datagram[3:5]
    return kind + epoch + (datagram[17:19] if kind + epoch == b"\x16\0\0" else b"")


@pytest.mark.parametrize("lost", [("up",), ("down",), ("up", "down")], ids=" and ".join)
async def test_each_datagram_of_the_handshake_may_be_lost(
    api: Api, lost: tuple[Direction, ...]
) -> None:
    async with (
        Peer(api, audio=Tone()) as peer,
        relayed(peer, pipeline="mic-energy") as (relay, answer),
    ):
        swallowed: set[tuple[Direction, bytes]] = set()

        def swallow(direction: Direction, data: bytes) -> bool:
            if kind_of(data) != "handshake" or direction not in lost:
                return True
            key = (direction, first_message(data))
            again = key in swallowed
            swallowed.add(key)
            return again

        relay.passes = swallow
        await peer.accept(answer)
        await peer.wait_for("vad", 5)
        assert {direction for direction, _ in swallowed} == set(lost)
        assert len(swallowed) >= 2 * len(lost)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(drop=0.1),
        Faults(duplicate=0.5, jitter_s=0.02),
        Faults(drop=0.05, duplicate=0.05, delay_s=0.03, jitter_s=0.03),
    ],
    ids=["lossy", "disordered", "slow and lossy"],
)
async def test_no_event_is_lost(api: Api, faults: Faults) -> None:
    async with (
        Peer(api, audio=speaker(), channels=("results", "live")) as peer,
        relayed(peer, faults, seed=1, pipeline="mic-energy") as (_, answer),
        api.events(peer.session) as events,
    ):
        await peer.accept(answer)
        written = []
        stops = 0
        async for _, message in events:
            if message["type"] in EVENTS:
                written.append(message)
            stops += message["type"] == "speech_stopped"
            if stops == SPEECHES:
                break
        await peer.wait_until(lambda: all(one in peer.heard["results"] for one in written))
        assert [one for one in peer.heard["results"] if one["type"] in EVENTS][
            : len(written)
        ] == written
        assert peer.of_type("error", "bye") == []
