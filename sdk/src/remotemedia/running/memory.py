"""How much memory runs take. On Linux by /proc; elsewhere by what getrusage knows."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from time import perf_counter_ns

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""Sets the peak to what is resident now (proc(5), clear_refs)."""

_lock = threading.Lock()
_running: set[Peak] = set()


class Peak:
    """The most that the process grew by between `start` and `stop`, in bytes.

    Runs at the same time share one process: each is told what all of them took.

    Attributes:
        took_ns: what starting took; it is part of what measuring costs.
    """

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.took_ns = 0
        self._before = 0
        self._highest = 0

    def start(self) -> None:
        """Begin."""
        began = perf_counter_ns()
        with _lock:
            now, highest = _resident()
            for each in _running:
                each._highest = max(each._highest, highest)
            self._before = self._highest = now
            _reset()
            _running.add(self)
        self.took_ns = perf_counter_ns() - began

    def stop(self) -> int:
        """End, and give what was measured."""
        with _lock:
            _, highest = _resident()
            _running.discard(self)
            return max(self._highest, highest) - self._before


def _resident() -> tuple[int, int]:
    """Give what is resident, and the most that was since the last reset, in bytes."""
    try:
        lines = _STATUS.read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return _kib(fields["VmRSS"]), _kib(fields["VmHWM"])
    except (OSError, KeyError, ValueError):
        return _highest_ever(), _highest_ever()


def _kib(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) * 1024


def _highest_ever() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    highest: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def _reset() -> None:
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return  # then the peak is that of the process
