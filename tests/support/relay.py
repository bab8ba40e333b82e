"""A UDP relay between one peer and the server, which loses, delays, doubles and forges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

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
async def relaying(
    server: Address, faults: Faults = Faults(), seed: int = 0
) -> AsyncIterator[Relay]:
    """A relay to the server's media address."""
    relay = Relay(server, faults, seed)
    await relay.open()
    try:
        yield relay
    finally:
        relay.close()


def is_dtls_handshake(data: bytes) -> bool:
    """Whether a datagram begins with a handshake record (RFC 9147, section 4)."""
    return data[:1] == b"\x16"


def is_rtp(data: bytes) -> bool:
    """Whether a datagram is RTP or RTCP (RFC 7983, section 7)."""
    return bool(data) and 128 <= data[0] <= 191
