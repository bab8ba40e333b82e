"""Memory stays where it is: over many runs, and over a file of hours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from remotemedia.files import AudioWriter

SEGMENT = """
version: v1
metadata: {name: segment}
nodes:
  - {id: vad, node_type: VADNode, params: {engine: energy, emit: events}}
"""
MANY_RUNS = """
import numpy as np, psutil
from remotemedia import Pipeline, node
from remotemedia.nodes.audio import AudioResampleNode, VADNode

@node
async def awaited(audio):
    return audio

@node
def peak(audio):
    return {"peak": float(abs(audio).max())}

pipeline = Pipeline("many", AudioResampleNode(output_rate=16_000), VADNode(engine="energy"))
pipeline.add(awaited).add(peak)
audio = np.random.default_rng(7).uniform(-0.1, 0.1, 2_400).astype(np.float32)
process = psutil.Process()
first = pipeline.run((audio, 48_000)).events
assert {"vad", "node"} == {each.type for each in first}
for turn in range(10_001):
    assert len(pipeline.run((audio, 48_000)).events) == len(first)
    if turn == 5_000:
        before = process.memory_info().rss
print(process.memory_info().rss - before)
"""
COMMAND_LINE = """
import atexit, runpy
from pathlib import Path

def say_peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

atexit.register(say_peak)
runpy.run_module("remotemedia", run_name="__main__", alter_sys=True)
"""
MINUTE = 60 * 16_000


@pytest.fixture(params=["native", "python"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run by the native runtime, and by the twin."""
    if request.param == "python":
        monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write files of five minutes and of three hours in which half of each minute is loud."""
    folder = tmp_path_factory.mktemp("talks")
    (folder / "segment.yaml").write_text(SEGMENT)
    minute = np.random.default_rng(7).uniform(-0.001, 0.001, MINUTE).astype(np.float32)
    minute[MINUTE // 2 :] = 0.25 * np.sin(np.arange(MINUTE // 2) / 8)
    for minutes in (5, 180):
        with AudioWriter(folder / f"{minutes}.flac", 16_000) as writer:
            for _ in range(minutes):
                writer.write(minute)
    return folder


@pytest.mark.usefixtures("backend")
def test_many_runs_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY_RUNS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 512 * 1024, "100 bytes a run"


def peak_kib(folder: Path, minutes: int) -> tuple[int, list[dict[str, Any]]]:
    """Run the command line over a file; give how much memory it took, and the lines written."""
    command = ["run", "segment.yaml", f"{minutes}.flac", "-o", f"{minutes}.jsonl"]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND_LINE, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = (folder / f"{minutes}.jsonl").read_text().splitlines()
    return int(done.stdout.split()[-1]), [json.loads(line) for line in lines]


@pytest.mark.usefixtures("backend")
def test_a_file_of_three_hours_takes_no_more_memory_than_one_of_minutes(
    talks: Path,
) -> None:
    short_kib, short = peak_kib(talks, 5)
    long_kib, long = peak_kib(talks, 180)
    kinds = [each["type"] for each in long]
    assert len(short) == 10
    assert kinds == ["speech_started", "speech_stopped"] * 180
    assert long[-1]["pts_ms"] == pytest.approx(180 * 60_000, abs=100)
    assert long_kib - short_kib < 4 * 1024
