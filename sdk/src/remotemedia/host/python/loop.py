"""The event loop of the media thread: its UDP sockets take ports of a range."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from remotemedia.errors import INTERNAL
from remotemedia.host.python.faults import fault

POOL_THREADS = 1
"""Threads for what would block the loop: looking names up."""


class MediaLoop(asyncio.SelectorEventLoop):
    """Opens every UDP socket that asks for any port at one of the range, so that a firewall's rule
    stays true."""  # noqa: D205, D209 - one sentence

    def __init__(self, ports: tuple[int, int]) -> None:
        """Make a loop.

        Args:
            ports: the first and the last; zeros let the system choose.

        Raises:
            RuntimeFault: none of them is free.
        """
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(POOL_THREADS, "remotemedia-media-pool"))
        first, last = ports
        self._ports = range(first, last + 1) if first else range(0)
        self._next = itertools.cycle(self._ports)
        if self._ports and not any(map(_is_free, self._ports)):
            self.close()
            between = f"port {first} is" if first == last else f"ports {first} to {last} are all"
            raise fault(
                INTERNAL,
                f"UDP {between} taken",
                "media_ports",
                "Choose others, or [0, 0] for any.",
            )

    async def create_datagram_endpoint(self, *args: Any, **rest: Any) -> Any:
        """Open a socket; see asyncio."""
        address = rest.get("local_addr")
        if not self._ports or address is None or address[1] != 0:
            return await super().create_datagram_endpoint(*args, **rest)
        for _ in self._ports:
            rest["local_addr"] = (address[0], next(self._next))
            try:
                return await super().create_datagram_endpoint(*args, **rest)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "all media ports are taken")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
