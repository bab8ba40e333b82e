"""Native sessions alone, and beside sessions whose Python node sleeps or burns the processor.

    python -m tests.bench.beside [--quick] [--vad energy|silero]

Both are in one server on one core, the load is on the other. What counts is the difference that
the neighbours make to the results of the native sessions.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.bench import harness
from tests.bench.harness import OFFER_INTERVAL_S, Load, LoadGenerator, Target
from tests.support import opus
from tests.support.server import PIPELINES, serving

NATIVE_STREAMS = 100
NATIVE = {"energy": "mic-energy", "silero": "mic-vad"}
ASKED_P99_MS = 2.0
ROUNDS = 3
CONNECTED_S = 0.5
"""After the last offer, until all native sessions run; neighbours come then."""
SETTLE_S = 1.0
"""By how much neighbours stay longer than is measured beside them."""

Found = dict[str, list[tuple[Load, float]]]
"""By kind of neighbours, for each round: the native sessions, and frames a second next door."""

NODES = """
import time


def sleep(audio):
    time.sleep(0.5)


def burn(audio):
    sum(range(1_000_000))  # one call, during which no other thread of Python gets its turn
"""


@dataclass(frozen=True)
class Kind:
    """Sessions of a node above."""

    streams: int
    name: str
    asked: str


KINDS = {
    "sleep": Kind(20, "20 whose `def` node sleeps 500 ms", f"p99 +{ASKED_P99_MS:g}"),
    "burn": Kind(5, "5 whose `def` node computes for 20 ms", "for information"),
}
MANIFEST = """
version: v1
metadata: {{name: {name}}}
nodes:
  - {{id: mine, node_type: PythonNode, params: {{entry: "nodes.py:{name}"}}}}
"""


@contextmanager
def server(folder: Path) -> Iterator[Target]:
    """Serve the native pipelines and the nodes above, on the server's core."""
    (folder / "nodes.py").write_text(NODES)
    manifests = [PIPELINES / f"{name}.yaml" for name in NATIVE.values()]
    for name in KINDS:
        manifests.append(folder / f"{name}.yaml")
        manifests[-1].write_text(MANIFEST.format(name=name))
    with harness.pinned(harness.SERVER_CORE):
        starting = serving(manifests, folder / "server.log")
        started = starting.__enter__()
    try:
        yield Target(started.url, started.process.pid)
    finally:
        starting.__exit__(None, None, None)


def answered(target: Target) -> float:
    """How many frames Python nodes have taken so far."""
    with urllib.request.urlopen(f"{target.url}/metrics", timeout=10) as answer:
        (line,) = re.findall(r"^remotemedia_lane_frames_total (\S+)$", answer.read().decode(), re.M)
    return float(line)


def beside(
    loadgen: LoadGenerator, target: Target, pipeline: str, kind: str, seconds: float
) -> tuple[Load, float]:
    """Measure native sessions, to which neighbours come before the measurement begins.

    Neighbours that keep the interpreter busy delay offers, which is not what is asked here.
    """
    native = loadgen.start(target, pipeline, NATIVE_STREAMS, seconds)
    others: subprocess.Popen[str] | None = None
    time.sleep(NATIVE_STREAMS * OFFER_INTERVAL_S + CONNECTED_S)
    if kind in KINDS:
        # They measure, too, and do so for as long as the others need after their own warm-up.
        others = loadgen.start(target, kind, KINDS[kind].streams, seconds + SETTLE_S)
    before, began = answered(target), time.monotonic()
    load = loadgen.finish(native, NATIVE_STREAMS)
    frames = (answered(target) - before) / (time.monotonic() - began)
    if others is not None:
        loadgen.finish(others, KINDS[kind].streams)
    return load, frames


def measure(vad: str, rounds: int, seconds: float) -> Found:
    """Measure the native sessions beside nobody and beside each kind of neighbours, in turns."""
    found: Found = {kind: [] for kind in ("nobody", *KINDS)}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        packets = harness.write_packets(folder / "speech.opus", opus.WIDEBAND)
        loadgen = LoadGenerator(harness.build_loadgen(), packets)
        with server(folder) as target:
            loadgen.run(target, NATIVE[vad], 1, 1.0)
            for _ in range(rounds):
                for kind, loads in found.items():
                    loads.append(beside(loadgen, target, NATIVE[vad], kind, seconds))
    return found


def table(vad: str, found: Found) -> Table:
    """Medians over the rounds, and what the neighbours make of them."""
    shown = Table(title=f"{NATIVE_STREAMS} native sessions ({vad}), medians of the rounds")
    for heading in ("beside", "their frames / s", "p50 ms", "p99 ms", "more than alone", "asked"):
        shown.add_column(heading, justify="left" if heading == "beside" else "right")

    def middle(kind: str) -> tuple[float, float, float]:
        return (
            median(frames for _, frames in found[kind]),
            median(load.latency_p50_ms for load, _ in found[kind]),
            median(load.latency_p99_ms for load, _ in found[kind]),
        )

    _, *alone = middle("nobody")
    shown.add_row("nobody", "", *(f"{value:.2f}" for value in alone))
    for name, kind in KINDS.items():
        frames, *latency = middle(name)
        more = [after - before for before, after in zip(alone, latency, strict=True)]
        shown.add_row(
            kind.name,
            f"{frames:.0f}",
            *(f"{value:.2f}" for value in latency),
            " / ".join(f"{value:+.2f}" for value in more),
            kind.asked,
        )
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 5 s")
    parser.add_argument("--vad", choices=NATIVE, action="append", help="one only")
    arguments = parser.parse_args()
    console = Console(width=120)
    rounds, seconds = (1, 5.0) if arguments.quick else (ROUNDS, 10.0)
    for vad in arguments.vad or NATIVE:
        console.print(table(vad, measure(vad, rounds, seconds)))


if __name__ == "__main__":
    main()
