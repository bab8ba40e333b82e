"""`POST` and `PATCH /api/offer`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from remotemedia_signaling import ErrorCode, HostError, IceCandidate, SignalingServer
from remotemedia_signaling.testing import Client, FakeHost, settled

Serve = Callable[..., Awaitable[Client]]


@pytest.mark.parametrize("path", ["/api/offer", "/offer"])
async def test_an_offer_is_answered(client: Client, host: FakeHost, path: str) -> None:
    body = {"sdp": "v=0", "type": "offer", "pipeline": "mic-vad"}
    reply = await client.call("POST", path, json=body)
    assert reply.status == 200
    assert reply.json == {
        "sdp": "v=0\r\nanswer",
        "type": "answer",
        "pc_id": "pc-1",
        "session_id": "session-1",
        "participant": "p1",
    }
    assert host.offers[0].pipeline == "mic-vad"


async def test_the_same_pc_id_renegotiates(client: Client, host: FakeHost) -> None:
    first = (await client.offer()).json
    again = (await client.offer(pc_id=first["pc_id"], restart_pc=True)).json
    assert again["pc_id"] == first["pc_id"]
    assert again["session_id"] == first["session_id"]
    assert host.offers[1].restart_pc


async def test_join_enters_a_session(client: Client) -> None:
    first = (await client.offer()).json
    second = (await client.offer(join=first["session_id"])).json
    assert second["session_id"] == first["session_id"]
    assert second["participant"] == "p2"


@pytest.mark.parametrize("name", ["request_data", "requestData"])
async def test_request_data_reaches_the_host(client: Client, host: FakeHost, name: str) -> None:
    assert (await client.offer(**{name: {"user": [1, None]}})).status == 200
    assert host.offers[0].request_data == {"user": [1, None]}


async def test_what_pipecat_sends_is_an_offer(client: Client) -> None:
    reply = await client.offer(pc_id=None, restart_pc=False, requestData=None)
    assert reply.status == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sdp": ""}, "sdp"),
        ({"sdp": 5}, "sdp"),
        ({"sdp": None}, "sdp"),
        ({"type": "answer"}, "type"),
        ({"pipeline": ""}, "pipeline"),
        ({"pipeline": "a/b"}, "pipeline"),
        ({"pipeline": "x" * 65}, "pipeline"),
        ({"join": "a b"}, "join"),
        ({"pc_id": 7}, "pc_id"),
        ({"restart_pc": "yes"}, "restart_pc"),
        ({"request_data": "x" * 16_384}, "request_data"),
        ({"pipline": "mic-vad"}, "pipline"),
    ],
)
async def test_a_wrong_field_is_named(
    client: Client, host: FakeHost, fields: dict[str, object], field: str
) -> None:
    reply = await client.offer(**fields)
    assert reply.status == 400
    assert reply.error["code"] == ErrorCode.INVALID_MESSAGE
    assert reply.error["field"] == field
    assert not host.offers


async def test_an_unknown_field_gets_the_nearest_name(client: Client) -> None:
    assert (await client.offer(pipline="mic-vad")).error["hint"] == "did you mean pipeline?"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000])
async def test_what_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await client.call("POST", "/api/offer", data=body, headers=headers)
    assert reply.status == 400
    assert reply.error["code"] == ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/sdp"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_another_content_type_is_refused(client: Client, headers: dict[str, str]) -> None:
    reply = await client.call("POST", "/api/offer", data=b"{}", headers=headers)
    assert reply.status == 415
    assert reply.error["code"] == ErrorCode.UNSUPPORTED_MEDIA_TYPE


async def test_a_huge_body_is_refused_by_its_length(client: Client) -> None:
    reply = await client.offer(request_data="x" * 300_000)
    assert reply.status == 413
    assert reply.error["code"] == ErrorCode.TOO_LARGE


async def test_a_huge_body_is_refused_while_it_comes(client: Client) -> None:
    async def chunks() -> object:
        for _ in range(40):
            yield b" " * 8_192

    reply = await client.call(
        "POST", "/api/offer", data=chunks(), headers={"Content-Type": "application/json"}
    )
    assert reply.status == 413


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
async def test_the_bound_of_a_body_is_exact(client: Client, more: int, status: int) -> None:
    body = json.dumps({"sdp": "v=0", "type": "offer"}).encode()
    body += b" " * (256 * 1024 - len(body) + more)

    async def without_length() -> AsyncIterator[bytes]:
        yield body

    for data in (body, without_length()):
        headers = {"Content-Type": "application/json"}
        reply = await client.call("POST", "/api/offer", data=data, headers=headers)
        assert reply.status == status


async def test_a_body_that_does_not_come_is_given_up(
    start: Callable[..., Awaitable[SignalingServer]],
) -> None:
    server = await start({"timeouts": {"body_s": 0.05}})
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /api/offer HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_breaks_off_is_no_fault_of_the_server(
    start: Callable[..., Awaitable[SignalingServer]],
    connect: Callable[[SignalingServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = await start()
    client = await connect(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"PATCH /api/offer HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 100 ")
    writer.write(b"{")
    writer.transport.abort()
    for _ in range(500):
        if b'method="PATCH"' in (await client.call("GET", "/metrics")).body:
            break
    else:
        pytest.fail(f"it did not end as a request: {caplog.text}")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.INVALID_SDP, 400),
        (ErrorCode.NO_COMMON_CODEC, 422),
        (ErrorCode.UNKNOWN_PIPELINE, 404),
        (ErrorCode.CONFLICT, 409),
        (ErrorCode.DRAINING, 503),
        ("RM-9999", 500),
    ],
)
async def test_errors_of_the_host_reach_the_client(
    client: Client, host: FakeHost, code: str, status: int
) -> None:
    host.failures["offer"] = HostError(code, "why", field="sdp", hint="what to do")
    reply = await client.offer()
    assert reply.status == status
    assert reply.error == {"code": code, "message": "why", "field": "sdp", "hint": "what to do"}


@pytest.mark.parametrize("code", [ErrorCode.SERVER_FULL, ErrorCode.TOO_MANY_OFFERS])
async def test_a_full_host_says_when_to_come_back(
    client: Client, host: FakeHost, code: ErrorCode
) -> None:
    host.failures["offer"] = HostError(code, "full")
    reply = await client.offer()
    assert reply.error["code"] == code
    assert reply.status == 429
    assert reply.headers["Retry-After"] == "2"


async def test_the_hosts_own_pause_is_kept(client: Client, host: FakeHost) -> None:
    host.failures["offer"] = HostError(ErrorCode.SERVER_FULL, "full", retry_after=7.2)
    assert (await client.offer()).headers["Retry-After"] == "8"


async def test_a_bug_of_the_host_tells_the_client_nothing(
    client: Client, host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.failures["offer"] = RuntimeError("secret path")
    reply = await client.offer()
    assert reply.status == 500
    assert reply.error["code"] == ErrorCode.INTERNAL
    assert b"secret" not in reply.body
    assert "secret path" in caplog.text


async def test_an_offer_beyond_the_bound_waits_outside(serve: Serve, host: FakeHost) -> None:
    client = await serve({"limits": {"concurrent_offers": 1}})
    host.hold = asyncio.Event()
    first = asyncio.create_task(client.offer())
    await host.offer_waits.wait()
    refused = await client.offer()
    assert refused.status == 429
    assert refused.error["code"] == ErrorCode.SERVER_FULL
    assert refused.headers["Retry-After"] == "2"
    host.hold.set()
    assert (await first).status == 200
    assert (await client.offer()).status == 200


async def test_an_offer_that_takes_too_long_is_cancelled(serve: Serve, host: FakeHost) -> None:
    client = await serve({"timeouts": {"request_s": 0.05}})
    host.hold = asyncio.Event()
    reply = await client.offer()
    assert reply.status == 504
    assert reply.error["code"] == ErrorCode.TIMED_OUT
    assert host.cancelled_offers == 1
    assert not host.running


async def test_candidates_reach_the_host_in_order(client: Client, host: FakeHost) -> None:
    pc_id = (await client.offer()).json["pc_id"]
    reply = await client.call(
        "PATCH",
        "/api/offer",
        json={
            "pc_id": pc_id,
            "candidates": [
                {"candidate": "candidate:1", "sdp_mid": "0", "sdp_mline_index": 0},
                {
                    "candidate": "candidate:2",
                    "sdpMid": "1",
                    "sdpMLineIndex": 1,
                    "usernameFragment": "abcd",
                },
                {"candidate": ""},
            ],
        },
    )
    assert reply.status == 200
    assert reply.json == {"status": "success"}
    assert host.candidates[pc_id] == [
        IceCandidate("candidate:1", "0", 0),
        IceCandidate("candidate:2", "1", 1),
        IceCandidate("", None, None),
    ]


async def test_candidates_of_an_unknown_connection_are_refused(client: Client) -> None:
    body = {"pc_id": "nobody", "candidates": [{"candidate": ""}]}
    reply = await client.call("PATCH", "/offer", json=body)
    assert reply.status == 404
    assert reply.error["code"] == ErrorCode.UNKNOWN_ID


@pytest.mark.parametrize(
    ("candidates", "code", "field"),
    [
        ([], ErrorCode.INVALID_MESSAGE, "candidates"),
        ([{"candidate": ""}] * 65, ErrorCode.TOO_MANY_CANDIDATES, "candidates"),
        ([{}], ErrorCode.INVALID_MESSAGE, "candidates[0].candidate"),
        (["candidate:1"], ErrorCode.INVALID_MESSAGE, "candidates[0]"),
        ([{"candidate": "x" * 1_025}], ErrorCode.INVALID_MESSAGE, "candidates[0].candidate"),
        (
            [{"candidate": ""}, {"candidate": "", "sdpMid": 1}],
            ErrorCode.INVALID_MESSAGE,
            "candidates[1].sdpMid",
        ),
        (
            [{"candidate": "", "sdp_mline_index": -1}],
            ErrorCode.INVALID_MESSAGE,
            "candidates[0].sdp_mline_index",
        ),
    ],
)
async def test_wrong_candidates_are_named(
    client: Client, host: FakeHost, candidates: object, code: str, field: str
) -> None:
    pc_id = (await client.offer()).json["pc_id"]
    body = {"pc_id": pc_id, "candidates": candidates}
    reply = await client.call("PATCH", "/api/offer", json=body)
    assert reply.status == 400
    assert reply.error["code"] == code
    assert reply.error["field"] == field
    assert host.candidates[pc_id] == []


async def test_a_client_that_leaves_disturbs_nobody(client: Client, host: FakeHost) -> None:
    host.hold = asyncio.Event()
    leaving = asyncio.create_task(client.offer())
    await host.offer_waits.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    host.hold.set()
    await settled(lambda: len(host.offers) == 1)
    assert (await client.offer()).status == 200
