"""Starts the servers and the load generator, each on a core of its own."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.support import opus, speech
from tests.support.server import ROOT, Server, serving

SERVER_CORE, LOAD_CORE = 0, 1
START_TIMEOUT_S = 30
OFFER_INTERVAL_S = 0.025
"""The load generator's, in its main.rs."""


@dataclass(frozen=True)
class Target:
    """A server to measure."""

    url: str
    pid: int


@dataclass(frozen=True)
class Load:
    """What one run of the load generator measured."""

    streams: int
    connected: int
    cpu_ms_per_stream_second: float
    latency_p50_ms: float
    latency_p99_ms: float
    setup_median_ms: float
    setup_p95_ms: float
    rss_per_session_kib: float
    results_per_stream_second: float
    foreign: int


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Bind this process, and those it starts meanwhile, to one core."""
    available = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(available)[core % len(available)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, available)


def build_loadgen(profile: Literal["release", "dev"] = "release") -> Path:
    """Build the load generator and return its path; tests share `dev` with those in Rust."""
    command = ["cargo", "build", "--profile", profile, "--locked", "--quiet"]
    package = ["-p", "remotemedia-loadgen", "--manifest-path", str(ROOT / "runtime/Cargo.toml")]
    subprocess.run([*command, *package], check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "runtime" / "target"))
    return target / ("debug" if profile == "dev" else profile) / "remotemedia-loadgen"


def write_packets(path: Path, bandwidth: opus.Bandwidth) -> Path:
    """Write packets of real speech as the load generator reads them."""
    return write_tracks(path, opus.encode(speech.load(speech.JFK, opus.RATE), bandwidth))


def write_tracks(path: Path, packets: Iterable[bytes]) -> Path:
    """Write packets as the load generator reads them: big-endian lengths of 16 bits, the bytes."""
    path.write_bytes(b"".join(struct.pack(">H", len(p)) + p for p in packets))
    return path


@dataclass(frozen=True)
class LoadGenerator:
    """The load generator with the packets that it sends."""

    program: Path
    packets: Path

    def run(self, server: Target, pipeline: str, streams: int, seconds: float) -> Load:
        """Put `streams` on the server and measure for `seconds`."""
        return self.finish(self.start(server, pipeline, streams, seconds), streams)

    def start(
        self, server: Target, pipeline: str, streams: int, seconds: float
    ) -> subprocess.Popen[str]:
        """Begin to do so."""
        command = [
            str(self.program),
            *("--url", server.url, "--pid", str(server.pid), "--pipeline", pipeline),
            *("--streams", str(streams), "--seconds", str(seconds)),
            *("--packets", str(self.packets)),
        ]
        with pinned(LOAD_CORE):
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def finish(self, process: subprocess.Popen[str], streams: int) -> Load:
        """Wait for what was measured."""
        report, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the load generator failed with {process.returncode}")
        return _load_of(json.loads(report), streams)


def _load_of(report: dict[str, Any], streams: int) -> Load:
    measured_s = report["measured_s"]
    return Load(
        streams=streams,
        connected=report["connected"],
        cpu_ms_per_stream_second=report["cpu_s"] * 1e3 / (streams * measured_s),
        latency_p50_ms=report["latency_p50_ms"],
        latency_p99_ms=report["latency_p99_ms"],
        setup_median_ms=report["setup_median_ms"],
        setup_p95_ms=report["setup_p95_ms"],
        rss_per_session_kib=(report["rss_after_kib"] - report["rss_before_kib"]) / streams,
        results_per_stream_second=report["results"] / (streams * measured_s),
        foreign=report["foreign"],
    )


@contextmanager
def our_server(log: Path) -> Iterator[Server]:
    """Our server with both pipelines, on its core."""
    with ExitStack() as stack:
        with pinned(SERVER_CORE):
            server = stack.enter_context(serving(["mic-energy", "mic-vad"], log))
        yield server


@contextmanager
def ours(log: Path) -> Iterator[Target]:
    """The same, as a target."""
    with our_server(log) as server:
        yield Target(server.url, server.process.pid)


@contextmanager
def aiortc(vad: str, port: int) -> Iterator[Target]:
    """The aiortc server with one VAD, on its core."""
    with pinned(SERVER_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.aiortc_server", "--vad", vad, "--port", str(port)],
            cwd=ROOT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_served(url, process)
        yield Target(url, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up:
        if _answers(url):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the aiortc server at {url} did not start")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
