"""Garbage and broken copies of real datagrams on the media port, beside running sessions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from tests.support import sdp
from tests.support.api import Api
from tests.support.peer import Peer, Tone
from tests.support.relay import Direction, kind_of, relayed
from tests.support.stun import stranger

BURST = 40
"""Datagrams sent at once: the socket's buffer holds them together with the media."""
FRAMES = 25

ALERTS = [
    bytes.fromhex("15fefd0000000000000000") + bytes.fromhex("0002") + alert
    for alert in (b"\x01\x00", b"\x02\x28", b"\x02\x00")  # close_notify, fatal ones
]
"""Alerts in plain text, which anybody can write (RFC 9147, section 4.5.2)."""


def garbage(seed: int, count: int) -> Iterator[bytes]:
    """Random bytes; each kind of first byte (RFC 7983, section 7) comes up."""
    draw = random.Random(seed)
    for index in range(count):
        first = (0, 1, 3, 20, 22, 23, 63, 64, 128, 144, 191, 200, 255)[index % 13]
        yield bytes([first]) + draw.randbytes(draw.randrange(1_400))


def broken(originals: list[bytes], seed: int, count: int) -> Iterator[bytes]:
    """Truncated copies, and copies with one bit changed."""
    draw = random.Random(seed)
    for _ in range(count):
        data = bytearray(draw.choice(originals))
        place = draw.randrange(len(data))
        if draw.random() < 0.5:
            yield bytes(data[:place])
        else:
            data[place] ^= 1 << draw.randrange(8)
            yield bytes(data)


async def assert_nothing_lost(peer: Peer) -> None:
    """What was sent has arrived, and was decoded, and results still come."""
    await peer.more("vad", FRAMES)
    (participant,) = (await peer.api.session(peer.session))["participants"]
    (stream,) = participant["streams"]
    assert stream["packets_received"] >= FRAMES
    for trouble in ("packets_lost", "concealed", "undecodable", "duplicates", "late", "jumps"):
        assert stream[trouble] == 0, f"{trouble} in {stream}"
    windows = peer.of_type("vad")
    steps = {round(b["pts_ms"] - a["pts_ms"], 3) for a, b in itertools.pairwise(windows)}
    assert steps == {20.0}
    assert peer.of_type("error", "bye") == []


async def test_garbage_from_strangers(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        answer = (await peer.open(pipeline="mic-energy")).body["sdp"]
        await peer.wait_for("vad", FRAMES)
        addresses = (await api.figures())["remotemedia_live_addresses"]
        async with stranger(sdp.media_address(answer)) as other:
            for index, data in enumerate(garbage(1, 600)):
                other.send(data)
                if index % BURST == 0:
                    await peer.more("vad")
            await assert_nothing_lost(peer)
            assert other.received == []
        assert (await api.figures())["remotemedia_live_addresses"] == addresses


async def test_garbage_and_broken_copies_in_a_peers_own_name(api: Api) -> None:
    async with (
        Peer(api, audio=Tone()) as peer,
        Peer(api, audio=Tone()) as beside,
        relayed(peer, pipeline="mic-energy") as (relay, answer),
    ):
        await beside.open(pipeline="mic-energy")
        await peer.accept(answer)
        await peer.wait_for("vad", FRAMES)
        sent = [data for direction, data in relay.seen if direction == "up"]
        assert {kind_of(data) for data in sent} == {"stun", "handshake", "dtls", "rtp"}
        forged = [*garbage(2, 200), *broken(sent, 3, 600), *ALERTS]
        for index, data in enumerate(forged):
            relay.inject(data)
            if index % BURST == 0:
                await peer.more("vad")
        await assert_nothing_lost(peer)
        await assert_nothing_lost(beside)


async def test_truncated_copies_before_each_datagram_of_the_handshake(api: Api) -> None:
    draw = random.Random(4)
    async with (
        Peer(api, audio=Tone()) as peer,
        relayed(peer, pipeline="mic-energy") as (relay, answer),
    ):

        def accompany(direction: Direction, data: bytes) -> bool:
            if direction == "up":
                relay.inject(data[: draw.randrange(len(data))])
                relay.inject(draw.randbytes(draw.randrange(1, 200)))
            return True

        relay.passes = accompany
        await peer.accept(answer)
        await peer.wait_for("vad", FRAMES)
        await assert_nothing_lost(peer)
