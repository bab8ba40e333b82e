"""Microphone and loudspeaker, over a sounddevice that is none."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading

import numpy as np
import pytest
from rich.console import Console

from remotemedia import AudioFormat, MediaFileError, NodeSession, ParameterError, Pipeline
from remotemedia.cli.call import MICROPHONE, CallOptions, call
from remotemedia.devices import MAX_WAITING, Loudspeaker, Microphone
from remotemedia.errors import RemoteMediaError
from remotemedia.nodes import AudioSink, AudioSource, FileReaderNode, GainNode, LevelMeterNode


class PortAudioError(Exception):
    pass


class Stream:
    """A device that gives what a test tells it to, and keeps what it is given."""

    def __init__(self, owner, callback=None, **settings):
        self.owner, self.callback, self.settings = owner, callback, settings
        self.calls, self.played = [], []
        owner.streams.append(self)

    def start(self):
        self.calls.append("start")
        if self.callback is not None:
            threading.Thread(target=self.give).start()

    def give(self):
        for block in self.owner.blocks:
            self.callback(block, len(block), None, None)

    def write(self, data):
        self.played.append(data.copy())
        return False

    def stop(self):
        self.calls.append("stop")

    def abort(self):
        self.calls.append("abort")

    def close(self):
        self.calls.append("close")


class Sounds:
    PortAudioError = PortAudioError

    def __init__(self):
        self.streams, self.blocks = [], []
        self.rates = {16000, 48000}
        self.refuse = None

    def InputStream(self, **settings):  # noqa: N802
        if self.refuse:
            raise self.refuse
        return Stream(self, **settings)

    OutputStream = InputStream

    def query_devices(self, device, kind):
        if device == "none":
            raise ValueError("No input device matching 'none'")
        return {"max_input_channels": 2, "default_samplerate": 44100.0}

    def check_input_settings(self, *, device, channels, dtype, samplerate):
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate")


@pytest.fixture
def sounds(monkeypatch):
    made = Sounds()
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    return made


def heard(count, channels=1, size=320):
    return [np.full((size, channels), 0.01 * (i + 1), np.float32) for i in range(count)]


def first(microphone, count):
    found = []
    pieces = microphone.pieces(None)
    while len(found) < count:
        piece = next(pieces)
        if piece.size:
            found.append(piece)
    return found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AudioFormat(16000), AudioFormat(16000)),
        (AudioFormat(48000, 2), AudioFormat(48000, 2)),
        (AudioFormat(48000, 6), AudioFormat(48000, 2)),
        (AudioFormat(8000), AudioFormat(44100)),
    ],
)
def test_a_microphone_has_the_format_that_it_can_have(sounds, wanted, found):
    assert Microphone(None, wanted).format == found


def test_what_is_heard_comes_in_order(sounds):
    sounds.blocks = heard(3)
    microphone = Microphone("usb", AudioFormat(16000))
    for number, piece in enumerate(first(microphone, 3), start=1):
        assert piece.shape == (320,)
        assert piece.flags.c_contiguous
        assert piece[0] == pytest.approx(0.01 * number)
    (stream,) = sounds.streams
    assert stream.settings == {
        "samplerate": 16000,
        "channels": 1,
        "dtype": "float32",
        "device": "usb",
        "blocksize": 320,
    }
    microphone.close()
    microphone.close()
    assert stream.calls == ["start", "abort", "close"]


def test_channels_come_first(sounds):
    sounds.blocks = heard(1, 2)
    (piece,) = first(Microphone(None, AudioFormat(16000, 2)), 1)
    assert piece.shape == (2, 320)


def test_the_oldest_is_dropped_where_nobody_listens(sounds, caplog):
    microphone = Microphone(None, AudioFormat(16000))
    for block in heard(MAX_WAITING + 2, size=1):
        microphone._heard(block, 1, None, None)
    assert microphone.dropped == 2
    (piece,) = first(microphone, 1)
    assert piece[0] == pytest.approx(0.03)
    microphone.close()
    assert "2 blocks of the microphone were dropped" in caplog.text


def test_what_was_heard_before_the_end_is_given(sounds):
    microphone = Microphone(None, AudioFormat(16000))
    pieces = microphone.pieces(None)
    assert next(pieces).size == 0
    for block in heard(3, size=1):
        microphone._heard(block, 1, None, None)
    microphone.close()
    assert [float(piece[0]) for piece in pieces] == pytest.approx([0.01, 0.02, 0.03])


def test_ctrl_c_ends_the_input(sounds):
    microphone = Microphone(None, AudioFormat(16000))
    pieces = microphone.pieces(None)
    next(pieces)
    with pytest.raises(StopIteration):
        pieces.throw(KeyboardInterrupt())


def test_devices_that_cannot_be_used(sounds, monkeypatch):
    with pytest.raises(MediaFileError, match='the microphone "none" cannot be used'):
        Microphone("none", AudioFormat(16000))
    sounds.refuse = PortAudioError("busy")
    with pytest.raises(MediaFileError, match="the default microphone cannot be used: busy"):
        next(Microphone(None, AudioFormat(16000)).pieces(None))
    with pytest.raises(MediaFileError, match='the loudspeaker "x" cannot be used: busy'):
        Loudspeaker(device="x").process(np.zeros(3, np.float32), session())
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(RemoteMediaError, match=r"remotemedia\[mic\]"):
        Microphone(None, AudioFormat(16000))


def session():
    return NodeSession("s", "p", "a", "x", "n", rate=16000)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_loudspeaker_plays_what_comes(sounds, channels):
    speaker = Loudspeaker(device="usb")
    audio = np.full(100 if channels == 1 else (channels, 100), 0.5, np.float32)
    speaker.process(audio, session())
    speaker.process(audio, session())
    speaker.flush()
    speaker.cleanup()
    speaker.cleanup()
    (stream,) = sounds.streams
    assert stream.settings["channels"] == channels
    assert [each.shape for each in stream.played] == [(100, channels)] * 2
    assert stream.calls == ["start", "stop", "close"]


def test_sinks_play_where_devices_are_used(sounds):
    made = Pipeline("p").add_node("mic", AudioSource(device="usb", rate=16000))
    made.add_node("quiet", GainNode(gain_db=-6.0206)).add_node("out", AudioSink(rate=8000))
    made.connect("mic", "quiet").connect("quiet", "out")
    assert made.plan(devices=True).python["out"].node.arguments == {"device": None}
    assert made.plan().python == {}


async def test_a_stream_listens(sounds):
    sounds.blocks = heard(10)
    made = Pipeline("p").add(AudioSource()).add(LevelMeterNode(interval_ms=20)).add(AudioSink())
    events = made.stream()
    levels = []
    async for event in events:
        if event.type == "level":
            levels.append(event.peak_dbfs)
        if len(levels) == 10:
            break
    await events.aclose()
    assert levels == sorted(levels)
    microphone, speaker = sounds.streams
    assert microphone.calls[-1] == "close"
    assert speaker.settings["samplerate"] == 16000
    assert sum(len(each) for each in speaker.played) >= 320


@pytest.mark.parametrize("nodes", [[GainNode()], [FileReaderNode(path="x.wav"), GainNode()]])
def test_what_is_no_microphone_is_not_listened_to(sounds, nodes):
    with pytest.raises((ParameterError, MediaFileError), match=r"nothing was given|No such file"):
        Pipeline(nodes).run()
    assert not sounds.streams


@pytest.mark.parametrize("name", ["input", "source-1"])
def test_the_only_source_has_two_names(sounds, name):
    result = Pipeline(AudioSource(), GainNode()).run({name: np.zeros(160, np.float32)})
    assert result.audio.shape == (160,)


async def test_a_call_sends_what_is_heard_until_ctrl_c(sounds, server, monkeypatch):
    monkeypatch.setattr("remotemedia.client.session.QUIET_SECONDS", 0.05)
    sounds.blocks = heard(25, size=960)
    server.on_open = [("results", server.result("node", 40.0, {"loud": True}, node="loudness"))]
    output = Console(file=io.StringIO(), width=200)

    class Ending(Stream):
        def give(self):
            super().give()
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sounds, "InputStream", lambda **rest: Ending(sounds, **rest))
    await call(CallOptions(f"{server.url}/mic", (MICROPHONE,), as_json=True), output)
    (stream,) = sounds.streams
    assert stream.settings["samplerate"] == 48000
    assert stream.calls == ["start", "abort", "close"]
    assert '"loud":true' in output.file.getvalue().replace(" ", "")


async def test_a_call_by_microphone_plays_what_comes_back(sounds, server, monkeypatch):
    from remotemedia.client.track import AudioTrack

    monkeypatch.setattr("remotemedia.client.session.QUIET_SECONDS", 0.05)
    sounds.blocks = heard(5, size=960)
    server.voice = AudioTrack()
    saying = []

    def flush(channel, control):
        channel.send(f'{{"v":1,"type":"flushed","id":{control["id"]}}}')
        wave = 16384 * np.sin(2 * np.pi * 440 * np.arange(24000) / 48000)
        saying.append(asyncio.ensure_future(server.voice.put(wave.astype(np.int16))))

    class Ending(Stream):
        def give(self):
            super().give()
            os.kill(os.getpid(), signal.SIGINT)

    server.replies["flush"] = flush
    monkeypatch.setattr(sounds, "InputStream", lambda **rest: Ending(sounds, **rest))
    await call(CallOptions(server.url, (MICROPHONE,)), Console(file=io.StringIO(), width=200))
    await asyncio.gather(*saying)
    _, speaker = sounds.streams
    assert speaker.settings["samplerate"] == 48000
    assert speaker.settings["channels"] == 1
    assert speaker.calls == ["start", "stop", "close"]
    played = np.concatenate(speaker.played)
    assert len(played) > 16000
    assert np.sqrt(np.mean(played[4800:14400] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
