"""How often something may happen."""

from __future__ import annotations


class TokenBucket:
    """Lets so much happen at once, and after that so much a second.

    It reads no clock: `now` is in seconds from any fixed point, and what is older than the latest
    counts as that.
    """

    def __init__(self, per_second: float, at_once: int) -> None:
        """Begin with all that may happen at once."""
        self._per_second = per_second
        self._at_once = float(at_once)
        self._left = self._at_once
        self._since: float | None = None

    def take(self, now: float) -> float:
        """Take one token and give 0.0; where none is left, give the seconds until there is one."""
        since = now if self._since is None else self._since
        self._since = max(now, since)
        gained = (self._since - since) * self._per_second
        self._left = min(self._at_once, self._left + gained)
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._per_second
