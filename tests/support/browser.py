"""Real browsers with a fake microphone, driven through `support/browser.mjs`."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.segments import Segment

TESTS = Path(__file__).resolve().parents[1]
PATIENCE_S = 60.0
"""How long a condition on a page is waited for before the test fails."""
REPLY_TIMEOUT_S = 90.0
"""How long a command may take altogether; then the browser is stuck."""
STOP_TIMEOUT_S = 20.0


class BrowserError(AssertionError):
    """A command failed: what was asked, and what the browser said."""


class Browser:
    """A running browser; made by `browsing`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.version: str = self._reply("launch")

    def open(self, url: str, **options: object) -> Page:
        """Open a page in a profile of its own. Options: `viewport`, `dark`."""
        return Page(self, self.ask("open", url=url, timeoutMs=PATIENCE_S * 1000, **options))

    def ask(self, command: str, **given: object) -> Any:
        """Run one command of browser.mjs."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self._process.stdin.flush()
        return self._reply(f"{command} {given}")

    def now_ms(self) -> float:
        """The clock of the times that `Page.wait` gives."""
        now: float = self.ask("now")
        return now

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._replies.put(line)
        self._replies.put("")

    def _reply(self, what: str) -> Any:
        try:
            line = self._replies.get(timeout=REPLY_TIMEOUT_S)
        except queue.Empty:
            raise BrowserError(f"{what}: no reply within {REPLY_TIMEOUT_S} s") from None
        if not line:
            raise BrowserError(f"{what}: the browser has ended")
        reply = json.loads(line)
        if "error" in reply:
            raise BrowserError(f"{what}: {reply['error']}")
        return reply["value"]


@dataclass(frozen=True)
class Page:
    """The demo page in a browser. Elements are named by their `data-testid`."""

    browser: Browser
    number: int

    def click(self, name: str) -> None:
        self.browser.ask("click", page=self.number, selector=_selector(name))

    def press(self, key: str) -> None:
        """Press a key, `Tab` for example, where the focus is."""
        self.browser.ask("press", page=self.number, key=key)

    def type(self, name: str, text: str) -> None:
        """Type into a field."""
        self.browser.ask("type", page=self.number, selector=_selector(name), text=text)

    def select(self, name: str, value: str) -> None:
        self.browser.ask("select", page=self.number, selector=_selector(name), value=value)

    def evaluate(self, expression: str) -> Any:
        """Run JavaScript in the page; its last value comes back."""
        return self.browser.ask("evaluate", page=self.number, expression=expression)

    def wait(self, condition: str, timeout_s: float = PATIENCE_S) -> float:
        """Wait until a JavaScript expression holds; returns when, on the clock of `now_ms`."""
        ask = self.browser.ask
        try:
            at: float = ask(
                "wait", page=self.number, condition=condition, timeoutMs=timeout_s * 1000
            )
        except BrowserError as error:
            raise BrowserError(f"{error}\n{self.describe()}") from None
        return at

    def wait_state(self, name: str) -> float:
        """Wait until the page is `idle`, `asking`, `connecting`, `live`, `ended` or `failed`."""
        return self.wait(f"{_element('state')}.dataset.state === {name!r}")

    def start(self) -> float:
        """Press the start button and wait until the page is live; returns when."""
        self.wait(f"!{_element('start')}.disabled")
        self.click("start")
        return self.wait_state("live")

    def stop(self) -> None:
        """Press the button again, and wait until the session has ended."""
        self.click("start")
        self.wait_state("ended")

    def wait_text(self, name: str, text: str) -> None:
        """Wait until an element shows a text."""
        self.wait(f"{_element(name)}.innerText.includes({text!r})")

    def wait_results(self, count: int, kind: str = "") -> None:
        """Wait for results of a type, or of any."""
        of_kind = f".filter((each) => each.type === {kind!r})" if kind else ""
        self.wait(f"__remotemedia.results(){of_kind}.length >= {count}")

    def wait_media_time(self, ms: float) -> None:
        """Wait until windows of that media time have been analysed."""
        self.wait(f"__remotemedia.results().some((r) => r.type === 'vad' && r.pts_ms >= {ms})")

    def results(self, kind: str = "") -> list[dict[str, Any]]:
        """The results that the page was given, of one type or of all."""
        results: list[dict[str, Any]] = self.evaluate("__remotemedia.results()")
        return [result for result in results if kind in ("", result["type"])]

    def segments(self) -> list[Segment]:
        """The finished segments that the page draws."""
        found = self.evaluate("__remotemedia.segments()")
        return [Segment(one["startMs"], one["endMs"]) for one in found]

    def session(self) -> dict[str, Any]:
        """The client's latest session."""
        session: dict[str, Any] = self.evaluate("__remotemedia.session()")
        return session

    def join_link(self) -> str:
        """Where somebody else enters the running session."""
        link: str = self.evaluate(f"{_element('join-link')}.href")
        return link

    def text(self, name: str) -> str:
        """What an element shows."""
        text: str = self.evaluate(f"{_element(name)}.innerText")
        return text

    def console_errors(self) -> list[str]:
        errors: list[str] = self.browser.ask("errors", page=self.number)
        return errors

    def accessibility_faults(self) -> list[str]:
        """What axe finds: rules that are broken, and where."""
        faults: list[str] = self.browser.ask("audit", page=self.number)
        return faults

    def screenshot(self, path: Path) -> Path:
        self.browser.ask("screenshot", page=self.number, path=str(path))
        return path

    def close(self) -> None:
        self.browser.ask("close", page=self.number)

    def describe(self) -> str:
        """The state of the page, for the message of a failed test."""
        shown = self.evaluate("document.body.innerText")
        return f"{shown}\nconsole errors: {self.console_errors()}"


@contextmanager
def browsing(browser: str, **options: object) -> Iterator[Browser]:
    """Run "chromium" or "firefox" with a fresh profile; the options are those of browser.mjs."""
    node = shutil.which("node")
    assert node is not None, "node is needed for the browser tests"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        given = {"browser": browser, "profile": profile, **options}
        process = subprocess.Popen(
            [node, str(TESTS / "support" / "browser.mjs"), json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
        )
        try:
            yield Browser(process)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """The browser ends with its input."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.close()
        process.wait(STOP_TIMEOUT_S)
    except (BrokenPipeError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()
    process.stdout.close()


def _selector(name: str) -> str:
    return f'[data-testid="{name}"]'


def _element(name: str) -> str:
    return f"document.querySelector({_selector(name)!r})"
