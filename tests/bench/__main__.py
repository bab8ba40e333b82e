"""Ours and aiortc at the same job, in one run: a table and a plot.

python -m tests.bench [--quick] [--output DIRECTORY]
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import harness
from tests.bench.harness import Load, LoadGenerator, Target
from tests.bench.plot import draw
from tests.support import opus

OURS_STREAMS = (10, 40, 100, 250, 350)
OURS_UNASKED_STREAMS = (250,)
AIORTC_STREAMS = {"energy": (10, 40), "silero": (10, 30)}
PIPELINES = {"energy": "mic-energy", "silero": "mic-vad"}
AIORTC_PORT = 18_090

Results = dict[tuple[str, str, str], list[Load]]
"""By server, VAD and packets."""


def measure(seconds: float, streams: tuple[int, ...]) -> Results:
    """Run everything."""
    results: Results = {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        program = harness.build_loadgen()
        loadgens = {
            bandwidth.name: LoadGenerator(
                program, harness.write_packets(folder / f"{bandwidth.name}.opus", bandwidth)
            )
            for bandwidth in (opus.WIDEBAND, opus.FULLBAND)
        }

        def run(server: AbstractContextManager[Target], vad: str, packets: str, count: int) -> Load:
            # A fresh server each time. Its first connection pays for what all share and is left
            # out of the memory of a session.
            with server as target:
                loadgens[packets].run(target, PIPELINES[vad], 1, 1.0)
                return loadgens[packets].run(target, PIPELINES[vad], count, seconds)

        for vad in PIPELINES:
            log = folder / f"{vad}.log"
            # Ours asks browsers for wideband, aiortc asks for nothing; each gets the other, too.
            for packets, counts in (
                (opus.WIDEBAND.name, streams),
                (opus.FULLBAND.name, OURS_UNASKED_STREAMS if streams == OURS_STREAMS else ()),
            ):
                results["ours", vad, packets] = [
                    run(harness.ours(log), vad, packets, count) for count in counts
                ]
            for packets, counts in (
                (opus.WIDEBAND.name, AIORTC_STREAMS[vad][-1:]),
                (opus.FULLBAND.name, AIORTC_STREAMS[vad]),
            ):
                results["aiortc", vad, packets] = [
                    run(harness.aiortc(vad, AIORTC_PORT), vad, packets, count) for count in counts
                ]
    return results


def table(results: Results) -> Table:
    """All figures, a row a run."""
    shown = Table(title="one server core, one load core, 20 ms Opus speech")
    for heading in (
        "server",
        "VAD",
        "packets",
        "streams",
        "CPU ms / stream-s",
        "latency p50 ms",
        "p99 ms",
        "set-up median ms",
        "p95 ms",
        "RSS KiB / session",
        "results / stream-s",
    ):
        shown.add_column(
            heading, justify="left" if heading in {"server", "VAD", "packets"} else "right"
        )
    for (server, vad, packets), loads in results.items():
        for load in loads:
            shown.add_row(
                server,
                vad,
                packets,
                f"{load.connected}/{load.streams}",
                f"{load.cpu_ms_per_stream_second:.2f}",
                f"{load.latency_p50_ms:.2f}",
                f"{load.latency_p99_ms:.2f}",
                f"{load.setup_median_ms:.1f}",
                f"{load.setup_p95_ms:.1f}",
                f"{load.rss_per_session_kib:.0f}",
                f"{load.results_per_stream_second:.1f}",
            )
        shown.add_section()
    return shown


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 streams, 3 seconds each")
    parser.add_argument("--output", type=Path, default=Path("tests/bench/output"))
    arguments = parser.parse_args()
    results = measure(3.0, (40,)) if arguments.quick else measure(10.0, OURS_STREAMS)
    console = Console(width=120)
    console.print(table(results))
    arguments.output.mkdir(parents=True, exist_ok=True)
    picture = arguments.output / "bench.svg"
    draw(results, picture)
    console.print(f"plot: {picture}")


if __name__ == "__main__":
    main()
