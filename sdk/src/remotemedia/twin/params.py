"""Parameters of nodes read one by one: all must be there, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from remotemedia.errors import INVALID_PARAMETER, ManifestError
from remotemedia.twin.manifest import invalid, mismatch

T = TypeVar("T")
_SHOWN = 64


class ParamError(Exception):
    """What is wrong with one parameter, or with ``inputs`` or ``outputs``.

    Attributes:
        name: of the parameter; empty where the object itself is wrong.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name

    def at(self, path: str) -> ManifestError:
        """Make the error of the node at `path`."""
        if self.name.startswith(("inputs", "outputs")):
            return mismatch(f"{path}.{self.name}", str(self))
        field = f"{path}.params.{self.name}" if self.name else f"{path}.params"
        return invalid(field, str(self), INVALID_PARAMETER)


class Params:
    """Reads the parameters of one node; the first error wins, what is unknown comes last."""

    def __init__(self, given: object) -> None:
        if not isinstance(given, dict):
            raise ParamError("", f"must be an object, is {_type_of(given)}")
        self._given: dict[str, object] = given
        self._known: list[str] = []

    def _take(self, name: str) -> object:
        self._known.append(name)
        if name not in self._given:
            raise ParamError(name, "is missing")
        return self._given[name]

    def number(self, name: str, least: float, most: float) -> float:
        """Read a number; it is rounded to float32, as the native runtime does."""
        value = self._take(name)
        checked = as_f32(value)
        if checked is None or not least <= checked <= most:
            raise ParamError(name, f"must be a number from {least} to {most}, is {_show(value)}")
        return checked

    def numbers(self, name: str, count: int, least: float, most: float) -> list[float]:
        """Read a list of so many numbers."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) != count:
            raise ParamError(name, f"must be a list of {count} numbers, is {_show(value)}")
        found = []
        for index, each in enumerate(value):
            checked = as_f32(each)
            if checked is None or not least <= checked <= most:
                text = f"must be a number from {least} to {most}, is {_show(each)}"
                raise ParamError(f"{name}[{index}]", text)
            found.append(checked)
        return found

    def optional_number(self, name: str) -> float | int | None:
        """Read a finite number or null, as it is."""
        value = self._take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ParamError(name, f"must be a number or null, is {_show(value)}")
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        """Read an integer."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ParamError(name, f"must be an integer from {least} to {most}, is {_show(value)}")
        return value

    def choice(self, name: str, choices: Mapping[str, T]) -> T:
        """Read the name of one of the choices."""
        value = self._take(name)
        if not isinstance(value, str) or value not in choices:
            names = " or ".join(f'"{choice}"' for choice in choices)
            raise ParamError(name, f"must be {names}, is {_show(value)}")
        return choices[value]

    def text(self, name: str, most: int) -> str:
        """Read a text of 1 to `most` bytes."""
        value = self._take(name)
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= most:
            raise ParamError(name, f"must be a text of 1 to {most} bytes")
        return value

    def finish(self) -> None:
        """Refuse what nobody asked for."""
        for name in sorted(self._given):
            if name not in self._known:
                there = ", ".join(self._known)
                raise ParamError(
                    name[:_SHOWN],
                    f"is not known: there are {there}"
                    if there
                    else "is not known: there are no parameters here",
                )


def as_f32(value: object) -> float | None:
    """Round a number to float32; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with np.errstate(over="ignore"):
        rounded = float(np.float32(value))
    return rounded if np.isfinite(rounded) else None


def _show(value: object) -> str:
    return json.dumps(value)[:_SHOWN]


def _type_of(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "an array"}
    return names.get(type(value), "null")
