"""The Python peer, against a scripted server over real connections."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

import remotemedia
from remotemedia import (
    AudioFrame,
    ConnectionLost,
    MediaFileError,
    ParameterError,
    RemoteMediaError,
    ServerRefused,
    ServerUnreachable,
)
from remotemedia.client import (
    Bye,
    NodeResult,
    Ready,
    SpeechStarted,
    SpeechStopped,
    Vad,
    connect,
)
from remotemedia.client import session as session_module
from remotemedia.client.audio import AudioFile, Converter
from remotemedia.client.inbox import Inbox
from remotemedia.client.loopback import use_loopback_where_nothing_else_is
from remotemedia.client.signaling import Target


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Do not wait long for stragglers."""
    monkeypatch.setattr(session_module, "QUIET_SECONDS", 0.05)


async def events_of(session):
    return [event async for event in session]


async def test_a_file_goes_out_and_events_come_back(server, tone):
    server.on_open = [
        ("results", server.result("ready", data={"pipeline": "mic", "participant": "p_1"})),
        ("live", server.result("vad", 32.0, {"speech": True, "probability": 0.97})),
    ]
    flushed = server.result("speech_stopped", 900.0, {"start_ms": 100.0, "duration_ms": 800.0})

    def flush(channel, control):
        channel.send(flushed)
        channel.send(json.dumps({"v": 1, "type": "flushed", "id": control["id"]}))

    server.replies["flush"] = flush
    progress = []
    async with remotemedia.connect(f"{server.url}/mic", fast=True) as session:
        assert (session.id, session.participant) == ("s_1", "p_1")
        await session.send_file(tone, lambda sent, total: progress.append((sent, total)))
        await session.finish()
        events = await events_of(session)
    by_type = {type(event): event for event in events}
    assert by_type.keys() == {Ready, Vad, SpeechStopped}
    assert by_type[Vad].probability == 0.97
    assert by_type[SpeechStopped].duration_ms == 800.0
    assert json.loads(by_type[SpeechStopped].text) == json.loads(flushed)
    assert server.offers[0]["pipeline"] == "mic"
    assert "a=sendrecv" in server.offers[0]["sdp"]
    assert server.offers[0]["sdp"].count(" stereo=1\r\n") == 1
    assert session.sent_seconds == pytest.approx(1.3, abs=0.03)
    assert progress[-1][1] == pytest.approx(1.0)


async def test_timestamps_follow_the_audio_however_fast_it_goes(server):
    async with connect(server.url, fast=True) as session:
        await session.send((np.zeros(48000, np.float32), 48000))
        await session.finish()
    steps = set(np.diff(server.timestamps))
    assert steps <= {960}


async def test_audio_arrives_as_loud_as_it_is(server):
    async with connect(server.url, fast=True) as session:
        tone = 0.5 * np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000)
        await session.send((tone.astype(np.float32), 48000))
        await session.finish()
    middle = server.levels[10:40]
    assert np.mean(middle) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


async def test_several_tracks_go_out_side_by_side(server):
    async with connect(server.url, tracks=2, fast=True) as session:
        sound = np.full(24000, 0.1, np.float32)
        await asyncio.gather(
            session.send((sound, 48000)), session.send((sound[:12000], 48000), track=1)
        )
        await session.finish()
        assert session.sent_seconds == pytest.approx(0.8, abs=0.03)
        with pytest.raises(ParameterError, match="no track 2: the session sends 2"):
            await session.send(sound, track=2)
        with pytest.raises(ParameterError, match="no track -1"):
            await session.send(sound, track=-1)
    sdp = server.offers[0]["sdp"]
    assert sdp.count("m=audio") == 2
    assert (sdp.count("a=sendrecv"), sdp.count("a=sendonly")) == (1, 1), "audio comes back once"
    # The longer one alone has 0.8 s; aiortc keeps some of the end of each.
    assert 48000 < server.samples <= 48000 * 1.4
    for number in (0, 17):
        with pytest.raises(ParameterError, match=f"{number} tracks"):
            async with connect(server.url, tracks=number):
                pass


async def test_a_second_copy_is_left_out(server):
    twice = server.result("speech_started", 10.0, {"probability": 0.9})
    server.on_open = [("results", twice), ("live", twice)]
    async with connect(server.url, listen_only=True) as session:
        await session.control("ping")
        await session.finish()
        (event,) = await events_of(session)
    assert isinstance(event, SpeechStarted)
    assert "pipeline" not in server.offers[0]


async def test_join_and_listen(server):
    async with connect(f"{server.url}/x", join="s_9", listen_only=True) as session:
        with pytest.raises(ConnectionLost, match="only listens"):
            await session.send(np.zeros(10, np.float32))
        assert session.sent_seconds == 0.0
    assert server.offers[0]["join"] == "s_9"
    assert "a=recvonly" in server.offers[0]["sdp"]


async def test_a_listener_of_results_alone(server):
    async with connect(server.url, listen_only=True, hear=False):
        assert "m=audio" not in server.offers[0]["sdp"]


async def test_goodbye_ends_the_events(server):
    async with connect(server.url) as session:
        server.send("results", server.result("node", data={"loud": True}))
        server.send("results", server.result("bye", data={"reason": "full", "code": "RM-3005"}))
        events = await events_of(session)
        assert [type(event) for event in events] == [NodeResult, Bye]
        assert events[0].data == {"loud": True}
        assert events[1].code == "RM-3005"
        with pytest.raises(ConnectionLost, match="closed"):
            await session.send(np.zeros(16000, np.float32))


async def test_a_broken_connection_is_an_error(server):
    async with connect(server.url) as session:
        await server.peers[0].close()
        with pytest.raises(ConnectionLost):
            await events_of(session)
        with pytest.raises(ConnectionLost):
            await session.control("ping")


async def test_control_messages_are_answered(server):
    server.replies["configure"] = {
        "type": "error",
        "data": {"code": "RM-4001", "message": "no such node", "field": "node", "hint": "vad"},
    }
    async with connect(server.url) as session:
        assert (await session.control("ping", t=1))["type"] == "pong"
        with pytest.raises(RemoteMediaError, match="node: no such node vad") as caught:
            await session.control("configure", node="asr", params={"threshold": 0.1})
        assert caught.value.code == "RM-4001"
    assert server.controls[1]["params"] == {"threshold": 0.1}


async def test_what_is_no_message_is_passed_over(server):
    async with connect(server.url) as session:
        for message in ("{", "[]", '{"id": 99}', '{"id": [1]}', b"\x00", "[" * 100_000):
            server.send("results", message)
        server.send("results", server.result("node", data=1))
        assert (await anext(aiter(session))).data == 1


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [
        (
            (404, {"error": {"code": "RM-2003", "message": "no pipeline", "hint": "try mic"}}),
            "no pipeline try mic",
            "RM-2003",
        ),
        ((500, "<html>"), "status 500 and no session description", "RM-6999"),
        ((200, {"hello": 1}), "Is it a RemoteMedia server?", "RM-6999"),
    ],
)
async def test_a_refusal_is_told(server, answer, words, code):
    server.refusal = answer
    with pytest.raises(ServerRefused) as caught:
        async with connect(server.url):
            pass
    assert words in str(caught.value)
    assert (caught.value.code, caught.value.status) == (code, answer[0])


async def test_nobody_there(loopback):
    with pytest.raises(ServerUnreachable, match="remotemedia serve"):
        async with connect("http://127.0.0.1:9/mic"):
            pass


async def test_an_untrusted_certificate_is_told(loopback, tmp_path):
    from remotemedia_signaling import ServerConfig, SignalingServer
    from remotemedia_signaling.testing import FakeHost

    config = ServerConfig(port=0, tls="auto")
    async with SignalingServer(FakeHost(), config, tls_folder=tmp_path) as server:
        with pytest.raises(ServerUnreachable, match="--insecure"):
            async with connect(server.url):
                pass


async def test_a_connection_that_never_comes_about(server, monkeypatch):
    monkeypatch.setattr(session_module, "CONNECT_SECONDS", 0.2)

    async def silent(self):
        await asyncio.Event().wait()

    monkeypatch.setattr(session_module.Session, "_opened", silent)
    with pytest.raises(ConnectionLost, match="UDP") as caught:
        async with connect(server.url):
            pass
    assert caught.value.code == "RM-3001"


async def test_a_connection_that_closes_before_it_is_open(server):
    session = session_module.Session(Target.parse(server.url), tracks=0)
    session._inbox.end()
    with pytest.raises(ConnectionLost, match="before it was open"):
        await session.open()
    await session.close()


@pytest.mark.parametrize(
    ("url", "base", "name"),
    [
        ("http://h:8080/mic", "http://h:8080", "mic"),
        ("http://h:8080", "http://h:8080", None),
        ("http://h:8080/", "http://h:8080", None),
        ("https://h/under/here/mic?x=1#y", "https://h/under/here", "mic"),
    ],
)
def test_urls(url, base, name):
    target = Target.parse(url)
    assert (str(target.base).rstrip("/"), target.pipeline) == (base, name)
    assert str(target.offer) == f"{base}/api/offer"


@pytest.mark.parametrize("url", ["mic", "ftp://h/mic", "http://", "", "http://[", "/mic"])
def test_urls_that_are_none(url):
    with pytest.raises(ParameterError, match=r"http://127\.0\.0\.1:8080/mic-vad"):
        Target.parse(url)


def tone_of(rate, seconds=1.0, channels=None):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    wave = wave.astype(np.float32)
    return wave if channels is None else np.stack([wave] * channels)


@pytest.mark.parametrize(
    "audio",
    [
        tone_of(16000),
        (tone_of(44100), 44100),
        (tone_of(48000, channels=2), 48000),
        (tone_of(8000).astype(np.float64), np.int64(8000)),
        AudioFrame(tone_of(24000), 24000),
    ],
)
def test_audio_becomes_what_opus_takes(audio):
    converter = Converter()
    pcm = np.concatenate([converter.convert(audio, 16000), converter.flush()])
    assert pcm.dtype == np.int16
    assert abs(len(pcm) - 48000) <= 60
    expected = np.round(tone_of(48000) * 32767)[1000:40000]
    assert np.abs(pcm[1000:40000] - expected).max() < 400


def test_pieces_are_resampled_as_one():
    whole, pieces = Converter(), Converter()
    audio = tone_of(16000)
    expected = np.concatenate([whole.convert(audio, 16000), whole.flush()])
    parts = [pieces.convert(part, 16000) for part in np.split(audio, 50)]
    assert np.array_equal(np.concatenate([*parts, pieces.flush()]), expected)
    assert len(pieces.convert(np.zeros(0, np.float32), 16000)) == 0


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (np.zeros(3, np.int16), "Divide int16"),
        ([0.0], "not <class 'list'>"),
        (np.zeros((1, 2, 3)), "(1, 2, 3)"),
        (np.array([np.nan]), "NaN"),
        ((np.zeros(3), 100), "100 is no sample rate"),
        ((np.zeros(3), "x"), "'x' is no sample rate"),
    ],
)
def test_audio_that_is_none(audio, words):
    with pytest.raises(ParameterError) as caught:
        Converter().convert(audio, 16000)
    assert words in str(caught.value)


def test_files_are_read_whole(tone):
    file = AudioFile(tone)
    assert file.seconds == pytest.approx(1.0)
    assert abs(sum(map(len, file.blocks())) - 48000) <= 60
    file.close()


def test_files_that_hold_no_audio(tmp_path):
    text = tmp_path / "text.wav"
    text.write_text("hello")
    with pytest.raises(MediaFileError, match="no media file"):
        AudioFile(text)
    with pytest.raises(MediaFileError, match="No such file"):
        AudioFile(tmp_path / "none.wav")
    with pytest.raises(MediaFileError):
        AudioFile(tmp_path)


def test_a_file_without_sound_in_it(tmp_path):
    import av

    path = tmp_path / "silent.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(MediaFileError, match="holds no audio"):
        AudioFile(path)


def test_damaged_parts_of_a_file_are_left_out(tmp_path, tone):
    import av

    path = tmp_path / "damaged.mp3"
    with av.open(str(tone)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("mp3", rate=44100)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    data = bytearray(path.read_bytes())
    data[3000:3300] = bytes(range(256)) + bytes(44)
    path.write_bytes(data)
    file = AudioFile(path)
    assert 24000 < sum(map(len, file.blocks())) < 60000
    file.close()
    header = tone.read_bytes()[:44]
    empty = tmp_path / "empty.wav"
    empty.write_bytes(header)
    file = AudioFile(empty)
    with pytest.raises(MediaFileError, match="can be decoded"):
        list(file.blocks())
    file.close()


async def test_the_inbox_drops_windows_first(monkeypatch):
    monkeypatch.setattr("remotemedia.client.inbox.MAX_WAITING", 2)
    monkeypatch.setattr("remotemedia.client.inbox.REMEMBERED", 2)
    inbox = Inbox()
    inbox.put(NodeResult(type="node", seq=1, data=1))
    inbox.put(Vad(type="vad", seq=2, speech=True, probability=1.0))
    inbox.put(NodeResult(type="node", seq=3, data=3))
    inbox.put(NodeResult(type="node", seq=3, data=3))
    inbox.put(NodeResult(type="node", seq=4, data=4))
    inbox.end()
    inbox.end(ConnectionLost("too late to matter"))
    assert [(await inbox.get()).seq, (await inbox.get()).seq] == [3, 4]
    assert await inbox.get() is None
    assert (inbox.dropped, inbox.duplicates) == (2, 1)


def test_a_machine_without_a_network_reaches_itself(monkeypatch):
    import aioice.ice

    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    use_loopback_where_nothing_else_is()
    use_loopback_where_nothing_else_is()
    assert aioice.ice.get_host_addresses(True, True) == ["127.0.0.1"]
    assert aioice.ice.get_host_addresses(False, True) == []


async def test_others_who_go_on_talking_do_not_hold_the_end_up(server):
    chatter = asyncio.Event()

    async def chat():
        while not chatter.is_set():
            server.send("results", server.result("node", participant="p_2", data=1))
            await asyncio.sleep(0.005)

    async with connect(server.url, listen_only=True) as session:
        talking = asyncio.create_task(chat())
        await asyncio.wait_for(session.finish(), 10)
        assert not talking.done()
        chatter.set()
        await talking
        assert len(await events_of(session)) > 1


async def test_data_goes_by_messages_and_names_who_shall_have_it(server):
    def take(channel, control):
        node = control.get("node", "input")
        channel.send(server.result("node", data=control["data"], stream="data", node=node))
        channel.send(json.dumps({"v": 1, "type": "accepted", "id": control["id"], "node": node}))

    server.replies["input"] = take
    async with connect(server.url, listen_only=True, hear=False) as session:
        assert await session.input({"text": "hi"}) == "input"
        assert await session.input(7, "text-1") == "text-1"
        await session.finish()
        events = await events_of(session)
    assert "m=audio" not in server.offers[0]["sdp"]
    assert [(event.node, event.data) for event in events] == [
        ("input", {"text": "hi"}),
        ("text-1", 7),
    ]
    sent = [each for each in server.controls if each["type"] == "input"]
    assert [each.get("node") for each in sent] == [None, "text-1"]


async def test_data_that_is_not_json_is_not_sent(server):
    async with connect(server.url, listen_only=True) as session:
        for wrong in (b"bytes", float("nan"), {1, 2}):
            with pytest.raises(ParameterError, match="not JSON"):
                await session.input(wrong)
        assert server.controls == []


async def test_results_of_data_are_waited_for_longer(server, monkeypatch):
    monkeypatch.setattr(session_module, "QUIET_DATA_SECONDS", 60.0)
    late = []

    async def answer(channel):
        await asyncio.sleep(0.3)
        channel.send(server.result("node", data="late", stream="data"))

    def take(channel, control):
        channel.send(json.dumps({"v": 1, "type": "accepted", "id": control["id"], "node": "x"}))
        late.append(asyncio.ensure_future(answer(channel)))

    server.replies["input"] = take
    async with connect(server.url, listen_only=True) as session:
        await session.input(1)
        finishing = asyncio.create_task(session.finish())
        event = await anext(aiter(session))
        assert event.data == "late", "it ends only when all is quiet"
        assert not finishing.done()
        finishing.cancel()


async def test_a_pipeline_that_takes_no_audio_is_sent_none(server):
    server.takes_audio = False
    async with connect(server.url) as session:
        with pytest.raises(ConnectionLost, match="use `input`"):
            await session.send(np.zeros(10, np.float32))
        await session.finish()
