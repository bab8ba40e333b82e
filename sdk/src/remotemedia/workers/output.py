"""What a worker prints: its standard output and errors become lines of the parent's log."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable

WINDOW_SECONDS = 1.0
MAX_LINES = 200
"""Lines of a worker that are logged in a window; further ones are counted."""
MAX_BYTES = 1024 * 1024
"""What is read in a window; who prints more waits for the next one."""
MAX_LINE = 4096
"""A longer line is broken."""
_READ_BYTES = 64 * 1024

_log = logging.getLogger("remotemedia.workers")


class Output:
    """The reading end of a pipe into which a worker prints."""

    def __init__(self, node: str, fd: int, now: Callable[[], float] = time.monotonic) -> None:
        """Read from `fd`, which it closes, for a node's log; `now` tells seconds."""
        os.set_blocking(fd, False)
        self.fd = fd
        self._node = node
        self._now = now
        self._window = now()
        self._lines = 0
        self._bytes = 0
        self._partial = b""

    def read(self) -> bool:
        """Log what is there; False when nothing more comes before the next window."""
        self._turn()
        while self._bytes < MAX_BYTES:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._bytes += len(data)
            self._take(data)
        return False

    def close(self) -> None:
        """Log what is left."""
        self._window = self._now() - WINDOW_SECONDS
        with contextlib.suppress(OSError):
            self.read()
        os.close(self.fd)
        if self._partial:
            self._take(b"\n")
        self._leave_out()

    def _take(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        while len(self._partial) > MAX_LINE:
            lines.append(self._partial[:MAX_LINE])
            self._partial = self._partial[MAX_LINE:]
        for line in lines[: max(MAX_LINES - self._lines, 0)]:
            for at in range(0, max(len(line), 1), MAX_LINE):
                text = line[at : at + MAX_LINE].decode("utf-8", "backslashreplace").rstrip()
                _log.warning("node %s: %s", self._node, text)
        self._lines += len(lines)

    def _turn(self) -> None:
        now = self._now()
        if now - self._window >= WINDOW_SECONDS:
            self._leave_out()
            self._window, self._lines, self._bytes = now, 0, 0

    def _leave_out(self) -> None:
        if self._lines > MAX_LINES:
            _log.warning("node %s: %d more lines", self._node, self._lines - MAX_LINES)
