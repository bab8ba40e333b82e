"""A real server in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ROOT / "configs" / "pipelines"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


@dataclass
class Server:
    """A running `remotemedia serve`."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def port(self) -> int:
        """Where signaling listens."""
        return int(self.url.rpartition(":")[2])

    def get(self, path: str) -> Any:
        """GET `path` and parse the JSON of the answer."""
        context = ssl._create_unverified_context() if self.url.startswith("https") else None
        with urllib.request.urlopen(self.url + path, timeout=10, context=context) as answer:
            return json.load(answer)

    def sessions(self) -> list[dict[str, Any]]:
        """The running sessions with their statistics."""
        sessions: list[dict[str, Any]] = self.get("/api/sessions")["sessions"]
        return sessions

    def stop(self) -> int:
        """Ctrl-C, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def serving(
    pipelines: Sequence[str | Path], log: Path, *options: str, port: int = 0, native: bool = True
) -> Iterator[Server]:
    """Serve pipelines (names of configs/pipelines or paths) until the block ends.

    Options are those of the command line; port 0 takes a free one. With `native` false the native
    module is switched off.
    """
    paths = [p if isinstance(p, Path) else PIPELINES / f"{p}.yaml" for p in pipelines]
    command = [sys.executable, "-m", "remotemedia", "serve", *map(str, paths)]
    with log.open("w") as sink:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
            cwd=ROOT,
            env=os.environ | ({} if native else {"REMOTEMEDIA_USE_RUST": "0"}),
        )
    try:
        yield Server(_announced_url(process, log), process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def manifests(nodes: Mapping[str, str]) -> dict[str, str]:
    """Give the files of pipelines, of which there is everything below ``metadata`` by name."""
    head = "version: v1\nmetadata: {{name: {name}}}\n"
    return {f"{name}.yaml": head.format(name=name) + text for name, text in nodes.items()}


@contextmanager
def serving_files(
    folder: Path, files: Mapping[str, str], *more: str, native: bool = True, failing: bool = False
) -> Iterator[Server]:
    """Write files and serve the manifests among them, behind pipelines of configs/pipelines.

    Unless something is meant to be `failing`, the server may log no traceback.
    """
    for name, text in files.items():
        (folder / name).write_text(text)
    manifests = [folder / name for name in files if name.endswith(".yaml")]
    log = folder / "server.log"
    with serving([*more, *manifests], log, native=native) as server:
        yield server
    assert failing or "Traceback" not in log.read_text()


def _announced_url(process: subprocess.Popen[str], log: Path) -> str:
    """Read what the server prints until it names its address."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if match := re.search(r"https?://[\w.\[\]:-]+:\d+", line):
            return match.group()
    raise AssertionError(
        f"the server ended with {process.wait()} before it named its address:\n"
        f"{''.join(seen)}{log.read_text()}"
    )
