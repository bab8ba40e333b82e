"""STUN by hand: what a client sends that is wrong, or that no stack would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aioice.stun import Class, Message, Method, parse_message

from tests.support.api import PATIENCE_S
from tests.support.sdp import Credentials

PRIORITY = 1_845_501_695
"""Of a peer-reflexive candidate."""


def check(server: Credentials, client: Credentials, key: str | None = None, **more: Any) -> Message:
    """A connectivity check (RFC 8445, section 7.2.2), signed with `key` or as it should be.

    `more` are attributes, with `_` for `-`; where it names no role, the sender is controlling.
    """
    message = Message(Method.BINDING, Class.REQUEST)
    attributes = {name.replace("_", "-"): value for name, value in more.items()}
    if not attributes.keys() & {"ICE-CONTROLLING", "ICE-CONTROLLED"}:
        attributes["ICE-CONTROLLING"] = 1
    message.attributes.update(
        {"USERNAME": f"{server.ufrag}:{client.ufrag}", "PRIORITY": PRIORITY, **attributes}
    )
    message.add_message_integrity((key or server.pwd).encode())
    return message


class Stranger(asyncio.DatagramProtocol):
    """A socket of nobody's; what comes to it is in `received`."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._changed = asyncio.Event()
        self._key: bytes | None = None

    def answer_checks(self, mine: Credentials) -> None:
        """Answer checks from now on as a peer does that is really there."""
        self._key = mine.pwd.encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Something came."""
        self.received.append(data)
        self._changed.set()
        request = parse_message(data) if data[:1] == b"\x00" else None
        if self._key is not None and request is not None:
            answer = Message(Method.BINDING, Class.RESPONSE, request.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = addr[:2]
            answer.add_message_integrity(self._key)
            self.send(bytes(answer))

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        assert self._transport is not None
        self._transport.sendto(data)

    def messages(self) -> list[Message]:
        """The STUN messages that came."""
        return [parse_message(data) for data in self.received if data[:1] < b"\x04"]

    def answers_to(self, request: Message) -> list[Message]:
        """The answers to a request."""
        wanted = request.transaction_id
        return [
            message
            for message in self.messages()
            if message.transaction_id == wanted and message.message_class != Class.REQUEST
        ]

    async def ask(self, request: Message) -> Message:
        """Send a request and wait for its answer."""
        self.send(bytes(request))

        async def answered() -> Message:
            while not (found := self.answers_to(request)):
                self._changed.clear()
                await self._changed.wait()
            return found[0]

        return await asyncio.wait_for(answered(), PATIENCE_S)


@asynccontextmanager
async def stranger(server: tuple[str, int]) -> AsyncIterator[Stranger]:
    """A socket that sends to the server's media address."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Stranger, remote_addr=server)
    try:
        yield protocol
    finally:
        transport.close()
