"""What each node took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

SUB_BUCKETS = 32
"""Buckets for each doubling: a value is known to 1.6 %."""


@dataclass
class Histogram:
    """Log-linear: small values exactly, others by their leading bits."""

    counts: dict[int, int] = field(default_factory=dict)
    total: int = 0

    def add(self, value: int) -> None:
        """Count a value of 0 or more."""
        bucket = _bucket(value)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.total += 1

    def quantile(self, share: float) -> float:
        """Give the value below which this share of all lies; 0 without values."""
        rank, seen = share * self.total, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return _middle(bucket)
        return 0.0


@dataclass
class NodeMetrics:
    """One node's figures; times in nanoseconds."""

    node_id: str
    enabled: bool
    execution_ns: int = 0
    success_count: int = 0
    error_count: int = 0
    histogram: Histogram = field(default_factory=Histogram)

    def took(self, nanoseconds: int) -> None:
        """Count the time of one frame."""
        if self.enabled:
            self.execution_ns += nanoseconds
            self.histogram.add(nanoseconds)

    def to_dict(self) -> dict[str, object]:
        """Give it under the names that users see."""
        times = {
            f"p{share}_us": self.histogram.quantile(share / 100.0) / 1e3 for share in (50, 95, 99)
        }
        return {
            "node_id": self.node_id,
            "execution_time_us": self.execution_ns / 1e3,
            "success_count": self.success_count,
            "error_count": self.error_count,
            **times,
            "runtime": "python",
            "fallbacks": 0,
        }


def now_ns() -> int:
    """Read the clock that nodes are timed with."""
    return time.perf_counter_ns()


def _bucket(value: int) -> int:
    shift = max(value.bit_length() - SUB_BUCKETS.bit_length(), 0)
    return shift * SUB_BUCKETS + (value >> shift)


def _middle(bucket: int) -> float:
    shift = max(bucket // SUB_BUCKETS - 1, 0)
    low = (bucket - shift * SUB_BUCKETS) << shift
    return low + ((1 << shift) - 1) / 2.0
