"""The WebSocket, and pages of other origins."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.support.api import Api
from tests.support.peer import Peer, Tone

FOREIGN = {"Origin": "https://evil.example"}
MEGABYTES = 8


async def call(socket: aiohttp.ClientWebSocketResponse[bool], method: str, **params: Any) -> Any:
    """A JSON-RPC call; gives the whole answer."""
    await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return await socket.receive_json()


async def test_a_session_over_the_websocket(api: Api) -> None:
    async with api.http.ws_connect(f"{api.url}/ws") as socket, Peer(api, audio=Tone()) as peer:
        offered = await call(socket, "peer.offer", sdp=await peer.describe(), pipeline="mic-energy")
        await peer.accept(offered["result"]["sdp"])
        await peer.wait_for("vad")
        closed = await call(socket, "peer.disconnect")
        assert closed["result"]["pc_id"] == offered["result"]["pc_id"]
        (bye,) = await peer.wait_for("bye")
        assert bye["session"] == offered["result"]["session_id"]


async def test_a_bad_offer_over_the_websocket(api: Api) -> None:
    async with api.http.ws_connect(f"{api.url}/ws") as socket:
        answer = await call(socket, "peer.offer", sdp="v=0\r\n", pipeline="mic-energy")
        assert answer["error"]["data"]["code"] == "RM-2001"
        answer = await call(socket, "peer.offer", sdp="v=0\r\n", pipeline="mic")
        assert answer["error"]["data"]["code"] == "RM-2003"
        assert (await call(socket, "peer.list"))["result"] == {"peers": []}


async def test_a_message_of_many_megabytes_ends_the_socket_and_nothing_else(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="mic-energy")
        await peer.wait_for("vad")
        async with api.http.ws_connect(f"{api.url}/ws") as socket:
            await socket.send_str(json.dumps({"type": "offer", "sdp": "v" * (MEGABYTES << 20)}))
            error = await socket.receive_json()
            assert (error["type"], error["error"]["code"]) == ("error", "RM-6103")
            last = await socket.receive()
            assert last.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
            assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        await peer.more("vad", 10)


async def test_a_foreign_page_may_not_call(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        body = {"sdp": await peer.describe(), "type": "offer", "pipeline": "mic-energy"}
        reply = await api.call("POST", "/api/offer", json=body, headers=FOREIGN)
        assert (reply.status, reply.error["code"]) == (403, "RM-6105")
        assert "Access-Control-Allow-Origin" not in reply.headers


async def test_a_foreign_page_may_not_open_a_websocket(api: Api) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.http.ws_connect(f"{api.url}/ws", headers=FOREIGN)
    assert refused.value.status == 403


async def test_our_own_page_may(api: Api) -> None:
    own = {"Origin": api.url}
    assert (await api.call("GET", "/api/sessions", headers=own)).status == 200
    async with api.http.ws_connect(f"{api.url}/ws", headers=own) as socket:
        assert (await call(socket, "peer.list"))["result"] == {"peers": []}
