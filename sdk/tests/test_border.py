"""The native module's border: samples without a copy, values, ports, failures, a run's calls."""

from __future__ import annotations

import datetime
import gc
import json
import math
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia import try_load_rust_runtime

native = try_load_rust_runtime()
pytestmark = pytest.mark.skipif(native is None, reason="there is no native module, or it is off")

MONO = {"type": "audio", "rate": 16000, "channels": 1}
ANY = {**MONO, "type": "any"}
DATA = {"type": "data"}
LANE = {"entry": "code", "mailbox_frames": 50, "mailbox_ms": 1000}
ENERGY = {
    "engine": "energy",
    "threshold": 0.5,
    "negative_threshold": 0.35,
    "min_speech_ms": 60,
    "min_silence_ms": 100,
    "speech_pad_ms": 30,
    "emit": "all",
    "threshold_db": -45.0,
}
OPERATION = {"operation": "multiply", "operand": 2}


def node(kind, params, inputs, outputs, name="node"):
    def ports(given):
        return [{"port": port, "format": its} for port, its in given.items()]

    runtime = "python" if kind == "python" else "native"
    return {
        "id": name,
        "kind": kind,
        "runtime": runtime,
        "params": params,
        "inputs": ports(inputs),
        "outputs": ports(outputs),
    }


def manifest(*nodes, source=None):
    """A chain of nodes behind one source."""
    ends = [("$source", "input"), *((each["id"], each["outputs"][0]["port"]) for each in nodes)]
    return json.dumps(
        {
            "version": "resolved/1",
            "name": "pipeline",
            "sources": [{"id": "input", "format": source or nodes[0]["inputs"][0]["format"]}],
            "nodes": nodes,
            "edges": [
                {
                    "from": {"node": name, "port": port},
                    "to": {"node": each["id"], "port": each["inputs"][0]["port"]},
                }
                for (name, port), each in zip(ends, nodes, strict=False)
            ],
        }
    )


def python_run(form=ANY, outputs=("out",), **options):
    """A run of one Python node."""
    made = node("python", LANE, {"in": form}, dict.fromkeys(outputs, form))
    return native.Run(manifest(made), **options)


def ramp(count=320):
    return np.arange(count, dtype=np.float32) / count


def item_of(run):
    (item,) = run.take_work(10)
    return item


def answered(run, *results, value=0):
    """Have the node answer one frame, and give what came out."""
    run.push_data("input", value)
    run.complete([(item_of(run).token, list(results))])
    return run.poll()


def messages(outputs):
    return [each.message for each in outputs if each.kind == "event"]


# Samples.


def test_samples_are_the_nodes_own():
    run = python_run()
    given = ramp()
    run.push_audio("input", given)
    samples = item_of(run).samples
    np.testing.assert_array_equal(samples, given)
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    assert samples.flags.aligned
    assert not samples.flags.owndata
    samples *= 2
    np.testing.assert_array_equal(given, ramp())


def test_a_frame_tried_again_is_what_it_was():
    run = python_run()
    run.push_audio("input", ramp())
    item = item_of(run)
    item.samples[:] = 0
    run.complete([(item.token, native.LaneFailure("busy", transient=True))])
    time.sleep(run.retry_in_us() / 1e6)
    np.testing.assert_array_equal(item_of(run).samples, ramp())


def test_nodes_share_no_samples():
    form = {"in": MONO}, {"out": MONO}
    text = json.loads(manifest(node("python", LANE, *form, "a")))
    text["nodes"].append(node("python", LANE, *form, "b"))
    text["edges"].append({**text["edges"][0], "to": {"node": "b", "port": "in"}})
    run = native.Run(json.dumps(text))
    run.push_audio("input", ramp())
    one, other = run.take_work(2)
    one.samples[:] = 0
    np.testing.assert_array_equal(other.samples, ramp())


def test_samples_are_the_same_array_each_time():
    run = python_run()
    run.push_audio("input", ramp())
    item = item_of(run)
    assert item.samples is item.samples
    assert item.value is None
    assert (item.rate, item.channels) == (16000, 1)


def test_samples_outlive_their_frame_and_run():
    run = python_run()
    run.push_audio("input", ramp())
    item = item_of(run)
    part = item.samples[100:]
    del item, run
    gc.collect()
    np.testing.assert_array_equal(part, ramp()[100:])


def test_several_channels_are_rows():
    run = python_run({**ANY, "channels": 2})
    given = np.stack([ramp(), -ramp()])
    run.push_audio("input", given)
    item = item_of(run)
    assert item.channels == 2
    np.testing.assert_array_equal(item.samples, given)


def test_samples_are_freed():
    run = python_run(frame_ms=1000)
    second = np.zeros(16000, np.float32)

    def rounds(count):
        for _ in range(count):
            run.push_audio("input", second)
            item = item_of(run)
            run.complete([(item.token, [item.samples])])
            assert run.poll()[0].samples.sum() == 0

    rounds(100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rounds(1000)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 16 * 1024, "1,000 frames of 64 KB each"


def test_audio_of_a_node_is_its_own():
    given = ramp()
    run = python_run()
    run.push_audio("input", ramp())
    run.complete([(item_of(run).token, [given])])
    given[:] = 0
    (output,) = run.poll()
    assert (output.kind, output.rate, output.message) == ("audio", 16000, None)
    np.testing.assert_array_equal(output.samples, ramp())


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(320),
        np.zeros(640, np.float32)[::2],
        np.zeros((1, 2, 3), np.float32),
        np.zeros((2, 320), np.float32),
        [0.0],
        None,
    ],
)
def test_other_arrays_are_refused(samples):
    with pytest.raises(native.RuntimeFault) as caught:
        python_run().push_audio("input", samples)
    assert caught.value.field == "samples"


# Values.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (-0.5, -0.5),
        ("\0é🎙", "\0é🎙"),
        ((1, [2.0]), [1, [2.0]]),
        ({"b": 1, "a": {}}, {"b": 1, "a": {}}),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.int8(-3), -3),
        (np.array(3), 3),
        ({"a": np.arange(6).reshape(2, 3)}, {"a": [[0, 1, 2], [3, 4, 5]]}),
        (np.str_("text"), "text"),
    ],
)
def test_values_are_read_as_json(value, expected):
    read = native.LaneData(value).value
    assert read == expected
    assert type(read) is type(expected)


def test_keys_keep_their_order():
    assert list(native.LaneData({"z": 1, "a": 2, "m": 3}).value) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "the result is nan, which JSON cannot say: return None instead."),
        ({"a": [0, 1, -math.inf]}, 'the result["a"][2] is -inf'),
        ({"a": {"b": np.float32("nan")}}, 'the result["a"]["b"] is nan'),
        ({"a": np.array([1, np.nan])}, 'the result["a"][1] is nan'),
        ({"when": datetime.date(2020, 1, 1)}, 'the result["when"] is a date, which is not JSON'),
        (np.datetime64("2020-01-01"), "is a date"),
        (np.longdouble(1), "is a longdouble"),
        ([b"bytes"], "the result[0] is a bytes"),
        ({"a": {1: 2}}, 'the result["a"] has the key 1: keys must be text.'),
        ({"a": 1 << 64}, 'the result["a"] is an integer of more than 64 bits'),
        ("\ud800", "lone surrogate"),
        ("x" * 70_000, "the result is longer than 61440 bytes"),
        ("\0" * 20_000, "the result is longer than 61440 bytes"),
        ([[0] * 40_000], "the result is longer than 61440 bytes"),
        (np.zeros(1_000_000), "the result is longer than 61440 bytes"),
    ],
)
def test_what_is_not_json_is_said_with_its_place(value, words):
    with pytest.raises(native.RuntimeFault) as caught:
        native.LaneData(value)
    assert words in caught.value.message
    assert caught.value.code == "RM-1003"


def test_depth_is_bounded():
    deep = []
    for _ in range(31):
        deep = [deep]
    native.LaneData(deep)
    loop = {}
    loop["self"] = loop
    for value in ([deep], loop):
        with pytest.raises(native.RuntimeFault, match="nested too deeply"):
            native.LaneData(value)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner)
    ),
    max_leaves=20,
)


@given(plain)
def test_values_come_back_as_they_were(value):
    assert repr(native.LaneData(value).value) == repr(value)
    (message,) = messages(answered(python_run(), native.LaneData(value)))
    assert repr(message["data"]) == repr(value)
    assert message["type"] == "node"


def test_values_reach_native_nodes():
    run = native.Run(manifest(node("pass_through", {}, {"in": DATA}, {"out": DATA})))
    run.push_data("input", {"a": np.arange(2)})
    assert messages(run.poll())[0]["data"] == {"a": [0, 1]}


def test_objects_pass_as_they_are():
    given = {"array": np.zeros(3)}, object(), b"bytes"
    run = python_run()
    for each in given:
        run.push_data("input", each)
    items = run.take_work(10)
    assert [item.value is each for item, each in zip(items, given, strict=True)] == [True] * 3
    assert [item.samples for item in items] == [None] * 3
    run.complete([(item.token, [native.LaneOpaque(item.value)]) for item in items])
    outputs = run.poll()
    assert [each.kind for each in outputs] == ["value"] * 3
    assert all(output.value is each for output, each in zip(outputs, given, strict=True))


def test_objects_are_released():
    given = object()
    before = sys.getrefcount(given)
    run = python_run()
    run.push_data("input", given)
    run.complete([(item_of(run).token, [native.LaneOpaque(given)])])
    run.poll()
    run.push_data("input", given)
    del run
    gc.collect()
    assert sys.getrefcount(given) == before


# Results.


def test_results_leave_by_their_ports():
    run = python_run(outputs=("left", "right"))
    data = native.LaneData
    outputs = answered(run, ("right", data(1)), data(2), ("left", ramp()), ("right", "[3]"))
    assert [each.port for each in outputs] == ["right", "left", "left", "right"]
    assert [message["data"] for message in messages(outputs)] == [1, 2, [3]]


def test_an_unknown_port_fails_the_frame():
    (message,) = messages(answered(python_run(), ("middle", native.LaneData(1))))
    assert message["type"] == "error"
    assert "middle" in message["data"]["message"]


@pytest.mark.parametrize(
    "done",
    [3, [3], [(1,)], [("1", [])], [(1 << 200, [])], [(1, 3)], [(1, [3])], [(1, [(1, 2, 3)])]],
)
def test_what_is_no_result_is_refused(done):
    with pytest.raises((native.RuntimeFault, TypeError, IndexError, ValueError, OverflowError)):
        python_run().complete(done)


def test_stale_tokens_are_ignored():
    run = python_run()
    run.push_data("input", 1)
    token = item_of(run).token
    run.complete([(token, [native.LaneData(1)]), (token, [native.LaneData(2)])])
    run.complete([(token, []), (token + 256, []), (2**71, [])])
    assert [message["data"] for message in messages(run.poll())] == [1]


def test_a_failure_is_reported_with_its_traceback():
    run = python_run()
    run.push_audio("input", ramp())
    run.complete([(item_of(run).token, native.LaneFailure("by nothing", "line 1"))])
    (message,) = messages(run.poll())
    assert message["data"] == {"code": "RM-5001", "message": "by nothing", "traceback": "line 1"}


def test_a_transient_failure_is_tried_again():
    run = python_run()
    run.push_audio("input", ramp())
    failure = native.LaneFailure("busy", transient=True)
    assert (failure.message, failure.traceback, failure.transient) == ("busy", None, True)
    run.complete([(item_of(run).token, failure)])
    assert run.poll() == []
    assert run.pending() == 1
    assert 0 < run.retry_in_us() <= 120_000


def test_too_many_failures_fail_the_run():
    run = python_run()
    run.push_audio("input", ramp(320 * 5))
    done = [(item.token, native.LaneFailure("no")) for item in run.take_work(5)]
    with pytest.raises(native.RuntimeFault) as caught:
        run.complete(done)
    assert (caught.value.code, caught.value.field) == ("RM-5001", "node")
    assert messages(run.poll())


# A run.


def test_messages_are_those_of_a_live_session():
    text = manifest(
        node("vad", ENERGY, {"in": MONO}, {"out": MONO}, "vad"),
        node("level", {"interval_ms": 50}, {"in": MONO}, {"out": MONO}, "level"),
    )
    generator = np.random.default_rng(7)
    audio = np.concatenate(
        [
            generator.uniform(-level, level, 8000).astype(np.float32)
            for level in (0.0, 0.001, 0.3, 0.0)
        ]
    )
    run = native.Run(text)
    for chunk in np.split(audio, [1, 7777, 20000]):
        run.push_audio("input", chunk)
    run.end()
    expected = [json.loads(line) for line in native.run_offline(text, audio)]
    found = messages(run.poll())
    assert {each["type"] for each in found} == {"vad", "speech_started", "speech_stopped", "level"}
    assert repr(found) == repr(expected)


def test_the_end_comes_once_to_each_python_node():
    run = python_run()
    run.push_data("input", 1)
    run.end()
    run.end("input")
    item = item_of(run)
    assert (item.end, item.port, item.value) == (False, "in", 1)
    run.complete([(item.token, [])])
    last = item_of(run)
    assert (last.end, last.port, last.value, last.samples) == (True, "", None, None)
    run.complete([(last.token, [native.LaneData("held back")])])
    assert [message["data"] for message in messages(run.poll())] == ["held back"]
    assert (run.take_work(1), run.pending()) == ([], 0)


def test_a_frame_says_where_it_comes_from():
    run = python_run()
    run.push_audio("input", ramp(), pts_us=1_000_000)
    item = item_of(run)
    names = (item.session, item.participant, item.stream, item.pipeline, item.node, item.entry)
    assert names == ("offline", "p1", "audio", "pipeline", "node", "code")
    assert (item.port, item.seq, item.pts_us) == ("in", 0, 1_000_000)
    assert 'node="node"' in repr(item)


def test_interrupted_frames_come_to_nothing():
    run = python_run()
    run.push_audio("input", ramp(640))
    first = run.take_work(1)[0]
    run.interrupt()
    run.complete([(first.token, [native.LaneData(1)])])
    assert (run.take_work(10), run.poll(), run.pending()) == ([], [], 0)


def test_metrics_are_by_node():
    run = python_run(metrics=True)
    answered(run, native.LaneData(1))
    metrics = run.metrics()["node"]
    assert metrics["success_count"] == 1
    assert metrics["error_count"] == 0
    assert 0 < metrics["p50_us"] <= metrics["p99_us"]
    assert metrics["execution_time_us"] > 0
    assert (metrics["node_id"], metrics["runtime"], metrics["fallbacks"]) == ("node", "python", 0)


@pytest.mark.parametrize(
    ("call", "code", "field"),
    [
        (lambda: native.Run("{}"), "RM-1001", "$"),
        (lambda: python_run(frame_ms=0), "RM-1003", "frame_ms"),
        (lambda: python_run().push_audio("output", ramp()), "RM-2004", "source"),
        (lambda: python_run(MONO).push_data("input", 1), "RM-1003", "value"),
        (lambda: python_run(DATA).push_data("input", object()), "RM-1003", "value"),
        (lambda: python_run(DATA).push_audio("input", ramp()), "RM-1003", "samples"),
    ],
)
def test_refusals_name_the_field(call, code, field):
    with pytest.raises(native.RuntimeFault) as caught:
        call()
    assert (caught.value.code, caught.value.field) == (code, field)


def test_others_run_meanwhile():
    """With turns of an hour a thread gets the interpreter only from one that releases it."""
    run = native.Run(manifest(node("level", {"interval_ms": 1000}, {"in": MONO}, {"out": MONO})))
    minute = np.zeros(16000 * 60, np.float32)
    go, ran = threading.Event(), threading.Event()
    turns = sys.getswitchinterval()
    other = threading.Thread(target=lambda: (go.wait(), ran.set()))
    other.start()
    sys.setswitchinterval(3600)
    try:
        go.set()
        for _ in range(1000):
            run.push_audio("input", minute)
            run.poll()
            if ran.is_set():
                break
    finally:
        sys.setswitchinterval(turns)
    assert ran.is_set()
    other.join()


# The stub.


def test_the_stub_fits_the_module(tmp_path):
    # A wheel's package has the library of the same name in it.
    allowed = tmp_path / "allowed"
    allowed.write_text("remotemedia_runtime.remotemedia_runtime\n")
    runtime = Path(__file__).resolve().parents[2] / "runtime"
    module = Path(native.__file__).resolve().parents[1]
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "--allowlist",
            str(allowed),
            "--ignore-unused-allowlist",
            "remotemedia_runtime",
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(runtime), "PYTHONPATH": str(module)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
