"""What Python nodes give, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from remotemedia.errors import INVALID_PARAMETER
from remotemedia.twin.chunks import Audio, Signal, Stamp, Value
from remotemedia.twin.plan import Output, Plan
from remotemedia.twin.values import (
    LaneData,
    LaneFailure,
    LaneOpaque,
    RuntimeFault,
    Unfit,
    checked_copy,
)

if TYPE_CHECKING:
    from remotemedia.running.backend import LaneDone

Done = tuple[int, Sequence[object] | LaneFailure] | tuple[int, Sequence[object], bool]
"""A frame's token and what became of it; then True where that is not all."""
_PAIR = 2
_DIMENSIONS = 2
FIRST = "out"
"""The port that results without one leave by; the first where there is none of that name."""


class Results:
    """Reads results and keeps the time of each output from going backwards."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._end_us: dict[tuple[int, str], int] = {}

    def read(
        self, index: int, stamp: Stamp, results: Sequence[object]
    ) -> list[tuple[Output | None, Signal]]:
        """Read what a node gave for one frame: by which output, if any, and what.

        Raises:
            Unfit: something in it cannot be sent on; that is the node's failure.
        """
        return self.dated(index, self.fitting(index, stamp, results))

    def fitting(
        self, index: int, stamp: Stamp, results: Sequence[object]
    ) -> list[tuple[Output | None, Signal]]:
        """Read what a node gave, to be `dated` when its turn comes.

        Raises:
            Unfit: as `read`.
        """
        found = [(self._output(index, port), value) for port, value in map(_pair, results)]
        return [(output, _signal(output, stamp, value)) for output, value in found]

    def dated(
        self, index: int, found: list[tuple[Output | None, Signal]]
    ) -> list[tuple[Output | None, Signal]]:
        """Let the audio of each output begin where the last of it ended, or later."""
        return [(output, self._dated(index, output, signal)) for output, signal in found]

    def _output(self, index: int, wanted: str) -> Output | None:
        outputs = self._plan.nodes[index].outputs
        for output in outputs:
            if output.name == wanted:
                return output
        if wanted != FIRST:
            there = ", ".join(output.name for output in outputs) or "none"
            raise Unfit(f'the node returned something for a port "{wanted}": there is {there}')
        return outputs[0] if outputs else None

    def _dated(self, index: int, output: Output | None, signal: Signal) -> Signal:
        if output is None or not isinstance(signal, Audio):
            return signal
        key = index, output.name
        # A node may return more audio than it took: its time never goes backwards.
        pts_us = max(signal.stamp.pts_us, self._end_us.get(key, 0))
        audio = Audio(signal.stamp.at(pts_us), signal.rate, signal.samples)
        self._end_us[key] = audio.end_us
        return audio


def _signal(output: Output | None, stamp: Stamp, result: object) -> Signal:
    if isinstance(result, LaneOpaque):
        return Value(stamp, result.value, opaque=True)
    if isinstance(result, np.ndarray):
        return _audio(output, stamp, result)
    return Value(stamp, result.value if isinstance(result, LaneData) else _parsed(result))


def _audio(output: Output | None, stamp: Stamp, samples: np.ndarray) -> Audio:
    if output is None or not output.format.takes_audio:
        raise Unfit("the node returned audio but declares no output for it")
    channels = output.format.channels
    given = 1 if samples.ndim == 1 else samples.shape[0]
    if given != channels:
        raise Unfit(f"the node returned audio of {given} ch; its output is {output.format}")
    planar = np.array(samples, dtype=np.float32).reshape(channels, -1)
    return Audio(stamp, output.format.rate, planar)


def check(results: object) -> LaneFailure | Sequence[object]:
    """Check that a driver may hand this over, before any of it is acted on, and give it.

    Raises:
        RuntimeFault: it may not.
    """
    if isinstance(results, LaneFailure):
        return results
    if not isinstance(results, Sequence) or isinstance(results, str | bytes):
        raise _fault("must be a list of results or a LaneFailure")
    for each in results:
        if isinstance(each, tuple) and (len(each) != _PAIR or not isinstance(each[0], str)):
            raise _fault("a result with a port is (port, result)")
        _, value = _pair(each)
        if not isinstance(value, LaneData | LaneOpaque | str) and not _is_audio(value):
            raise _fault("a value is LaneData, LaneOpaque, JSON text, or contiguous float32 audio")
    return results


def check_done(
    done: Sequence[LaneDone],
) -> list[tuple[int, LaneFailure | Sequence[object], bool]]:
    """Check entries: a token, what became of its frame, and whether there is more to come.

    Raises:
        RuntimeFault: one of them may not be handed over.
    """
    checked: list[tuple[int, LaneFailure | Sequence[object], bool]] = []
    for token, results, *more in done:
        result, goes_on = check(results), more == [True]
        if goes_on and isinstance(result, LaneFailure):
            raise _fault("nothing can come after a failure")
        checked.append((token, result, goes_on))
    return checked


def _is_audio(value: object) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype == np.float32
        and value.flags.c_contiguous
        and 1 <= value.ndim <= _DIMENSIONS
    )


def _pair(result: object) -> tuple[str, object]:
    """Give a result with its port."""
    return result if isinstance(result, tuple) else (FIRST, result)


def _parsed(text: object) -> object:
    try:
        return checked_copy(json.loads(str(text)))
    except Unfit as error:
        raise Unfit(error.of("the result")) from None
    except ValueError as error:
        raise Unfit(f"the node returned what is not JSON: {error}") from None


def _fault(message: str) -> RuntimeFault:
    return RuntimeFault(message, code=INVALID_PARAMETER, field="done")
