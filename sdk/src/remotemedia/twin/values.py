"""What goes in and out of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from remotemedia.errors import INVALID_PARAMETER, RemoteMediaError
from remotemedia.frames import Samples

if TYPE_CHECKING:
    from pydantic import JsonValue

MAX_DEPTH = 32
"""How deeply a JSON value may be nested: a list in a list is two deep."""
MAX_VALUE_BYTES = 60 * 1024
"""The longest JSON value, in bytes: with its header it must fit a message of 64 KiB."""


class RuntimeFault(RemoteMediaError):  # noqa: N818 - the native module's name
    """A call that a run refuses."""


class Unfit(ValueError):  # noqa: N818 - it is no error where opaque values may pass
    """A value that cannot be sent on; the text says why, as the end of a sentence.

    Attributes:
        path: of what is wrong within the value, such as ``["a"][2]``.
    """

    path = ""

    def within(self, part: str) -> Unfit:
        """Learn what it is a part of."""
        self.path = part + self.path
        return self

    def of(self, what: str) -> str:
        """Give the whole sentence."""
        return f"{what}{self.path} {self}"


@dataclass(frozen=True)
class LaneItem:
    """One frame for a Python node; without port, samples and value it is the end of the input."""

    token: int
    session: str
    participant: str
    stream: str
    pipeline: str
    node: str
    entry: str
    port: str
    seq: int
    pts_us: int
    epoch: int = 0
    rate: int = 0
    channels: int = 0
    samples: Samples | None = None
    value: object = None

    @property
    def end(self) -> bool:
        """Whether all inputs of the node have ended."""
        return not self.port


@dataclass(frozen=True)
class LaneData:
    """A JSON value that a Python node gave: checked, and copied, when it is made."""

    value: object

    def __post_init__(self) -> None:
        """Take a copy.

        Raises:
            RuntimeFault: it is not JSON, or too deep or too long.
        """
        try:
            object.__setattr__(self, "value", checked_copy(self.value))
        except Unfit as error:
            raise RuntimeFault(
                error.of("the result"), code=INVALID_PARAMETER, field="value"
            ) from None


@dataclass(frozen=True)
class LaneOpaque:
    """Any object that a Python node gave, for other Python nodes."""

    value: object


@dataclass(frozen=True)
class LaneFailure:
    """Why a Python node gave nothing for a frame."""

    message: str
    traceback: str | None = None
    transient: bool = False


@dataclass(frozen=True)
class RunOutput:
    """Something that a run put out; see `remotemedia.running.backend.RunOutput`."""

    node: str
    port: str
    pts_us: int
    kind: Literal["event", "audio", "value"]
    message: Mapping[str, JsonValue] | None = None
    samples: Samples | None = None
    rate: int | None = None
    value: object = None


def checked_copy(value: object, arrays: bool = True) -> JsonValue:
    """Copy a JSON value; NumPy's scalars become numbers, and where `arrays` says so arrays lists.

    Raises:
        Unfit: something in it is not JSON, or it is too deep or too long.
    """
    copy = json_copy(value, arrays)
    try:
        size = len(json.dumps(copy, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        raise Unfit("has a lone surrogate, which UTF-8 cannot say") from None
    if size > MAX_VALUE_BYTES:
        raise Unfit(f"has more than {MAX_VALUE_BYTES} bytes as JSON")
    return copy


def json_copy(value: object, arrays: bool = True, depth: int = 0) -> JsonValue:
    """Copy a value that is JSON, whatever its length."""
    if isinstance(value, np.generic) or (arrays and isinstance(value, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise Unfit("is an integer of more than 64 bits: return it as text.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unfit(f"is {value}, which JSON cannot say: return None instead.")
        return float(value)
    if not isinstance(value, list | tuple | dict):
        kinds = "return dicts, lists, text, numbers and None."
        raise Unfit(f"is a {type(value).__name__}, which is not JSON: {kinds}")
    if depth >= MAX_DEPTH:
        raise Unfit(f"is more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        return _object(value, arrays, depth + 1)
    listed: list[JsonValue] = []
    for index, each in enumerate(value):
        try:
            listed.append(json_copy(each, arrays, depth + 1))
        except Unfit as error:
            raise error.within(f"[{index}]") from None
    return listed


def _object(value: dict[object, object], arrays: bool, depth: int) -> JsonValue:
    made: dict[str, JsonValue] = {}
    for key, each in value.items():
        if not isinstance(key, str):
            raise Unfit(f"has the key {repr(key)[:64]}: keys must be text.")
        try:
            made[key] = json_copy(each, arrays, depth)
        except Unfit as error:
            raise error.within(f'["{key[:64]}"]') from None
    return made
