"""`GET /ws`: JSON-RPC 2.0 and plain messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from remotemedia_signaling import ErrorCode, HostError, IceCandidate, SignalingServer
from remotemedia_signaling.testing import Client, FakeHost, settled

Serve = Callable[..., Awaitable[Client]]


class Socket:
    """Speaks both forms."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[Any]) -> None:
        self.raw = socket

    async def say(self, message: object) -> Any:
        await self.raw.send_str(message if isinstance(message, str) else json.dumps(message))
        return await self.hear()

    async def hear(self) -> Any:
        return json.loads(await self.raw.receive_str(timeout=5))

    async def call(self, method: str, **params: object) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = await self.say(request)
        assert reply["jsonrpc"] == "2.0"
        assert reply["id"] == 1
        return reply["result"] if "result" in reply else reply["error"]


@pytest.fixture
async def socket(client: Client) -> AsyncIterator[Socket]:
    async with client.session.ws_connect("/ws") as raw:
        yield Socket(raw)


async def test_an_offer_by_json_rpc(socket: Socket, host: FakeHost) -> None:
    result = await socket.call("peer.offer", sdp="v=0", pipeline="mic-vad")
    assert result["type"] == "answer"
    assert (result["pc_id"], result["session_id"]) == ("pc-1", "session-1")
    assert host.offers[0].pipeline == "mic-vad"


async def test_an_offer_by_plain_message(socket: Socket, host: FakeHost) -> None:
    reply = await socket.say({"type": "offer", "sdp": "v=0", "id": "x", "pipeline": "mic-energy"})
    assert reply["type"] == "answer"
    assert reply["id"] == "x"
    assert reply["pc_id"] == "pc-1"
    assert "id" not in await socket.say({"type": "offer", "sdp": "v=0"})


async def test_peers_of_version_0_1_are_understood(socket: Socket, host: FakeHost) -> None:
    announced = await socket.call(
        "peer.announce", peer_id="alice", capabilities=["audio"], user_data={"name": "Alice"}
    )
    assert announced == {"peer_id": "alice", "peers": [], "pipelines": ["mic-vad", "mic-energy"]}
    addressed = {"from": "alice", "to": "remotemedia-server", "request_id": "r1"}
    await socket.call("peer.offer", sdp="v=0", can_trickle_ice_candidates=True, **addressed)
    result = await socket.call(
        "peer.ice_candidate",
        candidate="candidate:1",
        sdp_mid="0",
        sdp_m_line_index=0,
        user_fragment="u",
        **addressed,
    )
    assert result == {"status": "success"}
    assert host.candidates["pc-1"] == [IceCandidate("candidate:1", "0", 0)]
    await socket.call("peer.disconnect", reason="user_requested", **addressed)
    assert not host.running


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"candidate": "candidate:1", "sdpMid": "a"}, [IceCandidate("candidate:1", "a")]),
        (
            {
                "candidate": {
                    "candidate": "candidate:1",
                    "sdpMLineIndex": 2,
                    "usernameFragment": "u",
                }
            },
            [IceCandidate("candidate:1", None, 2)],
        ),
        ({"candidate": None}, [IceCandidate("")]),
        ({"candidate": {"candidate": None}}, [IceCandidate("")]),
        ({"candidate": ""}, [IceCandidate("")]),
        (
            {"candidates": [{"candidate": "candidate:1"}, {"candidate": ""}]},
            [IceCandidate("candidate:1"), IceCandidate("")],
        ),
    ],
)
async def test_candidates_in_every_form(
    socket: Socket, host: FakeHost, fields: dict[str, object], expected: list[IceCandidate]
) -> None:
    await socket.call("peer.offer", sdp="v=0")
    assert await socket.call("peer.ice_candidate", **fields) == {"status": "success"}
    await socket.raw.send_str(json.dumps({"type": "ice-candidate", "pc_id": "pc-1", **fields}))
    await settled(lambda: host.candidates["pc-1"] == expected * 2)


async def test_a_plain_candidate_has_no_reply(socket: Socket) -> None:
    await socket.say({"type": "offer", "sdp": "v=0"})
    await socket.raw.send_str(json.dumps({"type": "ice-candidate", "candidate": ""}))
    assert (await socket.call("peer.list")) == {"peers": []}


async def test_closing_ends_the_connection_made_here(socket: Socket, host: FakeHost) -> None:
    await socket.say({"type": "offer", "sdp": "v=0"})
    assert await socket.say({"type": "close", "id": 4}) == {
        "type": "close",
        "pc_id": "pc-1",
        "id": 4,
    }
    assert not host.running
    error = (await socket.say({"type": "close"}))["error"]
    assert (error["code"], error["field"]) == (ErrorCode.INVALID_MESSAGE, "pc_id")


async def test_closing_another_connection_keeps_ones_own(socket: Socket, host: FakeHost) -> None:
    await socket.call("peer.offer", sdp="v=0")
    await socket.call("peer.offer", sdp="v=0")
    await socket.call("peer.disconnect", pc_id="pc-1")
    assert await socket.call("peer.ice_candidate", candidate="") == {"status": "success"}
    assert list(host.running) == ["session-2"]


async def test_a_client_may_report_an_error(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "remotemedia.signaling")
    await socket.raw.send_str(json.dumps({"type": "error", "message": "no microphone"}))
    assert await socket.call("peer.list") == {"peers": []}
    assert "no microphone" in caplog.text


async def test_an_error_of_the_host_in_both_forms(socket: Socket, host: FakeHost) -> None:
    host.failures["offer"] = HostError(ErrorCode.NO_COMMON_CODEC, "no Opus", field="sdp")
    described = {"code": "RM-2002", "message": "no Opus", "field": "sdp"}
    assert await socket.call("peer.offer", sdp="v=0") == {
        "code": -32000,
        "message": "no Opus",
        "data": described,
    }
    plain = await socket.say({"type": "offer", "sdp": "v=0", "id": 9})
    assert plain == {"type": "error", "error": described, "id": 9}


async def test_a_bug_of_the_host_tells_nothing(
    socket: Socket, host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.failures["offer"] = RuntimeError("secret")
    error = await socket.call("peer.offer", sdp="v=0")
    assert error["data"]["code"] == ErrorCode.INTERNAL
    assert "secret" not in json.dumps(error)
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("method", "params"), [("peer.answer", {"sdp": "v=0"}), ("peer.announce", {"pipelines": ["x"]})]
)
async def test_what_comes_later_says_so(
    socket: Socket, method: str, params: dict[str, object]
) -> None:
    error = await socket.call(method, **params)
    assert error["data"]["code"] == ErrorCode.NOT_IN_THIS_VERSION
    assert "not in this version" in error["message"]


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("peer.offer", {}, "sdp"),
        ("peer.offer", {"sdp": "v=0", "pipelin": "x"}, "pipelin"),
        ("peer.offer", {"sdp": "v=0", "from": 3}, "from"),
        ("peer.announce", {"peer_id": ""}, "peer_id"),
        ("peer.ice_candidate", {"pc_id": "x"}, "candidates[0].candidate"),
        ("peer.ice_candidate", {"pc_id": "x", "candidates": []}, "candidates"),
        ("peer.ice_candidate", {"pc_id": "x", "candidate": {}}, "candidates[0].candidate"),
        ("peer.ice_candidate", {"candidate": ""}, "pc_id"),
        ("peer.disconnect", {"pc_id": 1}, "pc_id"),
    ],
)
async def test_a_wrong_parameter_is_named(
    socket: Socket, method: str, params: dict[str, object], field: str
) -> None:
    error = await socket.call(method, **params)
    assert error["code"] == -32602
    assert error["data"]["field"] == field


async def test_too_many_candidates_say_so(socket: Socket) -> None:
    error = await socket.call("peer.ice_candidate", pc_id="x", candidates=[{"candidate": ""}] * 65)
    assert error["data"]["code"] == ErrorCode.TOO_MANY_CANDIDATES


@pytest.mark.parametrize(
    ("message", "number", "request_id"),
    [
        ('{"jsonrpc":"2.0",', -32700, None),
        ({"jsonrpc": "1.0", "id": 1, "method": "peer.list"}, -32600, 1),
        ({"jsonrpc": "2.0", "id": 2, "method": 5}, -32600, 2),
        ({"jsonrpc": "2.0", "id": 3, "method": "peer.lst"}, -32601, 3),
        ({"jsonrpc": "2.0", "id": 4.5, "method": "peer.offer", "params": []}, -32602, 4.5),
        ({"jsonrpc": "2.0", "id": "x" * 129, "method": "peer.lst"}, -32601, None),
        ({"jsonrpc": "2.0", "id": 10**40, "method": "peer.lst"}, -32601, None),
        ({"jsonrpc": "2.0", "id": True, "method": "peer.lst"}, -32601, None),
        ({"jsonrpc": "2.0", "id": [], "method": "peer.lst"}, -32601, None),
        ([], -32600, None),
        ([{"jsonrpc": "2.0"}] * 33, -32600, None),
    ],
)
async def test_what_is_no_request_gets_json_rpcs_error(
    socket: Socket, message: object, number: int, request_id: object
) -> None:
    reply = await socket.say(message)
    assert reply["error"]["code"] == number
    assert reply["id"] == request_id
    assert reply["error"]["data"]["code"] == ErrorCode.INVALID_MESSAGE


async def test_an_unknown_method_gets_the_nearest_name(socket: Socket) -> None:
    error = await socket.call("peer.lst")
    assert error["data"]["hint"] == "did you mean peer.list?"


async def test_a_batch_is_answered_in_order_without_notifications(socket: Socket) -> None:
    replies = await socket.say(
        [
            {"jsonrpc": "2.0", "id": 1, "method": "peer.list"},
            {"jsonrpc": "2.0", "method": "peer.list"},
            7,
            {"jsonrpc": "2.0", "id": 2, "method": "peer.list"},
        ]
    )
    assert [(each["id"], "error" in each) for each in replies] == [
        (1, False),
        (None, True),
        (2, False),
    ]


async def test_notifications_are_never_answered(socket: Socket, host: FakeHost) -> None:
    for message in (
        {"jsonrpc": "2.0", "method": "peer.offer", "params": {"sdp": "v=0"}},
        {"jsonrpc": "2.0", "method": "peer.offer", "params": {}},
        {"jsonrpc": "2.0", "method": "peer.unknown"},
        [{"jsonrpc": "2.0", "method": "peer.list"}],
    ):
        await socket.raw.send_str(json.dumps(message))
    assert await socket.call("peer.list") == {"peers": []}
    assert len(host.offers) == 1


@pytest.mark.parametrize(
    "message", ["nonsense", "{}", '{"type":5}', '{"type":"ofer"}', "7", "null"]
)
async def test_what_is_no_message_gets_a_plain_error(socket: Socket, message: str) -> None:
    reply = await socket.say(message)
    assert reply["type"] == "error"
    assert reply["error"]["code"] == ErrorCode.INVALID_MESSAGE


async def test_after_json_rpc_garbage_gets_its_error(socket: Socket) -> None:
    await socket.call("peer.list")
    assert (await socket.say("nonsense"))["error"]["code"] == -32700


async def test_binary_messages_are_refused(socket: Socket) -> None:
    await socket.raw.send_bytes(b"{}")
    assert (await socket.hear())["error"]["message"] == "expected a text message"


async def test_a_message_of_many_megabytes_closes_with_a_reason(client: Client) -> None:
    async with client.session.ws_connect("/ws") as raw:
        await raw.send_str("x" * 12_000_000)
        error = json.loads(await raw.receive_str(timeout=5))["error"]
        assert error["code"] == ErrorCode.TOO_LARGE
        closed = await raw.receive(timeout=5)
        assert closed.type is aiohttp.WSMsgType.CLOSE
        assert (closed.data, closed.extra) == (
            1009,
            "RM-6103: the message is larger than 262144 bytes",
        )
    assert (await client.offer()).status == 200


async def test_a_client_that_never_stops_sending_is_cut_off(
    start: Callable[..., Awaitable[SignalingServer]],
    connect: Callable[[SignalingServer], Awaitable[Client]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("remotemedia_signaling.websocket.LINGER_S", 0.04)
    client = await connect(await start())
    async with client.session.ws_connect("/ws", autoclose=False) as raw:
        await raw.send_str("x" * 300_000)
        types = [(await raw.receive(timeout=5)).type for _ in range(2)]
        assert types == [aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.CLOSE]

        async def send_on() -> None:
            while True:
                await raw._writer.send_frame(b"x" * 1_000, aiohttp.WSMsgType.TEXT)
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_on(), 5)


async def test_the_largest_message_is_read(socket: Socket) -> None:
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "peer.list"})
    reply = await socket.say(message + " " * (256 * 1024 - len(message)))
    assert reply["result"] == {"peers": []}


async def test_a_broken_frame_closes(client: Client) -> None:
    async with client.session.ws_connect("/ws") as raw:
        await raw._writer.send_frame(b"x" * 130, 0x9)
        assert (await raw.receive(timeout=5)).data == aiohttp.WSCloseCode.PROTOCOL_ERROR


async def test_a_request_without_upgrade_is_told_so(client: Client) -> None:
    reply = await client.call("GET", "/ws")
    assert reply.status == 426
    assert reply.headers["Upgrade"] == "websocket"
    assert reply.error["code"] == ErrorCode.BAD_REQUEST


async def test_a_broken_upgrade_is_refused(client: Client) -> None:
    headers = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "1"}
    reply = await client.call("GET", "/ws", headers=headers)
    assert reply.status == 400
    assert reply.error["code"] == ErrorCode.BAD_REQUEST


async def test_sockets_are_bounded(serve: Serve) -> None:
    client = await serve({"limits": {"websockets": 1}})
    async with client.session.ws_connect("/ws"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.session.ws_connect("/ws")
        assert refused.value.status == 429


async def test_a_socket_that_closes_ends_no_session(client: Client, host: FakeHost) -> None:
    async with client.session.ws_connect("/ws") as raw:
        await Socket(raw).call("peer.offer", sdp="v=0")
    assert list(host.running) == ["session-1"]


async def test_a_socket_that_vanishes_during_an_offer_leaves_nothing(
    client: Client, host: FakeHost
) -> None:
    host.hold = asyncio.Event()
    raw = await client.session.ws_connect("/ws")
    await raw.send_str(json.dumps({"type": "offer", "sdp": "v=0"}))
    await host.offer_waits.wait()
    transport = raw._response.connection.transport  # type: ignore[union-attr]
    assert transport is not None
    transport.abort()
    host.hold.set()
    await settled(lambda: len(host.offers) == 1)
    await raw.close()


async def test_shutdown_closes_sockets_with_going_away(
    start: Callable[..., Awaitable[SignalingServer]],
    connect: Callable[[SignalingServer], Awaitable[Client]],
) -> None:
    server = await start()
    client = await connect(server)
    async with client.session.ws_connect("/ws") as raw:
        closing = asyncio.create_task(server.close())
        closed = await raw.receive(timeout=5)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        await closing
