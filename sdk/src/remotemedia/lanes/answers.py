"""What goes back to the native runtime, from any thread."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from remotemedia.lanes.failures import describe, trace

if TYPE_CHECKING:
    from remotemedia._native import FailureType, LaneDone, LaneEngine, LaneFailure
    from remotemedia.lanes.mailbox import Mailbox

log = logging.getLogger("remotemedia.lanes")


class Answers:
    """Hands results and failures back, and counts."""

    def __init__(self, engine: LaneEngine, failure: FailureType) -> None:
        """Answer `engine`; `failure` is the native module's ``LaneFailure``."""
        self._engine = engine
        self._failure = failure
        self.counts = dict.fromkeys(
            ("frames", "failures", "late", "evicted", "blocked", "restarts"), 0
        )

    def complete(self, done: Sequence[LaneDone]) -> None:
        """Hand results back."""
        if not done:
            return
        try:
            self._engine.complete_lane(list(done))
        except Exception:
            log.debug("results were not taken", exc_info=True)

    def failure(self, message: str, traceback: str | None = None) -> LaneFailure:
        """Make the failure of a frame."""
        self.counts["failures"] += 1
        return self._failure(message, traceback)

    def failed(self, mailbox: Mailbox, error: BaseException) -> LaneFailure:
        """Make the failure of a frame whose node raised."""
        if not mailbox.failing:
            mailbox.failing = True
            log.warning("node %s failed", mailbox.key[3], exc_info=error)
        return self.failure(describe(error), trace(error))
