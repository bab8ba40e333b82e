"""`/api/sessions/{id}/events` as server-sent events and as long poll."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from remotemedia_signaling import ErrorCode, HostError, SessionEvent, SignalingServer
from remotemedia_signaling.testing import Client, FakeHost, settled

Serve = Callable[..., Awaitable[Client]]
EVENTS = "/api/sessions/s/events"


class Stream:
    """Reads server-sent events from a response, block by block."""

    def __init__(self, client: Client, headers: dict[str, str] | None = None, query: str = ""):
        self._request = client.session.get(EVENTS + query, headers=headers)

    async def __aenter__(self) -> Stream:
        self.response = await self._request.__aenter__()
        assert self.response.status == 200
        assert await self.block() == "retry: 2000\n"
        return self

    async def __aexit__(self, *error: object) -> None:
        self.response.close()

    async def block(self) -> str:
        return (await self.response.content.readuntil(b"\n\n")).decode()[:-1]


async def test_events_come_as_they_happen_until_the_session_ends(
    client: Client, host: FakeHost
) -> None:
    host.start("s")
    async with Stream(client) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["Cache-Control"] == "no-store"
        await host.emit("s", '{"type":"vad"}')
        assert await stream.block() == 'id: 1\ndata: {"type":"vad"}\n'
        await host.emit("s", "two\r\nlines\rof text")
        assert await stream.block() == "id: 2\ndata: two\ndata: lines\ndata: of text\n"
        await host.close_session("s")
        assert await stream.block() == "event: end\ndata: {}\n"
        assert await stream.response.content.read() == b""
    await settled(lambda: host.readers == 0)


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [
        ("", {}, 1),
        ("?after=1", {}, 2),
        ("", {"Last-Event-ID": "2"}, 3),
        ("?after=1", {"Last-Event-ID": "2"}, 3),
        ("?after=1", {"Last-Event-ID": ""}, 2),
    ],
)
async def test_a_client_goes_on_where_it_was(
    client: Client, host: FakeHost, query: str, headers: dict[str, str], first: int
) -> None:
    host.start("s")
    for number in range(1, 5):
        await host.emit("s", str(number))
    async with Stream(client, headers, query) as stream:
        assert await stream.block() == f"id: {first}\ndata: {first}\n"


async def test_a_quiet_stream_beats(serve: Serve, host: FakeHost) -> None:
    client = await serve({"timeouts": {"heartbeat_s": 0.01}})
    host.start("s")
    async with Stream(client) as stream:
        assert await stream.block() == ": still here\n"
        assert await stream.block() == ": still here\n"


async def test_an_event_after_a_heartbeat_is_not_lost(serve: Serve, host: FakeHost) -> None:
    client = await serve({"timeouts": {"heartbeat_s": 0.01}})
    host.start("s")
    async with Stream(client) as stream:
        assert await stream.block() == ": still here\n"
        await host.emit("s", "x")
        block = ""
        while not block.startswith("id"):
            block = await stream.block()
        assert block == "id: 1\ndata: x\n"


async def test_a_reader_that_leaves_is_noticed(serve: Serve, host: FakeHost) -> None:
    client = await serve({"timeouts": {"heartbeat_s": 0.01}})
    host.start("s")
    async with Stream(client):
        await settled(lambda: host.readers == 1)
    await settled(lambda: host.readers == 0)


async def test_a_reader_that_does_not_read_is_cut_off(
    start: Callable[..., Awaitable[SignalingServer]], host: FakeHost
) -> None:
    server = await start({"timeouts": {"slow_reader_s": 0.05}})
    session = host.start("s")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await settled(lambda: host.readers == 1)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    while host.readers and len(session.events) < 400:
        await host.emit("s", "x" * 100_000)
    await settled(lambda: host.readers == 0)
    writer.close()


@pytest.mark.parametrize("query", ["", "?wait=10"])
async def test_the_last_events_of_an_ended_session_are_given_once_more(
    client: Client, host: FakeHost, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.start("s")
    await host.emit("s", '"bye"')
    running = host.running["s"]
    await host.close_session("s")
    monkeypatch.setattr(host, "events", lambda *_: kept(running.events))
    async with client.session.get(EVENTS + query) as response:
        text = await response.text()
    if query:
        assert json.loads(text) == {"events": ["bye"], "after": 1, "ended": True}
    else:
        assert text.endswith('id: 1\ndata: "bye"\n\nevent: end\ndata: {}\n\n')


async def kept(events: list[SessionEvent]) -> AsyncIterator[SessionEvent]:
    for event in events:
        yield event


@pytest.mark.parametrize("query", ["", "?wait=0"])
async def test_events_of_an_unknown_session_are_404(client: Client, query: str) -> None:
    reply = await client.call("GET", EVENTS + query)
    assert reply.status == 404
    assert reply.error["code"] == ErrorCode.UNKNOWN_ID


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?wait=soon", {}, "wait"),
        ("?wait=-1", {}, "wait"),
        ("?wait=nan", {}, "wait"),
        ("?wait=inf", {}, "wait"),
        ("?after=-1", {}, "after"),
        ("?after=1.5", {}, "after"),
        ("?after=99999999999999999999", {}, "after"),
        ("?after=9007199254740992", {}, "after"),
        ("?after=", {}, "after"),
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
    ],
)
async def test_a_wrong_number_is_named(
    client: Client, host: FakeHost, query: str, headers: dict[str, str], field: str
) -> None:
    host.start("s")
    reply = await client.call("GET", EVENTS + query, headers=headers)
    assert reply.status == 400
    assert reply.error["field"] == field


async def test_a_poll_gives_what_there_is(client: Client, host: FakeHost) -> None:
    host.start("s")
    for number in range(3):
        await host.emit("s", json.dumps({"n": number}))
    reply = await client.call("GET", EVENTS + "?wait=5&after=1")
    assert reply.json == {"events": [{"n": 1}, {"n": 2}], "after": 3, "ended": False}


async def test_a_poll_waits_for_the_first_event(client: Client, host: FakeHost) -> None:
    host.start("s")
    poll = asyncio.create_task(client.call("GET", EVENTS + "?wait=5"))
    await settled(lambda: host.readers == 1)
    await host.emit("s", "{}")
    assert (await poll).json == {"events": [{}], "after": 1, "ended": False}


async def test_a_poll_that_meets_nothing_keeps_its_place(client: Client, host: FakeHost) -> None:
    host.start("s")
    reply = await client.call("GET", EVENTS + "?wait=0.01&after=7")
    assert reply.json == {"events": [], "after": 7, "ended": False}


async def test_a_poll_takes_no_longer_than_allowed(serve: Serve, host: FakeHost) -> None:
    client = await serve({"timeouts": {"long_poll_s": 0.01}})
    host.start("s")
    reply = await client.call("GET", EVENTS + "?wait=3600")
    assert reply.json == {"events": [], "after": None, "ended": False}


async def test_a_poll_tells_the_end(client: Client, host: FakeHost) -> None:
    host.start("s")
    await host.emit("s", "{}")
    poll = asyncio.create_task(client.call("GET", EVENTS + "?wait=5&after=1"))
    await settled(lambda: host.readers == 1)
    await host.close_session("s")
    assert (await poll).json == {"events": [], "after": 1, "ended": True}


async def test_a_poll_of_many_events_is_bounded(client: Client, host: FakeHost) -> None:
    host.start("s")
    for _ in range(300):
        await host.emit("s", "0")
    reply = await client.call("GET", EVENTS + "?wait=5")
    assert len(reply.json["events"]) == 256
    assert reply.json["after"] == 256


async def test_streams_are_bounded(serve: Serve, host: FakeHost) -> None:
    client = await serve({"limits": {"event_streams": 1}})
    host.start("s")
    async with Stream(client):
        reply = await client.call("GET", EVENTS + "?wait=1")
        assert reply.status == 429
        assert reply.error["code"] == ErrorCode.SERVER_FULL
        assert "Retry-After" in reply.headers


@pytest.mark.parametrize("failure", [HostError("RM-2004", "gone"), RuntimeError("broken")])
async def test_events_that_fail_end_the_stream(
    client: Client, host: FakeHost, failure: Exception
) -> None:
    host.start("s")
    await host.emit("s", "1")
    async with Stream(client) as stream:
        assert await stream.block() == "id: 1\ndata: 1\n"
        host.failures["events"] = failure
        await host.emit("s", "2")
        await host.emit("s", "3")
        assert (await stream.response.content.read()).endswith(b"event: end\ndata: {}\n\n")


async def test_an_iterator_without_aclose_will_do(
    client: Client, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        def __aiter__(self) -> Nothing:
            return self

        async def __anext__(self) -> object:
            raise StopAsyncIteration

    host.start("s")
    monkeypatch.setattr(host, "events", lambda *_: Nothing())
    reply = await client.call("GET", EVENTS + "?wait=1")
    assert reply.json == {"events": [], "after": None, "ended": True}


async def test_shutdown_ends_streams_and_polls(
    start: Callable[..., Awaitable[SignalingServer]],
    connect: Callable[[SignalingServer], Awaitable[Client]],
    host: FakeHost,
) -> None:
    server = await start()
    client = await connect(server)
    host.start("s")
    async with Stream(client) as stream:
        poll = asyncio.create_task(client.call("GET", EVENTS + "?wait=30"))
        await settled(lambda: host.readers == 2)
        await server.close()
        assert (await poll).json["ended"]
        assert await stream.block() == "event: end\ndata: {}\n"
