"""What a call does with the audio that comes back."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

from remotemedia import AudioEvent, AudioFormat, MediaFileError
from remotemedia.cli import hearing
from remotemedia.cli.hearing import Hearers, Playing, Recording
from remotemedia.files import AudioReader

RATE = 48_000
MONO = AudioFormat(RATE)


def event(pts_ms, value=0.5, channels=1, seconds=0.02):
    shape = (int(RATE * seconds),) if channels == 1 else (channels, int(RATE * seconds))
    samples = np.full(shape, value, np.float32)
    return AudioEvent(type="audio", pts_ms=pts_ms, samples=samples, rate=RATE)


def written(path):
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=-1)


@pytest.fixture
def clock(monkeypatch):
    """Stand in for the clock: `clock[0]` is now."""
    now = [100.0]
    monkeypatch.setattr(hearing.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("channels", [1, 2])
def test_missing_packets_are_silence(tmp_path, channels):
    recording = Recording(tmp_path / "out.wav", AudioFormat(RATE, channels))
    recording.hear(event(0.0, channels=channels))
    recording.hear(event(60.0, channels=channels))
    recording.close()
    samples = written(tmp_path / "out.wav").reshape(channels, -1)
    expected = np.repeat([0.5, 0.0, 0.0, 0.5], 960)
    assert samples.shape == (channels, 3840)
    assert np.allclose(samples, expected, atol=1e-3)


def test_silence_is_as_long_as_the_pause(tmp_path, clock):
    recording = Recording(tmp_path / "out.wav", MONO)
    recording.hear(event(0.0))
    clock[0] += 3.5
    recording.hear(event(3500.0))
    recording.close()
    samples = written(tmp_path / "out.wav")
    assert len(samples) == 3.52 * RATE
    assert np.flatnonzero(samples > 0.25).size == 2 * 960


def test_a_timestamp_that_leaps_fills_no_disk(tmp_path, clock):
    recording = Recording(tmp_path / "out.wav", MONO)
    recording.hear(event(80_000_000.0))
    recording.hear(event(0.0))
    recording.close()
    assert len(written(tmp_path / "out.wav")) == RATE + 2 * 960


def test_no_file_is_left_where_nothing_came(tmp_path):
    Recording(tmp_path / "out.wav", MONO).close()
    assert not (tmp_path / "out.wav").exists()


class Speaker:
    """A sounddevice with a loudspeaker that plays when it is told to."""

    PortAudioError = RuntimeError

    def __init__(self):
        self.free = threading.Event()
        self.busy = threading.Event()
        self.played, self.calls = [], []
        self.refuse = False

    def OutputStream(self, **settings):  # noqa: N802
        if self.refuse:
            raise self.PortAudioError("no such device")
        self.settings = settings
        return self

    def start(self):
        self.calls.append("start")

    def write(self, data):
        self.busy.set()
        assert self.free.wait(10)
        self.played.append(float(data[0, 0]))

    def stop(self):
        self.calls.append("stop")

    def close(self):
        self.calls.append("close")


@pytest.fixture
def speaker(monkeypatch):
    made = Speaker()
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


def test_everything_is_played_before_the_end(speaker):
    speaker.free.set()
    hearers = Hearers(None, MONO, play=True)
    for number in range(5):
        hearers.hear(event(20.0 * number, value=number / 8))
    hearers.close()
    assert speaker.played == [0.0, 0.125, 0.25, 0.375, 0.5]
    assert speaker.calls == ["start", "stop", "close"]
    assert speaker.settings["samplerate"] == RATE
    assert hearers.seconds == pytest.approx(0.1)


def test_what_is_late_is_left_out(speaker):
    playing = Playing()
    playing.hear(event(0.0, value=0.0))
    assert speaker.busy.wait(10)
    for number in range(1, 16):
        playing.hear(event(20.0 * number, value=number / 16))
    speaker.free.set()
    playing.close()
    assert speaker.played == [0.0, *(number / 16 for number in range(6, 16))]


def test_a_loudspeaker_that_cannot_be_used_is_told_once(speaker, caplog):
    speaker.refuse = True
    playing = Playing()
    for number in range(3):
        playing.hear(event(20.0 * number))
    playing.close()
    assert caplog.text.count("nothing is played: the default loudspeaker cannot be used") == 1


def test_without_the_extra_nothing_can_be_played(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MediaFileError, match=r"remotemedia\[mic\]"):
        Hearers(None, MONO, play=True)


def test_nothing_comes_back(speaker):
    hearers = Hearers(None, None, play=True)
    hearers.close()
    assert (hearers.seconds, speaker.calls) == (0.0, [])
