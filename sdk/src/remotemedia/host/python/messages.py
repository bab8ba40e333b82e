"""Messages of sessions as clients read them; `configs/schema/messages.schema.json` has them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

LIVE_TYPES = frozenset({"vad", "level", "metrics"})
"""Messages that a newer one may replace; all others are events."""
NO_LIMIT = 2**62
"""What a client takes that has no channel."""


def result(
    kind: str,
    session: str,
    data: JsonValue,
    *,
    seq: int,
    participant: str = "",
    stream: str = "",
    node: str = "",
    pts_ms: float = 0.0,
    rtp_ts: int = 0,
    latency_ms: float = 0.0,
) -> str:
    """Write a result."""
    return _dumps(
        {
            "v": 1,
            "type": kind,
            "node": node,
            "session": session,
            "participant": participant,
            "stream": stream,
            "seq": seq,
            "pts_ms": pts_ms,
            "rtp_ts": rtp_ts,
            "latency_ms": latency_ms,
            "data": data,
        }
    )


def reply(kind: str, name: str | int | None, **fields: JsonValue) -> str:
    """Write the answer to a control message; `name` is its id, echoed."""
    head: dict[str, JsonValue] = {"v": 1, "type": kind}
    if name is not None:
        head["id"] = name
    return _dumps(head | fields)


def error_reply(name: str | int | None, code: str, message: str, field: str | None = None) -> str:
    """Write why a control message was refused."""
    return reply("error", name, data=error(code, message, field))


def error(
    code: str, message: str, field: str | None = None, hint: str | None = None
) -> dict[str, JsonValue]:
    """Make the data of an error."""
    told: dict[str, JsonValue] = {"code": code, "message": message}
    if field is not None:
        told["field"] = field
    if hint is not None:
        told["hint"] = hint
    return told


def bye(reason: str, code: str | None) -> dict[str, JsonValue]:
    """Make the data of a ``bye``."""
    return {"reason": reason} if code is None else {"reason": reason, "code": code}


def _dumps(message: Mapping[str, JsonValue]) -> str:
    # A lone surrogate cannot be sent; what reaches here was checked, but for nodes' error texts.
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()
