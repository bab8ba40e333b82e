"""Data is typed into the page where a pipeline takes some, and no microphone is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, Page
from tests.support.server import Server, serving

PHONE = {"width": 360, "height": 740}
LISTEN = """
navigator.mediaDevices.getUserMedia = () => { globalThis.asked = true; throw new Error('no'); };
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The pipelines that take data alone, one that takes audio, and one that takes both."""
    log = tmp_path_factory.mktemp("data") / "server.log"
    with serving(["text", "calculator", "mic-energy", "mic-python"], log) as made:
        yield made


def send(page: Page, text: str) -> None:
    """Type something and press Enter."""
    page.type("data-text", text)
    page.press("Enter")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE])
def test_text_goes_there_and_results_come_back(
    server: Server, chromium: Browser, dark: bool, viewport: dict[str, int]
) -> None:
    page = chromium.open(f"{server.url}/text", dark=dark, viewport=viewport)
    page.wait("!document.querySelector('[data-testid=start]').disabled")
    page.evaluate(LISTEN)
    assert page.text("notice-title") == "Press Start and send something"
    assert page.evaluate("document.querySelector('[data-testid=send]').disabled")
    assert page.accessibility_faults() == []
    page.start()
    send(page, "hello")
    page.wait_results(2, "node")
    send(page, '{"text": "you"}')
    page.wait_results(4, "node")
    said = [result["data"] for result in page.results("node")]
    assert sorted(map(str, said)) == ["3", "5", "HELLO", "YOU"]
    page.wait_text("events", "HELLO")
    page.wait_text("events", "You sent")
    assert page.evaluate("document.querySelector('[data-testid=data-text]').value") == ""
    assert page.evaluate("document.activeElement.dataset.testid") == "data-text"
    assert not page.evaluate("globalThis.asked ?? false")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.accessibility_faults() == []
    page.stop()
    assert page.console_errors() == []
    page.close()


def test_what_is_refused_stays_in_the_field(server: Server, chromium: Browser) -> None:
    page = chromium.open(f"{server.url}/calculator")
    page.start()
    send(page, "x")
    page.wait_text("events", "a calculator takes numbers")
    page.evaluate("document.querySelector('[data-testid=data-text]').removeAttribute('maxlength')")
    page.evaluate(
        "document.querySelector('[data-testid=data-text]').value = 'x'.repeat(61500)",
    )
    page.click("send")
    page.wait_text("events", "more than 61440 bytes")
    page.wait("document.querySelector('[data-testid=data-text]').value.length === 61500")
    page.stop()
    page.close()


def test_the_field_is_there_where_data_is_taken(server: Server, chromium: Browser) -> None:
    page = chromium.open(f"{server.url}/mic-energy")
    page.wait("!document.querySelector('[data-testid=start]').disabled")
    field = "document.querySelector('[data-testid=data]')"
    source = "document.querySelector('[data-testid=source]')"
    assert page.evaluate(f"{field}.hidden")
    page.select("pipeline", "mic-python")
    assert not page.evaluate(f"{field}.hidden")
    assert not page.evaluate(f"{field}.open")
    assert page.evaluate(f"[...{source}.options].map(({{ value }}) => value)") == [
        "microphone",
        "file",
        "none",
    ]
    page.select("pipeline", "text")
    assert page.evaluate(f"{field}.open")
    assert page.evaluate(f"{source}.closest('label').hidden")
    page.select("pipeline", "mic-energy")
    assert page.evaluate(f"{field}.hidden")
    assert not page.evaluate(f"{source}.closest('label').hidden")
    page.close()
