"""A UDP relay between one peer and the server, which loses, delays, doubles and forges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support import sdp
from tests.support.peer import Peer

Address = tuple[str, int]
Direction = Literal["up", "down"]
"""`up` is towards the server."""


@dataclass(frozen=True)
class Faults:
    """What happens to datagrams, each way."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Delays differ by up to this, so datagrams overtake each other."""


def everything(_: Direction, __: bytes) -> bool:
    """Let every datagram pass."""
    return True


@dataclass
class Relay:
    """Stands between a peer and `server`; what happens to datagrams is drawn from `seed`."""

    server: Address
    faults: Faults = Faults()
    seed: int = 0
    passes: Callable[[Direction, bytes], bool] = everything
    """Decides about a datagram before the faults do."""
    address: Address = ("", 0)
    """Where the peer sends to."""
    seen: list[tuple[Direction, bytes]] = field(default_factory=list)
    """What came, before anything happened to it."""

    def __post_init__(self) -> None:
        self._draw = {"up": random.Random(self.seed), "down": random.Random(~self.seed)}
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[Address, asyncio.DatagramTransport] = {}
        self._opening: dict[Address, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to relay."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Port(self._from_peer), local_addr=(self.server[0], 0)
        )
        self.address = self._front.get_extra_info("sockname")

    def close(self) -> None:
        """Stop."""
        for transport in (self._front, *self._backs.values()):
            if transport is not None:
                transport.close()
        self._front = None

    def inject(self, data: bytes) -> None:
        """Send the server something in the peer's name."""
        for transport in self._backs.values():
            transport.sendto(data)

    def _from_peer(self, data: bytes, peer: Address) -> None:
        if peer in self._backs:
            self._pass("up", data, peer)
        elif peer in self._opening:
            self._opening[peer].append(data)
        else:
            self._opening[peer] = [data]
            task = asyncio.get_running_loop().create_task(self._open_back(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open_back(self, peer: Address) -> None:
        loop = asyncio.get_running_loop()
        back, _ = await loop.create_datagram_endpoint(
            lambda: _Port(lambda data, _: self._pass("down", data, peer)), remote_addr=self.server
        )
        if self._front is None:
            back.close()
            return
        self._backs[peer] = back
        for data in self._opening.pop(peer):
            self._pass("up", data, peer)

    def _pass(self, direction: Direction, data: bytes, peer: Address) -> None:
        self.seen.append((direction, data))
        if not self.passes(direction, data):
            return
        draw, faults = self._draw[direction], self.faults
        if draw.random() < faults.drop:
            return
        copies = 2 if draw.random() < faults.duplicate else 1
        for _ in range(copies):
            delay = faults.delay_s + draw.random() * faults.jitter_s
            if delay > 0.0:
                asyncio.get_running_loop().call_later(delay, self._send, direction, data, peer)
            else:
                self._send(direction, data, peer)

    def _send(self, direction: Direction, data: bytes, peer: Address) -> None:
        if self._front is None:
            return
        if direction == "up":
            self._backs[peer].sendto(data)
        else:
            self._front.sendto(data, peer)


class _Port(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data, addr[:2])


@asynccontextmanager
async def relayed(
    peer: Peer, faults: Faults = Faults(), seed: int = 0, **body: Any
) -> AsyncIterator[tuple[Relay, str]]:
    """Negotiate, with a relay as the only way between the peer and the server.

    Gives the relay, and the answer that the peer must `accept` to begin. The peer leaves at the
    end, while it can still be heard.
    """
    reply = await peer.ask(sdp.without_candidates, **body)
    assert reply.status == 200, reply
    relay = Relay(sdp.media_address(reply.body["sdp"]), faults, seed)
    await relay.open()
    try:
        yield relay, sdp.through(reply.body["sdp"], relay.address)
    finally:
        relay.faults, relay.passes = Faults(), everything
        await peer.close()
        relay.close()


def kind_of(data: bytes) -> str:
    """What a datagram is, by its first byte (RFC 7983, section 7)."""
    first = data[0]
    if first < 4:
        return "stun"
    if 20 <= first <= 63:
        # A change of cipher belongs to the handshake.
        return "handshake" if first in (20, 22) else "dtls"
    return "rtp"
