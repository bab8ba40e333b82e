"""What clients send, checked: bodies of HTTP calls and parameters of WebSocket messages."""

from __future__ import annotations

import difflib
import json
import re
from typing import Annotated, Final, Literal, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails, from_json

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.host import IceCandidate, Offer

MAX_SDP_CHARS: Final = 256 * 1024
"""The longest SDP; the body's own bound is met first."""
MAX_CANDIDATES: Final = 64
"""Candidates of one call: a browser gathers fewer than 20."""
MAX_CANDIDATE_CHARS: Final = 1_024
"""The longest candidate line."""
MAX_REQUEST_DATA_BYTES: Final = 16 * 1024
"""The largest `request_data`, as JSON."""
MAX_MLINE_INDEX: Final = 1_023
"""More media sections than any offer has."""

PIPELINE_NAME: Final = r"[^\x00-\x1f\x7f$/\\?#]{1,64}"
"""A pipeline's name as one segment of a path."""
ID: Final = r"[A-Za-z0-9._~:-]{1,128}"
"""Ids of sessions and connections."""

PipelineName = Annotated[str, StringConstraints(pattern=f"^{PIPELINE_NAME}$")]
Id = Annotated[str, StringConstraints(pattern=f"^{ID}$")]
ModelT = TypeVar("ModelT", bound=BaseModel)


class Message(BaseModel):
    """A message of a client: exact types, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OfferBody(Message):
    """`POST /api/offer`, and the parameters of an offer over WebSocket."""

    sdp: Annotated[str, StringConstraints(min_length=1, max_length=MAX_SDP_CHARS)]
    type: Literal["offer"] = "offer"
    pipeline: PipelineName | None = None
    join: Id | None = None
    pc_id: Id | None = None
    restart_pc: bool = False
    request_data: JsonValue = Field(
        default=None, validation_alias=AliasChoices("request_data", "requestData")
    )

    @field_validator("request_data")
    @classmethod
    def _bound_request_data(cls, value: JsonValue) -> JsonValue:
        try:
            size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
        except ValueError as error:  # thousands of digits, 1e999, a lone surrogate
            raise ValueError("cannot be written as JSON") from error
        if size > MAX_REQUEST_DATA_BYTES:
            raise ValueError(f"at most {MAX_REQUEST_DATA_BYTES} bytes of JSON, got {size}")
        return value

    def to_offer(self) -> Offer:
        """Make the offer for the host."""
        return Offer(
            sdp=self.sdp,
            pipeline=self.pipeline,
            pc_id=self.pc_id,
            join=self.join,
            restart_pc=self.restart_pc,
            request_data=self.request_data,
        )


class CandidateBody(Message):
    """One candidate, in our spelling or as a browser's `RTCIceCandidate.toJSON()` writes it."""

    # Browsers add fields (usernameFragment, relayProtocol, ...): those are not mistakes.
    model_config = ConfigDict(extra="ignore")

    candidate: Annotated[str, StringConstraints(max_length=MAX_CANDIDATE_CHARS)]
    sdp_mid: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, validation_alias=AliasChoices("sdp_mid", "sdpMid")
    )
    sdp_mline_index: Annotated[int, Field(ge=0, le=MAX_MLINE_INDEX)] | None = Field(
        default=None,
        validation_alias=AliasChoices("sdp_mline_index", "sdpMLineIndex", "sdp_m_line_index"),
    )

    def to_candidate(self) -> IceCandidate:
        """Make the candidate for the host."""
        return IceCandidate(self.candidate, self.sdp_mid, self.sdp_mline_index)


Candidates = Annotated[list[CandidateBody], Field(min_length=1, max_length=MAX_CANDIDATES)]


class TrickleBody(Message):
    """`PATCH /api/offer`."""

    pc_id: Id
    candidates: Candidates


def parse_json(data: bytes | str) -> JsonValue:
    """Strict JSON of bounded depth.

    Raises:
        ApiError: 400 with the line and column where it stops being JSON.

    """
    try:
        value: JsonValue = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(ErrorCode.INVALID_MESSAGE, f"not JSON: {error}") from error
    return value


def validate(model: type[ModelT], value: JsonValue) -> ModelT:
    """Check the value against `model`.

    Raises:
        ApiError: 400 naming the first field that is wrong, and the nearest name for an unknown one.

    """
    if not isinstance(value, dict):
        raise ApiError(ErrorCode.INVALID_MESSAGE, "expected a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _first_problem(model, error) from error


def _first_problem(model: type[BaseModel], error: ValidationError) -> ApiError:
    # Nothing of the input is repeated: it may be large.
    problems = error.errors(include_url=False, include_context=True, include_input=False)
    problem = problems[0]
    path = field_path(problem["loc"])
    code = ErrorCode.INVALID_MESSAGE
    message = problem["msg"]
    hint = None
    if problem["type"] == "extra_forbidden":
        message = "unknown field"
        hint = nearest(str(problem["loc"][-1]), _names(model))
    elif problem["type"] == "too_long" and problem["loc"][-1] == "candidates":
        code = ErrorCode.TOO_MANY_CANDIDATES
        hint = f"send at most {MAX_CANDIDATES} candidates a call"
    elif problem["type"] == "string_pattern_mismatch":
        message = _pattern_message(problem)
    return ApiError(code, message, field=path[:128] or None, hint=hint)


def _pattern_message(problem: ErrorDetails) -> str:
    if problem["loc"][-1] == "pipeline":
        return "1 to 64 characters, without control characters and $ / \\ ? #"
    return "1 to 128 letters, digits and . _ ~ : -"


def _names(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def nearest(name: str, names: list[str]) -> str:
    """Say what was probably meant, for errors about unknown names."""
    match = difflib.get_close_matches(name[:64], names, n=1)
    return f"did you mean {match[0]}?" if match else f"known: {', '.join(names)}"


def field_path(location: tuple[int | str, ...]) -> str:
    """`("candidates", 0, "sdp_mid")` as `candidates[0].sdp_mid`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = re.sub(r"[^\x20-\x7e]", "?", part)
            path += f".{name}" if path else name
    return path
