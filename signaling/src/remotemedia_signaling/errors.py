"""Errors as clients see them: a stable code, what to do about it, and an HTTP status."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Final

from pydantic import JsonValue


class ErrorCode(str, Enum):
    """Codes that signaling itself raises or maps to a status.

    1xxx to 60xx are the runtime's (`runtime/README.md`); 61xx exist only here. A number is never
    reused.
    """

    INVALID_MANIFEST = "RM-1001"
    UNKNOWN_NODE_TYPE = "RM-1002"
    INVALID_PARAMETER = "RM-1003"
    GRAPH_CYCLE = "RM-1004"
    PORT_MISMATCH = "RM-1005"
    INVALID_SDP = "RM-2001"
    NO_COMMON_CODEC = "RM-2002"
    UNKNOWN_PIPELINE = "RM-2003"
    UNKNOWN_ID = "RM-2004"
    CONFLICT = "RM-2005"
    INVALID_CANDIDATE = "RM-2006"
    TOO_MANY_CANDIDATES = "RM-2007"
    TOO_MANY_OFFERS = "RM-2008"
    INVALID_MESSAGE = "RM-4001"
    BUSY = "RM-4002"
    NOT_IN_THIS_VERSION = "RM-4003"
    SERVER_FULL = "RM-6001"
    DRAINING = "RM-6002"
    INTERNAL = "RM-6999"

    NOT_FOUND = "RM-6101"
    METHOD_NOT_ALLOWED = "RM-6102"
    TOO_LARGE = "RM-6103"
    UNSUPPORTED_MEDIA_TYPE = "RM-6104"
    FORBIDDEN_ORIGIN = "RM-6105"
    WRONG_HOST = "RM-6106"
    TIMED_OUT = "RM-6107"
    NOT_READY = "RM-6108"
    BAD_REQUEST = "RM-6109"


STATUS: Final[Mapping[str, int]] = {
    ErrorCode.INVALID_MANIFEST: 400,
    ErrorCode.UNKNOWN_NODE_TYPE: 400,
    ErrorCode.INVALID_PARAMETER: 400,
    ErrorCode.GRAPH_CYCLE: 400,
    ErrorCode.PORT_MISMATCH: 400,
    ErrorCode.INVALID_SDP: 400,
    ErrorCode.NO_COMMON_CODEC: 422,
    ErrorCode.UNKNOWN_PIPELINE: 404,
    ErrorCode.UNKNOWN_ID: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.INVALID_CANDIDATE: 400,
    ErrorCode.TOO_MANY_CANDIDATES: 400,
    ErrorCode.TOO_MANY_OFFERS: 429,
    ErrorCode.INVALID_MESSAGE: 400,
    ErrorCode.BUSY: 429,
    ErrorCode.NOT_IN_THIS_VERSION: 501,
    ErrorCode.SERVER_FULL: 429,
    ErrorCode.DRAINING: 503,
    ErrorCode.INTERNAL: 500,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.FORBIDDEN_ORIGIN: 403,
    ErrorCode.WRONG_HOST: 421,
    ErrorCode.TIMED_OUT: 504,
    ErrorCode.NOT_READY: 503,
    ErrorCode.BAD_REQUEST: 400,
}
"""The HTTP status of each code, where the error names none itself."""


@dataclasses.dataclass(eq=False)
class ApiError(Exception):
    """An error that reaches the client.

    `status` defaults to that of the code (500 for a code unknown here); `field` is the path of
    what is wrong (`candidates[2].sdp_mid`); `retry_after` (seconds) becomes a header.
    """

    code: str
    message: str
    status: int | None = None
    field: str | None = None
    hint: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.code = self.code.value if isinstance(self.code, ErrorCode) else self.code
        super().__init__(self.code, self.message)

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{self.code}: {where}{self.message}"

    @property
    def http_status(self) -> int:
        """The status to answer with; always an error's (400 to 599)."""
        status = STATUS.get(self.code, 500) if self.status is None else self.status
        return status if 400 <= status <= 599 else 500  # noqa: PLR2004 (the range says it)

    def describe(self) -> dict[str, JsonValue]:
        """`{"code", "message", "field"?, "hint"?}`: what stands under `error` in every answer."""
        described: dict[str, JsonValue] = {"code": self.code, "message": self.message}
        if self.field is not None:
            described["field"] = self.field
        if self.hint is not None:
            described["hint"] = self.hint
        return described

    @classmethod
    def internal(cls) -> ApiError:
        """Make the error of a bug of ours: the client learns nothing of it, the log has all."""
        return cls(ErrorCode.INTERNAL, "internal error", hint="the server's log says more")

    @classmethod
    def not_in_this_version(cls, what: str) -> ApiError:
        """Make the error of a call that a later version will answer."""
        return cls(ErrorCode.NOT_IN_THIS_VERSION, f"{what}: not in this version")
