"""Notices that a process does not come, hangs or stands still."""

from __future__ import annotations

from collections.abc import Collection

from remotemedia.workers.ledger import Stream
from remotemedia.workers.limits import Limits
from remotemedia.workers.memory import Memory

ASLEEP_SECONDS = 2.0
"""When the watch itself comes so much too late, what it watches is given that time, too."""


class Watch:
    """Looks at one process now and then."""

    def __init__(self, memory: Memory, limits: Limits, now: float) -> None:
        """Watch the process that shares `memory` and was started at `now`."""
        self._memory = memory
        self._limits = limits
        self._began = now
        self._beats = -1
        self._moved = now
        self._looked = now

    def look(self, now: float, serving: bool, streams: Collection[Stream]) -> str | None:
        """Say why the process must go, if it must."""
        limits, gap = self._limits, now - self._looked
        self._looked = now
        if gap > ASLEEP_SECONDS + limits.tick:
            # This process was stopped or the machine slept: that time is nobody's fault.
            self._began += gap
            self._moved += gap
            for stream in streams:
                stream.since += gap
        if not serving:
            late = now - self._began > limits.start
            return f"did not load it within {limits.start:g} s" if late else None
        busy = False
        for stream in streams:
            if not stream.held:
                continue
            busy = True
            limit = limits.initialize if stream.fresh else limits.frame
            if now - stream.since > limit:
                return f"took more than {limit:g} s for a frame"
        beats = self._memory.beats
        if not busy or beats != self._beats:
            self._beats, self._moved = beats, now
        elif now - self._moved > limits.frozen:
            return f"showed no sign of life for {limits.frozen:g} s"
        return None
