"""What Python nodes give, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence

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
        found = [(self._output(index, port), value) for port, value in map(_pair, results)]
        times = dict(self._end_us)
        try:
            return [(output, self._signal(index, output, stamp, value)) for output, value in found]
        except Unfit:
            self._end_us = times
            raise

    def _output(self, index: int, wanted: str) -> Output | None:
        outputs = self._plan.nodes[index].outputs
        for output in outputs:
            if output.name == wanted:
                return output
        if wanted != FIRST:
            there = ", ".join(output.name for output in outputs) or "none"
            raise Unfit(f'the node returned something for a port "{wanted}": there is {there}')
        return outputs[0] if outputs else None

    def _signal(self, index: int, output: Output | None, stamp: Stamp, result: object) -> Signal:
        if isinstance(result, LaneOpaque):
            return Value(stamp, result.value, opaque=True)
        if isinstance(result, np.ndarray):
            return self._audio(index, output, stamp, result)
        return Value(stamp, result.value if isinstance(result, LaneData) else _parsed(result))

    def _audio(self, index: int, output: Output | None, stamp: Stamp, samples: np.ndarray) -> Audio:
        if output is None or not output.format.takes_audio:
            raise Unfit("the node returned audio but declares no output for it")
        channels = output.format.channels
        given = 1 if samples.ndim == 1 else samples.shape[0]
        if given != channels:
            raise Unfit(f"the node returned audio of {given} ch; its output is {output.format}")
        key = index, output.name
        # A node may return more audio than it took: its time never goes backwards.
        pts_us = max(stamp.pts_us, self._end_us.get(key, 0))
        planar = np.array(samples, dtype=np.float32).reshape(channels, -1)
        audio = Audio(stamp.at(pts_us), output.format.rate, planar)
        self._end_us[key] = audio.end_us
        return audio


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
