"""Audio that comes back to a Python peer, over real connections."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from remotemedia import AudioEvent, AudioFormat, ConnectionLost
from remotemedia.client import NodeResult, connect
from remotemedia.client import session as session_module
from remotemedia.client.hearing import Hearing
from remotemedia.client.inbox import Inbox
from remotemedia.client.track import RATE, AudioTrack


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Do not wait long for stragglers."""
    monkeypatch.setattr(session_module, "QUIET_SECONDS", 0.05)


@pytest.fixture
async def voice(server):
    """What the server says to its peers."""
    server.voice = AudioTrack()
    return server.voice


def tone(seconds=1.0, frequency=440):
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(RATE * seconds)) / RATE)
    return np.round(wave * 32767).astype(np.int16)


def audio(seq, samples=960, rate=RATE):
    return AudioEvent(
        type="audio", seq=seq, pts_ms=20.0 * seq, samples=np.zeros(samples, np.float32), rate=rate
    )


def event(seq):
    return NodeResult(type="node", seq=seq, data=seq)


async def gathered(session):
    return [each async for each in session if isinstance(each, AudioEvent)]


@pytest.mark.parametrize("listen_only", [False, True])
async def test_audio_comes_back_as_events(server, voice, listen_only):
    async with connect(server.url, listen_only=listen_only) as session:
        assert session.audio_format == AudioFormat(48000)
        saying = asyncio.create_task(voice.put(tone(2.0)))
        events = []
        async for each in session:
            events.append(each)
            if len(events) == 50:
                break
    saying.cancel()
    assert [each.seq for each in events] == list(range(len(events)))
    assert {each.session for each in events} == {"s_1"}
    assert {each.samples.shape for each in events} == {(960,)}
    assert set(np.diff([each.pts_ms for each in events])) == {20.0}
    assert events[0].pts_ms == 0.0
    heard = np.concatenate([each.samples for each in events])
    assert heard.dtype == np.float32
    assert np.sqrt(np.mean(heard[9600:38400] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


async def test_finish_waits_for_what_is_still_said(server, voice):
    saying = []
    async with connect(server.url) as session:

        def flush(channel, control):
            channel.send(f'{{"v":1,"type":"flushed","id":{control["id"]}}}')
            pause = np.zeros(9600, np.int16)
            said = np.concatenate([tone(0.4), pause, tone(0.4), pause])
            saying.append(asyncio.ensure_future(voice.put(said)))

        server.replies["flush"] = flush
        await session.send((np.zeros(960, np.float32), RATE))
        await session.finish()
        events = await gathered(session)
    heard = np.concatenate([each.samples for each in events])
    loud = np.flatnonzero(np.abs(heard) > 0.25)
    assert (loud[-1] - loud[0]) / RATE == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("listen_only", "tail"), [(False, 0.5), (True, 30.0)])
async def test_finish_does_not_wait_for_ever(server, voice, listen_only, tail):
    async with connect(server.url, listen_only=listen_only) as session:
        chatter = asyncio.create_task(voice.put(tone(30)))
        await asyncio.wait_for(session.finish(tail=tail), 5)
        assert not chatter.done()
        assert len(await gathered(session)) < 100
    chatter.cancel()


async def test_a_pipeline_that_sends_none(server):
    async with connect(server.url, listen_only=True) as session:
        assert session.audio_format is None
        await session.finish()
        assert await gathered(session) == []


async def test_audio_that_is_not_wanted_is_not_sent(server, voice):
    async with connect(server.url, hear=False) as session:
        assert "a=sendonly" in server.offers[0]["sdp"]
        assert session.audio_format is None


async def test_the_end_of_the_connection_ends_the_audio(server, voice):
    async with connect(server.url, listen_only=True) as session:
        saying = asyncio.create_task(voice.put(tone(30)))
        async for each in session:
            if isinstance(each, AudioEvent):
                break
        await server.peers[0].close()
        with pytest.raises(ConnectionLost):
            await gathered(session)
    saying.cancel()


@pytest.mark.parametrize(
    ("told", "shape"),
    [("a=fmtp:111 minptime=10;sprop-stereo=1;useinbandfec=1", (2, 960)), ("stereo=1", (960,))],
)
async def test_stereo_is_told_in_the_description(told, shape):
    track = AudioTrack()
    found = asyncio.Queue()
    hearing = Hearing(track, f"v=0\r\n{told}\r\n", "s_1", found.put_nowait)
    await track.put(tone(0.1))
    heard = await asyncio.wait_for(found.get(), 2)
    assert heard.samples.shape == shape
    assert heard.samples.flags.c_contiguous
    assert hearing.format == AudioFormat(48000, 2 if len(shape) == 2 else 1)
    await hearing.stop()


async def test_audio_that_nobody_reads_is_bounded(monkeypatch, caplog):
    monkeypatch.setattr("remotemedia.client.inbox.MAX_AUDIO_SECONDS", 0.06)
    inbox = Inbox()
    for seq in range(3):
        inbox.put_audio(audio(seq))
        inbox.put(event(seq))
    assert (inbox.dropped_audio_seconds, caplog.text) == (0.0, "")
    for seq in range(3, 5):
        inbox.put_audio(audio(seq))
    assert inbox.dropped_audio_seconds == pytest.approx(0.04)
    assert inbox.dropped == 0
    assert caplog.text.count("comes back faster than it is read") == 1
    inbox.end()
    inbox.put_audio(audio(5))
    left = []
    while (each := await inbox.get()) is not None:
        left.append((each.type, each.seq))
    assert left == [("node", 0), ("node", 1), ("audio", 2), ("node", 2), ("audio", 3), ("audio", 4)]


async def test_audio_takes_no_room_from_events(monkeypatch):
    monkeypatch.setattr("remotemedia.client.inbox.MAX_WAITING", 2)
    inbox = Inbox()
    for seq in range(3):
        inbox.put_audio(audio(seq))
        inbox.put(event(seq))
    inbox.end()
    assert inbox.dropped == 1
    left = []
    while (each := await inbox.get()) is not None:
        left.append((each.type, each.seq))
    assert left == [("audio", 0), ("audio", 1), ("node", 1), ("audio", 2), ("node", 2)]


async def test_what_was_read_makes_room(monkeypatch):
    monkeypatch.setattr("remotemedia.client.inbox.MAX_AUDIO_SECONDS", 0.04)
    inbox = Inbox()
    for seq in range(10):
        inbox.put_audio(audio(seq))
        assert (await inbox.get()).seq == seq
    assert inbox.dropped_audio_seconds == 0.0
