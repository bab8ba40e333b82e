"""A running server: sockets, TLS, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from aiohttp import web
from yarl import URL

from remotemedia_signaling.app import create_app
from remotemedia_signaling.config import ConfigError, ServerConfig, TlsFiles
from remotemedia_signaling.host import PipelineHost
from remotemedia_signaling.protocol import JsonRunner
from remotemedia_signaling.service import SERVICE, Service, ShutdownHook, logger
from remotemedia_signaling.tls import (
    OwnCertificate,
    context_from_files,
    local_addresses,
    own_context,
)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class SignalingServer:
    """Serves a host over HTTP and WebSocket.

    ```python
    async with SignalingServer(host, ServerConfig(port=0)) as server:
        print(server.url)
    ```

    Leaving the block drains (see `create_app`), waits at most `timeouts.shutdown_s` for running
    requests, and leaves no task and no socket behind. `tls_folder` is where a certificate of its
    own is kept, by default in the user's cache.
    """

    def __init__(
        self,
        host: PipelineHost,
        config: ServerConfig | None = None,
        *,
        on_shutdown: ShutdownHook | None = None,
        tls_folder: Path | None = None,
    ) -> None:
        self.config = config or ServerConfig()
        self.certificate: OwnCertificate | None = None
        """The certificate that was made for `tls: auto`."""
        self._host = host
        self._on_shutdown = on_shutdown
        self._tls_folder = tls_folder
        self._runner: JsonRunner | None = None
        self._service: Service | None = None

    async def __aenter__(self) -> SignalingServer:
        """Start; see `start`."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; see `close`."""
        await self.close()

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: naming `host`, `port` or `tls` when that cannot be had.
            ValueError: a pipeline's name is a path of a call.

        """
        config = self.config
        context = self._tls_context()
        app = create_app(self._host, config, on_shutdown=self._on_shutdown)
        runner = JsonRunner(
            app,
            access_log=logger.getChild("access") if config.access_log else None,
            auto_decompress=False,
            keepalive_timeout=config.timeouts.keep_alive_s,
            shutdown_timeout=config.timeouts.shutdown_s,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, config.host, config.port, ssl_context=context)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise _bind_error(config, error) from error
        self._runner = runner
        self._service = app[SERVICE]
        if context is None and not config.is_loopback:
            logger.warning(
                "listening on %s without TLS: everybody on the network can read along, and "
                "browsers there give no microphone; set tls to auto",
                config.host,
            )

    async def close(self) -> None:
        """Drain and stop; a second call does nothing."""
        runner, self._runner = self._runner, None
        if runner is None or self._service is None:
            return
        try:
            await self._service.shut_down()
        finally:
            await runner.cleanup()

    def drain(self) -> None:
        """Refuse new sessions with 503 from now on; what runs goes on."""
        if self._service is not None:
            self._service.drain()

    @property
    def port(self) -> int:
        """The TCP port that is listened on.

        Raises:
            RuntimeError: the server is not running.

        """
        if self._runner is None:
            raise RuntimeError("the server is not running")
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """The address to open on this machine, without a slash at the end."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """Every address to open: of the whole machine when all of it is listened on."""
        host = self.config.host
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return [self._url(host)]
        if not address.is_unspecified:
            return [self._url(host)]
        found = {each for each in local_addresses() if each.version == address.version}
        ordered = sorted(found, key=lambda each: (not each.is_loopback, str(each)))
        return [self._url(str(each)) for each in ordered]

    def _url(self, host: str) -> str:
        scheme = "http" if self.config.tls == "off" else "https"
        return str(URL.build(scheme=scheme, host=host, port=self.port)).rstrip("/")

    def _tls_context(self) -> ssl.SSLContext | None:
        tls = self.config.tls
        if isinstance(tls, TlsFiles):
            return context_from_files(tls)
        if tls == "off":
            return None
        context, self.certificate = own_context(self._tls_folder)
        return context


async def run_server(
    host: PipelineHost,
    config: ServerConfig | None = None,
    *,
    on_shutdown: ShutdownHook | None = None,
    on_started: Callable[[SignalingServer], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or `stop`; a second signal does what it does elsewhere."""
    stop = stop or asyncio.Event()
    async with SignalingServer(host, config, on_shutdown=on_shutdown) as server:
        with _signals(stop):
            if on_started is not None:
                on_started(server)
            await stop.wait()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    try:
        for each in _SIGNALS:
            loop.add_signal_handler(each, stop.set)
    except (NotImplementedError, RuntimeError):  # Windows, or not the main thread
        yield
        return
    try:
        yield
    finally:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)


def _bind_error(config: ServerConfig, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"{config.port} is in use; choose another", field="port")
    if error.errno == errno.EACCES:
        return ConfigError(f"{config.port} needs privileges; choose one from 1024", field="port")
    # From Python 3.13 on asyncio raises without a number when no address could be bound.
    if isinstance(error, socket.gaierror) or error.errno in {errno.EADDRNOTAVAIL, None}:
        return ConfigError(f"{config.host} is not an address of this machine", field="host")
    return ConfigError(f"cannot listen on {config.host}:{config.port}: {error}", field="host")
