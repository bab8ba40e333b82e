"""Starting, draining, stopping; and HTTP that never becomes a request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from remotemedia_signaling import (
    ConfigError,
    ErrorCode,
    ServerConfig,
    SignalingServer,
    create_app,
    run_server,
)
from remotemedia_signaling.testing import Client, FakeHost, settled

Start = Callable[..., Awaitable[SignalingServer]]
Connect = Callable[[SignalingServer], Awaitable[Client]]


async def test_the_url_leads_to_the_server(start: Start, connect: Connect) -> None:
    server = await start()
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.urls == [server.url]
    assert (await (await connect(server)).call("GET", "/healthz")).status == 200


async def test_a_name_is_kept_in_the_url(start: Start) -> None:
    server = await start({"host": "localhost"})
    assert server.url == f"http://localhost:{server.port}"


async def test_the_whole_network_has_many_urls(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start({"host": "0.0.0.0"})
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert all(url.endswith(f":{server.port}") for url in server.urls)
    assert "without TLS" in caplog.text


async def test_ipv6_urls_have_brackets(start: Start) -> None:
    try:
        server = await start({"host": "::1"})
    except ConfigError:
        pytest.skip("no IPv6 here")
    assert server.url == f"http://[::1]:{server.port}"
    async with aiohttp.ClientSession() as session, session.get(server.url + "/healthz") as reply:
        assert reply.status == 200


async def test_a_server_that_does_not_run_has_no_url(host: FakeHost) -> None:
    server = SignalingServer(host)
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    server.drain()
    await server.close()


async def test_a_taken_port_is_named(start: Start) -> None:
    port = (await start()).port
    with pytest.raises(ConfigError, match=f"^port: {port} is in use"):
        await start({"port": port})


async def test_a_foreign_address_is_named(start: Start) -> None:
    with pytest.raises(ConfigError, match=r"^host: 192\.0\.2\.1 is not an address"):
        await start({"host": "192.0.2.1"})


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EACCES, "denied"), "^port: 0 needs privileges"),
        (socket.gaierror(-2, "unknown"), "^host: 127.0.0.1 is not an address"),
        (OSError(errno.EMFILE, "too many files"), "^host: cannot listen on 127.0.0.1:0"),
    ],
)
async def test_what_cannot_be_listened_on_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("aiohttp.web.TCPSite.start", fail)
    with pytest.raises(ConfigError, match=says):
        await start()


async def test_draining_refuses_new_sessions_only(
    start: Start, connect: Connect, host: FakeHost
) -> None:
    server = await start()
    client = await connect(server)
    running = (await client.offer()).json
    server.drain()
    for refused in (
        await client.offer(),
        await client.offer(pc_id=running["pc_id"], restart_pc=True),
        await client.call("GET", "/readyz"),
        await client.call("GET", "/ws", headers={"Upgrade": "websocket"}),
    ):
        assert refused.status == 503
        assert refused.error["code"] == ErrorCode.DRAINING
        assert refused.headers["Retry-After"] == "2"
    assert (await client.offer(pc_id=running["pc_id"])).status == 200
    body = {"pc_id": running["pc_id"], "candidates": [{"candidate": ""}]}
    assert (await client.call("PATCH", "/api/offer", json=body)).status == 200
    assert (await client.call("GET", "/healthz")).status == 200
    assert (await client.call("GET", "/api/sessions")).status == 200


async def test_the_hook_runs_once_while_calls_are_still_answered(
    start: Start, connect: Connect, host: FakeHost
) -> None:
    calls: list[tuple[int, int]] = []

    async def drain() -> None:
        offer, session = await client.offer(), await client.call("GET", "/api/sessions/session-1")
        calls.append((offer.status, session.status))
        await host.close_session("session-1")

    server = await start(on_shutdown=drain)
    client = await connect(server)
    await client.offer()
    await server.close()
    await server.close()
    assert calls == [(503, 200)]
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.call("GET", "/healthz")


async def test_a_hook_that_fails_does_not_keep_the_server(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("broken hook")

    server = await start(on_shutdown=fail)
    await server.close()
    assert "broken hook" in caplog.text


async def test_requests_that_run_are_finished_at_shutdown(
    start: Start, connect: Connect, host: FakeHost
) -> None:
    host.hold = asyncio.Event()
    server = await start(on_shutdown=_set(host.hold))
    client = await connect(server)
    offer = asyncio.create_task(client.offer())
    await host.offer_waits.wait()
    await server.close()
    assert (await offer).status == 200


async def test_requests_that_do_not_end_are_cancelled_at_shutdown(
    start: Start, connect: Connect, host: FakeHost
) -> None:
    host.hold = asyncio.Event()
    server = await start({"timeouts": {"shutdown_s": 0.05}})
    client = await connect(server)
    offer = asyncio.create_task(client.offer())
    await host.offer_waits.wait()
    await server.close()
    with pytest.raises(aiohttp.ClientError):
        await offer
    await settled(lambda: host.cancelled_offers == 1)


async def test_a_readiness_check_is_ended_at_shutdown(
    start: Start, connect: Connect, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()

    async def never() -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(host, "check_ready", never)
    server = await start()
    client = await connect(server)
    check = asyncio.create_task(client.call("GET", "/readyz"))
    await entered.wait()
    await server.close()
    await asyncio.gather(check, return_exceptions=True)


async def test_the_application_runs_in_another_runner(host: FakeHost) -> None:
    ended = asyncio.Event()
    app = create_app(host, on_shutdown=_set(ended))
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/healthz")).status == 200
    assert ended.is_set()


def _set(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def hook() -> None:
        event.set()

    return hook


async def test_run_server_serves_until_it_is_told_to_stop(host: FakeHost) -> None:
    stop, started, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    urls: list[str] = []

    def on_started(server: SignalingServer) -> None:
        urls.append(server.url)
        started.set()

    config = ServerConfig(port=0)
    hook = _set(ended)
    task = asyncio.create_task(
        run_server(host, config, on_shutdown=hook, on_started=on_started, stop=stop)
    )
    await started.wait()
    async with aiohttp.ClientSession(urls[0]) as session, session.get("/healthz") as reply:
        assert reply.status == 200
    stop.set()
    await task
    assert ended.is_set()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_run_server_ends_by_signal(host: FakeHost, number: signal.Signals) -> None:
    def kill(_server: SignalingServer) -> None:
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    await asyncio.wait_for(run_server(host, ServerConfig(port=0), on_started=kill), 5)
    assert signal.getsignal(number) is before or number is signal.SIGINT


async def test_run_server_without_signals_still_stops(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", refuse)
    stop = asyncio.Event()
    stop.set()
    await run_server(host, ServerConfig(port=0), stop=stop)


async def test_requests_are_logged_when_asked(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "remotemedia.signaling.access")
    client = await connect(await start({"access_log": True}))
    await client.call("GET", "/healthz")
    await settled(lambda: "GET /healthz" in caplog.text)


async def exchange(server: SignalingServer, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_broken_http_is_answered_in_json(start: Start, data: bytes) -> None:
    answer = await exchange(await start(), data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400", head
    assert b"Server: RemoteMedia\r\n" in head + b"\r\n"
    assert b"application/json" in head
    assert body.startswith(b'{"error":{"code":"RM-6109","message":')


async def test_a_failure_below_the_application_is_an_internal_error(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start()

    async def fail(*_: object) -> None:
        raise RuntimeError("broken router")

    monkeypatch.setattr("aiohttp.web.UrlDispatcher.resolve", fail)
    answer = await exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b'"RM-6999"' in answer
    assert b"broken router" not in answer
    assert "broken router" in caplog.text


async def test_a_failure_after_the_answer_began_cuts_it_off(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start()

    async def fail(self: object, *_: object) -> None:
        raise RuntimeError("broken end")

    monkeypatch.setattr("aiohttp.web.Response.write_eof", fail)
    monkeypatch.setattr("aiohttp.web.StreamResponse.write_eof", fail)
    answer = await exchange(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"broken" not in answer


async def test_a_client_that_leaves_during_its_body_leaves_nothing(start: Start) -> None:
    server = await start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /api/offer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    await writer.drain()
    transport = writer.transport
    transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def test_signaling_loads_no_media_code() -> None:
    code = (
        "import sys, remotemedia_signaling; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"remotemedia", "remotemedia_runtime", "aiortc", "av", "numpy"} & set(loaded)
