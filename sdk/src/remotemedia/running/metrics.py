"""What a run took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from remotemedia.planning import Plan
    from remotemedia.running.choice import Choice
    from remotemedia.running.memory import Peak
    from remotemedia.twin.metrics import NodeMetrics as Times

PROBES = 256
"""How many times are taken to see what taking one costs."""


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
    times = 0
    for node in plan.resolved.nodes:
        found = dict(cast("Mapping[str, object]", backend.get(node.id, {})))
        if node.id in python:
            found = python[node.id].to_dict()
        made = empty(node.id)
        for name, kind in NodeMetrics.__annotations__.items():
            if name in found and kind is not None:
                made[name] = found[name]  # type: ignore[literal-required]
        inherent = node.id in plan.python
        made["runtime"] = "python" if inherent else choice.runtime
        made["fallbacks"] = 0 if inherent or choice.fallback is None else 1
        times += made["success_count"] + made["error_count"]
        nodes[node.id] = made
    return {
        "pipeline_id": plan.name,
        "total_duration_us": (ended - began) / 1e3,
        "peak_memory_bytes": peak.stop(),
        "metrics_overhead_us": _cost_of_a_time() * times + (perf_counter_ns() - ended) / 1e3,
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


def _cost_of_a_time() -> float:
    """Measure, in microseconds, what it costs to take the time of a frame and to count it."""
    from remotemedia.twin.metrics import NodeMetrics as Times

    times = Times("probe", enabled=True)
    began = perf_counter_ns()
    for _ in range(PROBES):
        start = perf_counter_ns()
        times.took(perf_counter_ns() - start)
    return (perf_counter_ns() - began) / 1e3 / PROBES
