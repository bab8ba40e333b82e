"""The message schema describes what the runtime writes and accepts.

The fixtures are pinned byte for byte by the Rust test `runtime/crates/wire/tests/fixtures.rs`.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

ROOT = Path(__file__).resolve().parents[1]
SCHEMA: dict[str, Any] = json.loads(
    (ROOT / "configs/schema/messages.schema.json").read_text(encoding="utf-8")
)
DATA = ROOT / "runtime/crates/wire/tests/data"


def validator(definition: str) -> Draft202012Validator:
    return Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{definition}"})


def fixtures(folder: str) -> list[Any]:
    paths = sorted((DATA / folder).glob("*.json"))
    assert paths, f"{folder} is empty"
    return [pytest.param(json.loads(p.read_text(encoding="utf-8")), id=p.stem) for p in paths]


def members(union: str) -> list[str]:
    return [entry["$ref"].removeprefix("#/$defs/") for entry in SCHEMA["$defs"][union]["oneOf"]]


def test_the_schema_itself_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("message", fixtures("server"))
def test_what_the_server_writes_is_valid(message: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMA).validate(message)
    validator("ReplyMessage" if "seq" not in message else "ResultMessage").validate(message)


@pytest.mark.parametrize("message", fixtures("server"))
def test_no_field_may_be_missing_or_added(message: dict[str, Any]) -> None:
    check = validator("ServerMessage")
    for name in message.keys() - {"id", "t"}:
        less = copy.deepcopy(message)
        del less[name]
        with pytest.raises(ValidationError):
            check.validate(less)
    with pytest.raises(ValidationError):
        check.validate({**message, "extra": 1})


@pytest.mark.parametrize("union", ["ResultMessage", "ReplyMessage"])
def test_every_kind_that_the_server_may_send_has_a_fixture(union: str) -> None:
    messages = [parameter.values[0] for parameter in fixtures("server")]
    for member in members(union):
        check = validator(member)
        assert any(check.is_valid(message) for message in messages), member


@pytest.mark.parametrize("message", fixtures("control"))
def test_what_the_parser_accepts_is_valid(message: dict[str, Any]) -> None:
    validator("ControlMessage").validate(message)


@pytest.mark.parametrize("message", fixtures("control_refused"))
def test_what_the_parser_refuses_is_invalid(message: Any) -> None:
    with pytest.raises(ValidationError):
        validator("ControlMessage").validate(message)


def test_every_control_message_has_a_fixture() -> None:
    kinds = {parameter.values[0]["type"] for parameter in fixtures("control")}
    assert kinds == {
        SCHEMA["$defs"][member]["properties"]["type"]["const"]
        for member in members("ControlMessage")
    }


def test_everything_is_described() -> None:
    for name, definition in SCHEMA["$defs"].items():
        assert definition["title"] == name
        assert definition["description"].endswith("."), name
        for field, schema in definition.get("properties", {}).items():
            if "const" not in schema and "$ref" not in schema:
                assert schema["description"].endswith("."), f"{name}.{field}"
