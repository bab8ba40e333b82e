"""What feeds a session, by aiortc: several tracks, one of them, or none."""

from __future__ import annotations

import asyncio
import fractions
import json
import time

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamTrack
from remotemedia_signaling import HostError

from remotemedia import Node, Pipeline
from remotemedia.formats import AudioFormat
from remotemedia.host.python.faults import NO_COMMON_CODEC
from remotemedia.host.python.instance import Instance, Program
from remotemedia.host.python.sources import Places, Sources
from remotemedia.host.python.streams import Heard, Stream
from remotemedia.host.python.tracks import Piece
from remotemedia.nodes import AudioSource, LevelMeterNode, MixNode, TextNode
from remotemedia.twin.manifest import ResolvedManifest

from .clients import Client
from .conftest import hosting, until

LOUD = {"left": 12_000, "right": 6_000}
"""Amplitudes, of 32,768."""


class Steady(MediaStreamTrack):
    """A tone in real time, which can be stopped and go on; the louder the lower."""

    kind = "audio"

    def __init__(self, amplitude):
        super().__init__()
        self.going = asyncio.Event()
        self.going.set()
        self._amplitude, self._hz = amplitude, 400 if amplitude > LOUD["right"] else 1_000
        self._index, self._next = 0, 0.0

    async def recv(self):
        await self.going.wait()
        self._next = max(self._next + 0.02, time.monotonic() - 0.02)
        await asyncio.sleep(max(self._next - time.monotonic(), 0))
        phase = np.arange(960) + self._index * 960
        samples = np.sin(2 * np.pi * self._hz * phase / 48_000) * self._amplitude
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None, :], "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, self._index * 960
        frame.time_base = fractions.Fraction(1, 48_000)
        self._index += 1
        return frame


class Pair(Node):
    """See both sources."""

    inputs = ("left", "right")

    def process(self, data, session):
        """Say how loud which of them is."""
        return {"port": session.port, "peak": float(abs(data).max())}


def two():
    """Make a pipeline with two sources, each measured, and mixed."""
    made = Pipeline("two").add_node("left", AudioSource()).add_node("right", AudioSource())
    for name in ("left", "right"):
        made.add_node(f"{name}-level", LevelMeterNode(interval_ms=20))
        made.connect(name, f"{name}-level")
    made.add_node("mix", MixNode()).add_node("level", LevelMeterNode(interval_ms=20))
    made.connect("left", "mix").connect("right", "mix").connect("mix", "level")
    made.add_node("pair", Pair())
    return made.connect("left", "pair.left").connect("right", "pair.right")


@pytest.fixture
async def host(loopback):
    """Serve one with two sources, and one with none of audio."""
    async with hosting([two(), Pipeline("words", TextNode(operation="uppercase"))]) as made:
        yield made


def levels(client, node, stream="audio"):
    """Give the levels that a node found lately, in decibels."""
    found = [each for each in client.of("level") if each["node"] == node]
    return [each["data"]["rms_dbfs"] for each in found if each["stream"] == stream][-10:]


def dbfs(amplitude):
    """Give the level of a tone: aiortc makes two channels of one, each 3 dB lower."""
    return 20 * np.log10(amplitude / 32_768 / np.sqrt(2)) - 3


def around(found, amplitude):
    """Say whether levels are about those of a tone."""
    return len(found) == 10 and abs(np.median(found) - dbfs(amplitude)) < 0.3


async def test_two_tracks_are_the_two_sources_of_one_stream(host):
    async with Client(host, tracks=0) as client:
        for amplitude in LOUD.values():
            client.peer.addTrack(Steady(amplitude))
        await client.open(pipeline="two")

        async def told():
            return all(around(levels(client, f"{name}-level"), LOUD[name]) for name in LOUD)

        await until(told)
        ports = [each["data"] for each in await client.wait("node", 40)][-20:]
        assert {each["port"] for each in ports} == {"left", "right"}
        assert all((each["peak"] > 0.19) == (each["port"] == "left") for each in ports)
        (session,) = await host.sessions()
        (participant,) = session["participants"]
        named = [(each["stream"], each["source"]) for each in participant["streams"]]
        assert sorted(named) == [("audio", "left"), ("audio", "right")]


async def test_a_mix_waits_for_no_track_that_is_not_there_and_takes_it_when_it_comes(host):
    async with Client(host, tracks=0) as client:
        left, right = Steady(LOUD["left"]), Steady(LOUD["right"])
        client.peer.addTrack(left)
        sender = client.peer.addTransceiver("audio", direction="inactive").sender
        await client.open(pipeline="two")

        async def alone():
            return around(levels(client, "level"), LOUD["left"])

        def delays():
            return [each["latency_ms"] for each in client.of("level") if each["node"] == "level"]

        async def prompt():
            return len(delays()) > 20 and max(delays()[-10:]) < 200

        await until(alone)
        await until(prompt)
        # The second track comes.
        sender.replaceTrack(right)
        client.peer.getTransceivers()[1].direction = "sendonly"
        await client.open(pc_id=client.answer.pc_id)

        async def both():
            return around(levels(client, "level"), np.hypot(*LOUD.values()))

        await until(both)
        # And stops: nobody waits for it for long.
        right.going.clear()
        count = len([each for each in client.of("level") if each["node"] == "right-level"])
        mixed = len(delays())

        async def prompt_again():
            return len(delays()) > mixed + 20 and max(delays()[-10:]) < 200

        await until(prompt_again)
        right.going.set()

        async def again():
            found = [each for each in client.of("level") if each["node"] == "right-level"]
            return len(found) > count + 20

        await until(again)


async def test_the_third_track_begins_the_next_stream(host):
    async with Client(host, tracks=0) as client:
        for amplitude in (*LOUD.values(), 3_000):
            client.peer.addTrack(Steady(amplitude))
        await client.open(pipeline="two")

        async def told():
            third = (levels(client, node, "audio-2") for node in ("left-level", "level"))
            second = levels(client, "right-level")
            return around(second, LOUD["right"]) and all(around(each, 3_000) for each in third)

        await until(told)
        assert not levels(client, "right-level", "audio-2")


async def test_a_pipeline_that_takes_data_needs_no_audio(host):
    async with Client(host, tracks=0) as client:
        await client.open(pipeline="words")
        (ready,) = await client.wait("ready")
        assert ready["data"]["pipeline"] == "words"
        told = await client.control({"type": "input", "data": "so be it"})
        assert told["type"] == "accepted"
        (result,) = await client.wait("node")
        assert (result["data"], result["stream"]) == ("SO BE IT", "data")
    async with Client(host, tracks=1) as client:
        answer = await client.open(pipeline="words")
        assert "a=inactive" in answer.sdp
        await client.wait("ready")
    async with Client(host, tracks=0) as client:
        with pytest.raises(HostError) as caught:
            await client.open(pipeline="two")
        assert caught.value.code == NO_COMMON_CODEC


def test_a_track_keeps_its_place_and_a_free_one_is_taken_first():
    places = Places()

    def agreed(*mids):
        places.agree(mids)
        return [places.of(mid) for mid in "abcd"]

    assert agreed("a", "b") == [0, 1, None, None]
    assert agreed("b") == [None, 1, None, None]
    assert (places.has(0), places.has(1), places.has(2)) == (False, True, False)
    assert agreed("b", "c", "d") == [None, 1, 0, 2]
    assert agreed("a", "b", "d") == [0, 1, None, 2]
    assert agreed() == [None] * 4


@pytest.mark.parametrize(
    ("formats", "want", "others"),
    [
        ([{"type": "data"}], "none", "none"),
        ([{"type": "any", "rate": 16000, "channels": 1}], "optional", "optional"),
        (
            [{"type": "data"}, {"type": "audio", "rate": 8000, "channels": 1}],
            "required",
            "optional",
        ),
    ],
)
def test_audio_is_wanted_where_a_source_takes_nothing_else(formats, want, others):
    sources = [{"id": f"s{index}", "format": each} for index, each in enumerate(formats)]
    nodes = [
        {
            "id": f"n{index}",
            "kind": "pass_through",
            "runtime": "native",
            "params": {},
            "inputs": [{"port": "in", "format": each}],
            "outputs": [],
        }
        for index, each in enumerate(formats)
    ]
    edges = [
        {
            "from": {"node": "$source", "port": f"s{index}"},
            "to": {"node": f"n{index}", "port": "in"},
        }
        for index in range(len(formats))
    ]
    manifest = {"version": "resolved/1", "name": "p", "sources": sources, "nodes": nodes}
    found = Sources.of(ResolvedManifest.from_json(json.dumps({**manifest, "edges": edges})))
    assert (found.want, found.want_of_others) == (want, others)


def test_a_track_lies_where_its_stream_has_got_to_when_it_comes():
    wanted = AudioFormat(16_000)
    stream = Stream("audio", None, "p1", 0, 1_000_000, [False, False])
    left, right = Heard(0, 0, 0), Heard(0, 1, 0)

    def came(heard, pts_us, at_us):
        piece = Piece(pts_us, np.zeros((1, 320), np.float32))
        return stream.place(heard, piece, wanted, at_us, at_us)

    assert came(left, 0, 1_000_000) == 0
    assert came(left, 20_000, 1_020_000) == 20_000
    # 13.005 ms later, on the grid of samples.
    assert came(right, 0, 1_033_005) == 33_000
    assert came(right, 20_000, 1_060_000) == 53_000, "from then on its own time counts"
    # Its time stood still for a second; the other one's went on.
    assert came(left, 1_040_000, 2_040_000) == 1_040_000
    assert came(right, 40_000, 2_053_000) == 1_053_000
    # It went on, and what came late is no reason to move it.
    assert came(left, 1_340_000, 2_350_000) == 1_340_000


def test_what_came_before_a_pause_and_is_given_after_it_moves_nothing():
    wanted = AudioFormat(16_000)
    stream = Stream("audio", None, "p1", 0, 0, [False, False])
    left, right = Heard(0, 0, 0), Heard(0, 1, 0)

    def came(heard, pts_us, arrival_us, now_us):
        piece = Piece(pts_us, np.zeros((1, 320), np.float32))
        return stream.place(heard, piece, wanted, arrival_us, now_us)

    for index in range(10):
        came(left, index * 20_000, index * 20_000, index * 20_000)
        came(right, index * 20_000, index * 20_000, index * 20_000)
    assert came(left, 5_000_000, 5_000_000, 5_000_000) == 5_000_000
    # The last packet of before, and the first one of now, whose time stood still.
    assert came(right, 200_000, 200_000, 5_000_000) == 200_000
    assert came(right, 220_000, 5_000_000, 5_000_000) == 5_000_000


def test_a_source_that_has_ended_is_waited_for_again_when_it_comes():
    plan = two().plan(native=False, served=True)
    instance = Instance(Program.compile(plan.resolved.to_json()), iter(range(1_000)))
    instance.open_stream(0)
    rate = plan.resolved.sources[0].format.audio.rate
    frame = np.full((1, rate // 50), 0.5, np.float32)

    def mixed():
        return [out.pts_us for _, out in instance.poll() if out.node == "level"]

    def push(source, index):
        instance.push(index * 20_000, 0, index * 20_000, index + 1, frame, source)

    push(0, 0)
    assert mixed() == []
    instance.end_source(0, 0, 1)
    assert mixed() == [0]
    push(0, 1)
    assert mixed() == [20_000]
    push(1, 2)
    push(0, 2)
    assert mixed() == [40_000]
    push(0, 3)
    assert mixed() == [], "it is waited for again"
    for index in range(4, 55):
        push(0, index)
    assert mixed()[:1] == [60_000], "for a second"
