"""`/metrics`: what HTTP did, what the process uses, and what the host counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"})
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_NAME: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?", re.DOTALL)
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)', re.DOTALL)


class HttpMetrics:
    """The counters of one application, in a registry of its own."""

    def __init__(self, host_counters: Callable[[], Mapping[str, float]]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(HostCollector(host_counters))
        self._requests = Counter(
            "remotemedia_http_requests",
            "Answered requests.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "remotemedia_http_request_seconds",
            "Time to answer; streams left out.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.offers_in_flight = Gauge(
            "remotemedia_offers_in_flight", "Offers being answered.", registry=self.registry
        )
        self.offers = Counter(
            "remotemedia_offers",
            "Offers by outcome: answered, or the code of the error.",
            ["outcome"],
            registry=self.registry,
        )
        self.websockets = Gauge(
            "remotemedia_websockets", "Open WebSockets.", registry=self.registry
        )
        self.event_streams = Gauge(
            "remotemedia_event_streams", "Open event streams and polls.", registry=self.registry
        )

    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count an answered request; `route` is a pattern, so that labels stay few."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)


class HostCollector(Collector):
    """The host's counters as metrics: `..._total` are counters, others gauges."""

    def __init__(self, counters: Callable[[], Mapping[str, float]]) -> None:
        self._counters = counters

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known only when the host is asked."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Give the present values; a name that Prometheus would refuse is left out."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for key, value in sorted(self._counters().items()):
            match = _NAME.fullmatch(key)
            if match is None:
                continue
            name = match[1]
            labels = {label: _unescape(text) for label, text in _LABEL.findall(match[2] or "")}
            family = families.get(name)
            if family is None:
                counter = name.endswith("_total")
                kind = CounterMetricFamily if counter else GaugeMetricFamily
                family = families[name] = kind(name, "Counted by the runtime.")
            family.add_sample(name, labels, value)
        return families.values()


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text)
