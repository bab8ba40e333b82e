"""The demo page says what is going on, and goes on by itself where it can."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.browsers.conftest import Microphone
from tests.support.browser import Browser, browsing
from tests.support.server import Server, serving

STRANGE_NAME = "demo.test"


def test_after_a_restart_of_the_server_there_is_a_new_session(
    chromium: Browser, tmp_path: Path
) -> None:
    with serving(["mic-energy"], tmp_path / "first.log") as server:
        page = chromium.open(f"{server.url}/mic-energy")
        page.start()
        page.wait_results(10, "vad")
        first = page.session()["id"]
        server.process.kill()
        server.process.wait()
        killed_ms = chromium.now_ms()
    with serving(["mic-energy"], tmp_path / "second.log", port=server.port):
        restarted_ms = chromium.now_ms()
        live_ms = page.wait(f"__remotemedia.session().id !== {first!r}")
        page.wait_state("live")
        page.wait_results(10, "vad")
        second = page.session()
        page.stop()
    print(
        f"killed, {restarted_ms - killed_ms:.0f} ms later there again,"
        f" {live_ms - restarted_ms:.0f} ms later a new session"
    )
    assert second["isNew"]
    assert second["previousId"] == first
    assert {result["session"] for result in page.results()} == {second["id"]}
    assert "New session" in page.text("events")
    page.close()


def test_the_end_of_the_server_is_told_in_words(chromium: Browser, tmp_path: Path) -> None:
    with serving(["mic-energy"], tmp_path / "server.log") as server:
        page = chromium.open(f"{server.url}/mic-energy")
        page.start()
        page.wait_results(10, "vad")
        assert server.stop() == 0
        page.wait_text("events", "the server is shutting down")
        page.wait_text("notice", "It will be tried again by itself")
    page.close()


def test_an_unknown_pipeline_is_named_and_the_others_are_offered(
    server: Server, chromium: Browser
) -> None:
    page = chromium.open(f"{server.url}/nowhere")
    page.wait_state("failed")
    assert "nowhere" in page.text("notice-title")
    assert "mic-energy" in page.text("notice")
    page.close()


def test_a_refused_microphone_is_explained(server: Server) -> None:
    with browsing("chromium", denyMicrophone=True) as chromium:
        page = chromium.open(f"{server.url}/mic-energy")
        page.click("start")
        page.wait_state("failed")
        assert "not allowed" in page.text("notice-title")
        assert "address bar" in page.text("notice")
    assert server.sessions() == []


def test_a_page_that_is_not_secure_says_how_to_make_it_so(
    tmp_path: Path, microphone: Microphone
) -> None:
    config = tmp_path / "server.yaml"
    config.write_text(f"allowed_hosts: [{STRANGE_NAME}]\n")
    with (
        serving(["mic-energy"], tmp_path / "server.log", "--config", str(config)) as server,
        browsing("chromium", wav=str(microphone.wav), hosts=[STRANGE_NAME]) as chromium,
    ):
        page = chromium.open(f"http://{STRANGE_NAME}:{server.port}/mic-energy")
        page.wait("!document.querySelector('[data-testid=start]').disabled")
        assert "--tls" in page.text("notice")
        page.click("start")
        page.wait_state("failed")
        assert "--tls" in page.text("notice")
