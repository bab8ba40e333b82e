"""Audio on its way out of a session without the native module: mixed and paced, in virtual time.

The cases are those of the native sender (runtime/crates/media/tests/sender.rs).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia.host.python.mixing import FRAME, RATE, Limiter
from remotemedia.host.python.pacing import (
    HANGOVER,
    MAX_QUEUED_US,
    MAX_SOURCES,
    REFRESH,
    Mixer,
)
from remotemedia.host.python.resampling import Resampler

A, B = (0, "out"), (1, "out")
MS = 1_000


def tone(hertz, count=FRAME, start=0, amplitude=0.4):
    at = np.arange(start, start + count)
    return (amplitude * np.sin(2 * np.pi * hertz * at / RATE)).astype(np.float32)[None, :]


def level(samples, hertz):
    """How much of a tone there is."""
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / RATE)
    return 2 * abs(np.mean(samples * turns))


class World:
    """A mixer and its driver."""

    def __init__(self, channels=1):
        self.now = 5_000 * MS
        self.mixer = Mixer(channels)
        self.sent = []

    def run(self, micros):
        """Let time pass, exactly from one time-out to the next."""
        until = self.now + micros
        while (due := self.mixer.poll_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.drain()
        self.now = until

    def drain(self):
        while (frame := self.mixer.poll(self.now)) is not None:
            self.sent.append((self.now, frame))

    def speak(self, frames, late=lambda count: 0, hertz=440):
        """Produce in real time: a frame each 20 ms, so much later at times."""
        begin = self.now
        for count, frame in enumerate(frames):
            self.run(max(begin + 20 * MS * count + late(count) - self.now, 0))
            self.mixer.push(self.now, A, tone(hertz, start=frame * FRAME))

    @property
    def times(self):
        return [at for at, _ in self.sent]

    @property
    def heard(self):
        silence = np.zeros((self.mixer.channels, FRAME), np.float32)
        return np.concatenate(
            [silence if each.samples is None else each.samples for _, each in self.sent], axis=1
        )


def steps(values):
    return {after - before for before, after in itertools.pairwise(values)}


def test_a_tone_goes_out_a_frame_each_20_ms():
    world = World()
    begin = world.now
    world.speak(range(100))
    assert world.times[0] == begin + 20 * MS
    assert steps(world.times) == {20 * MS}
    assert [frame.ticks for _, frame in world.sent] == [960 * index for index in range(99)]
    assert level(world.heard[0][FRAME:], 440) == pytest.approx(0.4, abs=0.001)
    assert world.mixer.stats.underruns == 0


def test_what_is_made_faster_than_it_is_heard_is_paced_and_complete():
    world, samples, start = World(), tone(440, 3 * RATE), 0
    while start < samples.shape[1]:
        count = world.mixer.room(A)
        world.mixer.push(world.now, A, samples[:, start : start + count])
        assert world.mixer.queued_us <= MAX_QUEUED_US
        start += count
        world.run(20 * MS)
    world.run(1_000 * MS)
    assert steps(world.times[:150]) == {20 * MS}
    # But for what is faded in.
    assert np.array_equal(world.heard[:, 240 : 3 * RATE], samples[:, 240:])


def test_the_oldest_goes_where_a_live_source_runs_ahead():
    world = World()
    for frame in range(50):
        world.mixer.push(world.now, A, tone(440, start=frame * FRAME))
        assert world.mixer.queued_us <= MAX_QUEUED_US + 20 * MS
    assert world.mixer.queued_us + world.mixer.stats.overrun_us == 1_000 * MS


def test_a_long_piece_is_no_overrun():
    world = World()
    for _ in range(4):
        world.mixer.push(world.now, A, tone(440, RATE))
        world.run(1_000 * MS)
    assert (world.mixer.stats.overrun_us, world.mixer.stats.underruns) == (0, 0)


def test_a_producer_that_is_late_by_less_than_a_frame_is_not_heard():
    world = World()
    world.speak(range(200), lambda count: [0, 19, 7, 13, 3][count % 5] * MS)
    assert world.mixer.stats.underruns == 0
    assert steps(world.times) == {20 * MS}


def test_a_late_producer_fades_and_catches_up_in_a_pause():
    world = World()
    # 70 ms late, and so is what follows at once.
    world.speak(range(100), lambda count: 70 * MS if 50 <= count < 53 else 0)
    stats = world.mixer.stats
    assert (stats.underruns, stats.concealed_us) == (1, 60 * MS)
    # Nothing is lost, everything is later, and nowhere is a jump.
    assert world.mixer.queued_us == 20 * MS + 60 * MS
    assert np.abs(np.diff(world.heard[0])).max() < 0.05
    for _ in range(20):
        world.mixer.push(world.now, A, np.zeros((1, FRAME), np.float32))
        world.run(20 * MS)
    assert stats.shortened_us == 60 * MS
    assert world.mixer.queued_us <= 20 * MS


def test_with_nothing_to_say_nothing_is_sent_and_time_goes_on():
    world = World()
    world.speak(range(50))
    world.run(5_000 * MS)
    ended = len(world.sent)
    assert ended <= 50 + HANGOVER + 2
    assert world.sent[-1][1].samples is None, "it ends with a frame that says so"
    assert world.mixer.poll_timeout() is None
    world.speak(range(50))
    (last_at, last), (next_at, following) = world.sent[ended - 1 : ended + 1]
    assert following.samples is not None
    assert following.ticks - last.ticks == (next_at - last_at) * 48 // 1_000


def test_a_silent_source_costs_a_frame_now_and_then():
    world = World()
    for _ in range(250):
        world.mixer.push(world.now, A, np.zeros((1, FRAME), np.float32))
        world.run(20 * MS)
    assert len(world.sent) <= HANGOVER + 1 + 250 / REFRESH


def test_sources_are_mixed_within_full_scale():
    world = World()
    for frame in range(100):
        world.mixer.push(world.now, A, tone(300, start=frame * FRAME, amplitude=0.8))
        world.mixer.push(world.now, B, tone(1_200, start=frame * FRAME, amplitude=0.8))
        world.run(20 * MS)
    heard = world.heard[0][4_800:]
    assert np.abs(heard).max() <= 1
    low, high = level(heard, 300), level(heard, 1_200)
    assert low == pytest.approx(high, rel=0.01)
    assert 0.45 < low < 0.65


def test_what_fits_stays_as_it_is_and_a_loud_mix_keeps_its_shape():
    limiter, quiet = Limiter(), tone(440)
    frame = quiet.copy()
    limiter.limit(frame)
    assert np.array_equal(frame, quiet)
    loud = tone(440, amplitude=2.0)
    frame = loud.copy()
    assert limiter.limit(frame) == pytest.approx(2.0, abs=0.01)
    assert np.abs(frame[:, 96:] - loud[:, 96:] / np.abs(loud).max()).max() < 1e-3
    for _ in range(20):
        frame = quiet.copy()
        limiter.limit(frame)
    assert np.array_equal(frame, quiet)


def test_an_interrupt_ends_what_waits_at_once():
    world = World()
    world.mixer.push(world.now, A, tone(440, RATE))
    world.mixer.push(world.now, B, tone(1_200, RATE))
    world.run(200 * MS)
    before = len(world.sent)
    world.mixer.interrupt(lambda source: source == A)
    world.run(400 * MS)
    assert level(world.heard[0][(before + 1) * FRAME :], 440) < 0.01
    assert level(world.heard[0][(before + 1) * FRAME :], 1_200) > 0.3
    world.mixer.interrupt(lambda source: source == B)
    world.run(1_000 * MS)
    assert len(world.sent) - before <= 20 + HANGOVER + 2
    assert np.abs(np.diff(world.heard[0])).max() < 0.1, "it fades out"
    assert world.mixer.stats.interrupted_us > 1_000 * MS
    # It was no underrun.
    world.speak(range(10))
    assert world.mixer.stats.underruns == 0


@pytest.mark.parametrize(("given", "mixed"), [(1, 1), (1, 2), (2, 2), (2, 1)])
def test_channels_meet_those_of_the_mix(given, mixed):
    world = World(mixed)
    samples = np.concatenate([tone(440), tone(440, amplitude=0.2)])[:given]
    for _ in range(10):
        world.mixer.push(world.now, A, samples)
    world.run(200 * MS)
    frame = world.sent[5][1].samples
    wanted = samples if given == mixed else np.repeat(samples.mean(axis=0)[None], mixed, axis=0)
    assert np.allclose(frame, wanted, atol=1e-6)


def test_a_driver_that_stood_still_does_not_send_a_flood():
    world = World()
    world.mixer.push(world.now, A, tone(440, RATE))
    world.run(100 * MS)
    sent = len(world.sent)
    world.now += 500 * MS
    world.drain()
    assert len(world.sent) - sent <= 2
    assert world.mixer.stats.skipped_us == 480 * MS


def test_a_source_too_many_is_refused_and_idle_ones_make_room():
    world = World()
    for stream in range(MAX_SOURCES + 1):
        world.mixer.push(world.now, (stream, "out"), tone(440))
    assert world.mixer.stats.overrun_us == 20 * MS
    world.run(1_000 * MS)
    world.mixer.push(world.now, (MAX_SOURCES, "out"), tone(440))
    assert world.mixer.stats.overrun_us == 20 * MS


def test_samples_that_are_none_spoil_nothing():
    world = World()
    wrong = np.array([[np.nan, np.inf, -np.inf, 1e30] * 240], np.float32)
    world.mixer.push(world.now, A, wrong)
    world.run(40 * MS)
    world.speak(range(50))
    assert np.isfinite(world.heard).all()
    assert np.abs(world.heard).max() <= 1
    assert level(world.heard[0][-20 * FRAME :], 440) == pytest.approx(0.4, abs=0.02)


def test_another_number_of_channels_keeps_the_time():
    world = World()
    world.speak(range(10))
    world.mixer.channels = 2
    world.run(40 * MS)
    world.speak(range(10))
    ticks = [frame.ticks * 1_000 // 48 for _, frame in world.sent]
    assert all(
        told - ticks[0] == at - world.times[0] for told, at in zip(ticks, world.times, strict=True)
    )


@given(st.lists(st.tuples(st.integers(0, 2_500), st.integers(0, 60)), max_size=60))
def test_nothing_is_lost_unaccounted(pieces):
    world, given_us = World(), 0
    for count, pause in pieces:
        world.mixer.push(world.now, A, np.full((1, count), 0.1, np.float32))
        given_us += count
        world.run(pause * MS)
    stats = world.mixer.stats
    left = stats.overrun_us * 48 // 1_000 + world.mixer.queued_us * 48 // 1_000
    played = np.count_nonzero(world.heard[0]) if world.sent else 0
    # Fades add up to 5 ms where a source runs dry; rounding loses a sample a step.
    assert played + left >= given_us - 2 * len(pieces) - 1
    assert played + left <= given_us + 240 * (len(pieces) + 1)
    assert all(frame.samples is None or np.abs(frame.samples).max() <= 1 for _, frame in world.sent)


RATES = [(16_000, RATE), (8_000, RATE), (44_100, RATE), (96_000, RATE), (RATE, 16_000)]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("rate", "wanted"), RATES)
def test_another_rate_takes_no_time(rate, wanted, channels):
    made = Resampler(rate, wanted, channels)
    at = np.arange(rate)
    samples = np.repeat(np.sin(2 * np.pi * 440 * at / rate)[None, :], channels, axis=0)
    given, whole, pieces = [1, 3, 500, 0, 7, 441], 0, []
    for count in itertools.cycle(given):
        piece = samples[:, whole : whole + count].astype(np.float32)
        pieces.append(made.push(piece))
        whole += piece.shape[1]
        assert sum(each.shape[1] for each in pieces) == whole * wanted // rate
        if whole == rate:
            break
    heard = np.concatenate(pieces, axis=1)
    # Late by what the filter holds back.
    late = 16 * wanted / min(rate, wanted)
    wave = np.sin(2 * np.pi * 440 * (np.arange(wanted) - late) / wanted)
    assert np.abs(heard - wave)[:, 1_000:].max() < 0.1
