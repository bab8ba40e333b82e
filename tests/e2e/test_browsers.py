"""The demo page in real browsers, with a fake microphone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import silero, speech
from tests.support.browser import run_browser
from tests.support.segments import Segment, best_offset_ms
from tests.support.server import Server, serving

TOLERANCE_MS = 150.0


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone says, over and over: speech with long pauses."""
    samples = np.concatenate([speech.load(speech.PHONE, 48_000), speech.silence(1.5, 48_000)])
    return speech.write_wav(tmp_path_factory.mktemp("speech") / "mic.wav", samples, 48_000)


def known_segments(wav: Path) -> list[Segment]:
    """Where the speech is, by the reference model and the usual hysteresis.

    Written apart from the segmenter under test: runs of windows above 0.5, pauses shorter than
    100 ms filled, runs shorter than 250 ms dropped, 30 ms of padding.
    """
    probability = silero.probabilities(speech.load(wav, 16_000))
    runs: list[list[float]] = []
    for index, value in enumerate(probability):
        start_ms, end_ms = index * 32.0, (index + 1) * 32.0
        inside = bool(runs) and runs[-1][1] == start_ms
        if value >= 0.5 or (inside and value >= 0.35):
            if runs and start_ms - runs[-1][1] < 100.0:
                runs[-1][1] = end_ms
            else:
                runs.append([start_ms, end_ms])
    return [Segment(a - 30.0, b + 30.0) for a, b in runs if b - a >= 250.0]


def segments_in(report: dict[str, Any]) -> list[Segment]:
    return [Segment(s["startMs"], s["endMs"]) for s in report["segments"]]


def test_chromium_shows_speech_where_it_is(
    server: Server, microphone: Path, tmp_path: Path
) -> None:
    known = known_segments(microphone)
    assert len(known) >= 3
    period_ms = len(speech.load(microphone, 16_000)) / 16.0
    report = run_browser(
        {
            "browser": "chromium",
            "url": f"{server.url}/mic-vad",
            "wav": str(microphone),
            "segments": len(known) + 1,
            "results": 100,
            "screenshot": str(tmp_path / "chromium.png"),
        }
    )
    _, worst_ms = best_offset_ms(known, segments_in(report), period_ms)
    assert worst_ms <= TOLERANCE_MS
    assert report["consoleErrors"] == []
    assert (tmp_path / "chromium.png").stat().st_size > 10_000


def test_chromium_behind_mdns_names(server: Server, microphone: Path) -> None:
    report = run_browser(
        {
            "browser": "chromium",
            "url": f"{server.url}/mic-energy",
            "wav": str(microphone),
            "results": 100,
            "hideAddresses": True,
        }
    )
    assert report["consoleErrors"] == []


def test_firefox_gets_results(server: Server) -> None:
    report = run_browser(
        {"browser": "firefox", "url": f"{server.url}/mic-energy", "results": 100}
    )
    assert report["consoleErrors"] == []


def test_a_python_node_answers_on_the_page(server: Server, microphone: Path) -> None:
    report = run_browser(
        {
            "browser": "chromium",
            "url": f"{server.url}/mic-python",
            "wav": str(microphone),
            "segments": 1,
            "results": 100,
        }
    )
    assert any(message["type"] == "node" for message in report["results"])


def test_over_tls(microphone: Path, tmp_path: Path) -> None:
    with serving(["mic-energy"], tmp_path / "tls.log", "--tls") as server:
        assert server.url.startswith("https://")
        report = run_browser(
            {
                "browser": "chromium",
                "url": f"{server.url}/mic-energy",
                "wav": str(microphone),
                "results": 50,
                "ignoreCertificate": True,
            }
        )
    assert report["consoleErrors"] == []
