"""How often one connection may be negotiated."""

from __future__ import annotations

from dataclasses import dataclass

OFFERS_AT_ONCE = 8
"""Renegotiations and restarts of one connection that are taken at once; then it is one a second."""
OFFER_INTERVAL_US = 1_000_000


@dataclass
class Allowance:
    """How many more offers a connection's id may be used for."""

    full_at: int = 0

    def take(self, now_us: int) -> bool:
        """Take one; False where none is left."""
        used_until = max(self.full_at, now_us)
        if used_until - now_us > OFFER_INTERVAL_US * (OFFERS_AT_ONCE - 1):
            return False
        self.full_at = used_until + OFFER_INTERVAL_US
        return True
