"""Pipelines that send audio are heard, and the page lets it be turned down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.browsers.test_keyboard import tab_to
from tests.support.browser import Browser, Page, browsing
from tests.support.server import Server, serving_files

MANIFEST = """
version: v1
metadata: {name: echo, description: Says what it hears again}
nodes:
  - {id: mic, node_type: AudioSource, params: {rate: 48000}}
  - {id: vad, node_type: VADNode, params: {engine: energy}}
  - {id: out, node_type: AudioSink}
connections:
  - {from: mic, to: vad}
  - {from: mic, to: out}
"""
HUM = """
import numpy as np
from remotemedia import Node


class Hum(Node):
    \"\"\"Hums 660 Hz as long as it hears anything.\"\"\"

    def process(self, frame, session):
        count = len(frame)
        at = (session.seq * count + np.arange(count)) / session.rate
        return (0.3 * np.sin(2 * np.pi * 660 * at)).astype(np.float32)
"""
HUMMING = """
version: v1
metadata: {name: hum}
nodes:
  - {id: mic, node_type: AudioSource, params: {rate: 16000}}
  - {id: hum, node_type: PythonNode, params: {entry: "hum.py:Hum"}}
  - {id: out, node_type: AudioSink}
"""
PHONE = {"width": 360, "height": 740}
KEEP_CONSTRAINTS = """
const original = MediaDevices.prototype.getUserMedia;
MediaDevices.prototype.getUserMedia = function (constraints) {
  globalThis.constraints = constraints;
  return original.call(this, constraints);
};
undefined;
"""
LOUDEST = """
(async () => {
  const context = new AudioContext();
  const stream = document.querySelector("[data-testid=player]").srcObject;
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let loudest = 0;
  for (let i = 0; i < 100; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    analyser.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, ...samples.map(Math.abs));
  }
  await context.close();
  return loudest;
})()
"""


PITCH = """
(async () => {
  const context = new AudioContext();
  const stream = document.querySelector("[data-testid=player]").srcObject;
  const analyser = context.createAnalyser();
  analyser.fftSize = 16384;
  context.createMediaStreamSource(stream).connect(analyser);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  const pitch = bins.indexOf(Math.max(...bins)) * context.sampleRate / analyser.fftSize;
  await context.close();
  return pitch;
})()
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves a pipeline that sends back what it hears, and one that sends nothing."""
    folder = tmp_path_factory.mktemp("echo")
    with serving_files(folder, {"echo.yaml": MANIFEST}, "mic-vad") as server:
        yield server


def player(what: str) -> str:
    return f"document.querySelector('[data-testid=player]').{what}"


def start(page: Page) -> None:
    """Begin, and wait until something is played."""
    page.start()
    page.wait(player("currentTime > 1"))


def test_what_comes_back_is_heard(echo: Server, chromium: Browser) -> None:
    page = chromium.open(f"{echo.url}/echo")
    page.evaluate(KEEP_CONSTRAINTS)
    start(page)
    assert page.evaluate(LOUDEST) > 0.05
    assert page.evaluate("constraints.audio.echoCancellation") is True
    page.wait("!document.querySelector('[data-testid=sound]').hidden")
    page.click("figure-jitter")
    for figure in ("Sound, packets received", "Sound, jitter", "Sound, made up"):
        page.wait_text("details", figure)
    page.press("Escape")
    page.stop()
    assert page.evaluate(player("srcObject")) is None
    assert page.console_errors() == []
    page.close()


@pytest.fixture(scope="module")
def without_native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the same echo without the native module, and a node that hums."""
    files = {"echo.yaml": MANIFEST, "hum.py": HUM, "hum.yaml": HUMMING}
    with serving_files(tmp_path_factory.mktemp("aiortc"), files, native=False) as server:
        yield server


def test_what_aiortc_sends_is_what_was_made(without_native: Server, chromium: Browser) -> None:
    page = chromium.open(f"{without_native.url}/hum")
    start(page)
    assert page.evaluate(PITCH) == pytest.approx(660, abs=10)
    page.stop()
    page.close()


@pytest.mark.parametrize("served", ["echo", "without_native"])
def test_firefox_hears_it(served: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(served)
    with browsing("firefox") as firefox:
        page = firefox.open(f"{server.url}/echo")
        start(page)
        # Without an output device no AudioContext runs in Firefox, so its sound cannot be measured.
        page.click("figure-jitter")
        page.wait_text("details", "Sound, jitter")
        page.press("Escape")
        page.stop()
        assert page.console_errors() == []


@pytest.mark.parametrize("served", ["echo", "without_native"])
def test_speaker_and_listener_hear_it(
    served: str, request: pytest.FixtureRequest, chromium: Browser
) -> None:
    server: Server = request.getfixturevalue(served)
    speaker = chromium.open(f"{server.url}/echo")
    start(speaker)
    assert speaker.evaluate(LOUDEST) > 0.05
    listener = chromium.open(speaker.join_link())
    start(listener)
    assert listener.evaluate(LOUDEST) > 0.05
    for page in (listener, speaker):
        page.stop()
        assert page.console_errors() == []
        page.close()


def test_sound_by_keyboard(echo: Server, chromium: Browser) -> None:
    page = chromium.open(f"{echo.url}/echo")
    start(page)
    tab_to(page, "mute")
    page.press("Enter")
    page.wait(player("muted"))
    page.wait_text("mute", "Unmute")
    page.press("Tab")
    for _ in range(4):
        page.press("ArrowLeft")
    page.wait(f"Math.abs({player('volume')} - 0.8) < 0.01 && !{player('muted')}")
    assert page.evaluate("document.querySelector('[data-testid=volume]').ariaValueText") == "80 %"
    page.stop()
    page.close()


def test_only_pipelines_that_send_audio_have_sound(echo: Server, chromium: Browser) -> None:
    page = chromium.open(f"{echo.url}/mic-vad")
    page.evaluate(KEEP_CONSTRAINTS)
    hidden = "document.querySelector('[data-testid=sound]').hidden"
    page.start()
    page.wait_results(1, "vad")
    assert page.evaluate(hidden)
    assert page.evaluate("constraints.audio.echoCancellation") is False
    page.select("pipeline", "echo")
    page.wait(f"!{hidden}")
    page.wait(player("currentTime > 0.5"))
    page.select("pipeline", "mic-vad")
    page.wait(hidden)
    page.wait_state("live")
    page.wait(f"{player('srcObject')} === null")
    page.stop()
    page.close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE])
def test_no_rule_is_broken(
    echo: Server, chromium: Browser, dark: bool, viewport: dict[str, int]
) -> None:
    page = chromium.open(f"{echo.url}/echo", dark=dark, viewport=viewport)
    page.wait("!document.querySelector('[data-testid=start]').disabled")
    assert page.accessibility_faults() == []
    start(page)
    assert page.accessibility_faults() == []
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
    page.stop()
    page.close()
