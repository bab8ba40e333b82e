"""Peers without a data channel: no error, their results are events over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Api, Message
from tests.support.peer import Peer, Tone

WANTED = 25


def silent_peer(api: Api) -> Peer:
    """Sound and silence in turn, and no channel to hear of it."""
    return Peer(api, audio=Tone(frames_on_off=(25, 25), speed=4.0), channels=())


def assert_complete(messages: list[Message], session: str) -> None:
    """Every result from the first one on, in order, of this session alone."""
    assert {message["session"] for message in messages} == {session}
    numbers = [message["seq"] for message in messages]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    windows = [message["pts_ms"] for message in messages if message["type"] == "vad"]
    assert windows == [index * 20.0 for index in range(len(windows))]


async def test_by_server_sent_events(api: Api) -> None:
    async with silent_peer(api) as peer:
        answer = (await peer.open(pipeline="mic-energy")).body["sdp"]
        assert "m=application" not in answer
        messages = []
        async with api.events(peer.session) as events:
            async for number, message in events:
                assert number == message["seq"]
                messages.append(message)
                if message["type"] == "speech_stopped":
                    break
        assert_complete(messages, peer.session)
        assert {"vad", "speech_started", "speech_stopped"} <= {each["type"] for each in messages}
        (participant,) = (await api.session(peer.session))["participants"]
        assert (participant["channels"], participant["dropped"]) == ("none", 0)


async def test_by_long_poll(api: Api) -> None:
    async with silent_peer(api) as peer:
        await peer.open(pipeline="mic-energy")
        messages: list[Message] = []
        after: int | None = None
        while not any(message["type"] == "speech_stopped" for message in messages):
            body = await poll(api, peer.session, after)
            messages += body["events"]
            after = body["after"]
            assert after == messages[-1]["seq"]
            assert body["ended"] is False
        assert_complete(messages, peer.session)
        await api.call("DELETE", f"/api/sessions/{peer.session}")
        while not body["ended"]:
            body = await poll(api, peer.session, after)
            messages += body["events"]
            after = body["after"]
        assert messages[-1]["type"] == "bye"


async def poll(api: Api, session: str, after: int | None) -> dict[str, Any]:
    query = "" if after is None else f"&after={after}"
    reply = await api.call("GET", f"/api/sessions/{session}/events?wait=10{query}")
    assert reply.status == 200, reply
    body: dict[str, Any] = reply.body
    return body


async def test_a_reader_goes_on_where_it_was(api: Api) -> None:
    async with silent_peer(api) as peer:
        await peer.open(pipeline="mic-energy")
        first = await take(api, peer.session, None)
        second = await take(api, peer.session, first[-1]["seq"])
        assert_complete(first + second, peer.session)


async def take(api: Api, session: str, after: int | None) -> list[Message]:
    taken: list[Message] = []
    async with api.events(session, after) as events:
        async for _, message in events:
            taken.append(message)
            if len(taken) == WANTED:
                break
    return taken


@pytest.mark.parametrize("channels", [("results",), ("results", "live")])
async def test_events_equal_what_the_channels_carry(api: Api, channels: tuple[str, ...]) -> None:
    audio = Tone(frames_on_off=(25, 25), speed=2.0)
    async with Peer(api, audio=audio, channels=channels) as peer:
        reply = await peer.ask(pipeline="mic-energy")
        async with api.events(peer.session) as events:
            await peer.accept(reply.body["sdp"])
            read: list[Message] = []
            async for _, message in events:
                read.append(message)
                if message["type"] == "speech_stopped":
                    await api.call("DELETE", f"/api/sessions/{peer.session}")
        await peer.wait_for("bye")
        assert read[-1]["type"] == "bye"
        (ready,) = peer.of_type("ready")
        # Windows of before the channel opened are of no use to anybody by then.
        expected = [one for one in read if one["type"] != "vad" or one["seq"] > ready["seq"]]
        assert sorted(peer.messages, key=lambda message: message["seq"]) == expected
