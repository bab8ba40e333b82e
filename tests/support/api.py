"""The server's HTTP calls, and what must be zero when nothing is left of anybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
Message = dict[str, Any]

PATIENCE_S = 60.0
"""How long a state is waited for before the test fails: longer than anything may take."""
LOOK_AGAIN_S = 0.02

LEFT_BEHIND = (
    "remotemedia_live_sessions",
    "remotemedia_live_peers",
    "remotemedia_live_instances",
    "remotemedia_live_streams",
    "remotemedia_live_addresses",
    "remotemedia_live_in_flight",
    "remotemedia_lane_instances",
    "remotemedia_observed_sessions",
    "remotemedia_offers_in_flight",
    "remotemedia_event_streams",
    "remotemedia_websockets",
)
"""Gauges that are zero on a server that nobody uses."""


@dataclass(frozen=True)
class Reply:
    """An answer of the server."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> dict[str, Any]:
        """What stands under `error`."""
        assert self.status >= 400, f"no error: {self.status} {self.body}"
        error: dict[str, Any] = self.body["error"]
        return error


class Api:
    """Calls one server."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http

    async def call(self, method: str, path: str, **request: Any) -> Reply:
        """Make a call; `request` is aiohttp's."""
        async with self.http.request(method, self.url + path, **request) as response:
            text = await response.text()
            return Reply(response.status, json.loads(text) if text else None, response.headers)

    async def offer(self, sdp: str, **body: Any) -> Reply:
        """POST an offer."""
        return await self.call("POST", "/api/offer", json={"sdp": sdp, "type": "offer", **body})

    async def trickle(self, pc_id: str, *candidates: str) -> Reply:
        """PATCH candidates."""
        listed = [{"candidate": line, "sdp_mid": "0", "sdp_mline_index": 0} for line in candidates]
        return await self.call("PATCH", "/api/offer", json={"pc_id": pc_id, "candidates": listed})

    async def sessions(self) -> list[dict[str, Any]]:
        """The running sessions."""
        listed: list[dict[str, Any]] = (await self.call("GET", "/api/sessions")).body["sessions"]
        return listed

    async def session(self, session: str) -> dict[str, Any]:
        """One session."""
        reply = await self.call("GET", f"/api/sessions/{session}")
        assert reply.status == 200, reply
        stats: dict[str, Any] = reply.body
        return stats

    async def figures(self) -> dict[str, float]:
        """The metrics, by their name with labels."""
        async with self.http.get(f"{self.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    async def left_behind(self) -> dict[str, float]:
        """What of `LEFT_BEHIND` is not zero."""
        figures = await self.figures()
        return {name: figures[name] for name in LEFT_BEHIND if figures[name] != 0.0}

    async def assert_nothing_left(self) -> None:
        """Wait until every gauge of `LEFT_BEHIND` is zero, and no session is listed."""

        async def clean() -> bool:
            return not await self.left_behind()

        try:
            await until(clean)
        except TimeoutError:
            raise AssertionError(f"left behind: {await self.left_behind()}") from None
        assert await self.sessions() == []

    @asynccontextmanager
    async def events(
        self, session: str, after: int | None = None
    ) -> AsyncIterator[AsyncIterator[tuple[int, Message]]]:
        """Server-sent events of a session, from the moment when the server has begun them."""
        path = f"{self.url}/api/sessions/{session}/events"
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        async with self.http.get(path, headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            yield _events(response.content)


async def _events(lines: aiohttp.StreamReader) -> AsyncIterator[tuple[int, Message]]:
    fields: dict[str, str] = {}
    async for raw in lines:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields.get("event") == "end":
            return
        else:
            if "data" in fields:
                yield int(fields["id"]), json.loads(fields["data"])
            fields = {}


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Api]:
    """Calls to the server at `url`."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield Api(url, http)


async def until(state: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
    """Wait until `state` gives something true, and return it."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    while True:
        found = await state()
        if found:
            return found
        if loop.time() > give_up:
            raise TimeoutError(f"not within {patience_s:g} s: {state}")
        await asyncio.sleep(LOOK_AGAIN_S)
