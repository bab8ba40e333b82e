"""What is said of a node's failure."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

from remotemedia.errors import NodeError

MAX_TRACEBACK = 16 * 1024
"""The longest traceback that is sent, in characters; the middle of a longer one is left out."""

_OURS = tuple(str(Path(__file__).parents[1] / name) for name in ("lanes", "running", "workers"))


def describe(error: BaseException) -> str:
    """Say what went wrong in a node, on one line."""
    if isinstance(error, NodeError):
        return str(error)
    if isinstance(error, asyncio.CancelledError):
        return "the node was cancelled: its session has ended."
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_ours(filename: str) -> bool:
    """Say whether a file is part of what calls nodes."""
    return filename.startswith(_OURS)


def trace(error: BaseException) -> str | None:
    """Give the traceback without the calls of this package."""
    inner = error.__traceback__
    while inner is not None and is_ours(inner.tb_frame.f_code.co_filename):
        inner = inner.tb_next
    if inner is None:
        return None
    return shortened("".join(traceback.format_exception(type(error), error, inner)))


def shortened(text: str) -> str:
    """Leave out the middle of a traceback that is too long."""
    if len(text) > MAX_TRACEBACK:
        half = MAX_TRACEBACK // 2
        text = f"{text[:half]}\n...\n{text[-half:]}"
    return text
