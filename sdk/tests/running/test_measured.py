"""Metrics, and which runtime is chosen."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from remotemedia import Node, ParameterError, Pipeline, node
from remotemedia.nodes.audio import LevelMeterNode, PassThroughNode
from remotemedia.running import choice
from remotemedia.running.memory import Peak

KEYS = {
    "node_id",
    "execution_time_us",
    "success_count",
    "error_count",
    "p50_us",
    "p95_us",
    "p99_us",
    "runtime",
    "fallbacks",
}


@node
def odd(audio, session):
    if session.seq % 2 == 0:
        raise ValueError("even")
    return {"seq": session.seq}


def test_every_key_is_there(backend, noise):
    pipeline = Pipeline("m", enable_metrics=True).add_node("level", LevelMeterNode())
    before = pipeline.get_metrics()
    assert before["node_metrics"]["level"]["success_count"] == 0
    pipeline.add_node("odd", odd).run(noise(1.0))
    metrics = pipeline.get_metrics()
    assert metrics["pipeline_id"] == "m"
    assert metrics["total_duration_us"] > metrics["metrics_overhead_us"] > 0
    assert metrics["peak_memory_bytes"] >= 0
    level, odds = metrics["node_metrics"]["level"], metrics["node_metrics"]["odd"]
    assert set(level) == set(odds) == KEYS
    assert (level["success_count"], level["error_count"]) == (50, 0)
    assert (odds["success_count"], odds["error_count"]) == (25, 25)
    assert 0 < odds["p50_us"] <= odds["p95_us"] <= odds["p99_us"]
    assert odds["execution_time_us"] < metrics["total_duration_us"]
    assert (level["runtime"], odds["runtime"]) == (backend, "python")


def test_times_are_those_of_the_node(backend, noise):
    class Sleeper(Node):
        def process(self, audio):
            time.sleep(0.002)

    pipeline = Pipeline(Sleeper(), enable_metrics=True)
    pipeline.run(noise(0.2))
    (figures,) = pipeline.get_metrics()["node_metrics"].values()
    assert figures["p50_us"] >= 2000 * 0.97
    assert figures["execution_time_us"] >= 10 * 2000


def test_the_peak_is_this_runs(backend, noise):
    class Hoarder(Node):
        def __init__(self, mib=0):
            super().__init__()
            self.mib = mib

        def initialize(self):
            self.kept = np.ones(self.mib << 20, np.uint8)

        def process(self, audio):
            """Keep what is kept."""

        def cleanup(self):
            del self.kept

    small = Pipeline(Hoarder(), enable_metrics=True)
    small.run(noise(0.1))
    large = Pipeline(Hoarder(mib=64), enable_metrics=True)
    large.run(noise(0.1))
    small.run(noise(0.1))
    assert large.get_metrics()["peak_memory_bytes"] > 48 << 20
    assert small.get_metrics()["peak_memory_bytes"] < 32 << 20


def test_peaks_at_the_same_time_do_not_lose_each_other():
    outer, inner = Peak(), Peak()
    outer.start()
    kept = np.ones(64 << 20, np.uint8)
    del kept
    inner.start()
    assert inner.stop() < 32 << 20
    assert outer.stop() > 48 << 20


def test_without_measuring_there_is_nothing_to_get(noise):
    pipeline = Pipeline(PassThroughNode())
    pipeline.run(noise(0.1))
    with pytest.raises(ParameterError, match="enable_metrics=True"):
        pipeline.get_metrics()


def test_a_fallback_is_counted_with_its_reason(twin, noise):
    pipeline = Pipeline("f", PassThroughNode(), enable_metrics=True)
    before = choice.fallbacks().get("switched_off", 0)
    pipeline.run(noise(0.1))
    pipeline.run(noise(0.1))
    assert choice.fallbacks()["switched_off"] == before + 2
    assert choice.counters()['remotemedia_fallback_total{reason="switched_off"}'] == before + 2
    (figures,) = pipeline.get_metrics()["node_metrics"].values()
    assert (figures["runtime"], figures["fallbacks"]) == ("python", 1)


def test_the_switch_is_read_at_every_run(noise, monkeypatch):
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", None)
    before = choice.fallbacks()
    Pipeline(PassThroughNode()).run(noise(0.1))
    assert choice.fallbacks()["absent"] == before.get("absent", 0) + 1


def test_python_on_request_is_no_fallback(noise):
    before = choice.fallbacks()
    pipeline = Pipeline(PassThroughNode(runtime_hint="python"), enable_metrics=True)
    pipeline.run(noise(0.1))
    assert choice.fallbacks() == before
    (figures,) = pipeline.get_metrics()["node_metrics"].values()
    assert (figures["runtime"], figures["fallbacks"]) == ("python", 0)
