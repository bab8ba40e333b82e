"""What a run took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from time import perf_counter_ns
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np

if TYPE_CHECKING:
    from remotemedia.planning import Plan
    from remotemedia.running.backend import Backend
    from remotemedia.running.choice import Choice
    from remotemedia.running.memory import Peak
    from remotemedia.twin.metrics import NodeMetrics as Times

PROBES = 3
"""How often a runtime is tried to see what measuring costs; the fastest counts."""
PROBE_FRAMES = 100
"""Frames of each try."""
_FRAME = 320
_AUDIO = {"type": "audio", "rate": 16_000, "channels": 1}
_PROBE = json.dumps(
    {
        "version": "resolved/1",
        "name": "probe",
        "sources": [{"id": "input", "format": _AUDIO}],
        "nodes": [
            {
                "id": "probe",
                "kind": "pass_through",
                "runtime": "native",
                "params": {},
                "inputs": [{"port": "in", "format": _AUDIO}],
                "outputs": [{"port": "out", "format": _AUDIO}],
            }
        ],
        "edges": [
            {
                "from": {"node": "$source", "port": "input"},
                "to": {"node": "probe", "port": "in"},
            }
        ],
    }
)


class NodeMetrics(TypedDict):
    """What one node took; times in microseconds."""

    node_id: str
    execution_time_us: float
    """All its frames together."""
    success_count: int
    error_count: int
    p50_us: float
    p95_us: float
    p99_us: float
    runtime: str
    """``native`` or ``python``."""
    fallbacks: int
    """1 where it ran in Python because the native runtime could not be used."""


class Metrics(TypedDict):
    """What a run took."""

    pipeline_id: str
    total_duration_us: float
    peak_memory_bytes: int
    """The most by which the process grew while it ran."""
    metrics_overhead_us: float
    """What measuring itself took."""
    node_metrics: dict[str, NodeMetrics]


def measured(
    plan: Plan,
    choice: Choice,
    backend: Mapping[str, object],
    python: Mapping[str, Times],
    began: int,
    peak: Peak,
) -> Metrics:
    """Put figures together.

    Args:
        plan: what ran.
        choice: by what.
        backend: what the runtime measured, by node.
        python: what was measured about Python nodes, by node.
        began: when the run began, in nanoseconds of the performance counter.
        peak: measures memory since then.
    """
    ended = perf_counter_ns()
    nodes: dict[str, NodeMetrics] = {}
    machine = own = 0
    for node in plan.resolved.nodes:
        found = dict(cast("Mapping[str, object]", backend.get(node.id, {})))
        if node.id in python:
            found = python[node.id].to_dict()
        made = empty(node.id)
        for name in NodeMetrics.__annotations__:
            if name in found:
                made[name] = found[name]  # type: ignore[literal-required]
        inherent = node.id in plan.python
        made["runtime"] = "python" if inherent else choice.runtime
        made["fallbacks"] = 0 if inherent or choice.fallback is None else 1
        frames = made["success_count"] + made["error_count"]
        machine, own = machine + frames * (not inherent), own + frames * inherent
        nodes[node.id] = made
    highest = peak.stop()
    overhead = peak.took_ns + perf_counter_ns() - ended
    return {
        "pipeline_id": plan.name,
        "total_duration_us": (ended - began) / 1e3,
        "peak_memory_bytes": highest,
        "metrics_overhead_us": overhead / 1e3
        + machine * cost_of_a_frame(choice.backend)
        + own * cost_of_a_time(),
        "node_metrics": nodes,
    }


def none(pipeline: str, nodes: Iterable[str]) -> Metrics:
    """Give the figures of a pipeline that has not run."""
    return {
        "pipeline_id": pipeline,
        "total_duration_us": 0.0,
        "peak_memory_bytes": 0,
        "metrics_overhead_us": 0.0,
        "node_metrics": {name: empty(name) for name in nodes},
    }


def empty(node_id: str) -> NodeMetrics:
    """Give the figures of a node that has done nothing."""
    return {
        "node_id": node_id,
        "execution_time_us": 0.0,
        "success_count": 0,
        "error_count": 0,
        "p50_us": 0.0,
        "p95_us": 0.0,
        "p99_us": 0.0,
        "runtime": "python",
        "fallbacks": 0,
    }


def cost_of_a_frame(backend: Backend) -> float:
    """Measure, in microseconds, what it costs a runtime to measure one frame of one node."""
    if backend not in _costs:
        tries = [(_time_of(backend, False), _time_of(backend, True)) for _ in range(PROBES)]
        without, measuring = map(min, zip(*tries, strict=True))
        _costs[backend] = max(measuring - without, 0) / 1e3 / PROBE_FRAMES
    return _costs[backend]


_costs: dict[Backend, float] = {}


def _time_of(backend: Backend, metrics: bool) -> int:
    run = backend.Run(_PROBE, metrics=metrics)
    audio = np.zeros(PROBE_FRAMES * _FRAME, np.float32)
    began = perf_counter_ns()
    run.push_audio("input", audio)
    return perf_counter_ns() - began


@cache
def cost_of_a_time() -> float:
    """Measure, in microseconds, what it costs to measure one frame of a Python node."""
    from remotemedia.twin.metrics import NodeMetrics as Times

    times = Times("probe", enabled=True)
    began = perf_counter_ns()
    for _ in range(PROBE_FRAMES):
        start = perf_counter_ns()
        times.took(perf_counter_ns() - start)
    return (perf_counter_ns() - began) / 1e3 / PROBE_FRAMES
