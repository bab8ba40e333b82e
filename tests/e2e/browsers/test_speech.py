"""Speech into the microphone of a real browser comes out on its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.browsers.conftest import Microphone
from tests.support.browser import Browser, Page
from tests.support.segments import distance_ms, merged, repeated
from tests.support.server import Server

PIPELINES = ("mic-vad", "mic-level", "mic-python")
TOLERANCE_MS = 150.0
SETTLED_MS = 600.0
"""Speech that ended so long ago has been reported, and nothing will be merged with it."""
Pages = dict[str, Page]


@pytest.fixture(scope="module")
def pages(server: Server, chromium: Browser, microphone: Microphone) -> Iterator[Pages]:
    """Three pipelines at once, a page each, after everything has been said at least once."""
    screen = {"width": 1280, "height": 900}
    opened = {name: chromium.open(f"{server.url}/{name}", viewport=screen) for name in PIPELINES}
    for page in opened.values():
        page.start()
    for name, page in opened.items():
        print(f"{name}: {page.session()['setupMs']:.0f} ms from offer to open channel")
        page.wait_media_time(microphone.period_ms + SETTLED_MS)
    yield opened
    for page in opened.values():
        page.stop()
        page.close()


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_segments_are_where_the_speech_is(
    pages: Pages, microphone: Microphone, pipeline: str
) -> None:
    page = pages[pipeline]
    until_ms = max(result["pts_ms"] for result in page.results("vad")) - SETTLED_MS
    # The first may have lost its beginning.
    segments = merged(page.segments())
    found = [one for one in segments if one.start_ms > TOLERANCE_MS and one.end_ms < until_ms]
    said = repeated(merged(microphone.known), found, microphone.period_ms)
    inside = [
        one
        for one in said
        if one.start_ms > 2 * TOLERANCE_MS and one.end_ms < until_ms - TOLERANCE_MS
    ]
    print(f"{pipeline}: {len(found)} segments, edges within {distance_ms(found, said):.0f} ms")
    assert len(inside) >= 2
    assert distance_ms(found, said) <= TOLERANCE_MS
    assert distance_ms(inside, found) <= TOLERANCE_MS


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_there_is_no_console_error(pages: Pages, pipeline: str) -> None:
    assert pages[pipeline].console_errors() == []


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_results_are_of_the_own_session_alone(pages: Pages, pipeline: str) -> None:
    page = pages[pipeline]
    assert {result["session"] for result in page.results()} == {page.session()["id"]}


def test_the_page_shows_what_it_heard(pages: Pages, tmp_path: Path) -> None:
    page = pages["mic-vad"]
    events = page.text("events")
    assert "Speech started" in events
    assert "Speech stopped" in events
    assert page.text("state") == "Live"
    assert 0 <= float(page.text("read-probability")) <= 1
    page.wait("parseFloat(document.querySelector('[data-testid=figure-results] b').innerText) > 20")
    assert page.screenshot(tmp_path / "chromium.png").stat().st_size > 10_000


def test_the_level_is_measured_at_48_khz_and_speech_found_behind_the_resampler(
    pages: Pages, server: Server
) -> None:
    formats = {
        node["id"]: node["inputs"][0]["format"]["rate"]
        for node in server.get("/api/pipelines/mic-level")["resolved"]["nodes"]
    }
    assert formats == {"level": 48_000, "resample": 48_000, "vad": 16_000}
    page = pages["mic-level"]
    levels = page.results("level")
    assert np.ptp(np.diff([level["pts_ms"] for level in levels])) == 0  # each 50 ms, none missing
    windows = np.array([window["pts_ms"] for window in page.results("vad")])
    assert np.all(np.diff(windows) == 32.0)
    loudness = np.array([(level["pts_ms"], level["data"]["rms_dbfs"]) for level in levels])
    segment = max(page.segments(), key=lambda one: one.end_ms - one.start_ms)
    during = (loudness[:, 0] > segment.start_ms) & (loudness[:, 0] < segment.end_ms)
    after = (loudness[:, 0] > segment.end_ms + 100) & (loudness[:, 0] < segment.end_ms + 300)
    assert np.median(loudness[during, 1]) > np.median(loudness[after, 1]) + 20


def test_the_answers_of_a_python_node_are_on_the_page(pages: Pages) -> None:
    page = pages["mic-python"]
    answers = page.results("node")
    assert {answer["node"] for answer in answers} == {"loudness"}
    assert {answer["data"]["loud"] for answer in answers} == {True, False}
    assert "loudness" in page.text("events")
    assert "dbfs" in page.text("answers")
