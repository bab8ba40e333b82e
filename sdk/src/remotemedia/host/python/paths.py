"""The paths of a connection, one after the other: ICE restarts (RFC 8445, section 9).

aiortc knows none. `Paths` stands where it has its aioice connection: on a restart a second one is
made, and when that has found a path, everything goes over to it. What runs above (DTLS, SRTP, SCTP)
notices nothing; until then, and where nothing is found, the old path is used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aioice import Candidate, Connection, ConnectionClosed
from aioice.ice import ConnectionEvent

RESTART_SECONDS = 30.0
"""How long a new path is looked for; then the old one stays."""

_log = logging.getLogger("remotemedia.host")


class Paths:
    """See the module. Has what aiortc uses of an aioice connection.

    What is told of this side and learnt of the other concerns the newest path; what is sent and
    received takes the one that works.
    """

    def __init__(self, first: Connection, prepare: Callable[[Connection], None]) -> None:
        """Begin with a connection that has gathered nothing yet.

        Args:
            first: aiortc's own.
            prepare: is called with each before it gathers its candidates.
        """
        self._current = first
        self._newer: Connection | None = None
        self._going: asyncio.Task[None] | None = None
        self._prepare = prepare
        self._closed = False
        prepare(first)

    async def restart(self, username: str, password: str, lite: bool) -> bool:
        """Begin to look for a new path to the other side.

        Args:
            username: the other side's new name.
            password: its new password.
            lite: whether it answers checks and makes none.

        Returns:
            False where no socket could be opened; nothing has changed then.
        """
        newer = Connection(ice_controlling=self._current.ice_controlling)
        self._prepare(newer)
        await newer.gather_candidates()
        if self._closed or not newer.local_candidates:
            await newer.close()
            return False
        await self._give_up()
        newer.remote_username, newer.remote_password = username, password
        newer.remote_is_lite = lite
        self._newer = newer
        self._going = asyncio.get_running_loop().create_task(self._go_over(newer))
        return True

    # What aiortc uses.

    @property
    def ice_controlling(self) -> bool:
        """Whether this side decides."""
        return self._current.ice_controlling

    @ice_controlling.setter
    def ice_controlling(self, value: bool) -> None:
        self._current.ice_controlling = value

    @property
    def remote_is_lite(self) -> bool:
        """Whether the other side answers checks and makes none."""
        return self._current.remote_is_lite

    @remote_is_lite.setter
    def remote_is_lite(self, value: bool) -> None:
        self._current.remote_is_lite = value

    @property
    def remote_username(self) -> str | None:
        """The other side's name."""
        return self._current.remote_username

    @remote_username.setter
    def remote_username(self, value: str | None) -> None:
        self._current.remote_username = value

    @property
    def remote_password(self) -> str | None:
        """The other side's password."""
        return self._current.remote_password

    @remote_password.setter
    def remote_password(self, value: str | None) -> None:
        self._current.remote_password = value

    @property
    def local_username(self) -> str:
        """The name of this side."""
        return self._newest.local_username

    @property
    def local_password(self) -> str:
        """The password of this side."""
        return self._newest.local_password

    @property
    def local_candidates(self) -> list[Candidate]:
        """The addresses of this side."""
        return self._newest.local_candidates

    @property
    def remote_candidates(self) -> list[Candidate]:
        """The addresses of the other side."""
        return self._newest.remote_candidates

    async def add_remote_candidate(self, candidate: Candidate | None) -> None:
        """Learn an address of the other side."""
        await self._newest.add_remote_candidate(candidate)

    async def gather_candidates(self) -> None:
        """Find the addresses of this side."""
        await self._current.gather_candidates()

    async def connect(self) -> None:
        """Look for the first path."""
        await self._current.connect()

    async def recv(self) -> bytes:
        """Give the next datagram.

        Raises:
            ConnectionError: there is no path any more.
        """
        while True:
            path = self._current
            try:
                return await path.recv()
            except ConnectionError:
                if not await self._left(path):
                    raise

    async def send(self, data: bytes) -> None:
        """Send a datagram; it is lost while the next path is looked for.

        Raises:
            ConnectionError: there is no path any more.
        """
        try:
            await self._current.send(data)
        except ConnectionError:
            if self._newer is None:
                raise

    async def get_event(self) -> ConnectionEvent | None:
        """Wait for the end of the last path."""
        while True:
            path = self._current
            event = await path.get_event()
            if not await self._left(path):
                return event or ConnectionClosed()

    async def close(self) -> None:
        """End all of it."""
        self._closed = True
        await self._give_up()
        await self._current.close()

    # Inside.

    @property
    def _newest(self) -> Connection:
        return self._newer or self._current

    async def _go_over(self, newer: Connection) -> None:
        try:
            await asyncio.wait_for(newer.connect(), RESTART_SECONDS)
        except (ConnectionError, asyncio.TimeoutError):
            _log.debug("an ICE restart found no path")
            self._newer = None
            await newer.close()
            return
        old, self._current, self._newer = self._current, newer, None
        await old.close()

    async def _left(self, path: Connection) -> bool:
        """Whether another path has taken the place of one, once that is decided."""
        while self._going is not None and not self._going.done() and path is self._current:
            await asyncio.wait({self._going})
        return path is not self._current

    async def _give_up(self) -> None:
        """Look for no new path any more."""
        newer, self._newer = self._newer, None
        if self._going is not None and not self._going.done():
            self._going.cancel()
            await asyncio.wait({self._going})
        if newer is not None:
            await newer.close()
