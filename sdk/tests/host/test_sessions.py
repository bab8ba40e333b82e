"""Sessions by aiortc with real peers: what is told, and that nothing stays."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from remotemedia_signaling import HostError, Offer

from remotemedia.host.python import participant as participant_module
from remotemedia.host.python import paths as paths_module
from remotemedia.host.python import peer as peer_module
from remotemedia.host.python import session as session_module

from .clients import Client, candidates_of, with_other_fingerprints, without_candidates
from .conftest import nothing_left, until


async def refused(call):
    with pytest.raises(HostError) as caught:
        await call
    return caught.value


async def test_a_session_from_ready_to_bye(host, client):
    answer = await client.open(pipeline="energy")
    (ready,) = await client.wait("ready")
    assert ready["data"] == {
        "pipeline": "energy",
        "participant": "p1",
        "joined": False,
        "participants": 1,
        "nodes": [{"id": "vad-1", "kind": "vad"}],
    }
    windows = await client.wait("vad", 60)
    times = [each["pts_ms"] for each in windows]
    # Those before the channel has opened are heard by nobody.
    assert times == [times[0] + index * 20.0 for index in range(len(times))]
    assert times[0] % 20.0 == 0
    steps = {b["rtp_ts"] - a["rtp_ts"] for a, b in itertools.pairwise(windows)}
    assert steps <= {960, 960 - 2**32}
    names = ("session", "participant", "stream", "node", "v")
    assert [windows[0][name] for name in names] == [answer.session_id, "p1", "audio", "vad-1", 1]
    (started, *_), (stopped, *_) = client.of("speech_started"), await client.wait("speech_stopped")
    assert abs(started["pts_ms"] - 0.0) <= 40
    assert abs(stopped["pts_ms"] - 530) <= 80
    assert all(0 <= each["latency_ms"] < 5_000 for each in windows)
    stats = await host.session(answer.session_id)
    assert (stats["state"], stats["pipeline"]) == ("running", "energy")
    (told,) = stats["participants"]
    assert (told["state"], told["channels"], told["streams"][0]["packets_lost"]) == (
        "connected",
        "results",
        0,
    )
    assert [each["session"] for each in await host.sessions()] == [answer.session_id]
    await host.close_session(answer.session_id)
    (bye,) = await client.wait("bye")
    assert bye["data"] == {"reason": "ended by request"}
    assert client.messages[-1] is bye
    numbers = [each["seq"] for each in client.messages if each["seq"] >= ready["seq"]]
    assert numbers == list(range(ready["seq"], ready["seq"] + len(numbers)))
    await nothing_left(host)
    error = await refused(host.session(answer.session_id))
    assert (error.code, error.http_status) == ("RM-2004", 404)


async def test_live_results_have_their_own_channel(host):
    async with Client(host, channels=("results", "live")) as client:
        await client.open(pipeline="energy")
        await client.wait(lambda each: (each["channel"], each["type"]) == ("live", "vad"), 40)
        await client.wait(lambda each: each["type"] == "speech_started", 2)
        on = {
            name: [e for e in client.messages if e["channel"] == name] for name in client.channels
        }
        live_from = min(each["seq"] for each in on["live"])
        late = [each for each in on["results"] if each["seq"] > live_from]
        assert not [each for each in late if each["type"] == "vad"]
        started = {
            name: {e["seq"] for e in told if e["type"] == "speech_started"}
            for name, told in on.items()
        }
        assert started["live"] & started["results"]


async def test_others_join_and_hear_all(host, client):
    await client.open(pipeline="loud")
    await client.wait("node")
    async with Client(host, tracks=0) as listener:
        answer = await listener.open(join=client.session)
        assert (answer.session_id, answer.participant) == (client.session, "p2")
        (ready,) = await listener.wait("ready")
        assert (ready["data"]["joined"], ready["data"]["participants"]) == (True, 2)
        (result, *_) = await listener.wait("node")
        assert result["participant"] == "p1"
        async with Client(host, tracks=0) as third:
            error = await refused(third.ask(join=client.session))
            assert (error.code, error.http_status) == ("RM-6001", 429)
    await client.more("node", 10)
    assert len((await host.session(client.session))["participants"]) <= 2


async def test_the_session_ends_with_its_last_participant(host):
    async with Client(host) as first:
        await first.open(pipeline="energy")
        await first.wait("vad")
        async with Client(host, tracks=0) as second:
            await second.open(join=first.session)
            await second.wait("ready")
            await first.peer.close()

            async def alone():
                return len((await host.session(first.session))["participants"]) == 1

            await until(alone)
            assert not second.of("bye")
    await nothing_left(host)


async def test_a_further_offer_keeps_the_session_and_may_bring_a_track(host, client):
    first = await client.open(pipeline="loud")
    await client.wait("node")
    from .clients import Tone

    client.peer.addTransceiver(Tone(), direction="sendonly")
    second = await client.open(pc_id=first.pc_id)
    assert (second.session_id, second.participant) == (first.session_id, "p1")
    await client.wait(lambda each: each.get("stream") == "audio-2")
    await client.more("node")


async def test_a_further_offer_may_not_change_who_it_is(host, client):
    await client.open(pipeline="energy")
    await client.wait("vad")
    text = client.peer.localDescription.sdp
    changed = with_other_fingerprints(text)
    error = await refused(host.offer(Offer(changed, pc_id=client.answer.pc_id)))
    assert (error.code, error.http_status, error.field) == ("RM-2005", 409, "fingerprint")
    error = await refused(host.offer(Offer("v=0", pc_id=client.answer.pc_id)))
    assert error.code == "RM-2001"
    await client.more("vad", 5)


async def test_a_new_path_that_is_not_found_leaves_the_old_one(host, client, monkeypatch):
    monkeypatch.setattr(paths_module, "RESTART_SECONDS", 0.2)
    first = await client.open(pipeline="energy")
    await client.wait("vad")
    text = client.peer.localDescription.sdp
    ufrag = re.search(r"^a=ice-ufrag:.*$", text, re.MULTILINE)[0].strip()
    names = set()
    for name in ("other", "another"):
        changed = text.replace(ufrag, f"a=ice-ufrag:{name}")
        answer = await host.offer(Offer(changed, pc_id=first.pc_id))
        names |= set(re.findall(r"^a=ice-ufrag:(\S+)", answer.sdp, re.MULTILINE))
        assert candidates_of(answer.sdp) != candidates_of(first.sdp)
    assert len(names) == 2
    await client.more("metrics")
    await client.more("vad", 5)


async def test_offers_may_not_follow_each_other_too_fast(host, client):
    await client.open(pipeline="energy")
    errors = [await refused(host.offer(Offer("v=0", pc_id=client.answer.pc_id))) for _ in range(12)]
    assert {each.code for each in errors[:8]} == {"RM-2001"}
    assert (errors[-1].code, errors[-1].http_status) == ("RM-2008", 429)


async def test_a_restart_replaces_the_connection(host, client):
    await client.open(pipeline="energy")
    await client.wait("vad")
    async with Client(host) as new:
        answer = await new.open(pc_id=client.answer.pc_id, restart_pc=True)
        assert (answer.session_id, answer.participant) == (client.session, "p1")
        (bye,) = await client.wait("bye")
        assert "replaced" in bye["data"]["reason"]
        await new.wait("vad")
        assert len((await host.session(client.session))["participants"]) == 1


async def test_candidates_may_come_later(host, client):
    await client.open(without_candidates, pipeline="energy")
    await client.trickle(*candidates_of(client.peer.localDescription.sdp), "")
    await client.wait("vad")
    error = await refused(client.trickle("nonsense"))
    assert (error.code, error.field) == ("RM-2006", "candidate")
    lines = [f"candidate:{n} 1 udp 1 127.0.0.9 {n + 1} typ host" for n in range(80)]
    error = await refused(client.trickle(*lines))
    assert (error.code, error.field) == ("RM-2007", "candidates")
    await client.more("vad")


async def test_every_section_is_answered(host):
    async with Client(host, video=True) as client:
        answer = await client.open(pipeline="energy")
        kinds = [line for line in answer.sdp.splitlines() if line.startswith("m=")]
        assert [kind.split()[0] for kind in kinds] == ["m=audio", "m=video", "m=application"]
        assert "a=inactive" in answer.sdp[answer.sdp.index("m=video") :]
        await client.wait("vad")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tracks": 0}, "offer has none"),
        ({"tracks": 0, "video": True}, "offer has none"),
        ({"codec": "audio/PCMU"}, "codec Opus"),
    ],
)
async def test_nothing_in_common(host, options, words):
    async with Client(host, **options) as client:
        error = await refused(client.ask(pipeline="energy"))
        assert (error.code, error.http_status) == ("RM-2002", 422)
        assert words in error.message
    await nothing_left(host)


async def test_the_server_is_full(host):
    clients = [Client(host) for _ in range(4)]
    for each in clients[:3]:
        await each.ask(pipeline="energy")
    error = await refused(clients[3].ask(pipeline="energy"))
    assert (error.code, error.http_status) == ("RM-6001", 429)
    await host.close_peer(clients[0].answer.pc_id)

    async def room():
        return len(await host.sessions()) < 3

    await until(room)
    await clients[3].ask(pipeline="energy")
    for each in clients[1:]:
        await host.close_session(each.session)
    for each in clients:
        await each.peer.close()


async def test_unknown_ids(host, client):
    await client.sdp()
    text = client.peer.localDescription.sdp
    calls = [
        host.offer(Offer(text, join="s_0")),
        host.offer(Offer(text, pc_id="pc_0")),
        host.offer(Offer(text, pc_id="pc_0", restart_pc=True)),
        host.add_candidates("pc_0", []),
        host.close_peer("pc_0"),
        host.close_session("s_0"),
        host.session("s_0"),
        anext(host.events("s_0", None)),
    ]
    assert {(await refused(call)).code for call in calls} == {"RM-2004"}


async def test_without_a_channel_results_are_events(host):
    async with Client(host, channels=()) as client:
        await client.open(pipeline="energy")
        told = []
        async for event in host.events(client.session, None):
            told.append(json.loads(event.json))
            assert told[-1]["seq"] == event.seq
            if told[-1]["type"] == "speech_stopped":
                await host.close_peer(client.answer.pc_id)
        assert told[-1]["type"] == "bye"
        numbers = [each["seq"] for each in told]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_wrong_certificate_ends_it(host, client):
    await client.ask(with_other_fingerprints, pipeline="energy")
    events = host.events(client.session, None)
    await client.accept()
    told = [json.loads(event.json) async for event in events]
    assert [each["type"] for each in told] == ["bye"]
    assert told[0]["data"]["code"] == "RM-3003"
    assert client.messages == []


async def test_who_never_connects_is_given_up(host, client, monkeypatch):
    monkeypatch.setattr(peer_module, "SETUP_SECONDS", 0.05)
    await client.ask(pipeline="energy")
    told = [json.loads(event.json) async for event in host.events(client.session, None)]
    assert [each["data"]["code"] for each in told] == ["RM-3001"]


async def test_control_messages(host, client):
    await client.open(pipeline="energy")
    await client.wait("vad", 5)
    assert await client.control({"type": "ping", "id": 7, "t": 1.5}) == {
        "v": 1,
        "type": "pong",
        "id": 7,
        "t": 1.5,
        "channel": "results",
    }
    wanted = {"type": "configure", "id": "a", "node": "vad-1", "params": {"emit": "events"}}
    reply = await client.control(wanted)
    assert (reply["type"], reply["id"], reply["node"]) == ("configured", "a", "vad-1")
    count = len(client.of("vad"))
    await client.more("speech_started", 2)
    assert len(client.of("vad")) <= count + 2
    assert (await client.control({"type": "flush"}))["type"] == "flushed"
    assert (await client.control({"type": "interrupt"}))["type"] == "interrupted"


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ("nonsense", "RM-4001", None),
        (b"\xff", "RM-4001", None),
        ({"type": "dance"}, "RM-4001", "type"),
        ({"type": "flush", "force": True}, "RM-4001", "force"),
        ({"type": "configure", "node": "vad", "params": {}}, "RM-1003", "node"),
        (
            {"type": "configure", "node": "vad-1", "params": {"engine": "silero"}},
            "RM-1003",
            "params.engine",
        ),
        (
            {"type": "configure", "node": "vad-1", "params": {"threshold": 2}},
            "RM-1003",
            "params.threshold",
        ),
        ({"type": "input", "node": "vad-1", "data": 1}, "RM-1003", "type"),
        ({"type": "ping", "id": "x" * 60_000}, "RM-4001", "id"),
    ],
)
async def test_wrong_control_messages(host, client, message, code, field):
    await client.open(pipeline="energy")
    await client.wait("ready")
    reply = await client.control(message)
    assert (reply["type"], reply["data"]["code"]) == ("error", code)
    assert reply["data"].get("field") == field
    await client.more("vad")


async def test_a_node_that_fails_harms_nobody(host, client):
    await client.open(pipeline="broken")
    errors = await client.wait("error", 5)
    assert {each["data"]["code"] for each in errors} == {"RM-5001"}
    assert "ValueError: no such luck" in errors[0]["data"]["traceback"]
    assert "the node is skipped for 5 s" in errors[4]["data"]["message"]
    await client.more("level", 20)
    graph = (await host.session(client.session))["graph"]
    assert (graph["failures"] >= 5, graph["skipped"] > 0) == (True, True)
    figures = host.counters()
    for cause, least in (("failed", 5), ("skipped", graph["skipped"]), ("overrun", 0)):
        assert figures[f'remotemedia_dropped_total{{cause="node_{cause}"}}'] >= least


async def test_results_larger_than_a_client_takes(host, client):
    def smaller(text):
        return re.sub("a=max-message-size:[0-9]+", "a=max-message-size:1000", text)

    await client.open(smaller, pipeline="chatty")
    (error, *_) = await client.wait("error")
    assert (error["data"]["code"], error["data"]["field"]) == ("RM-4004", "max-message-size")
    (told,) = (await host.session(client.session))["participants"]
    assert told["too_large"] > 0
    assert not client.of("node")
    assert host.counters()['remotemedia_dropped_total{cause="results_too_large"}'] > 0


async def test_figures_come_and_quiet_tracks_end_speech(host, client, monkeypatch):
    monkeypatch.setattr(participant_module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(session_module, "QUIET_US", 100_000)
    await client.open(pipeline="energy")
    await client.wait("speech_started")
    for sender in client.peer.getSenders():
        if sender.track is not None:
            sender.track.stop()
    (figures, *_) = await client.more("metrics")
    assert figures["data"]["packets_received"] > 0
    starts = len(client.of("speech_started"))
    await client.wait("speech_stopped", starts)


async def test_draining_says_bye_and_admits_nobody(host, client):
    await client.open(pipeline="energy")
    await client.wait("vad")
    await host.drain()
    (bye,) = await client.wait("bye")
    assert bye["data"]["code"] == "RM-6002"
    async with Client(host) as late:
        error = await refused(late.ask(pipeline="energy"))
        assert (error.code, error.http_status) == ("RM-6002", 503)


async def test_it_is_ready_and_counts(host, client):
    await host.check_ready()
    await client.open(pipeline="energy")
    figures = host.counters()
    assert (figures["remotemedia_live_sessions"], figures["remotemedia_live_peers"]) == (1, 1)


async def test_frames_that_no_lane_takes_are_lost_and_counted(host, client, monkeypatch):
    monkeypatch.setattr(host._engine._lane, "_limit", 0)
    await client.open(pipeline="loud")
    (error, *_) = await client.wait("error")
    assert error["data"]["code"] == "RM-5002"
    assert host.counters()['remotemedia_dropped_total{cause="lane_items"}'] > 0
    assert "too many frames wait" in error["data"]["message"]
