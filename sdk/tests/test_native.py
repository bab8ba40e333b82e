"""The SDK over the native module: the same promises as over its stand-in, with real media."""

from __future__ import annotations

import asyncio
import json
import threading

import aiohttp
import numpy as np
import pytest
from hypothesis import given
from remotemedia_signaling import ServerConfig

import remotemedia
from remotemedia import (
    AudioFrame,
    ManifestError,
    Node,
    Pipeline,
    ServerRefused,
    node,
    try_load_rust_runtime,
)
from remotemedia.client import ErrorEvent, Level, NodeResult, Ready, Vad
from remotemedia.nodes.audio import AudioResampleNode, LevelMeterNode, VADNode
from remotemedia.server import serve_with

from .test_manifest import manifests

native = try_load_rust_runtime()
pytestmark = pytest.mark.skipif(native is None, reason="there is no native module, or it is off")


@pytest.fixture
async def serving(loopback):
    """Serve pipelines on a free port; everything must be gone at the end."""
    running = []

    async def serve(*pipelines):
        started, stop = asyncio.Queue(), asyncio.Event()
        config = ServerConfig(port=0, media={"bind": "127.0.0.1", "reactors": 2})
        task = asyncio.create_task(
            serve_with(pipelines, config, on_started=started.put_nowait, stop=stop)
        )
        running.append((task, stop))
        return (await asyncio.wait_for(started.get(), 20)).url

    yield serve
    for task, stop in running:
        stop.set()
        await asyncio.wait_for(task, 20)


def noise(seconds, level=0.3, rate=16000):
    generator = np.random.default_rng(7)
    return generator.uniform(-level, level, int(rate * seconds)).astype(np.float32)


async def call(url, audio, **options):
    async with remotemedia.connect(url, fast=True, **options) as session:
        await session.send(audio)
        await session.finish()
        return [event async for event in session]


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


@given(manifests())
def test_the_runtime_takes_every_plan(data):
    try:
        resolved = Pipeline.from_dict(data).plan().resolved
    except ManifestError:
        return
    native.check_manifest(resolved.to_json())


def test_the_runtime_takes_python_nodes_of_any_format():
    class Any(Node):
        def __init__(self, *formats):
            super().__init__()
            self.input_rate, self.input_channels = formats[:2]
            self.output_rate, self.output_channels = formats[2:]

        def process(self, audio):
            """Do nothing."""

    rates, channels = (None, 8000, 44100, 96000), (None, 1, 2)
    for given_rate in rates:
        for given_channels in channels:
            for made_rate in rates:
                one = Any(given_rate, given_channels, made_rate, 1)
                two = Any(48000, None, None, None)
                plan = Pipeline("p", LevelMeterNode(), one, VADNode(), two).plan()
                native.check_manifest(plan.resolved.to_json())


def test_offline_results_are_messages():
    pipeline = Pipeline("p", VADNode(engine="energy", emit="all"))
    lines = native.run_offline(pipeline.plan().resolved.to_json(), noise(0.1))
    assert [json.loads(line)["type"] for line in lines][:5] == ["vad"] * 5


async def test_a_python_node_answers_over_the_wire(serving):
    @node
    async def peak(audio, session):
        return {"peak": round(float(np.abs(audio).max()), 1), "seq": session.seq}

    @node
    def rate(frame: AudioFrame):
        return [frame.rate, len(frame.samples)] if frame.seq % 10 == 0 else None

    pipeline = Pipeline("p").add_node("peak", peak).add_node("rate", rate)
    pipeline.add_node("vad", VADNode(engine="energy"))
    pipeline.add_node("start", LevelMeterNode()).connect("start", "vad")
    events = await call(f"{await serving(pipeline)}/p", noise(1.0))
    assert of(events, Ready)[0].pipeline == "p"
    peaks = [each for each in of(events, NodeResult) if each.node == "peak"]
    assert len(peaks) > 40
    assert [each.data["seq"] for each in peaks] == sorted(each.data["seq"] for each in peaks)
    assert peaks[20].data["peak"] == pytest.approx(0.35, abs=0.1)
    rates = [each.data for each in of(events, NodeResult) if each.node == "rate"]
    assert set(rates) == {16000, 320}
    assert len(of(events, Vad)) > 40
    assert len(of(events, Level)) > 15


async def test_a_python_node_may_change_its_audio(serving):
    @node
    def silenced(audio):
        own = audio.flags.owndata
        audio *= 0
        return {"peak": float(np.abs(audio).max()), "copied": own}

    events = await call(await serving(Pipeline("p", silenced)), noise(0.2))
    results = [event.data for event in of(events, NodeResult)]
    assert results
    assert all(each == {"peak": 0.0, "copied": False} for each in results)


async def test_audio_of_a_python_node_goes_on(serving):
    @node(output_rate=48000)
    def silence(audio):
        return np.zeros(len(audio) * 3, np.float32)

    pipeline = Pipeline("p", silence, LevelMeterNode(interval_ms=100))
    events = await call(await serving(pipeline), noise(1.0))
    levels = of(events, Level)
    assert levels
    assert {event.rms_dbfs for event in levels} == {-120.0}
    assert not of(events, ErrorEvent)


async def test_a_failing_node_is_reported_and_the_session_goes_on(serving):
    @node
    async def failing(audio, session):
        if session.seq == 3:
            raise ZeroDivisionError("by nothing")
        if session.seq == 5:
            return {"bad": object()}
        return session.seq

    events = await call(await serving(Pipeline("p", failing)), noise(0.5))
    errors = of(events, ErrorEvent)
    assert [error.code for error in errors] == ["RM-5001", "RM-5001"]
    assert "ZeroDivisionError: by nothing" in errors[0].message
    assert "in failing" in errors[0].traceback
    assert 'the result["bad"] is a object' in errors[1].message
    assert {event.data for event in of(events, NodeResult)} >= {4, 6, 10}


async def test_sessions_share_nothing_and_leave_nothing(serving):
    cleaned = []
    enough = threading.Event()

    class Counting(Node):
        def __init__(self):
            super().__init__()
            self.count = 0

        async def process(self, audio, session):
            self.count += 1
            return [session.id, self.count]

        def cleanup(self):
            cleaned.append(self.count)
            if len(cleaned) == 4:
                enough.set()

    url = await serving(Pipeline("p", Counting()), Pipeline("q", VADNode(engine="energy")))
    calls = [call(f"{url}/p", noise(0.4)) for _ in range(4)] + [call(f"{url}/q", noise(0.4))]
    *answers, other = await asyncio.gather(*calls)
    seen = set()
    for events in answers:
        session = of(events, Ready)[0].session
        results = [event.data for event in of(events, NodeResult)]
        assert [each for each in results if isinstance(each, str)] == [session] * (
            len(results) // 2
        )
        counts = [each for each in results if isinstance(each, int)]
        assert counts == list(range(1, len(counts) + 1))
        seen.add(session)
    assert len(seen) == 4
    assert not of(other, NodeResult)
    assert await asyncio.to_thread(enough.wait, 20)
    assert min(cleaned) > 15


async def test_others_join_and_are_told_apart(serving):
    @node
    async def who(audio, session):
        return session.participant if session.seq == 0 else None

    url = await serving(Pipeline("p", who))
    heard = set()
    async with (
        remotemedia.connect(url, fast=True) as first,
        remotemedia.connect(url, join=first.id, listen_only=True) as listener,
        remotemedia.connect(url, join=first.id, fast=True) as second,
    ):
        assert first.id == second.id == listener.id
        names = {first.participant, second.participant}
        await first.send(noise(0.1))
        await second.send(noise(0.1))
        async for event in listener:
            if isinstance(event, NodeResult):
                assert event.data == event.participant
                heard.add(event.data)
            if heard == names:
                break
    assert len(names) == 2


async def test_parameters_change_while_it_runs(serving):
    url = await serving(Pipeline("p").add_node("vad", VADNode(engine="energy")))
    async with remotemedia.connect(url, listen_only=False) as session:
        reply = await session.control("configure", node="vad", params={"threshold": 0.9})
        assert reply["type"] == "configured"
        with pytest.raises(remotemedia.RemoteMediaError):
            await session.control("configure", node="vad", params={"engine": "silero"})
        assert (await session.control("ping", t=7))["t"] == 7


async def test_events_come_without_a_channel_too(serving):
    url = await serving(Pipeline("p", VADNode(engine="energy")))
    async with (
        aiohttp.ClientSession() as http,
        remotemedia.connect(url, fast=True) as session,
        http.get(f"{url}/api/sessions/{session.id}/events") as response,
    ):
        await session.send(noise(0.2))
        async for line in response.content:
            if line.startswith(b"data: ") and b'"type":"vad"' in line:
                break
        async with http.get(f"{url}/api/sessions/{session.id}") as answer:
            assert (await answer.json())["session"] == session.id
        async with http.delete(f"{url}/api/sessions/{session.id}") as answer:
            assert answer.status < 300
        events = [event async for event in session]
    assert events[-1].type == "bye"


async def test_refusals_are_told(serving):
    url = await serving(
        Pipeline("p", VADNode()), Pipeline("q", AudioResampleNode(output_rate=8000))
    )
    for path, options, code in (
        ("/pp", {}, "RM-2003"),
        ("", {}, "RM-2003"),
        ("/p", {"join": "s_00nope"}, "RM-2004"),
        ("/p", {"listen_only": True}, "RM-2002"),
    ):
        with pytest.raises(ServerRefused) as caught:
            async with remotemedia.connect(url + path, **options):
                pass
        assert caught.value.code == code
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/api/sessions") as answer:
            assert (await answer.json())["sessions"] == []
        async with http.get(f"{url}/readyz") as answer:
            assert answer.status == 200
