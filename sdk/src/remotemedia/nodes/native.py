"""Nodes that the machine runs itself, natively or by their Python twins."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from remotemedia._bounds import Ge, Le
from remotemedia.base import BuiltinNode
from remotemedia.formats import AudioFormat

if TYPE_CHECKING:
    from pydantic import JsonValue

    Parameters = Mapping[str, JsonValue]
    """What the machine is given: everything explicit."""

Milliseconds = Annotated[int, Ge(0), Le(60_000)]
Decibels = Annotated[float, Ge(-120.0), Le(60.0)]


class NativeNode(BuiltinNode):
    """A node with a Rust and a Python twin, and what planning has to know about it."""

    native_kind: ClassVar[str]
    """The machine's name for it."""

    @abstractmethod
    def native_parameters(self) -> Parameters:
        """Give every parameter that the machine wants, defaults filled in."""

    def gives(self, taken: AudioFormat) -> AudioFormat:
        """Give the output's format for an input's. Most nodes pass their audio on."""
        return taken
