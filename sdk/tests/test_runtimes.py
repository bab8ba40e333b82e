"""Which runtime a plan is for, and why."""

from __future__ import annotations

import sys

import pytest

from remotemedia import ManifestError, NotInThisVersion, Pipeline, RuntimeMissing, node
from remotemedia.nodes import AudioResampleNode, LevelMeterNode, PassThroughNode, TextNode, VADNode


@node
def plain(data):
    """Take what comes."""


@pytest.fixture
def native(monkeypatch, runtime):
    """A native module that can run pipelines."""
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setattr(runtime, "Run", object, raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", runtime)
    return runtime


@pytest.fixture
def absent(monkeypatch):
    """No native module."""
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", None)


def chosen(plan):
    return {name: choice.runtime for name, choice in plan.runtimes.items()}


def test_the_native_runtime_where_it_is_there(native):
    plan = Pipeline(VADNode(), plain, LevelMeterNode(runtime_hint="rust")).plan()
    assert (plan.machine.runtime, plan.machine.reason) == ("native", None)
    assert chosen(plan) == {"vad-1": "native", "plain-1": "python", "level-1": "native"}
    assert plan.runtimes["plain-1"].reason == "It is a Python node."
    assert not any(each.fallback for each in plan.runtimes.values())


def test_the_twin_where_it_is_not(absent):
    plan = Pipeline(VADNode(), plain).plan()
    assert plan.machine.runtime == "python"
    assert plan.machine.fallback
    assert "cannot be imported" in plan.machine.reason
    assert plan.runtimes["vad-1"] == plan.machine
    assert not plan.runtimes["plain-1"].fallback


def test_the_switch_is_read_at_every_plan(native, monkeypatch):
    made = Pipeline(VADNode())
    assert made.plan().machine.runtime == "native"
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    plan = made.plan()
    assert plan.machine.runtime == "python"
    assert "REMOTEMEDIA_USE_RUST=0" in plan.machine.reason
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "1")
    assert made.plan().machine.runtime == "native"


def test_a_hint_for_python_takes_the_others_along(native):
    plan = Pipeline(AudioResampleNode(output_rate=16000, runtime_hint="python"), VADNode()).plan()
    assert chosen(plan) == {"resample-1": "python", "vad-1": "python"}
    assert plan.runtimes["resample-1"].reason == "Its runtime_hint says so."
    assert '"resample-1"' in plan.runtimes["vad-1"].reason
    assert not plan.machine.fallback


def test_a_hint_for_rust_without_the_native_runtime(absent):
    with pytest.raises(RuntimeMissing) as caught:
        Pipeline(VADNode(), LevelMeterNode(runtime_hint="rust")).plan()
    assert caught.value.field == "nodes[1].runtime_hint"
    assert '"level-1" must run natively' in str(caught.value)


def test_both_hints_in_one_pipeline(native):
    nodes = [VADNode(runtime_hint="rust"), LevelMeterNode(runtime_hint="python")]
    with pytest.raises(ManifestError, match="must run natively and") as caught:
        Pipeline(nodes).plan()
    assert (caught.value.field, caught.value.code) == ("nodes[1].runtime_hint", "RM-1003")


def test_values_are_passed_on_in_python_alone(native):
    nodes = [PassThroughNode(runtime_hint="rust"), TextNode(operation="strip")]
    with pytest.raises(ManifestError, match="passes values on") as caught:
        Pipeline(nodes).plan()
    assert caught.value.field == "nodes[0].runtime_hint"


def test_the_runtime_may_be_settled(native, monkeypatch):
    made = Pipeline(VADNode())
    assert made.plan(native=False).machine.runtime == "python"
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    assert made.plan(native=True).machine.runtime == "native"
    with pytest.raises(NotInThisVersion) as caught:
        Pipeline(VADNode(runtime_hint="python")).plan(native=True)
    assert caught.value.field == "nodes[0].runtime_hint"
    with pytest.raises(RuntimeMissing):
        Pipeline(VADNode(runtime_hint="rust")).plan(native=False)


def test_what_runs_is_the_same_for_both(native):
    made = Pipeline(VADNode(), plain)
    assert made.plan(native=True).resolved == made.plan(native=False).resolved
