"""Reading and writing manifests, with errors that give the path of the field."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import get_args

import yaml
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from remotemedia._parameters import shorten
from remotemedia._suggest import did_you_mean, nearest
from remotemedia.errors import INVALID_MANIFEST, ManifestError, Problem
from remotemedia.manifest.models import Manifest
from remotemedia.manifest.plain import MAX_DEPTH, MAX_VALUES, check_plain

MAX_BYTES = 1 << 20
"""The longest manifest; a longer one is refused."""
MAX_DIGITS = 64
"""The longest number."""
BOM = "\ufeff"
"""What some editors begin a file with."""
MAX_PROBLEMS = 20
"""How many problems are reported at once."""


def load(data: Mapping[str, object]) -> Manifest:
    """Check plain data and give the manifest.

    Raises:
        ManifestError: with the path of each field that is wrong.
    """
    check_plain(_mapping(data))
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)[:MAX_PROBLEMS]
        raise ManifestError.of([_problem(each) for each in found]) from None


def load_json(text: str) -> Manifest:
    """Read JSON. Keys that occur twice are refused.

    Raises:
        ManifestError: it is not JSON, or not a manifest.
    """
    _check_size(text)
    try:
        # What is no number is found below, with the path of its field.
        data = json.loads(
            text.removeprefix(BOM),
            object_pairs_hook=_no_duplicates,
            parse_constant=float,
            parse_int=_integer,
        )
    except ValueError as error:
        raise ManifestError(f"is not JSON: {error}.", field="$") from None
    except RecursionError:
        raise ManifestError("is nested too deeply.", field="$") from None
    return load(_mapping(data))


def load_yaml(text: str) -> Manifest:
    """Read YAML (or JSON, which is YAML). Aliases and keys that occur twice are refused.

    Raises:
        ManifestError: it is not YAML, or not a manifest.
    """
    _check_size(text)
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ManifestError(f"is not YAML: {error.problem}{where}.", field="$") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ManifestError(f"is not YAML: {error}.", field="$") from None
    return load(_mapping(data))


def load_file(path: Path) -> Manifest:
    """Read a ``.json`` or ``.yaml`` file.

    Raises:
        ManifestError: it cannot be read, or is no manifest.
    """
    try:
        # A pipe or a device has no size to ask for: no more is read than a manifest may have.
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        _check_size(data)
        text = data.decode().removeprefix(BOM)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ManifestError(f"cannot be read: {reason}.", field="$") from error
    except UnicodeDecodeError as error:
        raise ManifestError("is not text in UTF-8.", field="$") from error
    return load_json(text) if path.suffix == ".json" else load_yaml(text)


def dump_yaml(manifest: Manifest) -> str:
    """Write YAML that `load_yaml` reads."""
    return yaml.safe_dump(manifest.to_dict(), sort_keys=False, allow_unicode=True)


def dump_json(manifest: Manifest) -> str:
    """Write JSON that `load_json` reads."""
    return json.dumps(manifest.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


class _Loader(yaml.SafeLoader):
    """Safe, not deep, without aliases (which make small files huge) and without doubled keys."""

    depth = 0
    values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.values += 1
        if self.values > 2 * MAX_VALUES:  # keys are nodes too
            raise self._refusal("it has too many values")
        if self.check_event(yaml.AliasEvent):
            raise self._refusal("aliases are not allowed")
        if self.depth > MAX_DEPTH:
            raise self._refusal("it is nested too deeply")
        self.depth += 1
        composed: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return composed

    def construct_number(self, node: yaml.ScalarNode) -> object:
        # Turning digits into a number takes the square of their count.
        if len(node.value) > MAX_DIGITS:
            raise yaml.MarkedYAMLError(
                problem="the number is too long", problem_mark=node.start_mark
            )
        if node.tag.endswith(":int"):
            return self.construct_yaml_int(node)
        return self.construct_yaml_float(node)

    def _refusal(self, problem: str) -> yaml.MarkedYAMLError:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="keys must be text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f'"{key.value}" occurs twice', problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)
# Dates stay the text that they are: `created_at` must come back as it was written.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _no_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    data = dict(pairs)
    if len(data) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'"{twice}" occurs twice')
    return data


def _integer(digits: str) -> int:
    # Turning digits into a number takes the square of their count; so many are too many anyway.
    return int(digits[:MAX_DIGITS])


def _check_size(text: str | bytes) -> None:
    if len(text) > MAX_BYTES:
        raise ManifestError(f"is longer than {MAX_BYTES} bytes.", field="$")


def _mapping(data: object) -> Mapping[str, object]:
    if not isinstance(data, Mapping):
        raise ManifestError(
            f"must be an object with version, metadata and nodes, not {shorten(data)}.", field="$"
        )
    return data


def _problem(error: ErrorDetails) -> Problem:
    location = error["loc"]
    hint = None
    message = f"{error['msg']}, not {shorten(error['input'])}."
    if error["type"] == "extra_forbidden":
        message = f'there is no field "{location[-1]}" here.'
        hint = did_you_mean(str(location[-1]), _fields_at(location[:-1]))
    elif error["type"] == "too_short" and location == ("nodes",):
        message = "the pipeline has no nodes."
    elif error["type"] == "too_long":
        context = error.get("ctx", {})
        message = f"has {context['actual_length']} entries: {context['max_length']} are the most."
    elif error["type"] == "missing":
        message = "is missing."
    elif error["type"] == "literal_error":
        expected = str(error.get("ctx", {}).get("expected", ""))
        guess = nearest(str(error["input"]), re.findall("'([^']*)'", expected))
        hint = f'Did you mean "{guess}"?' if guess else None
    elif error["type"] == "string_pattern_mismatch":
        message = f"has characters that are not allowed here: {shorten(error['input'])}."
        hint = "Ids have letters, digits, - and _; names have no / or $."
    return Problem(INVALID_MANIFEST, field_path(location), message, hint)


def field_path(location: tuple[int | str, ...]) -> str:
    """Give ``nodes[2].params.x`` for ``("nodes", 2, "params", "x")``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "$"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] | None = Manifest
    for part in location:
        if isinstance(part, str) and model is not None:
            model = _model_of(model, part)
    if model is None:
        return []
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_of(model: type[BaseModel], field: str) -> type[BaseModel] | None:
    info = model.model_fields.get(field)
    pending: list[object] = [info.annotation] if info else []
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        pending.extend(get_args(annotation))
    return None
