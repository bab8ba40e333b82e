"""A second page enters a running session by its link."""

from __future__ import annotations

from tests.support.browser import Browser
from tests.support.server import Server


def test_a_listener_sees_the_results_of_the_first(server: Server, chromium: Browser) -> None:
    speaker = chromium.open(f"{server.url}/mic-vad")
    speaker.start()
    listener = chromium.open(speaker.join_link())
    assert "invited" in listener.text("notice")
    listener.start()
    listener.wait("__remotemedia.segments().length >= 1")
    assert listener.session()["id"] == speaker.session()["id"]
    heard = listener.segments()[-1]
    assert heard in speaker.segments()
    own = {result["participant"] for result in speaker.results("vad")}
    assert {result["participant"] for result in listener.results("vad")} == own
    assert len(own) == 1
    listener.stop()
    speaker.wait_results(len(speaker.results()) + 50)  # the first goes on
    speaker.stop()
    assert speaker.console_errors() == listener.console_errors() == []
    for page in (speaker, listener):
        page.close()


def test_a_second_speaker_is_told_apart(server: Server, chromium: Browser) -> None:
    first = chromium.open(f"{server.url}/mic-energy")
    first.start()
    second = chromium.open(first.join_link())
    second.select("source", "microphone")
    second.start()
    for page in (first, second):
        page.wait("document.querySelectorAll('[data-testid=track] option').length === 2")
        page.wait(
            "new Set(__remotemedia.results().filter((r) => r.type === 'vad')"
            ".map((r) => r.participant)).size === 2"
        )
    assert second.session()["id"] == first.session()["id"]
    assert len(server.sessions()) == 1
    second.stop()
    first.stop()
    assert first.console_errors() == second.console_errors() == []
    for page in (first, second):
        page.close()
