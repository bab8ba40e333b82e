"""What a live node returns, sorted by its outputs and made ready for the native runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remotemedia.formats import AudioFormat
from remotemedia.lanes.results import Results, is_json, json_of

if TYPE_CHECKING:
    from remotemedia._native import LaneResult

Make = Callable[[object], object]
"""The native module's ``LaneData`` or ``LaneOpaque``."""


@dataclass(frozen=True)
class Opaque:
    """A value that is not JSON, for other Python nodes, on its way from a worker."""

    value: object


class Sorting:
    """Makes a list of results of what a node returned for a frame.

    Without the native module's types it makes JSON text and `Opaque`; such a one can be pickled.
    """

    def __init__(
        self,
        outputs: Mapping[str, AudioFormat | None],
        fed: frozenset[str],
        data: Make | None = None,
        opaque: Make | None = None,
    ) -> None:
        """Sort for a node.

        Args:
            outputs: the format of audio by the output's name, the first first; None takes none.
            fed: the outputs from which other nodes take.
            data: makes a JSON value.
            opaque: makes any other value.
        """
        self._outputs = dict(outputs)
        self._fed = fed
        self._data = cast("Callable[[object], LaneResult]", data or json_of)
        self._opaque = cast("Callable[[object], LaneResult]", opaque or Opaque)
        self._first = next(iter(self._outputs), "")
        self._results: Results[LaneResult] = Results(self._outputs or {"out": None}, self._value)

    def __reduce__(self) -> tuple[type[Sorting], tuple[object, ...]]:
        """Leave the native module's types behind."""
        return Sorting, (self._outputs, self._fed)

    def of(self, value: object) -> list[LaneResult]:
        """Give the results; those of other outputs than the first with their names.

        Raises:
            NodeError: something in it can neither be sent nor passed on; the text says what.
        """
        first = self._first
        if type(value) is dict:  # the usual result
            return [self._value(first, value)]
        results = [
            each if port == first else (port, each) for port, each in self._results.of(value)
        ]
        return cast("list[LaneResult]", results)

    def _value(self, port: str, value: object) -> LaneResult:
        if port in self._fed and not is_json(value):
            return self._opaque(value)
        try:
            return self._data(value)
        except Exception:
            return cast("LaneResult", json_of(value))  # it says in our words what is wrong


__all__ = ["Make", "Opaque", "Sorting"]
