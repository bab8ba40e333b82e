"""Resampler and Silero beside soxr, PyAV and onnxruntime, taking turns on one core.

python -m tests.bench.dsp

Each figure is the fastest of several rounds. Ours is called from Rust, the others from Python with
frames of 20 ms; what they take within one long call, where calling costs nothing, stands beside.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray
from remotemedia.frames import Samples
from remotemedia.twin import silero
from rich.console import Console
from rich.table import Table

from tests.bench.harness import SERVER_CORE, pinned
from tests.support.server import ROOT

GIVEN, WANTED = 48_000, 16_000
FRAME = GIVEN // 50
LONG_FRAMES = 500
ROUNDS = 10
BURSTS, BURST_S = 40, 1e-3

Measured = Mapping[str, float]
"""Microseconds by what was measured."""


@dataclass
class Ours:
    """The benchmark of the crate, which answers questions."""

    process: subprocess.Popen[str]

    def least(self, question: str) -> float:
        """Microseconds of what `question` names."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the benchmark ended at {question!r}")
        return float(answer)


@contextmanager
def ours() -> Iterator[Ours]:
    """Build and start it."""
    command = ["cargo", "bench", "--no-run", "--locked", "--quiet", "-p", "remotemedia-dsp"]
    where = ["--manifest-path", str(ROOT / "runtime/Cargo.toml"), "--message-format=json"]
    built = subprocess.run([*command, *where], check=True, stdout=subprocess.PIPE, text=True)
    messages = map(json.loads, built.stdout.splitlines())
    [program] = [
        each["executable"]
        for each in messages
        if each["reason"] == "compiler-artifact" and "bench" in each["target"]["kind"]
    ]
    with subprocess.Popen(
        [program, "--answer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Ours(process)
        assert process.stdin is not None
        process.stdin.close()


def least(call: Callable[[], object]) -> float:
    """Microseconds of the fastest calls, in bursts that are long enough for the clock."""
    began = time.perf_counter()
    call()
    calls = max(1, int(BURST_S / (time.perf_counter() - began)))
    times = []
    for _ in range(BURSTS):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - began) / calls)
    return min(times) * 1e6


def noise(count: int) -> Samples:
    """Quiet noise."""
    return (np.random.default_rng(1).standard_normal(count) * 0.1).astype(np.float32)


def by_soxr(samples: Samples) -> Callable[[], object]:
    """Resample by soxr at HQ."""
    stream = soxr.ResampleStream(GIVEN, WANTED, 1, dtype="float32", quality="HQ")
    return lambda: stream.resample_chunk(samples)


def by_av(samples: Samples) -> Callable[[], object]:
    """Resample by PyAV as it comes: swresample with its own settings."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=WANTED)
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.time_base = GIVEN, Fraction(1, GIVEN)
    return lambda: resampler.resample(frame)


def by_onnxruntime() -> Callable[[], object]:
    """Silero by onnxruntime on one thread."""
    session = silero.session()
    inputs: dict[str, NDArray[np.generic]] = {
        "input": noise(silero.CONTEXT + silero.WINDOW)[None],
        "state": np.zeros((2, 1, 128), np.float32),
        "sr": np.array(WANTED, np.int64),
    }
    return lambda: session.run(None, inputs)


@dataclass
class Contest:
    """Who takes turns, and the fastest of each."""

    turns: dict[str, tuple[Callable[[], float], int]] = field(default_factory=dict)

    def ask(self, ours: Ours, question: str) -> None:
        """Have one of ours take part."""
        self.turns[question] = (lambda: ours.least(question), 1)

    def call(self, name: str, call: Callable[[], object], frames: int = 1) -> None:
        """Have another take part: a call is so many frames."""
        self.turns[name] = (lambda: least(call), frames)

    def run(self) -> Measured:
        """Take turns; give microseconds a frame."""
        best = dict.fromkeys(self.turns, float("inf"))
        for _ in range(ROUNDS):
            for name, (turn, frames) in self.turns.items():
                best[name] = min(best[name], turn() / frames)
        return best


def measure() -> Measured:
    """Measure everything on one core."""
    with pinned(SERVER_CORE), ours() as answering:
        contest = Contest()
        for quality in ("low", "medium", "high"):
            contest.ask(answering, f"resample {quality}")
        for name, make in (("soxr HQ", by_soxr), ("PyAV", by_av)):
            contest.call(name, make(noise(FRAME)))
            contest.call(f"{name}, long", make(noise(FRAME * LONG_FRAMES)), LONG_FRAMES)
        for isa in ("detected", "avx2", "baseline"):
            contest.ask(answering, f"silero {isa} 1")
            contest.ask(answering, f"silero {isa} 16")
        contest.call("onnxruntime", by_onnxruntime())
        return contest.run()


RESAMPLERS = (
    ("ours, high", "resample high", "2 x soxr, 4 x PyAV"),
    ("ours, medium", "resample medium", "3 x soxr, 4 x PyAV"),
    ("ours, low", "resample low", ""),
    ("soxr HQ, called with 20 ms", "soxr HQ", ""),
    ("soxr HQ, within one call", "soxr HQ, long", ""),
    ("PyAV, called with 20 ms", "PyAV", ""),
    ("PyAV, within one call", "PyAV, long", ""),
)
MODELS = (
    ("ours, widest instructions, one stream", "silero detected 1", "<= 15"),
    ("the same, a window in a batch of 16", "silero detected 16", "<= 10"),
    ("ours, AVX2, one stream", "silero avx2 1", "<= 15"),
    ("the same, a window in a batch of 16", "silero avx2 16", "<= 10"),
    ("ours without AVX, one stream", "silero baseline 1", "<= 40"),
    ("onnxruntime, one thread, one stream", "onnxruntime", ""),
)


def main() -> None:
    """Measure and print."""
    best = measure()
    resampling = Table(
        "20 ms from 48 to 16 kHz", "us", "x soxr HQ", "within a call", "x PyAV", "within a call",
        "asked", title="Resampling",
    )  # fmt: skip
    for what, name, asked in RESAMPLERS:
        against = ("soxr HQ", "soxr HQ, long", "PyAV", "PyAV, long")
        factors = [f"{best[other] / best[name]:.1f}" if asked else "" for other in against]
        resampling.add_row(what, f"{best[name]:.2f}", *factors, asked)
    judging = Table("a window of 32 ms", "us", "x onnxruntime", "asked", title="Silero")
    for what, name, asked in MODELS:
        factor = best["onnxruntime"] / best[name]
        judging.add_row(what, f"{best[name]:.1f}", f"{factor:.1f}", asked)
    console = Console(width=110)
    console.print(resampling)
    console.print(judging)


if __name__ == "__main__":
    main()
