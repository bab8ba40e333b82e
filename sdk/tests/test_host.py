"""The host: what signaling asks, over a stand-in of the engine."""

from __future__ import annotations

import asyncio
import json
import sys
import threading

import pytest
from remotemedia_signaling import HostError, IceCandidate, Offer, SessionEvent
from remotemedia_signaling.config import ServerConfig

from remotemedia import (
    ManifestError,
    MediaFileError,
    Node,
    NotInThisVersion,
    ParameterError,
    Pipeline,
    RemoteMediaError,
    node,
)
from remotemedia.host import EngineHost
from remotemedia.host import events as events_module
from remotemedia.host.events import EventHub
from remotemedia.host.host import describe, plan_all
from remotemedia.nodes import (
    AudioSink,
    AudioSource,
    FileReaderNode,
    FileWriterNode,
    MixNode,
    TextNode,
    VADNode,
)

from .fakes import FakeFault, frame

SDP = "v=0\r\nm=audio 9\r\nm=application 9\r\n"


@node
def echo(audio, session):
    """Say who it is."""
    return session.id


@pytest.fixture
async def host(runtime):
    made = await EngineHost.start(
        [Pipeline("one", VADNode(), echo), Pipeline("two", VADNode())], {"reactors": 1}, runtime
    )
    yield made
    await made.close()


@pytest.fixture
def engine(host, runtime):
    return runtime.engines[0]


async def settled(predicate):
    """Let other tasks and threads go on until it is so."""
    give_up = asyncio.get_running_loop().time() + 10
    while not predicate():
        assert asyncio.get_running_loop().time() < give_up, "it never became true"
        await asyncio.sleep(0)


def event(seq, type_="node"):
    return json.dumps({"v": 1, "type": type_, "seq": seq}, separators=(",", ":"))


def notice(seq, type_="node"):
    told = {"kind": "event", "session": "s_1", "seq": seq, "message": event(seq, type_)}
    return json.dumps(told)


async def test_pipelines_are_given_to_the_engine(host, engine):
    assert json.loads(engine.config) == {"reactors": 1}
    assert list(engine.pipelines) == ["one", "two"]
    assert engine.pipelines["one"]["version"] == "resolved/1"
    first, second = host.pipelines()
    assert (first.name, second.name) == ("one", "two")
    assert first.ports[0].format.rate == 16000
    assert first.manifest["metadata"] == {"name": "one"}
    assert first.resolved == engine.pipelines["one"]


async def test_a_pipeline_without_a_manifest_is_described_all_the_same(runtime):
    @node
    def local(audio):
        """Have no name outside."""

    host = await EngineHost.start([Pipeline("p", local)], runtime=runtime)
    assert host.pipelines()[0].manifest == {}
    await host.close()


async def test_an_offer_is_answered(host, engine):
    answer = await host.offer(Offer(SDP, pipeline="two"))
    assert (answer.sdp, answer.pc_id, answer.session_id, answer.participant) == (
        "v=0",
        "pc_1",
        "s_1",
        "p_1",
    )
    assert engine.requests == [{"sdp": SDP, "pipeline": "two"}]


async def test_offers_that_join_renegotiate_and_replace(host, engine):
    await host.offer(Offer(SDP, join="s_1"))
    await host.offer(Offer(SDP, pipeline="one", pc_id="pc_1"))
    await host.offer(Offer(SDP, pc_id="pc_1", restart_pc=True))
    assert engine.requests == [
        {"sdp": SDP, "join": "s_1"},
        {"sdp": SDP, "pipeline": "one", "pc_id": "pc_1"},
        {"sdp": SDP, "pc_id": "pc_1", "restart_pc": True},
    ]


@pytest.mark.parametrize(
    ("name", "words"), [(None, "Known: one, two."), ("ones", 'Did you mean "one"?')]
)
async def test_an_unknown_pipeline_is_told_the_known_ones(host, engine, name, words):
    with pytest.raises(HostError) as caught:
        await host.offer(Offer(SDP, pipeline=name))
    assert (caught.value.code, caught.value.http_status) == ("RM-2003", 404)
    assert words in caught.value.hint
    assert engine.requests == []


async def test_the_only_pipeline_needs_no_name(runtime):
    host = await EngineHost.start([Pipeline("only", VADNode())], runtime=runtime)
    await host.offer(Offer(SDP))
    assert runtime.engines[0].requests == [{"sdp": SDP, "pipeline": "only"}]
    await host.close()


@pytest.mark.parametrize(
    ("code", "status"),
    [("RM-2001", 400), ("RM-2002", 422), ("RM-2004", 404), ("RM-6001", 429), ("RM-6999", 500)],
)
async def test_what_the_engine_refuses_reaches_the_client(host, engine, code, status):
    def refuse(request):
        raise FakeFault(code, "no", "sdp", "try this")

    engine.answer = refuse
    with pytest.raises(HostError) as caught:
        await host.offer(Offer(SDP, pipeline="one"))
    error = caught.value
    assert (error.code, error.message, error.field, error.hint) == (code, "no", "sdp", "try this")
    assert error.http_status == status


async def test_an_offer_that_is_given_up_on_leaves_nothing(host, engine):
    entered, release = threading.Event(), threading.Event()

    def slow(request):
        entered.set()
        release.wait(10)
        return json.dumps({"sdp": "", "pc_id": "pc_9", "session_id": "s_9"})

    engine.answer = slow
    offer = asyncio.create_task(host.offer(Offer(SDP, pipeline="one")))
    await asyncio.to_thread(entered.wait, 10)
    offer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offer
    release.set()
    assert await asyncio.to_thread(engine.peer_closed.wait, 10)
    assert engine.closed_peers == ["pc_9"]


async def test_candidates_and_ends_are_handed_on(host, engine):
    await host.offer(Offer(SDP, pipeline="one"))
    await host.add_candidates("pc_1", [IceCandidate("candidate:1"), IceCandidate("")])
    assert engine.candidates == [("pc_1", ["candidate:1", ""])]
    await host.close_peer("pc_1")
    assert engine.closed_peers == ["pc_1"]
    assert await host.session("s_1") == {"id": "s_1"}
    assert await host.sessions() == [{"id": "s_1"}]
    await host.close_session("s_1")
    assert await host.sessions() == []
    for call in (host.session("s_1"), host.add_candidates("x", []), host.close_session("x")):
        with pytest.raises(HostError) as caught:
            await call
        assert caught.value.code == "RM-2004"


async def test_python_nodes_work_and_are_cleaned_up_with_their_session(runtime):
    cleaned = threading.Event()

    class Mine(Node):
        def process(self, audio):
            return 1

        def cleanup(self):
            cleaned.set()

    host = await EngineHost.start([Pipeline("p").add_node("mine", Mine())], runtime=runtime)
    engine = runtime.engines[0]
    answer = await host.offer(Offer(SDP))
    engine.push(frame(1, node="mine", pipeline="p", session=answer.session_id))
    assert engine.result(1) == ["1"]
    await host.close_session(answer.session_id)
    assert await asyncio.to_thread(cleaned.wait, 10)
    await host.close()


async def test_events_are_read_as_they_come_and_end_with_the_session(host, engine):
    await host.offer(Offer(SDP, pipeline="one"))
    read = []

    async def follow():
        async for each in host.events("s_1", None):
            told = (each.seq, json.loads(each.json)["seq"])
            read.append(told)

    reader = asyncio.create_task(follow())
    await settled(lambda: engine.observed)
    for seq in (1, 2):
        engine.notify("event", "s_1", seq=seq, message=event(seq))
    engine.notify("event", "other", seq=9, message=event(9))
    await settled(lambda: len(read) == 2)
    engine.notify("event", "s_1", seq=3, message=event(3, "bye"))
    await host.close_session("s_1")
    await asyncio.wait_for(reader, 10)
    assert read == [(1, 1), (2, 2), (3, 3)]
    assert engine.observed == {"s_1": True}


async def test_a_reader_that_comes_back_gets_what_it_missed(host, engine):
    await host.offer(Offer(SDP, pipeline="one"))
    first = host.events("s_1", None)
    pending = asyncio.ensure_future(anext(first))
    await settled(lambda: engine.observed)
    for seq in (1, 2, 3):
        engine.notify("event", "s_1", seq=seq, message=event(seq))
    assert (await pending).seq == 1
    await first.aclose()
    again = host.events("s_1", 1)
    assert [(await anext(again)).seq, (await anext(again)).seq] == [2, 3]
    await again.aclose()


@pytest.fixture
async def hub():
    """A hub, and the sessions that run."""
    running = set()

    async def observe(session, on):
        if session not in running:
            raise HostError("RM-2004", f"no session {session}")

    made = EventHub(observe)
    made.running = running
    yield made
    await made.close()


async def live_and_die(hub, session):
    hub.running.add(session)
    await hub.keep(session)
    for seq, type_ in enumerate(("node", "bye"), 1):
        hub.put(session, SessionEvent(seq, event(seq, type_)))
    hub.end(session)
    hub.running.remove(session)


async def read(hub, session, after=None):
    return [each.seq async for each in hub.read(session, after)]


async def test_a_long_poll_gets_what_a_session_ended_with(hub):
    await live_and_die(hub, "s_1")
    assert hub.observed == 0
    assert [await read(hub, "s_1", after) for after in (None, 1, 2)] == [[1, 2], [2], []]


async def test_what_a_session_ended_with_is_forgotten(hub, monkeypatch):
    monkeypatch.setattr(events_module, "ENDED_SECONDS", 0.0)
    await live_and_die(hub, "s_1")
    await settled(lambda: not hub._ended)
    with pytest.raises(HostError):
        await read(hub, "s_1")


async def test_few_ended_sessions_are_remembered(hub, monkeypatch):
    monkeypatch.setattr(events_module, "MAX_ENDED", 2)
    for session in ("s_1", "s_2", "s_3"):
        await live_and_die(hub, session)
    assert [await read(hub, session) for session in ("s_2", "s_3")] == [[1, 2]] * 2
    with pytest.raises(HostError):
        await read(hub, "s_1")


async def test_without_readers_observation_ends(host, engine, monkeypatch):
    monkeypatch.setattr(events_module, "LINGER_SECONDS", 0.0)
    await host.offer(Offer(SDP, pipeline="one"))
    reader = host.events("s_1", None)
    pending = asyncio.ensure_future(anext(reader))
    await settled(lambda: engine.observed)
    engine.notify("event", "s_1", seq=1, message=event(1))
    await pending
    assert host.counters()["remotemedia_observed_sessions"] == 1
    await reader.aclose()
    await settled(lambda: engine.observed == {"s_1": False})
    assert host.counters()["remotemedia_observed_sessions"] == 0


async def test_without_a_channel_events_are_kept_from_the_start(host, engine):
    await host.offer(Offer("v=0\r\nm=audio 9\r\n", pipeline="one"))
    assert engine.observed == {"s_1": True}
    engine.notify("event", "s_1", seq=1, message=event(1))
    reader = host.events("s_1", None)
    assert (await anext(reader)).seq == 1
    await reader.aclose()


async def test_events_of_an_unknown_session(host):
    with pytest.raises(HostError) as caught:
        await anext(host.events("none", None))
    assert caught.value.code == "RM-2004"


async def test_a_slow_reader_loses_windows_first(host, engine, monkeypatch):
    monkeypatch.setattr(events_module, "WAITING_EVENTS", 3)
    await host.offer(Offer(SDP, pipeline="one"))
    reader = host.events("s_1", None)
    pending = asyncio.ensure_future(anext(reader))
    await settled(lambda: engine.observed)
    types = ["vad", "vad", "node", "level", "node", "node"]
    engine.notifications.put(*(notice(seq, type_) for seq, type_ in enumerate(types, 1)))
    await settled(lambda: host.counters()["remotemedia_events_dropped_total"] == 3)
    seen = [(await pending).seq, (await anext(reader)).seq, (await anext(reader)).seq]
    assert seen == [3, 5, 6]
    engine.notifications.put(*(notice(seq) for seq in range(7, 11)))

    async def rest():
        return [each async for each in reader]

    with pytest.raises(HostError, match="faster than they were read"):
        await rest()


async def test_ready_when_a_frame_comes_through(host, runtime):
    await host.check_ready()
    runtime.offline = []
    with pytest.raises(HostError, match="nothing came out"):
        await host.check_ready()


async def test_counters(host, engine):
    await host.offer(Offer(SDP, pipeline="one"))
    await settled(lambda: host.counters()["remotemedia_sessions_started_total"] == 1)
    figures = host.counters()
    assert figures["remotemedia_live_sessions"] == 1
    assert figures["remotemedia_lane_frames_total"] == 0
    assert figures['remotemedia_dropped_total{cause="results_too_large"}'] == 3


async def test_counters_ask_no_reactor(host, engine):
    engine.hangs = True
    await host.offer(Offer(SDP, pipeline="one"))
    assert host.counters()["remotemedia_live_sessions"] == 1


async def test_shutdown_drains_and_stops(runtime):
    host = await EngineHost.start([Pipeline("p", VADNode())], runtime=runtime)
    engine = runtime.engines[0]
    await host.offer(Offer(SDP))
    reader = host.events("s_1", None)
    pending = asyncio.ensure_future(anext(reader, None))
    await settled(lambda: engine.observed)
    await host.drain()
    assert engine.drained
    await host.close()
    assert engine.closed
    assert await asyncio.wait_for(pending, 10) is None
    await host.close()


async def test_what_cannot_start_says_why(runtime):
    with pytest.raises(ParameterError, match="no pipeline to serve"):
        await EngineHost.start([], runtime=runtime)
    with pytest.raises(ParameterError, match='two pipelines are called "p"'):
        await EngineHost.start([Pipeline("p", VADNode())] * 2, runtime=runtime)
    with pytest.raises(ManifestError, match='pipeline "p"'):
        await EngineHost.start([Pipeline("p")], runtime=runtime)
    runtime.refuse = FakeFault("RM-6999", "port 1 is taken", None, "choose another")
    with pytest.raises(RemoteMediaError, match="port 1 is taken"):
        await EngineHost.start([Pipeline("p", VADNode())], runtime=runtime)


async def test_a_plan_that_the_engine_refuses_leaves_nothing(runtime, monkeypatch):
    def refuse(self, name, resolved_json):
        raise FakeFault("RM-1003", "too small", "nodes[0].params.x")

    from .fakes import FakeEngine

    monkeypatch.setattr(FakeEngine, "add_pipeline", refuse)
    with pytest.raises(RemoteMediaError, match=r"nodes\[0\].params.x: too small"):
        await EngineHost.start([Pipeline("p", VADNode())], runtime=runtime)
    assert runtime.engines[0].closed


async def test_served_by_signaling(runtime, monkeypatch, tmp_path):
    import aiohttp

    from remotemedia import server

    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", runtime)
    stop, started = asyncio.Event(), asyncio.Queue()
    config = ServerConfig(port=0, web_root=tmp_path)
    serving = asyncio.create_task(
        server.serve_with(
            [Pipeline("p", VADNode())], config, on_started=started.put_nowait, stop=stop
        )
    )
    announced = asyncio.create_task(started.get())
    await asyncio.wait((announced, serving), return_when=asyncio.FIRST_COMPLETED)
    assert not serving.done(), serving.exception()
    url = announced.result().url
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/api/pipelines/p") as response:
            assert (await response.json())["name"] == "p"
        async with http.get(f"{url}/readyz") as response:
            assert response.status == 200
        async with http.get(f"{url}/metrics") as response:
            assert "remotemedia_lane_frames_total" in await response.text()
    stop.set()
    await asyncio.wait_for(serving, 10)
    assert runtime.engines[0].drained
    assert runtime.engines[0].closed


def several_tracks():
    made = Pipeline("p").add_node("a", AudioSource()).add_node("b", AudioSource())
    made.add_node("mix", MixNode())
    return made.connect("a", "mix").connect("b", "mix")


async def test_a_pipeline_with_several_tracks_names_them_as_ports(runtime):
    host = await EngineHost.start([several_tracks()], {}, runtime)
    (info,) = host.pipelines()
    inputs = [(port.id, port.kind) for port in info.ports if port.direction == "in"]
    assert inputs == [("a", "audio"), ("b", "audio")]
    await host.close()


async def test_what_only_runs_do_is_not_served(runtime):
    made = Pipeline("p", VADNode(runtime_hint="python"))
    with pytest.raises(NotInThisVersion, match="in Python") as caught:
        await EngineHost.start([made], {}, runtime)
    assert caught.value.field == "nodes[0].runtime_hint"
    assert str(caught.value).startswith('pipeline "p": ')
    assert not runtime.engines


async def test_the_audio_of_sinks_is_for_who_hears_the_session(runtime):
    await EngineHost.start([Pipeline("p", AudioSource(), AudioSink())], {}, runtime)
    (sink,) = runtime.engines[0].pipelines["p"]["nodes"]
    assert (sink["kind"], sink["runtime"], sink["params"]) == ("sink", "native", {})


def test_without_the_native_runtime_audio_of_sinks_is_the_same():
    made = Pipeline("p", AudioSource(), AudioSink())
    resolved = [plan_all([made], native=native)[0].resolved for native in (True, False)]
    assert resolved[0].to_json() == resolved[1].to_json()


@pytest.mark.parametrize("source", [FileReaderNode, AudioSource])
async def test_files_are_read_in_sessions(runtime, tone, source):
    made = Pipeline("p", source(path=tone), VADNode())
    host = await EngineHost.start([made], {}, runtime)
    (told,) = host.pipelines()
    assert [(port.id, port.direction, port.kind) for port in told.ports] == [
        ("input", "in", "audio"),
        ("results", "out", "results"),
    ]
    assert told.manifest == made.serialize()
    player = runtime.engines[0].pipelines["p"]["nodes"][0]
    assert player["kind"] == "python"
    assert player["params"]["entry"] == "remotemedia.nodes.session_files:SessionFile"
    assert player["outputs"][0]["format"] == {"type": "audio", "rate": 44100, "channels": 2}
    await host.close()


async def test_a_file_that_is_not_there_is_not_served(runtime, tmp_path):
    made = Pipeline("p", FileReaderNode(path=tmp_path / "none.wav"), VADNode())
    with pytest.raises(MediaFileError, match="No such file") as caught:
        await EngineHost.start([made], {}, runtime)
    assert str(caught.value).startswith('pipeline "p": ')
    assert not runtime.engines


@pytest.mark.parametrize("writer", [FileWriterNode, AudioSink])
async def test_files_are_written_by_each_session(runtime, writer):
    made = Pipeline("p", VADNode(), writer(path="out.wav"))
    with pytest.raises(ParameterError, match=r"every session would write to out\.wav") as caught:
        await EngineHost.start([made], {}, runtime)
    assert caught.value.field == "nodes[1].params.path"
    assert str(caught.value).startswith('pipeline "p": ')
    host = await EngineHost.start(
        [Pipeline("p", VADNode(), writer(path="{session}.wav"))], {}, runtime
    )
    await host.close()


def test_every_sink_is_told():
    made = Pipeline("p").add_node("mic", AudioSource(rate=48000)).add_node("vad", VADNode())
    made.add_node("out", AudioSink(channels=2)).connect("mic", "vad").connect("mic", "out")
    ports = describe(made, made.plan(native=True, served=True)).ports
    assert [(port.id, port.direction, port.kind) for port in ports] == [
        ("mic", "in", "audio"),
        ("results", "out", "results"),
        ("out", "out", "audio"),
    ]
    assert (ports[-1].format.rate, ports[-1].format.channels) == (48000, 2)


async def test_every_source_is_told(runtime):
    made = Pipeline("p").add_node("mic", AudioSource(rate=48000)).add_node("vad", VADNode())
    made.add_node("text", TextNode(operation="words")).connect("mic", "vad")
    host = await EngineHost.start([made], {}, runtime)
    ((mic, values, results),) = [each.ports for each in host.pipelines()]
    await host.close()
    assert (mic.id, mic.kind, mic.format.rate) == ("mic", "audio", 48000)
    assert (values.id, values.kind, values.format) == ("input", "data", None)
    assert (results.id, results.direction) == ("results", "out")


def test_a_source_that_takes_audio_and_data_says_so():
    made = Pipeline("p", echo)
    source, _ = describe(made, made.plan(native=True, served=True)).ports
    assert (source.id, source.kind, source.format.rate) == ("input", "any", 16000)
