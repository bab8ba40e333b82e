"""Audio of sinks by aiortc with real peers: who hears what, and that nothing stays."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from remotemedia import Node, Pipeline, node
from remotemedia.nodes import GainNode, TextNode
from remotemedia.nodes.audio import AudioSink, AudioSource

from .clients import PATIENCE, Client, Tone
from .conftest import SETTINGS, hosting, nothing_left, until

RATE = 48_000


@node
def talk(audio, session):
    """Say ten seconds at once, when it has heard half a second."""
    if session.seq != 25:
        return None
    at = np.arange(10 * session.rate) / session.rate
    return (0.3 * np.sin(2 * np.pi * 600 * at)).astype(np.float32)


class Say(Node):
    """Says two seconds for each text, in parts."""

    inputs = ("text",)
    output_rate = 24_000

    def process(self, data):
        """Say it."""
        for part in range(4):
            at = np.arange(12_000) + part * 12_000
            yield (0.3 * np.sin(2 * np.pi * 500 * at / 24_000)).astype(np.float32)


@pytest.fixture
async def host(loopback):
    """Serve an echo and nodes that say much at once."""
    echo = Pipeline("echo", AudioSource(rate=RATE), GainNode(gain_db=-6), AudioSink())
    wide = Pipeline("wide", AudioSource(rate=RATE, channels=2), AudioSink())
    settings = {**SETTINGS, "limits": {"max_sessions": 3, "max_participants": 4}}
    say = Pipeline("say", TextNode(operation="uppercase"), Say(), AudioSink())
    talking = Pipeline("talk", talk, AudioSink())
    async with hosting([echo, talking, wide, say], settings) as made:
        yield made


class Ear:
    """What comes to a client on its tracks: media time, and samples as ``(2, n)``."""

    def __init__(self, client):
        self.frames = []
        self.tasks = []
        client.peer.on("track", self._begin)

    def _begin(self, track):
        self.tasks.append(asyncio.ensure_future(self._listen(track)))

    async def _listen(self, track):
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.frames.append((frame.pts, frame.to_ndarray().reshape(-1, 2).T / 32768))

    async def wait(self, count):
        """Wait for so many frames."""

        async def enough():
            return len(self.frames) >= count

        await until(enough)

    @property
    def samples(self):
        return np.concatenate([samples for _, samples in self.frames], axis=1)

    def level(self, hertz, begin=0):
        """Say how much of a tone there was at most in 100 ms, from a frame on."""
        heard = self.samples[0][begin * 960 :]
        count = len(heard) // 4_800
        parts = heard[: count * 4_800].reshape(count, 4_800)
        turns = np.exp(-2j * np.pi * hertz * np.arange(4_800) / RATE)
        return 2 * np.abs(parts @ turns / 4_800).max()


class Whistle(Tone):
    """A tone of another pitch, in real time and without pauses."""

    def __init__(self, hertz, right=None):
        super().__init__(speed=1.0)
        self.pitches = (hertz, hertz if right is None else right)

    async def recv(self):
        frame = await super().recv()
        at = np.arange(960) + frame.pts
        both = [np.sin(2 * np.pi * hertz * at / RATE) * 12_000 for hertz in self.pitches]
        made = type(frame).from_ndarray(
            np.stack(both, axis=1).astype(np.int16).reshape(1, -1), "s16", "stereo"
        )
        made.sample_rate, made.pts, made.time_base = RATE, frame.pts, frame.time_base
        return made


@contextlib.asynccontextmanager
async def hearing(host, track=None, **rest):
    """A client with an ear: with a track it sends and hears, without it only hears."""
    async with Client(host, tracks=0, **rest) as client:
        client.ear = Ear(client)
        if track is None:
            client.peer.addTransceiver("audio", direction="recvonly")
        else:
            client.peer.addTransceiver(track, direction="sendrecv")
        yield client


async def voice_of(host, client, index=0):
    return (await host.session(client.session))["participants"][index]["voice"]


async def test_what_was_said_comes_back_quieter(host):
    async with hearing(host, Whistle(440)) as client:
        answer = await client.open(pipeline="echo")
        assert "a=sendrecv" in answer.sdp
        assert "a=ssrc:" in answer.sdp
        assert "sprop-stereo" not in answer.sdp
        await client.ear.wait(60)
        assert client.ear.level(440) == pytest.approx(12_000 / 32_768 / 2, rel=0.1)

        async def reported():
            return (await voice_of(host, client))["round_trip_ms"] is not None

        await until(reported)
        voice = await voice_of(host, client)
        assert voice["packets_sent"] >= 60
        assert voice["bytes_sent"] < 130 * voice["packets_sent"]
        assert (voice["packets_lost"], voice["loss"]) == (0, 0.0)
    await nothing_left(host)
    await asyncio.wait_for(asyncio.gather(*client.ear.tasks), PATIENCE)


async def test_each_hears_their_own_and_a_listener_hears_all(host):
    async with hearing(host, Whistle(300)) as low, hearing(host, Whistle(1_200)) as high:
        await low.open(pipeline="echo")
        await high.open(join=low.session)
        async with hearing(host) as listener, Client(host, tracks=0) as mute:
            answer = await listener.open(join=low.session)
            assert "a=sendonly" in answer.sdp
            await mute.open(join=low.session)
            await asyncio.gather(*(each.ear.wait(75) for each in (low, high, listener)))
            for client, (of_low, of_high) in (
                (low, (0.18, 0)),
                (high, (0, 0.18)),
                (listener, (0.18, 0.18)),
            ):
                assert client.ear.level(300) == pytest.approx(of_low, abs=0.03)
                assert client.ear.level(1_200) == pytest.approx(of_high, abs=0.03)
            assert await voice_of(host, low, 3) is None


async def test_stereo_for_who_asks_for_it(host):
    def asks(text):
        return text.replace("a=rtpmap:96 opus", "a=fmtp:96 stereo=1\r\na=rtpmap:96 opus")

    async with hearing(host, Whistle(440, 880)) as mono, hearing(host, Whistle(440, 880)) as both:
        await mono.open(pipeline="wide")
        answer = await both.open(asks, pipeline="wide")
        assert "sprop-stereo=1" in answer.sdp
        await asyncio.gather(mono.ear.wait(60), both.ear.wait(60))
        left, right = both.ear.samples
        assert np.abs(left - right).max() > 0.2
        left, right = mono.ear.samples
        assert np.abs(left - right).max() < 0.01


async def test_an_interrupt_ends_a_long_answer(host):
    async with hearing(host, Whistle(440)) as client:
        await client.open(pipeline="talk")
        await client.ear.wait(50)
        assert client.ear.level(600) > 0.25
        assert (await voice_of(host, client))["waiting_ms"] > 5_000
        assert (await client.control({"type": "interrupt", "id": 1}))["type"] == "interrupted"
        voice = await voice_of(host, client)
        assert (voice["waiting_ms"], voice["interrupted_ms"] > 100) == (0, True)
        heard = len(client.ear.frames)
        await client.more("metrics", 2)  # one each second
        # What was under way, and the silence that ends it.
        assert len(client.ear.frames) < heard + 20


async def test_what_is_typed_is_heard(host):
    async with hearing(host) as client:
        await client.open(pipeline="say")
        await client.wait("ready")
        reply = await client.control({"type": "input", "id": 1, "data": "hello"})
        assert reply["type"] == "accepted"
        await client.ear.wait(100)
        loud = np.flatnonzero(np.abs(client.ear.samples[0]) > 0.15)
        assert loud[-1] - loud[0] == pytest.approx(2 * RATE, rel=0.02)
        assert client.ear.level(500) == pytest.approx(0.3, rel=0.1)


async def test_a_further_offer_takes_the_sound_away_and_brings_it_back(host):
    async with hearing(host, Whistle(440)) as client:
        await client.open(pipeline="echo")
        await client.ear.wait(25)
        (transceiver,) = client.peer.getTransceivers()
        transceiver.direction = "sendonly"
        answer = await client.open(pc_id=client.answer.pc_id)
        assert "a=recvonly" in answer.sdp
        assert "a=ssrc" not in answer.sdp
        assert await voice_of(host, client) is None
        heard = len(client.ear.frames)
        await client.more("metrics", 2)
        assert len(client.ear.frames) < heard + 10
        transceiver.direction = "sendrecv"
        await client.open(pc_id=client.answer.pc_id)
        await client.ear.wait(len(client.ear.frames) + 50)
        assert client.ear.level(440, len(client.ear.frames) - 40) > 0.15


async def test_a_further_section_may_bring_sound(host):
    async with hearing(host, Whistle(440)) as client:
        (transceiver,) = client.peer.getTransceivers()
        transceiver.direction = "sendonly"
        await client.open(pipeline="echo")
        assert await voice_of(host, client) is None
        client.peer.addTransceiver("audio", direction="recvonly")
        answer = await client.open(pc_id=client.answer.pc_id)
        assert answer.sdp.count("a=sendonly") == 1
        await client.ear.wait(50)
        assert client.ear.level(440) > 0.15


async def test_a_new_connection_hears_on(host):
    async with hearing(host, Whistle(440)) as old, hearing(host, Whistle(440)) as new:
        await old.open(pipeline="echo")
        await old.ear.wait(25)
        await new.open(pc_id=old.answer.pc_id, restart_pc=True)
        await new.ear.wait(50)
        assert new.ear.level(440) > 0.15


async def test_who_comes_later_hears_the_rest_of_an_answer(host):
    async with hearing(host, Whistle(440)) as speaker:
        await speaker.open(pipeline="talk")
        await speaker.ear.wait(50)
        async with hearing(host) as gone:
            await gone.open(join=speaker.session)
            await gone.ear.wait(10)
        async with hearing(host) as late:
            await late.open(join=speaker.session)
            await late.ear.wait(25)
            assert late.ear.level(600) > 0.25
        heard = len(speaker.ear.frames)
        await speaker.ear.wait(heard + 50)


async def test_closing_in_the_middle_of_a_sentence_leaves_nothing(host):
    async with hearing(host, Whistle(440)) as client:
        await client.open(pipeline="talk")
        await client.ear.wait(40)
        await host.close_session(client.session)
        await client.wait("bye")
        await nothing_left(host)
        await asyncio.wait_for(asyncio.gather(*client.ear.tasks), PATIENCE)
