"""`/api/sessions/{id}/events`: results for clients without a data channel.

As server-sent events, or by long poll with `?wait=seconds&after=seq`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.host import SessionEvent
from remotemedia_signaling.http import number, parse_number, path_id
from remotemedia_signaling.messages import ID
from remotemedia_signaling.service import SERVICE, Service, logger

MAX_POLL_EVENTS: Final = 256
"""Events of one long poll; the next poll goes on after them."""
POLL_GATHER_S: Final = 0.02
"""After the first event a long poll waits this long for another, so that few polls serve many."""
RETRY_MS: Final = 2_000
"""When an `EventSource` connects again after a lost connection."""


def add_routes(app: web.Application) -> None:
    """Add the events call."""
    app.router.add_get(f"/api/sessions/{{id:{ID}}}/events", get_events, allow_head=False)


async def get_events(request: web.Request) -> web.StreamResponse:
    """Server-sent events, or a long poll where `wait` is given."""
    service = request.app[SERVICE]
    session_id = path_id(request)
    wait = number(request, "wait", whole=False)
    after = _after(request)
    with service.event_stream():
        reader = EventReader(service, service.host.events(session_id, after))
        try:
            await _find(service, session_id, reader)
            if wait is not None:
                return await _long_poll(service, reader, wait, after)
            return await _stream(request, service, reader)
        finally:
            await reader.close()


async def _find(service: Service, session_id: str, reader: EventReader) -> None:
    """Raise 404 before anything is sent, unless the session has ended and left events."""
    try:
        await service.ask(service.host.session(session_id))
    except ApiError as error:
        if error.code != ErrorCode.UNKNOWN_ID:
            raise
        await service.ask(reader.look())


def _after(request: web.Request) -> int | None:
    """Find the last event that the client has; a reconnecting `EventSource` says it in a header."""
    after = number(request, "after", whole=True)
    last = request.headers.get("Last-Event-ID")
    if last:
        after = parse_number(last, "Last-Event-ID", whole=True)
    return None if after is None else int(after)


class EventReader:
    """Reads the host's events with time-outs that do not cancel the iterator."""

    def __init__(self, service: Service, events: AsyncIterator[SessionEvent]) -> None:
        self._events = events
        self._next: asyncio.Task[SessionEvent | None] | None = None
        self._stop = asyncio.create_task(service.stopping.wait(), name="shutdown of events")
        self.ended = False

    async def look(self) -> None:
        """Raise what the host raises for the first event; it is not taken."""
        first = self._begin()
        await asyncio.wait({first})
        error = first.exception()
        if error is not None:
            raise error

    async def read(self, seconds: float) -> SessionEvent | None:
        """Return the next event, or none after `seconds` or at the end (`ended` tells which)."""
        if self.ended:
            return None
        following = self._begin()
        await asyncio.wait(
            {following, self._stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if following.done():
            self._next = None
            event = following.result()
            self.ended = event is None
            return event
        self.ended = self._stop.done()
        return None

    def _begin(self) -> asyncio.Task[SessionEvent | None]:
        if self._next is None:
            self._next = asyncio.create_task(self._advance(), name="session events")
        return self._next

    async def _advance(self) -> SessionEvent | None:
        return await anext(self._events, None)

    async def close(self) -> None:
        """Stop reading and let the host free what it holds for this reader."""
        tasks = [task for task in (self._next, self._stop) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()


async def _long_poll(
    service: Service, reader: EventReader, wait: float, after: int | None
) -> web.Response:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(wait, service.config.timeouts.long_poll_s)
    events: list[SessionEvent] = []
    event = await reader.read(max(0.0, deadline - loop.time()))
    while event is not None:
        events.append(event)
        if len(events) >= MAX_POLL_EVENTS:
            break
        event = await reader.read(POLL_GATHER_S)
    after = events[-1].seq if events else after
    # The events are JSON already: parsing them to write them again would only cost.
    body = (
        f'{{"events":[{",".join(each.json for each in events)}],'
        f'"after":{"null" if after is None else after},'
        f'"ended":{"true" if reader.ended else "false"}}}'
    )
    return web.Response(text=body, content_type="application/json")


async def _stream(
    request: web.Request, service: Service, reader: EventReader
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    writer = _Writer(request, response, service.config.timeouts.slow_reader_s)
    with contextlib.suppress(ConnectionError):
        await writer.send(f"retry: {RETRY_MS}\n\n")
        while not reader.ended:
            try:
                event = await reader.read(service.config.timeouts.heartbeat_s)
            except ApiError as error:
                logger.info("events of a session ended: %s", error)
                break
            except Exception:  # noqa: BLE001 (a host may raise anything; logged)
                logger.exception("events of a session failed")
                break
            if event is not None:
                await writer.send(_frame(event))
            elif not reader.ended:
                await writer.send(": still here\n\n")
        # `EventSource` would connect again; with this event a client knows to close it.
        await writer.send("event: end\ndata: {}\n\n")
        await response.write_eof()
    return response


def _frame(event: SessionEvent) -> str:
    """One server-sent event (HTML Living Standard 9.2.5): a line break starts a new data line."""
    lines = event.json.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    data = "".join(f"data: {line}\n" for line in lines)
    return f"id: {event.seq}\n{data}\n"


class _Writer:
    """Writes to a reader that must keep up."""

    def __init__(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        self._request = request
        self._response = response
        self._seconds = seconds

    async def send(self, text: str) -> None:
        try:
            await asyncio.wait_for(self._response.write(text.encode()), self._seconds)
        except asyncio.TimeoutError as error:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError(ErrorCode.BUSY.value) from error
