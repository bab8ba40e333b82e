"""What only Linux can do. Elsewhere each function does what is nearest, or nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
from pathlib import Path

_LINUX: bool = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Be killed as soon as the thread that started this process ends, even by SIGKILL.

    See prctl(2), PR_SET_PDEATHSIG. Elsewhere only the pipe tells: see `child.watch`.
    """
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def go_first_when_memory_is_short() -> None:
    """Let the kernel end this process before the one that serves everybody.

    See proc(5), oom_score_adj. A node that leaks then ends its own worker.
    """
    if _LINUX:
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500", "ascii")


def anonymous_file(name: str) -> int:
    """Open a file in memory that has no name and goes with its last descriptor.

    See memfd_create(2); elsewhere it is a temporary file that was unlinked.
    """
    if _LINUX:
        return os.memfd_create(name)
    with tempfile.TemporaryFile(prefix=name) as file:
        return os.dup(file.fileno())
