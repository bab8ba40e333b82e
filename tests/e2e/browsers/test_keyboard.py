"""Everything on the page can be done without a mouse, and the focus is seen."""

from __future__ import annotations

from tests.support.browser import Browser, Page
from tests.support.server import Server

MOST_STOPS = 30
"""Elements that Tab may pass before the wanted one; the page has fewer."""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until an element has the focus; each on the way must show it."""
    for _ in range(MOST_STOPS):
        page.press("Tab")
        focused, outline = page.evaluate(
            "(() => { const focused = document.activeElement;"
            " const style = getComputedStyle(focused);"
            " return [focused.dataset.testid ?? focused.tagName,"
            " style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth)]; })()"
        )
        if focused == "BODY":  # past the last: the browser's own controls come between
            continue
        assert outline >= 2, f"the focus is not seen on {focused}"
        if focused == name:
            return
    raise AssertionError(f"{name} is not reached by Tab: {page.describe()}")


def test_a_session_by_keyboard_alone(server: Server, chromium: Browser) -> None:
    page = chromium.open(f"{server.url}/mic-vad")
    page.wait("!document.querySelector('[data-testid=start]').disabled")
    tab_to(page, "start")
    page.press("Enter")
    page.wait_state("live")
    page.wait_results(30, "vad")

    tab_to(page, "timeline")
    page.press("ArrowLeft")
    page.wait("document.querySelector('[data-testid=timeline]').ariaValueNow === '-0.1'")
    page.press("Space")
    page.wait("document.querySelector('[data-testid=pause]').ariaPressed === 'true'")
    assert "probability" in page.evaluate(
        "document.querySelector('[data-testid=timeline]').getAttribute('aria-valuetext')"
    )
    page.press("Space")
    page.press("Escape")

    tab_to(page, "figure-latency")
    page.press("Enter")
    page.wait("document.querySelector('[data-testid=details]').open")
    assert "Session" in page.text("details")
    page.press("Escape")
    page.wait("!document.querySelector('[data-testid=details]').open")
    page.wait("document.activeElement.dataset.testid === 'figure-latency'")

    tab_to(page, "start")
    page.press("Enter")
    page.wait_state("ended")
    assert page.console_errors() == []
    page.close()
