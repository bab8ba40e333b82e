"""Notices an event loop that an ``async def`` blocks."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from remotemedia.lanes import runners
from remotemedia.lanes.answers import log
from remotemedia.lanes.failures import is_ours

TICK_SECONDS = 0.125
"""How often the watch looks."""
BLOCKED_TICKS = 2
"""A loop that has not turned for so many whole ticks, a quarter of a second, is blocked. Ticks and
not time: when the whole process stands still, none passes."""

_DRIVERS = frozenset({asyncio.events.__file__, runners.__file__})


class Turning(Protocol):
    """A loop that can be asked for a turn."""

    turned: bool
    """It has had one since this was last made false."""

    def ask(self) -> None:
        """Ask for one, which sets `turned`; nobody need ask one that is busy."""


L = TypeVar("L", bound=Turning)


class Watch(Generic[L]):
    """Asks a loop for a turn again and again, and tells when none comes."""

    def __init__(self, watched: Callable[[], L], blocked: Callable[[L], None]) -> None:
        """Watch what `watched` gives, which may be another each time; `blocked` is told."""
        self._watched = watched
        self._blocked = blocked
        self._seen: L | None = None
        self._missed = 0
        # An event would take twice the time for each tick.
        self._going = threading.Lock()

    def start(self) -> None:
        """Begin to tick."""
        self._going.acquire()
        threading.Thread(target=self._run, name="remotemedia-watch", daemon=True).start()

    def stop(self) -> None:
        """Tick no more."""
        self._going.release()

    def tick(self) -> None:
        """Look once."""
        loop = self._watched()
        if loop is not self._seen or loop.turned:
            self._seen, self._missed = loop, 0
            loop.turned = False
            return
        self._missed += 1
        if self._missed == 1:
            loop.ask()
        elif self._missed >= BLOCKED_TICKS:
            self._missed = 0
            self._blocked(loop)

    def _run(self) -> None:
        while not self._going.acquire(timeout=TICK_SECONDS):
            try:
                self.tick()
            except Exception:
                log.exception("the loop of the lanes cannot be left")


def stack_of(thread: threading.Thread) -> traceback.StackSummary:
    """Say where a loop's thread is, from what the loop runs on."""
    frame = sys._current_frames().get(thread.ident or 0)
    stack = list(traceback.extract_stack(frame)) if frame is not None else []
    begin = 0
    for index, each in enumerate(stack, start=1):
        if each.filename in _DRIVERS or (begin == index - 1 and is_ours(each.filename)):
            begin = index
    return traceback.StackSummary.from_list(stack[begin:])


def place_of(stack: traceback.StackSummary) -> str:
    """Say where a node's stack ends, on one line."""
    if not stack:
        return "in native code"
    last = stack[-1]
    return f"in {last.name} ({Path(last.filename).name}, line {last.lineno}: {last.line})"
