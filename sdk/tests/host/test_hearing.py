"""Which audio of a session goes to whom, and what waits, in virtual time."""

from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from remotemedia import Pipeline, node
from remotemedia.host.python.hearing import (
    MAX_ANSWER_US,
    MAX_WAITING_US,
    Hearing,
    Sink,
    sent_channels,
    sinks_of,
    voices_of,
)
from remotemedia.host.python.instance import Instance, Program
from remotemedia.host.python.mixing import FRAME
from remotemedia.host.python.opus import Encoder, Encoding, Wishes
from remotemedia.host.python.pacing import MAX_QUEUED_US, Mixer
from remotemedia.host.python.voice import Voice, VoiceTrack
from remotemedia.nodes import GainNode, MixNode, PassThroughNode
from remotemedia.nodes.audio import AudioSink, AudioSource, LevelMeterNode

MS = 1_000
LIVE, AHEAD = Sink("out", 16_000, 1, ahead=False), Sink("out", 16_000, 1, ahead=True)


def seconds(count, value=0.5, channels=1):
    return np.full((channels, int(count * 16_000)), value, np.float32)


class World:
    """A session's audio; who hears is decided by `hears`: owners, and the mixers of who hears."""

    def __init__(self, *sinks, **hears):
        self.now = 0
        self.hears = {owner: [Mixer(1) for _ in range(count)] for owner, count in hears.items()}
        self.holds = []
        self.hearing = Hearing(sinks, lambda owner: self.hears[owner], self.holds.append)
        self.sent = {}

    def take(self, owner, samples, stream=0):
        self.hearing.take(self.now, stream, owner, "out", samples)

    def run(self, micros):
        for _ in range(micros // (5 * MS)):
            self.now += 5 * MS
            for mixer in {id(one): one for each in self.hears.values() for one in each}.values():
                while (frame := mixer.poll(self.now)) is not None:
                    self.sent.setdefault(id(mixer), []).append(frame)
                    self.hearing.feed(self.now)

    def sound(self, mixer):
        """Samples that were sent to somebody."""
        frames = [each.samples for each in self.sent.get(id(mixer), ())]
        silence = np.zeros((1, FRAME), np.float32)
        return np.concatenate(
            [silence if each is None else each for each in frames] or [silence], 1
        )


def test_live_audio_goes_on_at_once_and_to_all_who_hear():
    world = World(LIVE, one=2)
    for _ in range(50):
        world.take("one", seconds(0.02))
        world.run(20 * MS)
    for mixer in world.hears["one"]:
        assert np.count_nonzero(world.sound(mixer) > 0.4) > 45 * FRAME
    assert world.hearing.waiting_us == 0


def test_a_long_answer_waits_and_is_heard_whole():
    world = World(AHEAD, one=2)
    world.take("one", seconds(3)[0])
    assert world.hearing.waiting_us == 3_000 * MS - MAX_QUEUED_US
    world.run(4_000 * MS)
    for mixer in world.hears["one"]:
        assert mixer.stats.overrun_us == mixer.stats.underruns == 0
        loud = np.flatnonzero(world.sound(mixer)[0] > 0.25)
        assert loud[-1] - loud[0] == pytest.approx(3 * 48_000, abs=480)
    assert world.hearing.waiting_us == 0
    assert world.holds == []


def test_nodes_that_make_too_much_are_held_until_there_is_room():
    world = World(AHEAD, one=1)
    for _ in range(11):
        world.take("one", seconds(1))
    assert world.holds == [True]
    world.run(1_000 * MS)
    assert world.hearing.waiting_us <= MAX_WAITING_US
    assert world.holds == [True, False]


def test_an_answer_without_end_loses_its_newest():
    world = World(AHEAD, one=1)
    for _ in range(MAX_ANSWER_US // 20_000_000):
        world.take("one", seconds(20))
    world.take("one", seconds(20))
    waiting = world.hearing.waiting_us
    assert waiting >= MAX_ANSWER_US
    world.take("one", seconds(1))
    assert world.hearing.waiting_us == waiting
    assert (world.hearing.take_lost(), world.hearing.take_lost()) == (50, 0)


def test_nobody_is_waited_for_who_does_not_hear():
    world = World(AHEAD, one=1, two=0)
    world.take("two", seconds(20))
    assert (world.hearing.waiting_us, world.holds) == (0, [])
    world.take("one", seconds(20), stream=1)
    assert world.holds == [True]
    world.hears["one"].clear()
    world.hearing.feed(world.now)
    assert (world.hearing.waiting_us, world.holds) == (0, [True, False])


def test_the_slowest_hearer_sets_the_pace():
    world = World(AHEAD, one=2)
    fast, slow = world.hears["one"]
    world.take("one", seconds(5))
    waiting = world.hearing.waiting_us
    while fast.poll_timeout() is not None:  # the other one plays nothing
        world.now += 20 * MS
        fast.poll(world.now)
        world.hearing.feed(world.now)
    assert world.hearing.waiting_us == waiting
    slow.poll(world.now)
    world.hearing.feed(world.now)
    assert world.hearing.waiting_us == waiting - 20 * MS


def test_an_interrupt_leaves_the_streams_of_others():
    world = World(AHEAD, one=1, two=1)
    world.take("one", seconds(8), stream=1)
    world.take("two", seconds(8), stream=2)
    mixers = [mixer for each in world.hears.values() for mixer in each]
    world.hearing.interrupt(world.now, mixers, lambda stream: stream == 1)
    world.run(1_000 * MS)
    one, two = (world.sound(mixer) for mixer in mixers)
    assert np.count_nonzero(one > 0.4) == 0
    assert np.count_nonzero(two > 0.4) > 47_000
    assert world.hearing.waiting_us > 6_000 * MS
    world.hearing.interrupt(world.now, mixers, lambda _: True)
    assert world.hearing.waiting_us == 0


def test_an_interrupt_lets_held_nodes_go_on():
    world = World(AHEAD, one=1)
    world.take("one", seconds(12))
    world.hearing.interrupt(world.now, world.hears["one"], lambda _: True)
    assert world.holds == [True, False]


def test_more_channels_than_two_are_mixed_down():
    world = World(Sink("out", 48_000, 4, ahead=False), one=1)
    wide = np.repeat(np.array([[0.0], [0.4], [0.8], [0.0]], np.float32), 9_600, axis=1)
    world.take("one", wide)
    world.run(100 * MS)
    assert np.allclose(world.sound(world.hears["one"][0])[0, FRAME : 2 * FRAME], 0.3)


def test_what_no_sink_gave_is_heard_by_nobody():
    world = World(LIVE, one=1)
    world.hearing.take(0, 0, "one", "other", seconds(1))
    world.run(100 * MS)
    assert not world.sent


# Which nodes make it.


@node
def answer(audio):
    """Say something."""
    return audio


def program(*nodes):
    plan = Pipeline("p", *nodes).plan(native=False, served=True)
    return Program.compile(plan.resolved.to_json())


def test_sinks_say_what_feeds_them():
    live = program(AudioSource(rate=48000), GainNode(gain_db=-6), AudioSink())
    assert live.sinks == (Sink(live.plan.nodes[-1].id, 48_000, 1, ahead=False),)
    made = program(AudioSource(), answer, GainNode(gain_db=-6), AudioSink())
    assert [each.ahead for each in made.sinks] == [True]
    behind = program(AudioSource(), answer, PassThroughNode(), answer, AudioSink())
    (last,) = voices_of(behind.plan)
    assert behind.plan.nodes[last].kind == "python"
    assert last == max(i for i, each in enumerate(behind.plan.nodes) if each.kind == "python")
    none = program(AudioSource(), LevelMeterNode())
    assert (none.sinks, sent_channels(none.sinks), voices_of(none.plan)) == ((), 0, set())
    assert sent_channels([LIVE, Sink("x", 8_000, 6, ahead=False)]) == 2


def test_all_that_feed_a_mix_make_it():
    made = Pipeline("p").add_node("mic", AudioSource()).add_node("a", answer.fresh())
    made.add_node("b", answer.fresh()).add_node("mix", MixNode()).add_node("out", AudioSink())
    for pair in (("mic", "a"), ("mic", "b"), ("a", "mix"), ("b", "mix"), ("mix", "out")):
        made.connect(*pair)
    compiled = Program.compile(made.plan(native=False, served=True).resolved.to_json())
    names = {compiled.plan.nodes[index].id for index in voices_of(compiled.plan)}
    assert names == {"a", "b"}
    assert sinks_of(compiled.plan)[0].ahead


def test_held_nodes_get_no_frames_and_lose_their_oldest():
    instance = Instance(program(AudioSource(), answer, AudioSink()), itertools.count(1))
    instance.open_stream(1)
    instance.hold(True)
    for index in range(60):
        instance.push(index, 1, index * 20_000, index, np.zeros((1, 320), np.float32))
    assert list(instance.take_work(0)) == []
    assert (instance.pending, instance.stats.overrun) == (50, 10)
    instance.hold(False)
    assert next(instance.take_work(0)).stamp.seq == 10


def test_the_audio_of_sinks_comes_out_and_no_other():
    instance = Instance(program(AudioSource(), LevelMeterNode(), AudioSink()), itertools.count(1))
    instance.open_stream(1)
    instance.push(0, 1, 0, 0, np.full((1, 320), 0.5, np.float32))
    (heard,) = [each for _, each in instance.poll() if each.samples is not None]
    assert (heard.node, heard.rate, heard.samples.shape) == ("sink-1", 16_000, (320,))


# Who hears.


def test_what_is_lost_is_counted_in_packets():
    voice = Voice([LIVE], lambda: 0, lambda: None)
    source = (0, "out")
    for _ in range(20):
        voice.push(0, source, np.zeros((1, FRAME), np.float32))
    assert (voice.sends, voice.take_lost(), voice.take_lost()) == (False, 12, 0)
    assert voice.room(source) == 2 * FRAME
    voice.push(0, source, np.zeros((1, 10 * FRAME), np.float32))
    voice.push(0, source, np.zeros((1, FRAME), np.float32))
    assert voice.take_lost() == 13  # 18 frames, and 5 of them stay


async def test_a_track_gives_nothing_while_its_section_does_not_send_and_ends_when_it_is_stopped():
    voice = Voice([LIVE], lambda: 0, lambda: None)
    track = VoiceTrack(voice)
    pending = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    voice.push(0, (0, "out"), np.ones((1, FRAME), np.float32))
    track.wake()
    await asyncio.sleep(0)
    assert not pending.done()
    track.stop()
    with pytest.raises(MediaStreamError):
        await pending


# Opus.


@pytest.mark.parametrize(
    ("parameters", "wishes"),
    [
        ("", Wishes()),
        ("minptime=10;useinbandfec=1;stereo=1", Wishes(stereo=True)),
        ("STEREO = 1 ; maxaveragebitrate=20000", Wishes(stereo=True, max_bitrate=20_000)),
        ("maxplaybackrate=16000;sprop-stereo=1", Wishes(max_rate=16_000)),
        ("maxplaybackrate=1;maxaveragebitrate=x;stereo=yes", Wishes()),
        ("maxaveragebitrate=" + "9" * 5_000, Wishes()),
    ],
)
def test_wishes_are_read(parameters, wishes):
    assert Wishes.parse(parameters) == wishes


@pytest.mark.parametrize(
    ("rate", "channels", "wishes", "encoding"),
    [
        (48_000, 1, Wishes(), Encoding(1, 32_000, None)),
        (48_000, 2, Wishes(), Encoding(2, 64_000, None)),
        (16_000, 1, Wishes(), Encoding(1, 32_000, 8_000)),
        (48_000, 1, Wishes(max_bitrate=12_000, max_rate=12_000), Encoding(1, 12_000, 6_000)),
        (16_000, 1, Wishes(max_rate=24_000), Encoding(1, 32_000, 8_000)),
    ],
)
def test_no_more_is_sent_than_is_of_use(rate, channels, wishes, encoding):
    assert Encoding.of(rate, channels, wishes) == encoding


@pytest.mark.parametrize("channels", [1, 2])
def test_packets_are_of_20_ms_and_as_many_bits_as_wanted(channels):
    encoder = Encoder(Encoding(channels, 32_000 * channels, None))
    at = np.arange(50 * FRAME)
    rng = np.random.default_rng(1)
    sound = np.sin(at / 20) * 0.3 + rng.standard_normal(len(at)) * 0.05
    packets = [
        encoder.encode(np.repeat(sound[None, i * FRAME : (i + 1) * FRAME], channels, axis=0))
        for i in range(50)
    ]
    assert all(packets)
    assert sum(map(len, packets)) * 8 == pytest.approx(32_000 * channels, rel=0.4)
    stereo = {packet[0] >> 2 & 1 for packet in packets}
    assert stereo == {channels - 1}
    silence = encoder.silence()
    assert (len(silence), silence[0] >> 2) == (1, packets[-1][0] >> 2)
