"""`Pipeline.run` over a minute of speech, natively and by the Python twin, and how soon it begins.

python -m tests.bench.offline
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from remotemedia import Pipeline
from remotemedia.frames import Samples
from remotemedia.nodes.audio import AudioResampleNode, FormatConverterNode, VADNode
from remotemedia.runtime import SWITCH, unavailable
from rich.console import Console
from rich.table import Table

from tests.support import speech

SECONDS = 60
RATE = 48_000
NODES = 3
ROUNDS = 9
STARTS = 9
FIRST = """
import time
began = time.perf_counter()
import numpy as np
from remotemedia import Pipeline
from remotemedia.nodes.audio import VADNode
result = Pipeline(VADNode()).run(np.zeros(16000, np.float32))
assert result.events
print(time.perf_counter() - began)
"""
IMPORT = """
import time
began = time.perf_counter()
import remotemedia
print(time.perf_counter() - began)
"""


def pipeline(*, metrics: bool = False) -> Pipeline:
    """Resample, convert, detect: stereo at 48 kHz comes in."""
    return Pipeline(
        "bench",
        FormatConverterNode(output_channels=1),
        AudioResampleNode(output_rate=16_000, quality="high"),
        VADNode(engine="silero"),
        enable_metrics=metrics,
    )


@contextmanager
def runtime(name: str) -> Iterator[None]:
    """Run by the native runtime or by the twin."""
    before = os.environ.pop(SWITCH, None)
    if name == "twin":
        os.environ[SWITCH] = "0"
    try:
        yield
    finally:
        os.environ.pop(SWITCH, None)
        if before is not None:
            os.environ[SWITCH] = before


def audio() -> Samples:
    """Speech, again and again, in stereo."""
    mono = speech.load(speech.JFK, RATE)
    mono = np.resize(mono, SECONDS * RATE).astype(np.float32)
    return np.stack([mono, mono * np.float32(0.5)])


@dataclass(frozen=True)
class Took:
    """What a run took, in seconds: by the wall's clock, and of a processor."""

    wall: float
    cpu: float


def fastest(name: str, samples: Samples) -> tuple[Took, Took]:
    """Give the fastest of some runs, without metrics and with them."""
    ways = (pipeline(), pipeline(metrics=True))
    walls: list[list[float]] = [[], []]
    cpus: list[list[float]] = [[], []]
    with runtime(name):
        for made in ways:
            made.run((samples[:, :RATE], RATE))
        for _ in range(ROUNDS):
            for made, wall, cpu in zip(ways, walls, cpus, strict=True):
                began, spent = time.perf_counter(), time.process_time()
                made.run((samples, RATE))
                wall.append(time.perf_counter() - began)
                cpu.append(time.process_time() - spent)
    plain, measured = (Took(min(a), min(b)) for a, b in zip(walls, cpus, strict=True))
    return plain, measured


def cold(program: str, name: str) -> float:
    """Give the median of the seconds that a program measures in a process of its own.

    The modules are compiled before, as an installed package's are.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            SWITCH: "0" if name == "twin" else "1",
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": folder,
        }
        told = [
            float(
                subprocess.run(
                    [sys.executable, "-c", program],
                    env=environment,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(STARTS + 1)
        ]
    return statistics.median(told[1:])


def main() -> None:
    """Measure and print."""
    runtimes = ["twin"] if unavailable("Run")[0] is None else ["native", "twin"]
    samples = audio()
    table = Table(
        "runtime",
        "ms",
        "CPU ms",
        "x real time",
        "metrics, us a frame and node",
        "first result, cold ms",
        title=f"{SECONDS} s of stereo at {RATE} Hz: to mono, to 16 kHz (high), Silero",
    )
    taken = {}
    for name in runtimes:
        taken[name], measured = fastest(name, samples)
        table.add_row(
            name,
            f"{taken[name].wall * 1e3:.1f}",
            f"{taken[name].cpu * 1e3:.1f}",
            f"{SECONDS / taken[name].wall:,.0f}",
            f"{(measured.cpu - taken[name].cpu) * 1e6 / (SECONDS * 50 * NODES):.2f}",
            f"{cold(FIRST, name) * 1e3:.0f}",
        )
    console = Console(width=100)
    console.print(table)
    if len(taken) > 1:
        factor = taken["twin"].wall / taken["native"].wall
        console.print(f"native is {factor:.1f} times faster than the twin")
    console.print(f"import remotemedia: {cold(IMPORT, runtimes[0]) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
