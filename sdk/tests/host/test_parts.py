"""The parts of a session that need neither a connection nor a clock."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from pathlib import Path

import av
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia import Pipeline, node
from remotemedia.formats import AudioFormat
from remotemedia.host.python import check_manifest, engine, messages, outbox, run_offline
from remotemedia.host.python.allowance import Allowance
from remotemedia.host.python.control import Refused, parse_control
from remotemedia.host.python.faults import RuntimeFault
from remotemedia.host.python.instance import Instance, Losses, Program
from remotemedia.host.python.loop import MediaLoop
from remotemedia.host.python.mailbox import BREAKER_PAUSE_US
from remotemedia.host.python.outbox import Outbox, SlowReader
from remotemedia.host.python.tracks import Converter
from remotemedia.host.python.wake import WakeQueue
from remotemedia.nodes import AudioBufferNode, GainNode, PassThroughNode, TextNode, VADNode
from remotemedia.nodes.audio import LevelMeterNode
from remotemedia.twin import LaneData, LaneFailure, LaneOpaque

SCHEMA = Path(__file__).parents[3] / "configs" / "schema" / "messages.schema.json"


class Channel:
    """A channel that hands nothing on until it is told."""

    def __init__(self):
        self.is_open = True
        self.sent = []
        self.buffered = 0

    def send(self, text):
        self.sent.append(text)
        self.buffered += len(text)


def opened(live=False):
    made, channel = Outbox(expects_channel=False), Channel()
    made.open_results(channel)
    if live:
        made.open_live(Channel())
    return made, channel


def key(number=0):
    return ("vad", f"n{number}", "p1", "audio")


def test_events_wait_for_the_channel():
    made, channel = Outbox(expects_channel=True), Channel()
    for number in range(70):
        made.event(0, f"e{number}")
    made.open_results(channel)
    channel.send("ready")
    made.release(0)
    assert channel.sent == ["ready", *(f"e{number}" for number in range(6, 70))]
    assert made.stats.dropped == 6


def test_without_a_channel_nothing_is_kept():
    made = Outbox(expects_channel=False)
    made.event(0, "e")
    made.send_live(key(), "l")
    made.reply(0, "r")
    assert made.drained
    assert not made.waits


def test_windows_go_to_the_live_channel_and_events_to_both():
    made, channel = opened(live=True)
    made.send_live(key(), "w")
    made.event(0, "e")
    assert (made.live.sent, channel.sent) == (["w", "e"], ["e"])


def test_the_newest_window_of_a_kind_is_kept_while_the_channel_is_full():
    made, channel = opened()
    channel.buffered = outbox.MAX_LIVE_BYTES
    for number in range(5):
        made.send_live(key(), f"w{number}")
    made.send_live(key(1), "other")
    assert channel.sent == []
    assert made.pump(0) == 0
    channel.buffered = 0
    assert made.pump(0) == 4
    assert (channel.sent, made.stats.coalesced) == (["w4", "other"], 4)


def test_so_many_kinds_are_kept_and_no_more(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_KEPT", 2)
    made, channel = opened()
    channel.buffered = outbox.MAX_LIVE_BYTES
    for number in range(4):
        made.send_live(key(number), "w")
    assert made.stats.coalesced == 2


def test_a_reader_who_leaves_a_mebibyte_is_too_slow():
    made, channel = opened()
    channel.buffered = outbox.MAX_EVENT_BYTES
    with pytest.raises(SlowReader, match="1 MiB"):
        made.event(0, "e")


def test_a_reader_who_leaves_an_event_for_ten_seconds_is_too_slow():
    made, channel = opened()
    made.event(0, "early")
    channel.buffered = 0
    made.pump(outbox.MAX_EVENT_AGE_US + 1)
    made.event(20_000_000, "late")
    made.event(20_050_000, "later")
    made.pump(20_000_000 + outbox.MAX_EVENT_AGE_US)
    with pytest.raises(SlowReader, match="10 s"):
        made.pump(20_000_001 + outbox.MAX_EVENT_AGE_US)


def test_a_channel_that_closes_takes_what_waited_with_it():
    made, channel = opened(live=True)
    made.close_channel(made.live)
    made.event(0, "e")
    made.close_channel(channel)
    made.event(0, "f")
    assert (channel.sent, made.live, made.results, made.waits) == (["e"], None, None, False)
    assert made.drained


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"type":"configure","id":"a","node":"vad","params":{"threshold":0.6}}', "configure"),
        ('{"v":1,"type":"flush","id":-4}', "flush"),
        ('{"type":"interrupt"}', "interrupt"),
        ('{"type":"ping","t":1.5}', "ping"),
        (b'{"type":"input","node":"llm","data":["hello"]}', "input"),
        ('{"type":"input","node":"a","data":"' + "[" * 99 + '"}', "input"),
        ('{"type":"input","node":"a","data":' + "[" * 31 + "]" * 31 + "}", "input"),
    ],
)
def test_every_control_message_is_read(text, kind):
    assert parse_control(text).kind == kind


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{}", "type"),
        ('{"type":"dance"}', "type"),
        ('{"type":3}', "type"),
        ('{"type":"flush","force":true}', "force"),
        ('{"type":"configure","params":{}}', "node"),
        ('{"type":"configure","node":"","params":{}}', "node"),
        ('{"type":"configure","node":"a","params":[]}', "params"),
        ('{"type":"ping","t":"now"}', "t"),
        ('{"type":"ping","t":true}', "t"),
        ('{"type":"ping","id":1.5}', "id"),
        ('{"type":"ping","v":2}', "v"),
        ("", None),
        ("3", None),
        ("{} {}", None),
        ('{"type":"ping","type":"ping"}', None),
        ('{"type":"ping","t":NaN}', None),
        (b'{"type":"\xff"}', None),
        ('{"type":"' + "x" * 70_000 + '"}', None),
        ("[" * 40_000, None),
        ('{"type":"input","node":"a","data":' + "[" * 32 + "]" * 32 + "}", None),
        ("{" + ",".join(f'"{n}":1' for n in range(17)) + "}", None),
        ('{"type":"ping","t":' + "9" * 5000 + "}", None),
    ],
)
def test_a_wrong_control_message_is_refused(text, field):
    with pytest.raises(Refused) as caught:
        parse_control(text)
    assert caught.value.field == field
    assert len(caught.value.message) < 300


def test_a_refusal_keeps_the_id():
    with pytest.raises(Refused) as caught:
        parse_control('{"id":9,"type":"dance"}')
    assert caught.value.id == 9


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    with contextlib.suppress(Refused):
        parse_control(raw)


def test_messages_keep_to_the_schema():
    schema = json.loads(SCHEMA.read_text())
    about = {"seq": 3, "participant": "p1", "stream": "audio", "node": "n", "rtp_ts": 9}
    made = [
        messages.result("vad", "s", {"speech": True, "probability": 0.5}, **about),
        messages.result("node", "s", {"text": "straße \ud800"}, **about),
        messages.result("bye", "s", messages.bye("the end", "RM-3001"), seq=1),
        messages.result("error", "s", messages.error("RM-5001", "no", "f", "h"), **about),
        messages.result("coalesced", "s", {"count": 1, "total": 2}, seq=1),
        messages.reply("pong", 3, t=1.5),
        messages.reply("configured", "x", node="vad"),
        messages.error_reply(None, "RM-4001", "no", "type"),
    ]
    for text in made:
        jsonschema.validate(json.loads(text), schema)


@node
def mine(audio):
    """Be worked on by the test."""


def instance(*nodes):
    plan = Pipeline("p", *nodes).plan(native=True)
    made = Instance(Program.compile(plan.resolved.to_json()), itertools.count(1))
    made.open_stream(0)
    return made


def push(made, count=1, start=0, now_us=0, level=0.5, stream=0):
    for index in range(start, start + count):
        samples = np.full((1, 320), level, np.float32)
        made.push(now_us, stream, index * 20_000, index * 960, samples)


def told(made, kind=None):
    found = [output.message for _, output in made.poll()]
    return [each for each in found if kind in {None, each["type"]}]


def test_frames_go_to_python_and_back():
    made = instance(mine)
    push(made, 3)
    works = list(made.take_work(0))
    assert [(work.node, work.port, work.stamp.pts_us, work.rate) for work in works] == [
        ("mine-1", "in", index * 20_000, 16000) for index in range(3)
    ]
    assert (made.pending, made.in_flight) == (3, 3)
    made.complete(0, works[1].token, [LaneData({"n": 1})])
    made.complete(0, works[1].token, [LaneData({"n": 2})])
    made.complete(0, 99, [])
    (message,) = told(made)
    assert (message["type"], message["data"], message["rtp_ts"]) == ("node", {"n": 1}, 960)
    assert made.pending == 2


def test_a_full_mailbox_loses_its_oldest_and_says_so_once_a_second():
    made = instance(mine)
    push(made, 80)
    assert made.stats.overrun == 30
    assert [each["data"]["code"] for each in told(made)] == ["RM-5002"]
    works = list(made.take_work(0))
    assert (len(works), works[0].stamp.pts_us) == (16, 30 * 20_000)
    push(made, 1, now_us=1_000_000)
    (error,) = told(made)
    assert error["data"]["message"].startswith("the node is too slow for live audio: 30 frames")


def test_frames_that_wait_too_long_are_lost():
    made = instance(mine)
    push(made, 10)
    assert list(made.take_work(2_000_000)) == []
    assert made.stats.overrun == 10


def test_a_frame_that_never_reached_its_node_is_lost_and_makes_room():
    made = instance(mine)
    push(made, 30)
    held = list(made.take_work(0))
    for work in held[:10]:
        made.lose(0, work.token)
    assert [each["data"]["code"] for each in told(made)] == ["RM-5002"]
    assert [work.stamp.seq for work in made.take_work(0)] == list(range(16, 26))
    made.complete(0, held[0].token, [LaneData(1)])
    assert told(made) == []
    assert (made.stats.overrun, made.stats.failures, made.stats.skipped) == (10, 0, 0)
    made.interrupt()
    made.lose(0, held[10].token)
    made.lose(0, held[10].token)
    assert (made.stats.overrun, made.stats.interrupted) == (10, 4 + 1)


def test_losses_are_told_once():
    made, losses = instance(mine), Losses()
    push(made, 51)
    held = list(made.take_work(0))
    for work in held[:5]:
        made.complete(0, work.token, LaneFailure("no"))
    for _ in range(2):
        made.tally(losses)
    assert losses == Losses(node_failed=5, node_overrun=1, node_skipped=34)
    made.interrupt()
    made.complete(0, held[5].token, [])
    made.tally(losses)
    assert losses.node_interrupted == 1
    made.lose(0, held[6].token)
    made.tally(losses)
    assert losses == Losses(node_failed=5, node_overrun=1, node_skipped=34, node_interrupted=2), (
        "it makes no difference how"
    )


def test_frames_beyond_what_python_holds_are_lost_themselves():
    made = instance(mine)
    push(made, 16)
    list(made.take_work(0))
    mailbox = next(iter(made._mailboxes.values()))
    mailbox.frames = 16
    push(made, 1, 16)
    assert made.stats.overrun == 1


def fail(made, count, now_us=0):
    for _ in range(count):
        push(made, now_us=now_us)
        for work in made.take_work(now_us):
            made.complete(now_us, work.token, LaneFailure("no", "there", transient=True))
    return told(made, "error")


def test_five_failures_in_a_row_rest_the_node():
    made = instance(mine)
    errors = fail(made, 7)
    assert len(errors) == 5
    assert "skipped for 5 s" in errors[-1]["data"]["message"]
    assert errors[0]["data"] == {"code": "RM-5001", "message": "no", "traceback": "there"}
    assert made.stats.skipped == 2
    # One frame is tried after the pause, and the breaker opens again when it fails.
    assert len(fail(made, 3, BREAKER_PAUSE_US)) == 1
    push(made, 2, now_us=2 * BREAKER_PAUSE_US)
    (work,) = made.take_work(2 * BREAKER_PAUSE_US)
    made.complete(2 * BREAKER_PAUSE_US, work.token, [])
    assert len(fail(made, 4, 2 * BREAKER_PAUSE_US)) == 4
    assert made.stats.skipped == 2 + 2 + 1


def test_failures_of_before_do_not_open_it_twice():
    made = instance(mine)
    push(made, 8)
    for work in list(made.take_work(0)):
        made.complete(0, work.token, LaneFailure("no"))
    errors = told(made, "error")
    assert sum("skipped" in each["data"]["message"] for each in errors) == 1
    assert len(errors) == 8


def test_an_interrupt_drops_what_is_under_way():
    made = instance(mine)
    push(made, 20)
    works = list(made.take_work(0))
    made.interrupt()
    for work in works:
        made.complete(0, work.token, [LaneData(1)])
    assert (told(made), made.stats.interrupted, made.pending) == ([], 20, 0)


def test_an_interrupt_drops_what_nodes_hold_back():
    made = instance(AudioBufferNode(duration_ms=60), LevelMeterNode(interval_ms=20))
    push(made, 2)
    made.interrupt()
    push(made, 3, 2)
    assert (len(told(made, "level")), made.stats.interrupted > 0) == (3, True)


def test_what_python_still_makes_of_a_stream_that_has_ended_is_told():
    made = instance(mine)
    push(made, 20)
    first, *works = made.take_work(0)
    made.close_stream(0, 0)
    made.complete(0, first.token, [LaneData(1)])
    assert [each["data"] for each in told(made)] == [1]
    works += made.take_work(0)
    while works:
        made.complete(0, works.pop().token, [])
        works += made.take_work(0)
    assert (made.pending, made.flush(0, 0), made._streams) == (0, [], {})


def test_results_that_cannot_be_sent_are_failures():
    made = instance(mine)
    push(made, 3)
    for work, result in zip(
        made.take_work(0),
        ([LaneOpaque(object())], [("there", LaneData(1))], ["nonsense"]),
        strict=True,
    ):
        made.complete(0, work.token, result)
    words = [each["data"]["message"] for each in told(made, "error")]
    assert 'what "mine-1" returned is not JSON' in words[0]
    assert 'a port "there"' in words[1]
    assert "not JSON" in words[2]


def test_values_go_on_to_native_nodes():
    made = instance(mine, TextNode(operation="uppercase"))
    push(made)
    (work,) = made.take_work(0)
    made.complete(0, work.token, [LaneData("hello")])
    assert [each["data"] for each in told(made)] == ["HELLO"]


def test_nodes_are_configured_on_all_streams_and_those_to_come():
    made = instance(GainNode(gain_db=0.0), LevelMeterNode(interval_ms=20))
    made.configure("gain-1", {"gain_db": -20.0})
    made.configure("level-1", {"interval_ms": 40})
    made.open_stream(1)
    push(made, 2)
    push(made, 2, stream=1)
    levels = [each["data"]["rms_dbfs"] for each in told(made, "level")]
    assert levels == [pytest.approx(-26.02, abs=0.01)] * 2


@pytest.mark.parametrize(
    ("nodes", "name", "params", "field", "words"),
    [
        ([VADNode()], "vad", {}, "node", "no such node: there are vad-1"),
        ([mine], "mine-1", {}, "node", "no parameters that can change"),
        ([PassThroughNode()], "pass-through-1", {}, "params", "no parameters that can change"),
        ([PassThroughNode()], "pass-through-1", {"x": 1}, "params.x", "no parameters here"),
        ([VADNode()], "vad-1", {"engine": "energy"}, "params.engine", "there are threshold,"),
        ([VADNode()], "vad-1", {"threshold_db": -3.0}, "params.threshold_db", "is not known"),
        ([VADNode()], "vad-1", {"threshold": 7}, "params.threshold", "from 0.0 to 1.0"),
        ([VADNode()], "vad-1", {"threshold": 0.1}, "params.negative_threshold", "not lie above"),
    ],
)
def test_what_cannot_be_configured_changes_nothing(nodes, name, params, field, words):
    made = instance(*nodes)
    with pytest.raises(RuntimeFault) as caught:
        made.configure(name, params)
    assert (caught.value.code, caught.value.field) == ("RM-1003", field)
    assert words in caught.value.message


def test_a_flush_ends_speech_and_more_begins_anew():
    made = instance(VADNode(engine="energy", min_speech_ms=40, emit="events"))
    push(made, 5)
    kinds = [output.message["type"] for output in made.flush(0, 0)]
    assert kinds == ["speech_started", "speech_stopped"]
    push(made, 5, 50)
    assert [each["type"] for each in told(made)] == ["speech_started"]


def frame(samples, pts, rate=48000, layout="stereo"):
    channels = 2 if layout == "stereo" else 1
    raw = np.repeat((samples * 32767).astype(np.int16), channels)[None, :]
    made = av.AudioFrame.from_ndarray(raw, "s16", layout)
    made.sample_rate, made.pts = rate, pts
    return made


def converted(converter, *frames):
    return [piece for each in frames for piece in converter.push(each)]


@pytest.mark.parametrize(
    ("wanted", "length"),
    [
        (AudioFormat(16000, 1), 320),
        (AudioFormat(48000, 1), 960),
        (AudioFormat(48000, 2), 960),
        (AudioFormat(8000, 2), 160),
    ],
)
@pytest.mark.parametrize("layout", ["stereo", "mono"])
def test_frames_are_as_long_as_packets(wanted, length, layout):
    tone = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000) * 0.5
    made = converted(
        Converter(wanted),
        *(frame(tone[at : at + 960], at + 77, layout=layout) for at in range(0, 48000, 960)),
    )
    assert [piece.pts_us for piece in made] == [index * 20_000 for index in range(50)]
    assert {piece.samples.shape for piece in made} == {(wanted.channels, length)}
    joined = np.concatenate([piece.samples for piece in made], axis=1)[0]
    late = 0 if wanted.rate == 48000 else 16
    wave = np.sin(2 * np.pi * 440 * (np.arange(len(joined)) - late) / wanted.rate) * 0.5
    assert np.abs(joined - wave)[1000:].max() < 1e-3


def test_what_is_lost_becomes_silence():
    converter = Converter(AudioFormat(48000, 1))
    loud = np.full(960, 0.5)
    made = converted(converter, frame(loud, 0), frame(loud, 960 * 3), frame(loud, 960 * 4))
    assert [piece.pts_us for piece in made] == [0, 20_000, 60_000, 80_000]
    assert np.abs(made[1].samples).max() == 0
    assert (converter.stats.concealed, converter.stats.jumps) == (2, 0)


@pytest.mark.parametrize("to", [960 * 500, -5_000_000])
def test_a_jump_goes_on_where_it_was(to):
    converter = Converter(AudioFormat(48000, 1))
    loud = np.full(960, 0.5)
    made = converted(converter, frame(loud, 0), frame(loud, to), frame(loud, to + 960))
    assert [piece.pts_us for piece in made] == [0, 20_000, 40_000]
    assert converter.stats.jumps == 1


def test_offers_are_allowed_in_a_burst_and_then_each_second():
    allowance = Allowance()
    assert [allowance.take(0) for _ in range(9)] == [True] * 8 + [False]
    assert [allowance.take(1_000_000) for _ in range(2)] == [True, False]


def test_a_queue_wakes_its_reader_and_loses_the_oldest_that_may_go():
    queue = WakeQueue(3, lambda each: each != "stay")

    def readable():
        import select

        return bool(select.select([queue.fileno()], [], [], 0)[0])

    assert not readable()
    assert queue.put(["stay", 1, 2, 3]) == [1]
    assert readable()
    assert queue.drain(2) == ["stay", 2]
    assert readable()
    assert queue.drain(2) == [3]
    assert not readable()
    assert queue.dropped == 1
    assert queue.put(["stay"] * 5) == []
    queue.close()
    assert queue.put([1]) == []


async def opened_ports(loop, count):
    import asyncio

    made = []
    try:
        for _ in range(count):
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
            )
            made.append(transport)
        return [each.get_extra_info("sockname")[1] for each in made]
    finally:
        for each in made:
            each.close()
        await asyncio.sleep(0)  # they close in the loop's next turn


def test_sockets_take_ports_of_the_range():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    loop = MediaLoop((port, port))
    try:
        assert loop.run_until_complete(opened_ports(loop, 1)) == [port]
        with pytest.raises(OSError, match="all media ports are taken"):
            loop.run_until_complete(opened_ports(loop, 2))
    finally:
        loop.close()


def test_a_range_that_is_taken_is_refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeFault, match=f"UDP port {port} is taken"):
            engine.Engine(json.dumps({"media_ports": [port, port]}))


@pytest.mark.parametrize(
    ("config", "field"), [({"bind": "nowhere"}, "bind"), ({"limits": {"x": 1}}, "limits")]
)
def test_a_wrong_setting_is_named(config, field):
    with pytest.raises(RuntimeFault) as caught:
        engine.Engine(json.dumps(config))
    assert caught.value.field == field


def test_it_stands_in_for_offline_calls():
    resolved = Pipeline("p", VADNode(engine="energy")).plan(native=True).resolved.to_json()
    check_manifest(resolved)
    told = [json.loads(each) for each in run_offline(resolved, np.zeros(640, np.float32))]
    assert [each["type"] for each in told] == ["vad", "vad"]
