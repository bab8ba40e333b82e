"""Signs of life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

TICK_SECONDS = 0.005
"""How often a busy worker looks at itself, and how long a node may block before that is noticed."""
ALONE_SECONDS = 0.02
"""The same where nobody waits for that node but its own stream."""
CALM_SECONDS = 1.0
"""So long without work ends the ticking until there is some."""


class Pulse:
    """A thread that ticks while there is work, every `seconds`."""

    def __init__(self, tick: Callable[[], bool]) -> None:
        """Prepare to call `tick` again and again; it says whether there is work."""
        self.seconds = ALONE_SECONDS
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
        calm = 0.0
        while True:
            calm = 0.0 if self._tick() else calm + self.seconds
            if calm >= CALM_SECONDS:
                calm = 0.0
                self._active.clear()
                # What came just before is seen by this tick.
                if not self._tick():
                    self._active.wait()
            time.sleep(self.seconds)
