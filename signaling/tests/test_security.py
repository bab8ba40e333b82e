"""Host and Origin checks, preflights, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from remotemedia_signaling import ErrorCode
from remotemedia_signaling.testing import Client, FakeHost

Serve = Callable[..., Awaitable[Client]]
PAGE = "https://page.example"


@pytest.mark.parametrize(
    "name", ["127.0.0.1:8080", "localhost", "LOCALHOST.:1", "[::1]:80", "127.8.9.1", "a.localhost"]
)
async def test_names_of_this_machine_are_answered(client: Client, name: str) -> None:
    assert (await client.call("GET", "/healthz", headers={"Host": name})).status == 200


@pytest.mark.parametrize(
    "name",
    ["evil.example", "evil.example:8080", "192.168.0.7", "localhost.evil.example", "", "[", "a b"],
)
async def test_other_names_are_refused_on_loopback(client: Client, name: str) -> None:
    reply = await client.call("GET", "/healthz", headers={"Host": name})
    assert reply.status == 421
    assert reply.error["code"] == ErrorCode.WRONG_HOST


async def test_listed_names_are_answered(serve: Serve) -> None:
    client = await serve({"allowed_hosts": ["Media.Example."]})
    assert (await client.call("GET", "/healthz", headers={"Host": "media.example"})).status == 200
    assert (await client.call("GET", "/healthz", headers={"Host": "x.example"})).status == 421


@pytest.mark.parametrize(
    ("allowed", "name", "status"),
    [
        ([], "anything.example", 200),
        (["media.example"], "media.example:80", 200),
        (["media.example"], "192.168.0.7", 200),
        (["media.example"], "localhost", 200),
        (["media.example"], "evil.example", 421),
    ],
)
async def test_names_on_a_network(serve: Serve, allowed: list[str], name: str, status: int) -> None:
    client = await serve({"host": "0.0.0.0", "allowed_hosts": allowed})
    assert (await client.call("GET", "/healthz", headers={"Host": name})).status == status


@pytest.mark.parametrize(
    "origin", [PAGE, "null", "http://localhost", "https://127.0.0.1:{port}", "garbage", "http://["]
)
async def test_foreign_origins_are_refused(client: Client, host: FakeHost, origin: str) -> None:
    port = client.session._base_url.port  # type: ignore[union-attr]
    headers = {"Origin": origin.format(port=port)}
    for method, path in (("POST", "/api/offer"), ("GET", "/api/sessions"), ("DELETE", "/nowhere")):
        reply = await client.call(method, path, headers=headers)
        assert reply.status == 403
        assert reply.error["code"] == ErrorCode.FORBIDDEN_ORIGIN
        assert "Access-Control-Allow-Origin" not in reply.headers
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.session.ws_connect("/ws", headers=headers)
    assert refused.value.status == 403


async def test_ones_own_origin_may_call(client: Client) -> None:
    own = str(client.session._base_url).rstrip("/")
    assert (await client.call("GET", "/healthz", headers={"Origin": own})).status == 200
    async with client.session.ws_connect("/ws", origin=own):
        pass


async def test_the_default_port_may_be_left_out(client: Client) -> None:
    headers = {"Host": "localhost:80", "Origin": "http://localhost"}
    assert (await client.call("GET", "/healthz", headers=headers)).status == 200


async def test_a_listed_origin_may_call_and_read(serve: Serve) -> None:
    client = await serve({"allowed_origins": [PAGE + ":443/"]})
    reply = await client.call("GET", "/api/sessions/x", headers={"Origin": PAGE})
    assert reply.status == 404
    assert reply.headers["Access-Control-Allow-Origin"] == PAGE
    assert reply.headers["Access-Control-Expose-Headers"] == "Retry-After, Allow"
    assert reply.headers["Vary"] == "Origin"
    async with client.session.ws_connect("/ws", origin=PAGE):
        pass


async def test_a_star_lets_every_page_call(serve: Serve) -> None:
    client = await serve({"allowed_origins": ["*"]})
    reply = await client.call("GET", "/healthz", headers={"Origin": "null"})
    assert reply.headers["Access-Control-Allow-Origin"] == "null"


async def test_a_preflight_is_answered_for_listed_pages_only(serve: Serve) -> None:
    client = await serve({"allowed_origins": [PAGE]})
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "PATCH"}
    reply = await client.call("OPTIONS", "/api/offer", headers=headers)
    assert reply.status == 204
    assert reply.headers["Access-Control-Allow-Origin"] == PAGE
    assert reply.headers["Access-Control-Allow-Methods"] == "OPTIONS, PATCH, POST"
    assert reply.headers["Access-Control-Allow-Headers"] == "content-type, last-event-id"
    assert reply.headers["Access-Control-Max-Age"] == "600"
    headers["Origin"] = "https://evil.example"
    assert (await client.call("OPTIONS", "/api/offer", headers=headers)).status == 403


async def test_options_without_a_page_tell_the_methods(client: Client) -> None:
    reply = await client.call("OPTIONS", "/api/sessions/x")
    assert reply.status == 204
    assert reply.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"
    assert "Access-Control-Allow-Methods" not in reply.headers


@pytest.mark.parametrize("path", ["/healthz", "/api/nothing", "/metrics"])
async def test_every_answer_carries_the_headers(client: Client, path: str) -> None:
    headers = (await client.call("GET", path)).headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "RemoteMedia"
