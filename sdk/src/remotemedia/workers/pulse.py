"""Signs of life."""

from __future__ import annotations

import threading
from collections.abc import Callable

TICK_SECONDS = 0.005
"""How often a busy worker looks at itself, and how long a node may block before that is noticed."""
CALM_TICKS = 200
"""So many ticks without work end the ticking until there is some."""


class Pulse:
    """A thread that ticks while there is work."""

    def __init__(self, tick: Callable[[], bool]) -> None:
        """Prepare to call `tick` again and again; it says whether there is work."""
        self._tick = tick
        self._active = threading.Event()

    def start(self) -> None:
        """Begin to tick."""
        threading.Thread(target=self._run, name="remotemedia-pulse", daemon=True).start()

    def wake(self) -> None:
        """There is work. Costs next to nothing while it ticks."""
        if not self._active.is_set():
            self._active.set()

    def _run(self) -> None:
        pause = threading.Event()
        calm = 0
        while True:
            calm = 0 if self._tick() else calm + 1
            if calm >= CALM_TICKS:
                calm = 0
                self._active.clear()
                # What came just before is seen by this tick.
                if not self._tick():
                    self._active.wait()
            pause.wait(TICK_SECONDS)
