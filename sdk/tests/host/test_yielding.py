"""Results of a frame one by one, in a session without the native module."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from remotemedia import Pipeline, node
from remotemedia.host.python.instance import Instance, Program
from remotemedia.nodes import LevelMeterNode
from remotemedia.twin.values import LaneData, LaneFailure


@node
def mine(audio):
    """Be worked on by the test."""


@pytest.fixture
def made():
    """Make one with three frames, all of which the node has."""
    plan = Pipeline("p", mine, LevelMeterNode(interval_ms=20)).plan(native=True)
    instance = Instance(Program.compile(plan.resolved.to_json()), itertools.count(1))
    instance.open_stream(0)
    push(instance, 3)
    return instance


@pytest.fixture
def works(made):
    return list(made.take_work(0))


def push(instance, count):
    for index in range(count):
        instance.push(0, 0, index * 20_000, index * 960, np.zeros((1, 320), np.float32))


def told(instance):
    return [output.message["data"] for _, output in instance.poll()]


def test_a_part_goes_at_once_and_its_frame_stays_under_way(made, works):
    made.give(0, works[1].token, [LaneData("a")])
    assert told(made) == ["a"]
    made.give(0, works[1].token, [LaneData("b"), LaneData("c")])
    assert (told(made), made.in_flight) == (["b", "c"], 3)
    made.complete(0, works[1].token, [LaneData("d")])
    assert (told(made), made.in_flight) == (["d"], 2)
    made.give(0, works[1].token, [LaneData("late")])
    assert told(made) == []


def test_audio_goes_on_to_the_next_node(made, works):
    for _ in range(2):
        made.give(0, works[0].token, [np.ones(320, np.float32)])
    assert [each["peak_dbfs"] for each in told(made)] == [0.0, 0.0]


def test_a_failure_after_a_part_is_told_once(made, works):
    made.give(0, works[0].token, [LaneData("a")])
    made.complete(0, works[0].token, LaneFailure("no", transient=True))
    first, error = told(made)
    assert (first, error["code"], made.stats.failures) == ("a", "RM-5001", 1)


def test_a_part_that_cannot_be_sent_on_fails_its_frame(made, works):
    made.give(0, works[0].token, [("nowhere", LaneData(1))])
    made.give(0, works[0].token, [LaneData("b")])
    made.complete(0, works[0].token, [LaneData("c")])
    (error,) = told(made)
    assert "nowhere" in error["message"]
    assert (made.stats.failures, made.in_flight) == (1, 2)


def test_parts_of_interrupted_frames_are_dropped_and_the_frame_counted_once(made, works):
    made.give(0, works[0].token, [LaneData("a")])
    assert made.interrupt() == 1
    for _ in range(3):
        made.give(0, works[0].token, [LaneData("b")])
    made.complete(0, works[0].token, [])
    assert (told(made), made.stats.interrupted) == (["a"], 1)
    push(made, 1)
    (work,) = made.take_work(0)
    assert (work.epoch, works[0].epoch) == (1, 0)
    made.give(0, work.token, [LaneData("c")])
    assert told(made) == ["c"]
