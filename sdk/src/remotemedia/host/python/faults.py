"""What is refused, with the codes of the native runtime."""

from __future__ import annotations

from remotemedia.errors import DRAINING, INTERNAL, INVALID_PARAMETER, NODE_FAILED, UNKNOWN_ID
from remotemedia.twin.values import RuntimeFault

INVALID_SDP = "RM-2001"
NO_COMMON_CODEC = "RM-2002"
UNKNOWN_PIPELINE = "RM-2003"
CONFLICT = "RM-2005"
INVALID_CANDIDATE = "RM-2006"
TOO_MANY_CANDIDATES = "RM-2007"
TOO_MANY_OFFERS = "RM-2008"
ICE_TIMEOUT = "RM-3001"
DTLS_FAILED = "RM-3002"
FINGERPRINT_MISMATCH = "RM-3003"
CONSENT_LOST = "RM-3004"
SLOW_READER = "RM-3005"
INVALID_MESSAGE = "RM-4001"
NOT_IN_THIS_VERSION = "RM-4003"
RESULT_TOO_LARGE = "RM-4004"
NODE_OVERRUN = "RM-5002"
SERVER_FULL = "RM-6001"
SHOWN = 64
"""How much of an id from outside an error repeats, in characters."""


def fault(
    code: str, message: str, field: str | None = None, hint: str | None = None
) -> RuntimeFault:
    """Make what a caller is told."""
    return RuntimeFault(message, code=code, field=field, hint=hint)


def unknown(kind: str, name: str) -> RuntimeFault:
    """Make the error of an id that nobody has."""
    shown = "".join(each for each in name if each.isprintable())[:SHOWN]
    return fault(UNKNOWN_ID, f'no {kind} "{shown}": it may have ended')


__all__ = [
    "CONFLICT",
    "CONSENT_LOST",
    "DRAINING",
    "DTLS_FAILED",
    "FINGERPRINT_MISMATCH",
    "ICE_TIMEOUT",
    "INTERNAL",
    "INVALID_CANDIDATE",
    "INVALID_MESSAGE",
    "INVALID_PARAMETER",
    "INVALID_SDP",
    "NODE_FAILED",
    "NODE_OVERRUN",
    "NOT_IN_THIS_VERSION",
    "NO_COMMON_CODEC",
    "RESULT_TOO_LARGE",
    "SERVER_FULL",
    "SLOW_READER",
    "TOO_MANY_CANDIDATES",
    "TOO_MANY_OFFERS",
    "UNKNOWN_ID",
    "UNKNOWN_PIPELINE",
    "RuntimeFault",
    "fault",
    "unknown",
]
