"""Nodes in worker processes: real processes, real signals."""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from remotemedia import NodeError, ParameterError, Pipeline, node
from remotemedia.lanes import Lanes
from remotemedia.nodes.python import PythonNode
from remotemedia.workers import Limits

from . import worker_nodes as nodes
from .fakes import FakeFailure, FakeItem, FakeOpaque, frame

QUICK = Limits(backoff=0.01, tick=0.05)


def values(results):
    return [json.loads(each) for each in results]


@pytest.fixture
def isolated(engine):
    """Make lanes for one node "a"; afterwards nothing of them is left."""
    started = []
    before = left_over()

    def start(made, limits=QUICK):
        lanes = Lanes(engine, FakeFailure, limits)
        lanes.add(Pipeline("pipeline").add_node("a", made).plan())
        lanes.start()
        started.append(lanes)
        return lanes

    yield start
    for each in started:
        each.stop()
    started.clear()
    gc.collect()
    until(lambda: left_over() == before, "something is left")


def left_over():
    children = [each.pid for each in psutil.Process().children()]
    descriptors = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    threads = [each.name for each in threading.enumerate() if "worker" in each.name]
    return children, descriptors, threads


def until(condition, what, seconds=20.0):
    """Wait for a state; there is nothing to wait on for what other processes do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.002)


def pid_of(engine, token=1, **rest):
    engine.push(frame(token, node="a", **rest))
    return values(engine.result(token))[0]["pid"]


def test_a_node_runs_in_another_process_with_the_same_environment(engine, isolated, monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_TEST_MARK", "here")
    isolated(nodes.where)
    engine.push(frame(7, node="a"))
    (said,) = values(engine.result(7))
    assert said.pop("pid") != os.getpid()
    assert said == {
        "executable": sys.executable,
        "mark": "here",
        "session": ["s1", "p1", "audio", "pipeline"],
        "seq": 7,
    }


@pytest.mark.parametrize("made", [nodes.double, nodes.double_later])
@pytest.mark.parametrize("shape", [(320,), (2, 480), (1, 48_000), (100_000,), (2, 0)])
def test_audio_comes_back_as_it_went(engine, lanes_of_format, made, shape):
    lanes_of_format(made, 2 if shape[0] == 2 else 1)
    samples = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    engine.push(FakeItem(1, samples, node="a", rate=48_000, channels=shape[0]))
    results = engine.result(1)
    if not samples.size:
        assert results == []
        return
    assert results[0].dtype == np.float32
    np.testing.assert_array_equal(results[0].reshape(shape), samples * 2)


@pytest.fixture
def lanes_of_format(isolated):
    def start(made, channels):
        again = node(isolation="process", input_channels=channels, output_channels=channels)
        return isolated(again(made.function))

    return start


@pytest.mark.parametrize("made", [nodes.several, nodes.several_later])
def test_generators_give_several_results(engine, isolated, made):
    isolated(made)
    engine.push(frame(1, 0.5, node="a"))
    first, audio, last = engine.result(1)
    assert json.loads(first) == {"first": 0.5}
    assert json.loads(last) == "last"
    np.testing.assert_array_equal(audio, np.full(320, 0.5, np.float32))


@pytest.mark.parametrize("made", [nodes.Counter(2), nodes.CounterLater(2)])
def test_streams_share_a_process_and_no_state(engine, isolated, made):
    isolated(made)
    token = 0
    expected = {}
    for round_ in range(1, 21):
        for session in range(50):
            token += 1
            expected[token] = round_ * 2
            engine.push(frame(token, session / 128, node="a", session=f"s{session}"))
    results = {each: values(engine.result(each))[0] for each in expected}
    assert {each: said["count"] for each, said in results.items()} == expected
    assert len({said["pid"] for said in results.values()}) == 1
    assert all(said["same"] for said in results.values()), "a frame changed that a node kept"


@pytest.mark.parametrize("made", [nodes.Counter(), nodes.CounterLater()])
def test_a_failure_is_reported_with_its_traceback(engine, isolated, made, caplog):
    isolated(made)
    engine.push(frame(1, nodes.RAISE, node="a"), frame(2, node="a"))
    failure = engine.result(1)
    assert failure.message == "ZeroDivisionError: by nothing"
    assert "in behave" in failure.traceback
    assert "remotemedia/workers" not in failure.traceback
    assert "node a failed" in caplog.text
    assert values(engine.result(2))[0]["count"] == 2


@pytest.mark.parametrize("made", [nodes.Writing, nodes.WritingLater])
def test_the_life_of_an_instance(engine, isolated, made, tmp_path):
    path = tmp_path / "calls"
    lanes = isolated(made(str(path)))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    engine.results([1, 2])
    lanes.end_session("s1")
    until(lambda: "cleanup" in path.read_text(), "no clean-up")
    assert path.read_text().split() == ["initialize", "process", "process", "flush", "cleanup"]
    until(lambda: not lanes.counters()["remotemedia_lane_instances"], "it is not forgotten")


def test_stopping_cleans_up(engine, isolated, tmp_path):
    path = tmp_path / "calls"
    lanes = isolated(nodes.Writing(str(path)))
    engine.push(frame(1, node="a"))
    engine.result(1)
    assert lanes.stop()
    assert path.read_text().split() == ["initialize", "process", "flush", "cleanup"]


def test_a_killed_worker_is_replaced_and_its_frames_are_reported(engine, isolated):
    lanes = isolated(nodes.Counter())
    first = pid_of(engine)
    os.kill(first, signal.SIGKILL)
    until(lambda: lanes.counters()["remotemedia_worker_restarts_total"] == 1, "no restart")
    engine.push(frame(2, node="a"))
    (said,) = values(engine.result(2))
    assert said["pid"] != first
    assert said["count"] == 1, "a new process begins anew"


@pytest.mark.parametrize(
    ("what", "reason", "limits"),
    [
        (nodes.KILL, "was killed by SIGKILL", QUICK),
        (nodes.EXIT, "exited with 3", QUICK),
        (nodes.BLOCK, "took more than 1 s", Limits(frame=1.0, tick=0.05)),
        (nodes.FREEZE, "no sign of life for 1 s", Limits(frozen=1.0, tick=0.05)),
        (nodes.GARBAGE, "answered with garbage", QUICK),
    ],
)
@pytest.mark.parametrize("made", [nodes.Counter(), nodes.CounterLater()])
def test_what_ends_a_worker_is_told_to_the_session(engine, isolated, made, what, reason, limits):
    lanes = isolated(made, limits)
    first = pid_of(engine)
    pid_of(engine, 2, session="s2")
    engine.push(frame(3, what, node="a"))
    failure = engine.result(3)
    assert isinstance(failure, FakeFailure)
    assert failure.message == f"the process of a {failure.message[17:]}"
    assert reason in failure.message
    assert "a frame is lost" in failure.message
    # Everyone goes on, with a new instance.
    engine.push(frame(4, node="a"), frame(5, node="a", session="s2"))
    for token in (4, 5):
        (said,) = values(engine.result(token))
        assert said["count"] == 1
        assert said["pid"] != first
    assert lanes.counters()["remotemedia_worker_lost_total"] == 1


def test_lost_frames_are_counted_and_said_once(engine, isolated):
    lanes = isolated(nodes.Counter())
    first = pid_of(engine)
    engine.push(frame(2, nodes.BLOCK, node="a"), *(frame(n, node="a") for n in range(3, 8)))
    engine.push(frame(8, node="a", session="s2"))
    engine.result(8)
    os.kill(first, signal.SIGKILL)
    results = engine.results(range(2, 8))
    assert "was killed by SIGKILL; 6 frames are lost" in results[0].message
    assert results[1:] == [[]] * 5
    assert lanes.counters()["remotemedia_worker_lost_total"] == 6


def test_a_worker_that_keeps_dying_rests(engine, isolated, caplog):
    limits = Limits(deaths=3, backoff=0.01, rest=1000.0, tick=0.05)
    lanes = isolated(nodes.Counter(), limits)
    for token in (1, 2, 3):
        engine.push(frame(token, nodes.EXIT, node="a"))
        assert "exited with 3" in engine.result(token).message
    until(lambda: "and rests" in caplog.text, "it goes on")
    engine.push(frame(4, node="a"))
    assert "3 times in a row, and rests" in engine.result(4).message
    assert lanes.counters()["remotemedia_workers"] == 0


def test_many_sessions_through_kills(engine, isolated):
    lanes = isolated(nodes.Counter())
    pid = pid_of(engine, 0, session="first")
    token, sessions, tokens = 0, 40, []
    for round_ in range(30):
        for session in range(sessions):
            token += 1
            tokens.append(token)
            engine.push(frame(token, node="a", session=f"s{session}"))
        if round_ in (5, 15):
            engine.result(token - sessions)
            os.kill(pid, signal.SIGKILL)
            pid = pid_after_kill(engine, token)
    engine.results(tokens)
    results = list(engine.done.values())
    failures = [each for each in results if isinstance(each, FakeFailure)]
    assert failures
    assert results.count([]) + len(failures) == lanes.counters()["remotemedia_worker_lost_total"]
    assert all("SIGKILL" in each.message for each in failures)


def pid_after_kill(engine, token):
    """Push frames until one was worked on: others may be lost."""
    for each in range(token * 1_000_000, token * 1_000_000 + 1000):
        engine.push(frame(each, node="a", session="first"))
        result = engine.result(each)
        if isinstance(result, list) and result:
            return values(result)[0]["pid"]
    raise AssertionError("nothing comes back")


@pytest.mark.parametrize(("what", "said"), [("descriptors", "OSError"), ("memory", "Memory")])
def test_a_node_that_leaks_hurts_nobody(engine, isolated, what, said):
    isolated(nodes.Leaking(what))
    engine.push(frame(1, 1.0, node="a"), frame(2, node="a", session="s2"))
    assert said in engine.result(1).message
    assert values(engine.result(2)) == ["well"]
    engine.push(frame(3, node="a"))
    assert values(engine.result(3)) == ["well"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's way to choose")
def test_a_worker_goes_first_when_memory_is_short(engine, isolated):
    isolated(nodes.oom_score)
    engine.push(frame(1, node="a"))
    assert values(engine.result(1)) == [500]


def test_what_is_no_result_is_the_node_s_failure(engine, isolated):
    isolated(nodes.Set())
    engine.push(frame(1, node="a"), frame(2, node="a"))
    for token in (1, 2):
        assert "the result is a set" in engine.result(token).message


def test_a_hanging_coroutine_is_cancelled_when_its_session_ends(engine, isolated, tmp_path):
    path = tmp_path / "calls"
    lanes = isolated(nodes.Hanging(str(path)))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    until(lambda: path.exists() and "process" in path.read_text(), "it does not begin")
    lanes.end_session("s1")
    assert "cancelled" in engine.result(1).message
    assert engine.result(2) == []
    until(lambda: "cleanup" in path.read_text(), "no clean-up")
    assert path.read_text().split() == ["initialize", "process", "cancelled", "flush", "cleanup"]


def test_a_node_that_waits_delays_no_other_session(engine, isolated, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    isolated(nodes.Slow(str(pipe)))
    engine.push(frame(0, node="a"))
    engine.result(0)
    engine.push(*(frame(token, node="a", session=f"slow{token}") for token in range(1, 20)))
    engine.push(frame(100, node="a", session="quick"))
    assert values(engine.result(100)) == ["quick"]
    assert engine.done.keys() == {0, 100}
    with pipe.open("wb"):
        engine.results(range(1, 20))


def test_a_stuck_session_is_ended_by_stop(engine, isolated):
    limits = Limits(close=0.2, tick=0.05)
    lanes = isolated(nodes.Counter(), limits)
    pid = pid_of(engine)
    engine.push(frame(2, nodes.BLOCK, node="a"))
    pid_of(engine, 3, session="s2")
    assert not lanes.stop(timeout=0.05)
    assert "lost" in engine.result(2).message
    assert not psutil.pid_exists(pid)


def test_a_node_that_cannot_be_loaded_says_why(engine, isolated, caplog):
    isolated(nodes.Unloadable(os.getpid()), Limits(rest=1000.0, tick=0.05))
    engine.push(frame(1, node="a"))
    said = engine.result(1).message
    assert "could not load it: RuntimeError: not here, and rests" in said, "the first time"
    assert "in __init__" in caplog.text
    assert caplog.text.count("cannot be loaded in its process") == 1


def test_a_node_that_could_not_be_loaded_is_tried_again_after_a_rest(engine, isolated, tmp_path):
    isolated(nodes.Unloadable(os.getpid(), tmp_path / "now"), Limits(rest=0.2, tick=0.05))
    engine.push(frame(1, node="a"))
    assert "not here" in engine.result(1).message
    (tmp_path / "now").touch()

    def loaded():
        token = next(tokens)
        engine.push(frame(token, node="a"))
        return engine.result(token) == ["1"]

    tokens = itertools.count(2)
    until(loaded, "it was not tried again")


def test_what_cannot_be_taken_to_a_process_is_refused():
    @node(isolation="process")
    def inside(audio):
        return 1

    for made in (inside, nodes.NotPicklable(threading.Lock())):
        with pytest.raises(ParameterError, match="cannot run in a process") as caught:
            Pipeline(made).plan()
        assert caught.value.field == "nodes[0].isolation"


def test_a_node_of_a_file_runs_in_a_process(engine, isolated, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os\ndef mine(audio):\n    return {'pid': os.getpid(), 'name': __name__}\n"
    )
    isolated(PythonNode(entry=f"{tmp_path}/mine.py:mine", isolation="process"))
    engine.push(frame(1, node="a"))
    (said,) = values(engine.result(1))
    assert said["pid"] != os.getpid()
    assert said["name"].startswith("remotemedia_entry_mine")


def test_frames_that_wait_are_bounded(engine, isolated, monkeypatch):
    from remotemedia.workers import ledger

    monkeypatch.setattr(ledger, "MAX_WAITING", 10)
    lanes = isolated(nodes.Counter())
    pid_of(engine, 0)
    engine.push(*(frame(token, nodes.BLOCK, node="a") for token in range(1, 30)))
    dropped = engine.result(1 + ledger.STREAM_FRAMES)
    assert "10 frames wait" in dropped.message
    assert lanes.counters()["remotemedia_worker_dropped_total"] >= 1


PARENT = """
    import os, sys, threading
    sys.path.insert(0, {folder!r})
    from tests.fakes import FakeEngine, FakeFailure, frame
    from remotemedia import Node, Pipeline
    from remotemedia.lanes import Lanes
    from remotemedia.workers import Limits

    class Mine(Node):
        def __init__(self, how):
            super().__init__(isolation="process")
            self.how = how

        def process(self, audio):
            if self.how == "blocked" and audio[0]:
                threading.Event().wait()
            return os.getpid()

    class MineToo(Mine):
        async def process(self, audio):
            return os.getpid()

    if __name__ == "__main__":
        engine = FakeEngine()
        lanes = Lanes(engine, FakeFailure)
        made = Pipeline("pipeline")
        for name, each in dict(a=Mine(""), b=Mine("blocked"), c=MineToo("")).items():
            made.add_node(name, each)
        lanes.add(made.plan())
        lanes.start()
        engine.push(*(frame(n, node=name) for n, name in enumerate("abc")))
        pids = [engine.result(n)[0] for n in range(3)]
        engine.push(frame(3, 1.0, node="b"))
        print(*pids, flush=True)
        {then}
"""


def parent_of_workers(tmp_path, then):
    path = tmp_path / "program.py"
    folder = str(Path(__file__).parent.parent)
    path.write_text(textwrap.dedent(PARENT.format(folder=folder, then=then)))
    parent = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    line = parent.stdout.readline()
    return parent, [int(pid) for pid in line.split()]


def gone(pids):
    return not any(psutil.pid_exists(pid) for pid in pids)


def test_workers_die_with_a_killed_parent_and_know_its_main_program(tmp_path):
    parent, pids = parent_of_workers(tmp_path, "threading.Event().wait()")
    with parent:
        assert len(set(pids)) == 3
        assert not gone(pids)
        parent.kill()
    until(lambda: gone(pids), "workers outlive their parent")


def test_workers_die_with_a_parent_that_just_leaves(tmp_path):
    parent, pids = parent_of_workers(tmp_path, "sys.exit(0)")
    with parent:
        assert parent.wait(20) == 0
    until(lambda: gone(pids), "workers outlive their parent")


def test_the_pipe_alone_ends_a_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_TEST_MARK", "")
    reader, writer = os.pipe()
    program = (
        "import sys, threading; from remotemedia.workers.child import watch; "
        f"watch({reader}); print('watching', flush=True); threading.Event().wait()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], pass_fds=[reader], stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout.readline() == b"watching\n"
        os.close(writer)
        assert child.wait(20) == 1
    os.close(reader)


UNGUARDED = """
    import sys
    sys.path.insert(0, {folder!r})
    from tests.fakes import FakeEngine, FakeFailure, frame
    from remotemedia import Node, Pipeline
    from remotemedia.lanes import Lanes
    from remotemedia.workers import Limits

    class Mine(Node):
        def process(self, audio):
            return 1

    engine = FakeEngine()
    lanes = Lanes(engine, FakeFailure, Limits(deaths=1, rest=1000.0))
    lanes.add(Pipeline("pipeline").add_node("a", Mine(isolation="process")).plan())
    lanes.start()
    engine.push(frame(1, node="a"))
    print(engine.result(1).message)
    lanes.stop()
"""


def test_a_program_without_a_guard_is_told_so(tmp_path):
    path = tmp_path / "unguarded.py"
    path.write_text(textwrap.dedent(UNGUARDED.format(folder=str(Path(__file__).parent.parent))))
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert 'Put what it does behind `if __name__ == "__main__":`' in done.stdout


def test_what_a_node_prints_is_logged(engine, isolated, caplog):
    isolated(nodes.talkative)
    engine.push(frame(1, node="a"))
    assert engine.result(1) == []
    said = ["node a: to everybody", "node a: something is wrong"]
    until(lambda: [each.getMessage() for each in caplog.records] == said, "it is not logged")


def test_a_crash_is_logged_with_the_line_of_the_node(engine, isolated, caplog):
    isolated(nodes.talkative)
    engine.push(frame(1, 1.0, node="a"))
    assert "was killed by SIGSEGV" in engine.result(1).message
    said = [each.getMessage() for each in caplog.records]
    assert any("worker_nodes.py" in each and "in talkative" in each for each in said)


def test_a_value_that_is_no_audio_crosses(engine, isolated):
    isolated(nodes.tell)
    item = FakeItem(1, None, node="a")
    item.port, item.end, item.value = "in", False, {"any": ("thing", 1)}
    engine.push(item)
    assert values(engine.result(1)) == ["{'any': ('thing', 1)}"]


def test_a_run_uses_a_worker_too():
    result = Pipeline(nodes.double, nodes.Counter(3)).run(np.zeros(16_000, np.float32))
    counted = [event.data for event in result.events]
    assert [each["count"] for each in counted] == [3 * n for n in range(1, 51)]
    (pid,) = {each["pid"] for each in counted}
    assert pid != os.getpid()
    until(lambda: not psutil.pid_exists(pid), "the worker stays behind")


def test_a_run_goes_on_when_its_worker_is_killed():
    audio = np.zeros(16_000, np.float32)
    audio[6400] = nodes.KILL
    result = Pipeline(nodes.Counter()).run(audio)
    assert "was killed by SIGKILL" in str(result.events)
    assert result.events[-1].data["count"] < 50


@pytest.mark.parametrize("kind", [nodes.CannotBegin, nodes.CannotBeginLater])
def test_a_node_that_cannot_begin_ends_a_run_as_one_in_a_thread_does(kind):
    told = []
    for isolation in ("thread", "process"):
        with pytest.raises(
            NodeError, match="a: the node cannot begin: OSError: no model"
        ) as caught:
            Pipeline().add_node("a", kind(isolation=isolation)).run(np.zeros(16_000, np.float32))
        error = caught.value
        told.append((str(error), error.code, error.node, error.field, error.traceback))
    assert told[0] == told[1]
    assert 'raise OSError("no model")' in told[1][-1]


def test_a_node_that_cannot_be_loaded_ends_a_run(caplog):
    with pytest.raises(NodeError, match=r"a: the node cannot begin: .*not here") as caught:
        Pipeline().add_node("a", nodes.Unloadable(os.getpid())).run(np.zeros(320, np.float32))
    assert caught.value.node == "a"
    assert 'raise RuntimeError("not here")' in caught.value.traceback
    assert caplog.text.count("cannot be loaded in its process") == 1


def test_objects_and_ports_cross_too(engine):
    made = Pipeline("pipeline").add_node("a", nodes.Cut()).add_node("b", nodes.tell)
    made.connect("a.thing", "b")
    lanes = Lanes(engine, FakeFailure, QUICK, opaque=FakeOpaque)
    lanes.add(made.plan())
    lanes.start()
    engine.push(frame(1, 0.5, node="a"))
    one, thing, audio = engine.result(1)
    assert lanes.stop()
    assert (one, thing) == ("1", ("thing", FakeOpaque({3})))
    assert (audio[0], audio[1].tolist()) == ("thing", [0.5, 0.5])


@pytest.mark.parametrize("made", [nodes.Total(), nodes.TotalLater()])
def test_what_was_held_back_comes_at_the_end_of_a_run(made):
    result = Pipeline(made).run(np.zeros(16_000, np.float32))
    assert [event.data for event in result.events] == [{"samples": 16_000}]


def test_values_that_cannot_go_are_failures(engine, isolated):
    isolated(nodes.tell)
    item = FakeItem(1, None, node="a")
    item.value = threading.Lock()
    engine.push(item, frame(2, node="a"))
    assert "cannot be taken to the process of a" in engine.result(1).message
    assert values(engine.result(2))


def test_results_that_cannot_come_are_failures(engine):
    made = Pipeline("pipeline").add_node("a", nodes.Unpicklable()).add_node("b", nodes.tell)
    made.connect("a.thing", "b")
    lanes = Lanes(engine, FakeFailure, QUICK, opaque=FakeOpaque)
    lanes.add(made.plan())
    lanes.start()
    engine.push(frame(1, 0.5, node="a"), frame(2, node="a"))
    assert "cannot leave the process" in engine.result(1).message
    assert values(engine.result(2)) == ["well"]
    assert lanes.stop()


def test_a_worker_that_cannot_be_started_is_tried_again(engine, isolated, monkeypatch):
    from remotemedia.workers import process

    popen, tries = subprocess.Popen, []

    def sometimes(*args, **rest):
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no room")
        return popen(*args, **rest)

    monkeypatch.setattr(process.subprocess, "Popen", sometimes)
    isolated(nodes.where)
    engine.push(frame(1, node="a"))
    assert values(engine.result(1))[0]["pid"] != os.getpid()
    assert len(tries) == 3


@pytest.mark.parametrize("made", [nodes.Speaks, nodes.SpeaksLater])
def test_a_node_at_work_is_told_of_an_interrupt(engine, isolated, made):
    lanes = isolated(made())
    engine.push(frame(1, node="a"))

    def answered():
        lanes.interrupt("s1", 1)
        return 1 in engine.done

    until(answered, "it is not told")
    assert values(engine.result(1)) == ["stopped"]
