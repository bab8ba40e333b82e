"""A running server around a fake host, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from remotemedia_signaling import ServerConfig, SignalingServer
from remotemedia_signaling.testing import Client, FakeHost


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
async def start(host: FakeHost) -> AsyncIterator[Callable[..., Awaitable[SignalingServer]]]:
    """Starts servers with a configuration; nothing of them may be left after the test."""
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as stack:

        async def start(config: dict[str, Any] | None = None, **options: Any) -> SignalingServer:
            settings = ServerConfig.model_validate({"port": 0, **(config or {})})
            server = SignalingServer(host, settings, **options)
            return await stack.enter_async_context(server)

        yield start
    own = {asyncio.current_task()}
    left = {task for task in asyncio.all_tasks() - before - own if not task.done()}
    assert not left, f"tasks left behind: {left}"
    assert host.readers == 0, "event readers left behind"


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[SignalingServer], Awaitable[Client]]]:
    """Clients of a server; they are closed before it."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(server: SignalingServer) -> Client:
            session = aiohttp.ClientSession(base_url=server.url)
            return Client(await stack.enter_async_context(session))

        yield connect


@pytest.fixture
async def serve(
    start: Callable[..., Awaitable[SignalingServer]],
    connect: Callable[[SignalingServer], Awaitable[Client]],
) -> Callable[..., Awaitable[Client]]:
    """A started server's client in one call."""

    async def serve(config: dict[str, Any] | None = None, **options: Any) -> Client:
        return await connect(await start(config, **options))

    return serve


@pytest.fixture
async def client(serve: Callable[..., Awaitable[Client]]) -> Client:
    return await serve()
