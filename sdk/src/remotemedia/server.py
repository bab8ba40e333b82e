"""Serving: the host, signaling and the demo page as one call."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from remotemedia_signaling import ServerConfig, SignalingServer, run_server

from remotemedia.host import start_host

if TYPE_CHECKING:
    from remotemedia.pipeline import Pipeline

PAGE_VARIABLE = "REMOTEMEDIA_PAGE"
"""The environment variable that names the folder of the built page."""
SWITCH_INTERVAL = 0.0005
"""How long a busy Python thread may keep the others waiting, in seconds. At Python's 5 ms a node
that computes delays every other node and every answer of the server by as much."""


async def serve(
    pipelines: Sequence[Pipeline],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    tls: bool = False,
) -> None:
    """Serve pipelines with signaling and the demo page, until cancelled or stopped by a signal.

    Where to open them is written to standard error.

    Args:
        pipelines: what is served, under their names.
        host: the address to listen at; ``0.0.0.0`` lets other machines in.
        port: the port to listen at; 0 takes a free one.
        tls: make a certificate and speak HTTPS.

    Raises:
        RuntimeMissing: a node must run natively and the native runtime is absent, or a package is
            missing that a node needs without it.
        ManifestError: a pipeline cannot run.
        ConfigError: the address or the port cannot be used.
    """
    config = ServerConfig(host=host, port=port, tls="auto" if tls else "off", web_root=find_page())

    def say(server: SignalingServer) -> None:
        for pipeline in pipelines:
            for url in server.urls:
                print(f"{pipeline.name}: {url}/{pipeline.name}", file=sys.stderr)
        print("Ctrl-C ends it", file=sys.stderr, flush=True)

    await serve_with(pipelines, config, on_started=say)


async def serve_with(
    pipelines: Sequence[Pipeline],
    config: ServerConfig,
    *,
    on_started: Callable[[SignalingServer], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve pipelines as a configuration says. See `serve` for errors.

    Args:
        pipelines: what is served, under their names.
        config: everything about the server.
        on_started: called once it listens.
        stop: ends it when set, as a signal does.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL))
    host = await start_host(pipelines, config.engine_settings())
    try:
        await run_server(
            host,
            config,
            on_shutdown=host.drain,
            on_started=on_started,
            stop=stop,
        )
    finally:
        await host.close()
        sys.setswitchinterval(before)


def find_page() -> Path | None:
    """Find the built demo page: where the environment says, else in the checkout around us."""
    named = os.environ.get(PAGE_VARIABLE)
    if named:
        return Path(named)
    for folder in Path(__file__).resolve().parents:
        page = folder / "web" / "demo" / "dist"
        if (page / "index.html").is_file():
            return page
    return None
