"""Which runtime a run uses."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from remotemedia.runtime import unavailable

if TYPE_CHECKING:
    from remotemedia.planning import Plan
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


def choose(plan: Plan) -> Choice:
    """Give what runs a plan: what planning chose for it, or the twin where that cannot run it.

    A runtime that is not the one wanted is counted, with its cause.
    """
    from remotemedia import twin

    python = cast("Backend", twin)
    machine = plan.machine
    if machine.runtime == "python" and not machine.fallback:
        return Choice(python, "python")
    native, cause, why = unavailable("Run")
    if native is not None and machine.runtime == "native":
        return Choice(cast("Backend", native), "native")
    fell_back(cause, f"pipelines run in Python, which is slower: {why}")
    return Choice(python, "python", why)


def fell_back(cause: str, text: str) -> None:
    """Count a fallback, and tell of the first of its kind.

    Args:
        cause: one word, for metrics.
        text: the same in words.
    """
    if count(cause) == 1:
        _log.warning("%s", text)


def count(cause: str) -> int:
    """Count a fallback; gives how many of its kind there were."""
    with _lock:
        _counts[cause] += 1
        return _counts[cause]


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
