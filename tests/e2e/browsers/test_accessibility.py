"""Contrast, names, roles and order, as axe sees them, in light and dark."""

from __future__ import annotations

import pytest

from tests.support.browser import Browser
from tests.support.server import Server

PHONE = {"width": 360, "height": 740}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE])
def test_no_rule_is_broken(
    server: Server, chromium: Browser, dark: bool, viewport: dict[str, int]
) -> None:
    page = chromium.open(f"{server.url}/mic-python", dark=dark, viewport=viewport)
    page.wait("!document.querySelector('[data-testid=start]').disabled")
    assert page.accessibility_faults() == []
    page.start()
    page.wait_results(1, "speech_started")
    page.wait_results(1, "node")
    assert page.accessibility_faults() == []
    page.click("figure-latency")
    assert page.accessibility_faults() == []
    page.press("Escape")
    page.stop()
    assert page.accessibility_faults() == []
    page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_no_rule_is_broken_by_a_failure(server: Server, chromium: Browser, dark: bool) -> None:
    page = chromium.open(f"{server.url}/nowhere", dark=dark)
    page.wait_state("failed")
    assert page.accessibility_faults() == []
    page.close()


def test_nothing_is_wider_than_a_phone(server: Server, chromium: Browser) -> None:
    page = chromium.open(f"{server.url}/mic-python", viewport=PHONE)
    page.start()
    page.wait_results(50, "vad")
    width: int = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    page.click("figure-latency")
    assert page.evaluate(
        "(({ right, left }) => left >= 0 && right <= innerWidth)"
        "(document.querySelector('[data-testid=details]').getBoundingClientRect())"
    )
    page.press("Escape")
    page.stop()
    page.close()
