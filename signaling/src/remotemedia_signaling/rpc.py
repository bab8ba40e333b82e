"""What arrives on a WebSocket: JSON-RPC 2.0 requests or plain typed messages, told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.messages import (
    Candidates,
    Id,
    Message,
    OfferBody,
    nearest,
)

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
SERVER_ERROR: Final = -32000
"""JSON-RPC's number for every error that has a code of ours, which is in `data`."""

MAX_BATCH: Final = 32
"""Requests of one JSON-RPC batch."""
MAX_RPC_ID_CHARS: Final = 128
"""The longest request id that is echoed."""

Operation = Literal["announce", "offer", "answer", "candidate", "close", "list", "error"]
METHODS: Final[dict[str, Operation]] = {
    "peer.announce": "announce",
    "peer.offer": "offer",
    "peer.answer": "answer",
    "peer.ice_candidate": "candidate",
    "peer.disconnect": "close",
    "peer.list": "list",
}
TYPES: Final[dict[str, Operation]] = {
    "offer": "offer",
    "answer": "answer",
    "ice-candidate": "candidate",
    "close": "close",
    "error": "error",
}

RpcId = str | int | float | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request in either form. Without `id` a JSON-RPC request is a notification."""

    operation: Operation
    params: JsonValue
    is_rpc: bool
    id: RpcId = None
    has_id: bool = False


class Addressed(Message):
    """Fields with which peers of version 0.1 address each other; here there is one other side."""

    from_: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, alias="from"
    )
    to: Annotated[str, StringConstraints(max_length=128)] | None = None
    request_id: Annotated[str, StringConstraints(max_length=128)] | None = None
    can_trickle_ice_candidates: bool | None = None


class AnnounceParams(Addressed):
    """`peer.announce`: a client says who it is."""

    # What else a client says of itself (capabilities, user_data) does not matter here.
    model_config = ConfigDict(extra="ignore")

    peer_id: Id | None = None
    pipelines: JsonValue = None


class OfferParams(Addressed, OfferBody):
    """`peer.offer`, and a message of type `offer`."""


class CandidateParams(Message):
    """`peer.ice_candidate`, and a message of type `ice-candidate`.

    Either `candidates`, or one candidate: its fields beside `pc_id`, or an object under
    `candidate`; null is the end, as browsers report it. Without `pc_id` for this socket's last.
    """

    model_config = ConfigDict(extra="ignore")

    pc_id: Id | None = None
    candidates: Candidates

    @model_validator(mode="before")
    @classmethod
    def _one_as_list(cls, data: object) -> object:
        if not isinstance(data, dict) or "candidates" in data:
            return data
        one = data.get("candidate")
        if not isinstance(one, dict):
            one = {name: each for name, each in data.items() if name != "pc_id"}
        if one.get("candidate", "") is None:
            one["candidate"] = ""
        return {"pc_id": data.get("pc_id"), "candidates": [one]}


class CloseParams(Addressed):
    """`peer.disconnect`, and a message of type `close`."""

    pc_id: Id | None = None
    reason: JsonValue = None
    details: JsonValue = None


def parse_request(value: JsonValue) -> Request:
    """Read a request from parsed JSON.

    Raises:
        ApiError: for what is neither form; `rpc_id` says whom to answer.

    """
    if not isinstance(value, dict):
        raise ApiError(ErrorCode.INVALID_MESSAGE, "expected a JSON object")
    return _rpc(value) if "jsonrpc" in value else _typed(value)


def _rpc(value: dict[str, JsonValue]) -> Request:
    request_id = rpc_id(value)
    if value["jsonrpc"] != "2.0":
        raise ApiError(ErrorCode.INVALID_MESSAGE, 'expected "2.0"', field="jsonrpc")
    method = value.get("method")
    if not isinstance(method, str):
        raise ApiError(ErrorCode.INVALID_MESSAGE, "expected a text", field="method")
    if method not in METHODS:
        raise UnknownMethodError(method)
    return Request(
        operation=METHODS[method],
        params=value.get("params", {}),
        is_rpc=True,
        id=request_id,
        has_id="id" in value,
    )


def _typed(value: dict[str, JsonValue]) -> Request:
    kind = value.get("type")
    if not isinstance(kind, str):
        raise ApiError(
            ErrorCode.INVALID_MESSAGE,
            'expected a "type", or "jsonrpc": "2.0" with a "method"',
            field="type",
        )
    if kind not in TYPES:
        raise ApiError(
            ErrorCode.INVALID_MESSAGE,
            "unknown message type",
            field="type",
            hint=nearest(kind, list(TYPES)),
        )
    params = {name: each for name, each in value.items() if name not in {"type", "id"}}
    return Request(TYPES[kind], params, is_rpc=False, id=rpc_id(value), has_id="id" in value)


class UnknownMethodError(ApiError):
    """A JSON-RPC method that there is not."""

    def __init__(self, method: str) -> None:
        super().__init__(
            ErrorCode.INVALID_MESSAGE,
            "unknown method",
            field="method",
            hint=nearest(method, list(METHODS)),
        )


def rpc_id(value: JsonValue) -> RpcId:
    """Find the id to answer with; none where it is no text or number of usual size.

    JSON-RPC 2.0 section 5: an id that cannot be read is answered with null.
    """
    found = value.get("id") if isinstance(value, dict) else None
    if isinstance(found, str):
        return found if len(found) <= MAX_RPC_ID_CHARS else None
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    return found if abs(found) < 2**53 else None


def rpc_error(request_id: RpcId, number: int, error: ApiError) -> dict[str, JsonValue]:
    """Write a JSON-RPC error response."""
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {"code": number, "message": error.message, "data": error.describe()},
    }


def rpc_result(request_id: RpcId, result: JsonValue) -> dict[str, JsonValue]:
    """Write a JSON-RPC result."""
    return {"jsonrpc": "2.0", "id": request_id, "result": result}
