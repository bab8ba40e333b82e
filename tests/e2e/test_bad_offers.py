"""Offers that are refused: each says what is wrong, and nothing is left of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.support import sdp
from tests.support.api import Api
from tests.support.peer import Peer, Tone

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("data", [b"", b"v=0", b'{"sdp": "v=0"', b"\xff\xfe", b"[" * 100_000])
async def test_not_json(api: Api, data: bytes) -> None:
    reply = await api.call("POST", "/api/offer", data=data, headers=JSON)
    assert (reply.status, reply.error["code"]) == (400, "RM-4001")
    assert "not JSON" in reply.error["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "offer"}, "sdp"),
        ({"sdp": 7}, "sdp"),
        ({"sdp": "v=0", "type": "answer"}, "type"),
        ({"sdp": "v=0", "pipline": "mic-vad"}, "pipline"),
        ({"sdp": "v=0", "restart_pc": "yes"}, "restart_pc"),
    ],
)
async def test_a_wrong_field(api: Api, body: object, field: str) -> None:
    reply = await api.call("POST", "/api/offer", json=body)
    assert (reply.status, reply.error["code"], reply.error["field"]) == (400, "RM-4001", field)


async def test_another_content_type(api: Api) -> None:
    reply = await api.call("POST", "/api/offer", data=b"v=0", headers={"Content-Type": "text/sdp"})
    assert (reply.status, reply.error["code"]) == (415, "RM-6104")


@pytest.mark.parametrize("in_chunks", [False, True])
async def test_a_huge_body(api: Api, in_chunks: bool) -> None:
    body = json.dumps({"sdp": "v" * 300_000, "type": "offer"}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    data = chunks() if in_chunks else body
    reply = await api.call("POST", "/api/offer", data=data, headers=JSON)
    assert (reply.status, reply.error["code"]) == (413, "RM-6103")


@pytest.mark.parametrize("text", ["hello", "v=0\r\n", "v=0\r\nm=audio\r\n", "\r\n" * 10_000])
async def test_no_session_description(api: Api, text: str) -> None:
    reply = await api.offer(text, pipeline="mic-energy")
    assert (reply.status, reply.error["code"]) == (400, "RM-2001")


@pytest.mark.parametrize("attribute", ["ice-ufrag", "ice-pwd", "fingerprint"])
async def test_a_description_that_lacks_a_line(api: Api, attribute: str) -> None:
    def without(text: str) -> str:
        lines = sdp.lines_of(text)
        return sdp.joined([line for line in lines if not line.startswith(f"a={attribute}:")])

    async with Peer(api, audio=Tone()) as peer:
        reply = await peer.ask(without, pipeline="mic-energy")
    assert (reply.status, reply.error["code"]) == (400, "RM-2001")
    assert attribute in reply.error["field"]


async def test_no_audio_where_the_pipeline_needs_it(api: Api) -> None:
    async with Peer(api) as peer:
        reply = await peer.ask(pipeline="mic-energy")
    assert (reply.status, reply.error["code"]) == (422, "RM-2002")
    assert "audio" in reply.error["message"]


async def test_video_only(api: Api) -> None:
    async with Peer(api, video=True) as peer:
        reply = await peer.ask(pipeline="mic-energy")
    assert (reply.status, reply.error["code"]) == (422, "RM-2002")
    assert "audio" in reply.error["message"]


async def test_no_codec_in_common(api: Api) -> None:
    async with Peer(api, audio=Tone(), codec="audio/PCMU") as peer:
        reply = await peer.ask(pipeline="mic-energy")
    assert (reply.status, reply.error["code"]) == (422, "RM-2002")
    assert "Opus" in reply.error["message"]


async def test_an_unknown_pipeline(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        unknown = await peer.ask(pipeline="mic-vda")
        unnamed = await peer.ask()
    for reply in (unknown, unnamed):
        assert (reply.status, reply.error["code"]) == (404, "RM-2003")
        assert reply.error["field"] == "pipeline"
    assert "mic-vad" in unknown.error["hint"]
    assert "mic-vad" in unnamed.error["hint"]


@pytest.mark.parametrize("unknown", ["s_0", "pc_" + "0" * 34, "s_" + "f" * 34])
async def test_ids_that_nobody_has(api: Api, unknown: str) -> None:
    async with Peer(api, audio=Tone()) as peer:
        joined = await peer.ask(join=unknown)
        again = await peer.ask(pc_id=unknown)
        restarted = await peer.ask(pc_id=unknown, restart_pc=True)
    replies = [
        joined,
        again,
        restarted,
        await api.trickle(unknown, "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"),
        await api.call("GET", f"/api/sessions/{unknown}"),
        await api.call("DELETE", f"/api/sessions/{unknown}"),
        await api.call("GET", f"/api/sessions/{unknown}/events"),
        await api.call("GET", f"/api/sessions/{unknown}/events?wait=1"),
    ]
    assert [(reply.status, reply.error["code"]) for reply in replies] == [(404, "RM-2004")] * 8
