"""What clients ask for over a channel, read: bounded, strict, and every refusal names the field."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from remotemedia.host.python.faults import INVALID_MESSAGE

if TYPE_CHECKING:
    from pydantic import JsonValue

MAX_BYTES = 64 * 1024
"""The longest control message; a longer one is refused before it is read."""
MAX_DEPTH = 32
"""How deep arrays and objects may nest, the message itself included."""
MAX_ID_BYTES = 64
"""The longest textual id and name of a node."""
MAX_FIELDS = 16
"""The most fields of a message; none has as many."""
_QUOTED = 48
_REASON = 160
_TYPES = ("configure", "interrupt", "flush", "ping", "input")
_INT64 = range(-(2**63), 2**63)
_INTEGERS = range(-(2**63), 2**64)
"""Further whole numbers are read as any other number."""

Kind = Literal["configure", "interrupt", "flush", "ping", "input"]


@dataclass(frozen=True)
class Control:
    """A control message.

    Attributes:
        kind: its type.
        id: what the client recognises the answer by.
        node: the node's id, for ``configure``; who takes it, for ``input``, where that is said.
        params: live parameters, for ``configure``.
        t: the client's clock, for ``ping``: echoed.
        data: for ``input``.
    """

    kind: Kind
    id: str | int | None = None
    node: str = ""
    params: dict[str, JsonValue] = field(default_factory=dict)
    t: int | float | None = None
    data: JsonValue = None


class Refused(Exception):  # noqa: N818 - it is what a client did
    """Why a message is refused."""

    code = INVALID_MESSAGE

    def __init__(self, message: str, where: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = None if where is None else where[:_QUOTED]
        self.id: str | int | None = None


def parse_control(data: bytes | str) -> Control:
    """Read a message.

    Raises:
        Refused: it is too long or too deep, is not JSON, names a field twice, has an unknown type
            or field, or lacks one.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > MAX_BYTES:
        raise Refused(f"longer than {MAX_BYTES} bytes: {len(raw)}")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        raise Refused(f"nested deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(
            raw.decode(),
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_int,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise Refused(f"not valid: {str(error)[:_REASON]}") from None
    if not isinstance(value, dict):
        raise Refused('not valid: expected an object with a "type"')
    if len(value) > MAX_FIELDS:
        raise Refused(f"not valid: more than {MAX_FIELDS} fields")
    fields = _Fields(value)
    name = fields.id()
    try:
        return _read(fields, name)
    except Refused as refused:
        refused.id = name
        raise


def _read(fields: _Fields, name: str | int | None) -> Control:
    if fields.take("v", 1) != 1:
        raise Refused("this server speaks version 1", "v")
    kind = fields.text("type")
    if kind not in _TYPES:
        known = f"{', '.join(_TYPES[:-1])} or {_TYPES[-1]}"
        raise Refused(f'unknown type "{kind[:_QUOTED]}": expected {known}', "type")
    node, params, t, data = "", cast("dict[str, JsonValue]", {}), None, cast("JsonValue", None)
    if kind == "configure" or (kind == "input" and "node" in fields.left):
        node = fields.name("node")
    if kind == "configure":
        given = fields.required("params")
        if not isinstance(given, dict):
            raise Refused("must be an object", "params")
        params = given
    elif kind == "input":
        data = fields.required("data")
    elif kind == "ping":
        t = fields.number("t")
    for unknown in fields.left:
        raise Refused(f'unknown field "{unknown[:_QUOTED]}" in "{kind}"', unknown)
    return Control(cast("Kind", kind), name, node, params, t, data)


class _Fields:
    """The fields that nobody has read yet."""

    def __init__(self, left: dict[str, JsonValue]) -> None:
        self.left = left

    def take(self, name: str, default: JsonValue) -> JsonValue:
        return self.left.pop(name, default)

    def required(self, name: str) -> JsonValue:
        if name not in self.left:
            raise Refused(f'"{name}" is missing', name)
        return self.left.pop(name)

    def text(self, name: str) -> str:
        value = self.required(name)
        if not isinstance(value, str):
            raise Refused("must be a string", name)
        return value

    def name(self, name: str) -> str:
        value = self.text(name)
        if not 1 <= len(value.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES:
            raise Refused(f"must have 1 to {MAX_ID_BYTES} bytes", name)
        return value

    def number(self, name: str) -> int | float | None:
        if name not in self.left:
            return None
        value = self.left.pop(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused("must be a number", name)
        return value

    def id(self) -> str | int | None:
        if "id" not in self.left:
            return None
        value = self.left.pop("id")
        if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value in _INT64:
            return value
        text = f"must be a whole number or a string of at most {MAX_ID_BYTES} bytes"
        raise Refused(text, "id")


def _depth(raw: bytes) -> int:
    """How deep brackets nest outside strings; exact for JSON, for else the parser decides."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in raw:
        if escaped:
            escaped = False
        elif in_string:
            escaped = byte == _BACKSLASH
            in_string = byte != _QUOTE
        elif byte == _QUOTE:
            in_string = True
        elif byte in _OPEN:
            depth += 1
            deepest = max(deepest, depth)
        elif byte in _CLOSE:
            depth = max(depth - 1, 0)
    return deepest


_BACKSLASH, _QUOTE, _OPEN, _CLOSE = ord("\\"), ord('"'), b"[{", b"]}"


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f'field "{name[:_QUOTED]}" appears twice')
        fields[name] = value
    return fields


def _int(text: str) -> int | float:
    value = int(text)
    return value if value in _INTEGERS else _float(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
