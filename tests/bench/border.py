"""What it costs to cross between Python and the native runtime, call by call.

python -m tests.bench.border

Each figure is the fastest of several rounds, per call, with the loop around it taken off.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from remotemedia.frames import Samples
from remotemedia_runtime import LaneData, LaneItem, Run, RunOutput
from rich.console import Console
from rich.table import Table

ROUNDS = 15
CALLS = 5_000
FRAME = 320
RATE = 16_000
MONO = {"type": "audio", "rate": RATE, "channels": 1}
ANY = {**MONO, "type": "any"}
PYTHON = {"entry": "none", "mailbox_frames": 50, "mailbox_ms": 1000}
VALUE = {"loud": 0.25, "words": ["one", "two"], "final": True}


@dataclass(frozen=True)
class Cost:
    """What one call takes."""

    what: str
    nanoseconds: float
    asked: float | None = None


def run_of(kind: str, form: object, params: object, *, outputs: bool) -> Run:
    """A run of one node behind one source."""
    port = {"format": form}
    node = {
        "id": "node",
        "kind": kind,
        "runtime": "python" if kind == "python" else "native",
        "params": params,
        "inputs": [{"port": "in", **port}],
        "outputs": [{"port": "out", **port}] if outputs else [],
    }
    edge = {"from": {"node": "$source", "port": "in"}, "to": {"node": "node", "port": "in"}}
    return Run(
        json.dumps(
            {
                "version": "resolved/1",
                "name": "border",
                "sources": [{"id": "in", **port}],
                "nodes": [node],
                "edges": [edge],
            }
        )
    )


def nothing() -> None:
    """What the loop is measured with."""


def each(call: Callable[[], object]) -> float:
    """Nanoseconds of one call."""

    def loop(call: Callable[[], object]) -> float:
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter_ns()
            for _ in itertools.repeat(None, CALLS):
                call()
            times.append(time.perf_counter_ns() - began)
        return min(times) / CALLS

    return loop(call) - loop(nothing)


def all_of(make: Callable[[], Sequence[object]], use: Callable[[], object]) -> float:
    """Nanoseconds of `use` for each of the things that `make` has prepared."""
    times = []
    for _ in range(ROUNDS):
        count = len(make())
        began = time.perf_counter_ns()
        use()
        times.append((time.perf_counter_ns() - began) / count)
    return min(times)


def calls(samples: Samples) -> list[Cost]:
    """Calls that come back at once."""
    passing = run_of("pass_through", MONO, {}, outputs=False)
    push, pending = passing.push_audio, passing.pending
    data = LaneData(VALUE)
    return [
        Cost("a call that only takes the run's lock", each(pending)),
        Cost("push_audio of 320 samples through a node", each(lambda: push("in", samples)), 250),
        Cost("a small dict to a value (LaneData)", each(lambda: LaneData(VALUE))),
        Cost("the same value to a dict", each(lambda: data.value)),
    ]


class Lane:
    """A run whose one node is in Python, with frames under way."""

    def __init__(self, samples: Samples) -> None:
        """Make the run."""
        self.run = run_of("python", ANY, PYTHON, outputs=True)
        self.samples = samples
        self.items: list[LaneItem] = []
        self.outputs: list[RunOutput] = []

    def take(self) -> Sequence[object]:
        """Have a second of frames to work on."""
        for _ in range(RATE // FRAME):
            self.run.push_audio("in", self.samples)
        self.items = self.run.take_work(RATE)
        return self.items

    def read(self) -> None:
        """Look at each frame's samples."""
        for item in self.items:
            _ = item.samples

    def result(self, result: Samples | LaneData) -> tuple[float, float]:
        """Nanoseconds for handing back and for polling a result."""
        handed: list[float] = []
        polled: list[float] = []
        for _ in range(ROUNDS):
            self.take()
            done = [(item.token, [result]) for item in self.items]
            began = time.perf_counter_ns()
            self.run.complete(done)
            middle = time.perf_counter_ns()
            self.outputs = self.run.poll()
            ended = time.perf_counter_ns()
            handed.append((middle - began) / len(done))
            polled.append((ended - middle) / len(done))
        return min(handed), min(polled)


def lanes(samples: Samples) -> list[Cost]:
    """Frames to Python nodes and back."""
    lane = Lane(samples)

    def fresh() -> Sequence[object]:
        lane.run.complete([(item.token, []) for item in lane.items])
        return lane.take()

    first = all_of(fresh, lane.read)
    again = all_of(lambda: lane.items, lane.read)
    lane.run.complete([(item.token, []) for item in lane.items])
    audio, audio_out = lane.result(samples)
    value, value_out = lane.result(LaneData(VALUE))
    return [
        Cost("a frame's samples as an array (one copy)", first),
        Cost("the same again", again),
        Cost("complete a frame with 320 samples (one copy)", audio),
        Cost("complete a frame with a value", value),
        Cost("poll audio (a view)", audio_out),
        Cost("poll a message, as a dict", value_out),
    ]


def main() -> None:
    """Measure and print."""
    samples = np.linspace(-1.0, 1.0, FRAME, dtype=np.float32)
    table = Table("what", "ns", "asked", title="Python to the native runtime and back")
    for cost in (*calls(samples), *lanes(samples)):
        asked = "" if cost.asked is None else f"<= {cost.asked:.0f}"
        table.add_row(cost.what, f"{cost.nanoseconds:.0f}", asked)
    Console(width=90).print(table)


if __name__ == "__main__":
    main()
