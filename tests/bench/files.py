"""`remotemedia run` over many files, one at a time and on all cores.

python -m tests.bench.files [native] [twin]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from remotemedia.cli.run import cores
from remotemedia.files import AudioReader, AudioWriter
from remotemedia.runtime import SWITCH, unavailable
from rich.console import Console
from rich.table import Table

from tests.support import speech

PIPELINE = Path(__file__).parents[2] / "configs" / "pipelines" / "segment.yaml"
KINDS = (".flac", ".mp3")
MINUTES = 5
FILES = {"native": 12, "twin": 4}
"""How many files each runtime is given, of each kind."""


@dataclass(frozen=True)
class Took:
    """Seconds: by the wall's clock, and of all processors."""

    wall: float
    cpu: float


def make(folder: Path, count: int) -> dict[str, list[Path]]:
    """Write speech of some minutes, in stereo at 44.1 kHz; the files of a kind are all alike."""
    with AudioReader(speech.JFK) as reader:
        rate, channels, blocks = reader.rate, reader.channels, list(reader.blocks())
        seconds = sum(block.shape[-1] for block in blocks) / rate
    made: dict[str, list[Path]] = {}
    for suffix in KINDS:
        made[suffix] = [folder / f"{number}{suffix}" for number in range(count)]
        first, *others = made[suffix]
        with AudioWriter(first, rate, channels) as writer:
            for _ in range(round(MINUTES * 60 / seconds)):
                for block in blocks:
                    writer.write(block)
        for other in others:
            other.hardlink_to(first)
    return made


def run(files: list[Path], jobs: int, runtime: str, cache: Path) -> Took:
    """Run the command. Its modules are compiled before, as an installed package's are."""
    environment = {
        **os.environ,
        SWITCH: "0" if runtime == "twin" else "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(cache),
    }
    line = [sys.executable, "-m", "remotemedia", "run", PIPELINE, *files, "--jobs", str(jobs)]
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        [*map(str, line), "-o", str(cache / "{stem}.jsonl")],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Took(time.perf_counter() - began, cpu)


def main() -> None:
    """Measure and print."""
    runtimes = sys.argv[1:] or [*FILES]
    if unavailable("Run")[0] is None:
        runtimes = ["twin"]
    many = cores()
    table = Table(
        *("runtime", "files", "s, one at a time", f"s, {many} jobs", "ratio"),
        *("x real time", "CPU s", "CPU s, several"),
        title=f"segment.yaml over files of {MINUTES} minutes, stereo at 44.1 kHz",
    )
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for runtime in runtimes:
            made = make(folder, FILES[runtime])
            run(made[KINDS[0]][:2], 2, runtime, folder)
            for suffix, files in made.items():
                with AudioReader(files[0]) as reader:
                    seconds = (reader.seconds or 0.0) * len(files)
                one, several = (run(files, jobs, runtime, folder) for jobs in (1, many))
                table.add_row(
                    runtime,
                    f"{len(files)} {suffix}",
                    f"{one.wall:.2f}",
                    f"{several.wall:.2f}",
                    f"{one.wall / several.wall:.2f}",
                    f"{seconds / several.wall:,.0f}",
                    f"{one.cpu:.1f}",
                    f"{several.cpu:.1f}",
                )
            for file in folder.glob("*.*"):
                if file.suffix in KINDS:
                    file.unlink()
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
