"""Python nodes at work: order, isolation, life cycle, failures."""

from __future__ import annotations

import asyncio
import json
import threading

import numpy as np
import pytest

from remotemedia import AudioFrame, Node, Out, Pipeline, node
from remotemedia.lanes import Lanes, calling
from remotemedia.lanes import lanes as lanes_module
from remotemedia.lanes import registry as registry_module
from remotemedia.lanes.calling import MAX_YIELDED

from .fakes import FakeFailure, FakeOpaque, frame


def pipeline_of(*nodes):
    """Make a pipeline whose nodes are called a, b, c."""
    made = Pipeline("pipeline")
    for name, each in zip("abc", nodes, strict=False):
        made.add_node(name, each)
    return made


def values(results):
    return [json.loads(each) for each in results]


def test_a_function_answers_with_json(engine, lanes):
    @node
    def loud(audio):
        return {"peak": audio.max(), "samples": len(audio)}

    lanes(pipeline_of(loud))
    engine.push(frame(1, 0.5, node="a"))
    assert values(engine.result(1)) == [{"peak": 0.5, "samples": 320}]


def test_a_coroutine_answers_from_a_loop_of_its_own(engine, lanes):
    @node
    async def where(audio):
        await asyncio.sleep(0)
        return {"thread": threading.current_thread().name}

    lanes(pipeline_of(where))
    engine.push(frame(1, node="a"))
    assert values(engine.result(1)) == [{"thread": "remotemedia-lanes"}]


def test_the_session_says_where_the_frame_comes_from(engine, lanes):
    @node
    async def about(audio, session):
        return {
            name: getattr(session, name)
            for name in ("id", "participant", "stream", "pipeline", "node", "rate", "pts_ms", "seq")
        }

    lanes(pipeline_of(about))
    engine.push(frame(3, node="a"))
    assert values(engine.result(3)) == [
        {
            "id": "s1",
            "participant": "p1",
            "stream": "audio",
            "pipeline": "pipeline",
            "node": "a",
            "rate": 16000,
            "pts_ms": 60.0,
            "seq": 3,
        }
    ]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_frames_of_a_stream_keep_their_order(engine, lanes, asynchronous):
    seen = []
    if asynchronous:

        @node
        async def note(audio, session):
            await asyncio.sleep(0)
            seen.append(session.seq)
    else:

        @node
        def note(audio, session):
            seen.append(session.seq)

    lanes(pipeline_of(note))
    for start in range(0, 300, 10):
        engine.push(*(frame(token, node="a") for token in range(start, start + 10)))
    engine.results(range(300))
    assert seen == list(range(300))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_streams_share_no_state(engine, lanes, asynchronous):
    class Counter(Node):
        def __init__(self, step):
            super().__init__()
            self.count = 0
            self.step = step

        if asynchronous:

            async def process(self, audio):
                self.count += self.step
                return self.count
        else:

            def process(self, audio):
                self.count += self.step
                return self.count

    lanes(pipeline_of(Counter(2)))
    engine.push(frame(1, node="a", session="s1"), frame(2, node="a", session="s2"))
    engine.push(frame(3, node="a", session="s1", participant="p2"), frame(4, node="a"))
    assert [values(engine.result(token)) for token in (1, 2, 3, 4)] == [[2], [2], [2], [4]]


def test_a_blocked_function_delays_no_other(engine, lanes):
    release = threading.Event()

    @node
    def slow(audio):
        assert release.wait(10)

    @node
    def quick(audio):
        return "done"

    lanes(pipeline_of(slow, quick))
    engine.push(*(frame(token, node="a", session=f"s{token}") for token in range(20)))
    engine.push(frame(100, node="b"))
    assert values(engine.result(100)) == ["done"]
    assert engine.done.keys() == {100}
    release.set()
    engine.results(range(20))


def test_a_waiting_coroutine_delays_no_other_stream(engine, lanes):
    release = threading.Event()

    @node
    async def wait(audio, session):
        if session.id == "slow":
            await asyncio.to_thread(release.wait, 10)
        return session.id

    lanes(pipeline_of(wait))
    engine.push(frame(1, node="a", session="slow"), frame(2, node="a", session="quick"))
    assert values(engine.result(2)) == ["quick"]
    assert 1 not in engine.done
    release.set()
    assert values(engine.result(1)) == ["slow"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_generators_give_several_results(engine, lanes, asynchronous):
    if asynchronous:

        @node
        async def several(audio):
            yield {"first": 1}
            await asyncio.sleep(0)
            yield None
            yield [2, 3]
    else:

        @node
        def several(audio):
            yield {"first": 1}
            yield None
            yield [2, 3]

    lanes(pipeline_of(several))
    engine.push(frame(1, node="a"))
    assert values(engine.result(1)) == [{"first": 1}, 2, 3]


def test_endless_generators_are_stopped(engine, lanes, monkeypatch):
    monkeypatch.setattr(calling, "PACE_SECONDS", 0.0)

    @node
    def endless(audio):
        while True:
            yield 1

    @node
    async def endless_too(audio):
        while True:
            yield 1

    lanes(pipeline_of(endless, endless_too))
    engine.push(frame(1, node="a"), frame(2, node="b"))
    for token in (1, 2):
        assert f"at most {MAX_YIELDED} results" in engine.result(token).message
        assert len(engine.parts(token, MAX_YIELDED)) == MAX_YIELDED


def test_annotations_decide_what_a_node_is_given(engine, lanes):
    @node
    def whole(frame: AudioFrame):
        return [frame.rate, frame.channels, frame.duration_ms, frame.pts_ms, frame.seq]

    @node
    def pair(audio: tuple[np.ndarray, int]):
        return {"rate": audio[1], "samples": len(audio[0])}

    @node
    def unknown(audio: NotImported):  # noqa: F821
        return len(audio)

    lanes(pipeline_of(whole, pair, unknown))
    engine.push(frame(1, node="a"), frame(2, node="b"), frame(3, node="c"))
    assert values(engine.result(1)) == [16000, 1, 20.0, 20.0, 1]
    assert values(engine.result(2)) == [{"rate": 16000, "samples": 320}]
    assert values(engine.result(3)) == [320]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_life_of_an_instance(engine, lanes, asynchronous):
    calls = []
    ended = threading.Event()

    class Living(Node):
        def __init__(self):
            calls.append("made")
            super().__init__()

        if asynchronous:

            async def process(self, audio):
                calls.append("process")
        else:

            def process(self, audio):
                calls.append("process")

        async def initialize(self):
            await asyncio.sleep(0)
            calls.append("initialize")

        def flush(self):
            calls.append("flush")

        async def cleanup(self):
            calls.append("cleanup")
            ended.set()

    recipe = Living()
    running = lanes(pipeline_of(recipe))
    calls.clear()
    engine.push(frame(1, node="a"), frame(2, node="a"))
    engine.results([1, 2])
    assert calls == ["made", "initialize", "process", "process"]
    running.end_session("s1")
    assert ended.wait(10)
    assert calls[4:] == ["flush", "cleanup"]


def test_late_frames_of_an_ended_session_make_nothing_new(engine, lanes):
    calls = []
    entered, release = threading.Event(), threading.Event()

    class Living(Node):
        async def process(self, audio):
            calls.append("process")

        def cleanup(self):
            calls.append("cleanup")

    @node
    async def hold(audio):
        entered.set()
        release.wait(10)

    running = lanes(pipeline_of(Living(), hold))
    engine.push(frame(1, node="a"))
    engine.result(1)
    engine.push(frame(2, node="b", session="s2"))
    assert entered.wait(10)
    # While the loop is busy the session's last frame comes, and then its end.
    engine.push(frame(3, node="a"))
    running.end_session("s1")
    release.set()
    assert engine.result(3) == []
    assert running.stop()
    assert calls == ["process", "cleanup"]
    assert running.counters()["remotemedia_lane_late_total"] == 1


async def test_ended_sessions_are_forgotten_when_no_frame_waits(engine, lanes):
    running = lanes(pipeline_of(node(abs)))
    for number in range(3):
        running.end_session(f"s{number}")
    await running.ping()
    assert not running._ended


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failure_is_reported_with_its_traceback(engine, lanes, asynchronous, caplog):
    def divide(audio, session):
        if session.seq == 1:
            raise ZeroDivisionError("by nothing")
        return "fine"

    if asynchronous:

        @node
        async def failing(audio, session):
            return divide(audio, session)
    else:

        @node
        def failing(audio, session):
            return divide(audio, session)

    lanes(pipeline_of(failing))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    failure = engine.result(1)
    assert isinstance(failure, FakeFailure)
    assert failure.message == "ZeroDivisionError: by nothing"
    assert "in divide" in failure.traceback
    assert "remotemedia/lanes" not in failure.traceback
    assert values(engine.result(2)) == ["fine"]
    assert "node a failed" in caplog.text


@pytest.mark.parametrize("asynchronous", [False, True])
def test_even_exit_is_only_a_failure(engine, lanes, asynchronous):
    if asynchronous:

        @node
        async def leave(audio):
            raise SystemExit(3)
    else:

        @node
        def leave(audio):
            raise SystemExit(3)

    lanes(pipeline_of(leave))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    assert [each.message for each in engine.results([1, 2])] == ["SystemExit: 3"] * 2


def test_a_failing_initialize_is_tried_again_with_a_new_instance(engine, lanes):
    tries = []

    class Shy(Node):
        def initialize(self):
            tries.append(id(self))
            if len(tries) < 3:
                raise RuntimeError("not yet")

        def process(self, audio):
            return len(tries)

    lanes(pipeline_of(Shy()))
    for token in (1, 2, 3, 4):
        engine.push(frame(token, node="a"))
        engine.result(token)
    assert [each.message for each in engine.results([1, 2])] == ["RuntimeError: not yet"] * 2
    assert [values(each) for each in engine.results([3, 4])] == [[3], [3]]


def test_failing_clean_up_is_logged_and_harms_nothing(engine, lanes, caplog):
    class Messy(Node):
        def process(self, audio):
            return 1

        def flush(self):
            raise OSError("disk full")

        async def cleanup(self):
            raise OSError("disk gone")

    class MessyToo(Messy):
        async def process(self, audio):
            return 1

    running = lanes(pipeline_of(Messy(), MessyToo()))
    engine.push(frame(1, node="a"), frame(2, node="b"))
    engine.results([1, 2])
    assert running.stop()
    said = sorted(record.getMessage() for record in caplog.records)
    assert said == [f"{step} of {name} failed" for step in ("cleanup", "flush") for name in "ab"]


def test_a_plain_function_must_not_return_a_coroutine(engine, lanes):
    async def inner():
        return 1

    @node
    def forgot(audio):
        return inner()

    lanes(pipeline_of(forgot))
    engine.push(frame(1, node="a"))
    assert "make it `async def`" in engine.result(1).message


def test_an_unknown_node_is_a_failure(engine, lanes):
    @node
    def known(audio):
        return 1

    lanes(pipeline_of(known))
    engine.push(frame(1, node="b"))
    assert "no Python node b" in engine.result(1).message


def test_a_hanging_coroutine_is_cancelled_when_its_session_ends(engine, lanes, monkeypatch):
    monkeypatch.setattr(lanes_module, "END_GRACE_SECONDS", 0.0)
    started, cleaned = threading.Event(), threading.Event()

    class Hanging(Node):
        async def process(self, audio):
            started.set()
            await asyncio.Event().wait()

        def cleanup(self):
            cleaned.set()

    running = lanes(pipeline_of(Hanging()))
    engine.push(frame(1, node="a"), frame(2, node="a"))
    assert started.wait(10)
    running.end_session("s1")
    assert "cancelled" in engine.result(1).message
    assert engine.result(2) == []
    assert cleaned.wait(10)


def test_stop_does_not_wait_for_ever(engine, lanes, caplog):
    started, release = threading.Event(), threading.Event()

    @node
    def stuck(audio):
        started.set()
        release.wait(10)

    running = lanes(pipeline_of(stuck))
    engine.push(frame(1, node="a"))
    assert started.wait(10)
    assert not running.stop(timeout=0.05)
    assert "still busy: a" in caplog.text
    release.set()


def test_lanes_that_never_started_stop(engine):
    assert Lanes(engine, FakeFailure).stop()


def test_instances_of_a_session_are_bounded(engine, lanes, monkeypatch):
    monkeypatch.setattr(registry_module, "MAX_INSTANCES", 2)
    cleaned = threading.Event()

    class Counting(Node):
        def process(self, audio):
            return 1

        def cleanup(self):
            cleaned.set()

    running = lanes(pipeline_of(Counting()))
    for token in (1, 2, 3):
        engine.push(frame(token, node="a", participant=f"p{token}"))
        engine.result(token)
        asyncio.run(running.ping())
    assert cleaned.wait(10)
    assert running.counters()["remotemedia_lane_instances"] == 2
    assert running.counters()["remotemedia_lane_evicted_total"] == 1


def test_many_sessions_at_once_mix_nothing(engine, lanes):
    @node
    async def echo(audio, session):
        await asyncio.sleep(0)
        return [session.id, float(audio[0])]

    @node
    def echo_too(audio, session):
        return [session.id, float(audio[0])]

    lanes(pipeline_of(echo, echo_too))
    token = 0
    expected = {}
    for round_ in range(20):
        for number in range(100):
            for name in "ab":
                token += 1
                session = f"s{number}"
                value = float(round_ * 128 + number) / 4096
                expected[token] = [session, value]
                engine.push(frame(token, value, node=name, session=session))
    results = {number: values(engine.result(number)) for number in expected}
    assert results == expected


def test_counters_count(engine, lanes):
    @node
    def fail(audio):
        raise ValueError

    running = lanes(pipeline_of(fail))
    engine.push(frame(1, node="a"))
    assert engine.result(1).message == "ValueError"
    figures = running.counters()
    assert figures["remotemedia_lane_frames_total"] == 1
    assert figures["remotemedia_lane_failures_total"] == 1
    assert figures["remotemedia_lane_threads"] == 1


def test_several_outputs_and_objects_go_by_their_ports(engine):
    class Cut(Node):
        outputs = ("out", "words", "thing")

        def process(self, audio):
            return [1, Out("words", {"a": 1}), Out("thing", {3}), Out("words", audio[:2])]

    @node
    def taking(value):
        return 1

    made = Pipeline("pipeline").add_node("a", Cut()).add_node("b", taking)
    made.connect("a.thing", "b")
    lanes = Lanes(engine, FakeFailure, opaque=FakeOpaque)
    lanes.add(made.plan())
    lanes.start()
    engine.push(frame(1, 0.5, node="a"))
    one, words, thing, audio = engine.result(1)
    lanes.stop()
    assert (one, words, thing) == ("1", ("words", '{"a":1}'), ("thing", FakeOpaque({3})))
    assert (audio[0], audio[1].tolist()) == ("words", [0.5, 0.5])


def test_values_are_given_to_the_node(engine, lanes):
    @node
    def twice(value, session):
        return [value * 2, session.port]

    lanes(pipeline_of(twice))
    item = frame(1, node="a")
    item.samples, item.value, item.port = None, "ab", "in"
    engine.push(item)
    assert values(engine.result(1)) == ["abab", "in"]


def test_what_the_runtime_takes_is_made_at_once(engine):
    @node
    def several(audio):
        return [{"a": 1}, {"b": object()}] if audio[0] else {"c": 2}

    def data(value):
        if not isinstance(value, dict) or "b" in value:
            raise ValueError
        return ("data", value)

    lanes = Lanes(engine, FakeFailure, data=data)
    lanes.add(pipeline_of(several).plan())
    lanes.start()
    engine.push(frame(1, node="a"), frame(2, 0.5, node="a"))
    assert engine.result(1) == [("data", {"c": 2})]
    assert 'the result["b"] is a object' in engine.result(2).message
    lanes.stop()
