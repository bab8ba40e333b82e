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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import opus, speech
from tests.support.server import ROOT, serving

SERVER_CORE, LOAD_CORE = 0, 1
START_TIMEOUT_S = 30


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


def pin(core: int) -> None:
    """Bind the calling process to one core, where the machine has it."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {available[core % len(available)]})


def build_loadgen() -> Path:
    """Build the load generator in release mode and return its path."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "remotemedia-loadgen"]
    subprocess.run([*command, "--manifest-path", str(ROOT / "runtime/Cargo.toml")], check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "runtime" / "target"))
    return target / "release" / "remotemedia-loadgen"


def write_packets(path: Path) -> Path:
    """Opus packets of real speech: big-endian lengths of 16 bits, then the bytes."""
    packets = opus.encode(speech.load(speech.JFK, opus.RATE))
    path.write_bytes(b"".join(struct.pack(">H", len(p)) + p for p in packets))
    return path


def run_load(
    loadgen: Path, packets: Path, url: str, pipeline: str, pid: int, streams: int, seconds: float
) -> Load:
    """Put `streams` on the server at `url` and measure for `seconds`."""
    done = subprocess.run(
        [
            str(loadgen),
            *("--url", url, "--pipeline", pipeline, "--streams", str(streams)),
            *("--seconds", str(seconds), "--packets", str(packets), "--pid", str(pid)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: pin(LOAD_CORE),
    )
    report: dict[str, Any] = json.loads(done.stdout)
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
def ours(log: Path) -> Iterator[tuple[str, int]]:
    """Our server with both pipelines, on its core: its URL and process id."""
    before = os.sched_getaffinity(0)
    pin(SERVER_CORE)
    try:
        with serving(["mic-energy", "mic-vad"], log) as server:
            os.sched_setaffinity(0, before)
            yield server.url, server.process.pid
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def aiortc(vad: str, port: int) -> Iterator[tuple[str, int]]:
    """The aiortc server with one VAD, on its core: its URL and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.aiortc_server", "--vad", vad, "--port", str(port)],
        cwd=ROOT,
        preexec_fn=lambda: pin(SERVER_CORE),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_served(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the aiortc server at {url} did not start")
