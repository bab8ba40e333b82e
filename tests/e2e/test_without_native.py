"""Served by aiortc and the Python twin, the same speech has the same segments as natively.

There the last packet of a track is never heard, as aiortc waits for the next: an end of speech may
be as much earlier.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import opus, silero, speech
from tests.support.browser import browsing
from tests.support.peers import Message, call_with_aiortc, call_with_libdatachannel
from tests.support.segments import Segment, distance_ms, merged, repeated, segments_of
from tests.support.server import Server, serving

PIPELINES = ("mic-vad", "mic-python")
WINDOW_MS = 32.0
JITTER_MS = 80.0
"""What aiortc's packets may come late by on a busy machine and be lost or bridged by silence."""
LEAST_SEGMENTS = 3
EDGE_MS = 150.0
SETTLED_MS = 600.0


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is told not to use the native module."""
    log = tmp_path_factory.mktemp("python") / "server.log"
    with serving(PIPELINES, log, native=False) as server:
        yield server
    told = log.read_text()
    assert "Traceback" not in told
    assert told.count("WARNING") == 1, told


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same natively."""
    with serving(PIPELINES, tmp_path_factory.mktemp("native") / "server.log") as server:
        yield server


def delays_of(messages: list[Message]) -> str:
    """Say how long results took from the arrival of their packet."""
    delays = sorted(each["latency_ms"] for each in messages if each["type"] == "vad")
    return f"p50 {delays[len(delays) // 2]:.1f} ms, p99 {delays[len(delays) * 99 // 100]:.1f} ms"


@pytest.mark.parametrize("pipeline", ["mic-vad", "mic-python"])
def test_a_python_peer_hears_the_same(
    python: Server, native: Server, tmp_path: Path, pipeline: str
) -> None:
    wav = speech.write_wav(tmp_path / "speech.wav", speech.utterances(opus.RATE), opus.RATE)
    with ThreadPoolExecutor() as at_once:
        calls = [
            at_once.submit(call_with_aiortc, f"{server.url}/{pipeline}", wav)
            for server in (python, native)
        ]
        ours, theirs = (call.result() for call in calls)
    assert_same(ours, theirs)
    assert {each["type"] for each in ours} == {each["type"] for each in theirs}


def test_another_stack_hears_the_same(python: Server, native: Server, tmp_path: Path) -> None:
    packets = opus.encode(speech.utterances(opus.RATE))

    def call(server: Server) -> list[Message]:
        folder = tmp_path / str(server.port)
        folder.mkdir()
        return call_with_libdatachannel(server.url, "mic-vad", packets, folder)

    with ThreadPoolExecutor() as at_once:
        ours, theirs = at_once.map(call, (python, native))
    assert_same(ours, theirs)


def assert_same(ours: list[Message], theirs: list[Message]) -> None:
    """Hold the segments of both servers together, and say how far they are apart."""
    mine, others = merged(segments_of(ours)), merged(segments_of(theirs))
    assert len(mine) == len(others) >= LEAST_SEGMENTS
    worst_ms = distance_ms(mine, others)
    print(f"edges differ by at most {worst_ms:.0f} ms")
    print(f"results: aiortc {delays_of(ours)}; native {delays_of(theirs)}")
    figures = [
        each["data"] for told in (ours, theirs) for each in told if each["type"] == "metrics"
    ]
    assert worst_ms <= JITTER_MS + WINDOW_MS, (mine, others, figures)
    assert {message["session"][:3] for message in ours if "session" in message} == {"s_p"}
    assert {message["session"][:3] for message in theirs if "session" in message} != {"s_p"}
    numbers = [message["seq"] for message in ours if "seq" in message]
    assert len(set(numbers)) == len(numbers)


def test_a_browser_hears_the_same(python: Server, tmp_path: Path) -> None:
    samples = speech.utterances(opus.RATE)
    wav = speech.write_wav(tmp_path / "mic.wav", samples, opus.RATE)
    period_ms = len(samples) / opus.RATE * 1000
    known = merged(silero.segments(speech.load(wav, 16_000)))
    with browsing("chromium", wav=str(wav)) as browser:
        page = browser.open(f"{python.url}/mic-vad", viewport={"width": 1280, "height": 900})
        page.start()
        page.wait_media_time(period_ms + SETTLED_MS)
        until_ms = max(result["pts_ms"] for result in page.results("vad")) - SETTLED_MS
        drawn = merged(page.segments())
        page.stop()
        errors = page.console_errors()
        page.close()
    found = [one for one in drawn if one.start_ms > EDGE_MS and one.end_ms < until_ms]
    assert_found(found, repeated(known, found, period_ms))
    assert errors == []


def assert_found(found: list[Segment], said: list[Segment]) -> None:
    """Hold what a page draws against what was said."""
    worst_ms = distance_ms(found, said)
    print(f"{len(found)} segments, edges within {worst_ms:.0f} ms")
    assert found
    assert worst_ms <= EDGE_MS
