"""Which runtime a run uses."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from remotemedia.runtime import unavailable

if TYPE_CHECKING:
    from remotemedia.base import RuntimeHint
    from remotemedia.running.backend import Backend

RuntimeName = Literal["native", "python"]

_log = logging.getLogger("remotemedia")
_counts: Counter[str] = Counter()
_lock = threading.Lock()


@dataclass(frozen=True)
class Choice:
    """A runtime, and why it is not the native one where nobody asked for the other.

    Attributes:
        fallback: the reason in words; None where the runtime is the one that was wanted.
    """

    backend: Backend
    runtime: RuntimeName
    fallback: str | None = None


def choose(hints: Mapping[str, RuntimeHint]) -> Choice:
    """Choose for one run; nothing is remembered.

    The native runtime, unless a node of the package asks for Python, or it is absent or switched
    off, which counts as a fallback.

    Args:
        hints: where the nodes of the package should run, by id.
    """
    from remotemedia import twin

    python = cast("Backend", twin)
    asking = [name for name, hint in hints.items() if hint == "python"]
    if asking:
        insisting = [name for name, hint in hints.items() if hint == "rust"]
        if insisting:
            reason = f'"{asking[0]}" asks for Python'
            fell_back("other_node", f"{', '.join(insisting)} cannot run natively: {reason}.")
            return Choice(python, "python", reason)
        return Choice(python, "python")
    native, cause, why = unavailable("Run")
    if native is not None:
        return Choice(cast("Backend", native), "native")
    fell_back(cause, f"pipelines run in Python, which is slower: {why}")
    return Choice(python, "python", why)


def fell_back(cause: str, text: str) -> None:
    """Count a fallback, and tell of the first of its kind.

    Args:
        cause: one word, for metrics.
        text: the same in words.
    """
    with _lock:
        _counts[cause] += 1
        first = _counts[cause] == 1
    if first:
        _log.warning("%s", text)


def fallbacks() -> dict[str, int]:
    """Give how often a runtime was not the one wanted, by cause, since the process began."""
    with _lock:
        return dict(_counts)


def counters() -> dict[str, float]:
    """Give the same for metrics: ``remotemedia_fallback_total`` with its cause as label."""
    return {
        f'remotemedia_fallback_total{{reason="{cause}"}}': float(count)
        for cause, count in sorted(fallbacks().items())
    }
