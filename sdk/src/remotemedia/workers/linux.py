"""What only Linux can do. Elsewhere each function does what is nearest, or nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile

_LINUX: bool = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Be killed as soon as the thread that started this process ends, even by SIGKILL.

    See prctl(2), PR_SET_PDEATHSIG. Elsewhere only the pipe tells: see `child.watch`.
    """
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def anonymous_file(name: str) -> int:
    """Open a file in memory that has no name and goes with its last descriptor.

    See memfd_create(2); elsewhere it is a temporary file that was unlinked.
    """
    if _LINUX:
        return os.memfd_create(name)
    with tempfile.TemporaryFile(prefix=name) as file:
        return os.dup(file.fileno())
