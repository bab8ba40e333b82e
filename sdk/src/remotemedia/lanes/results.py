"""What nodes return, as the native runtime takes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from remotemedia.errors import NodeError
from remotemedia.formats import AudioFormat
from remotemedia.frames import AudioFrame, Samples

if TYPE_CHECKING:
    from remotemedia._native import LaneResult

MAX_RESULT_BYTES = 60 * 1024
"""The longest result in bytes of JSON; a longer one is refused as the node's failure."""
MAX_RESULTS = 256
"""The most results of one frame; more are refused as the node's failure."""
_MAX_DEPTH = 32
_PAIR = 2


def results_of(value: object, output: AudioFormat) -> list[LaneResult]:
    """Convert what a node returned for one frame.

    Args:
        value: None gives nothing, an array is audio, a list is several, anything else is JSON.
        output: the format that audio must have.

    Raises:
        NodeError: something in it can neither be sent nor passed on; the text says what and where.
    """
    results: list[LaneResult] = []
    _append(value, output, results, 0)
    return results


def _append(value: object, output: AudioFormat, results: list[LaneResult], depth: int) -> None:
    if value is None:
        return
    if isinstance(value, AudioFrame):
        _check_rate(value.rate, output)
        _append_audio(value.samples, output, results)
    elif isinstance(value, np.ndarray) and value.ndim > 0:
        _append_audio(value, output, results)
    elif isinstance(value, tuple) and len(value) == _PAIR and isinstance(value[0], np.ndarray):
        _check_rate(value[1], output)
        _append_audio(value[0], output, results)
    elif isinstance(value, list | tuple):
        if depth > 0:
            raise NodeError("a node may return a list of results, not a list of lists.")
        _append_each(value, output, results)
    else:
        results.append(json_of(value))
    if len(results) > MAX_RESULTS:
        raise NodeError(f"a node may return at most {MAX_RESULTS} results for a frame.")


def _append_each(values: Iterable[object], output: AudioFormat, results: list[LaneResult]) -> None:
    for value in values:
        _append(value, output, results, 1)


def _check_rate(rate: object, output: AudioFormat) -> None:
    if rate != output.rate:
        raise NodeError(
            f"the node returned audio at {rate} Hz, but its output is {output}.",
            hint="Say so with output_rate.",
        )


def _append_audio(
    samples: np.ndarray,
    output: AudioFormat,
    results: list[LaneResult],
) -> None:
    if samples.dtype.kind != "f":
        raise NodeError(
            f"the node returned audio as {samples.dtype}, not as float32 from -1.0 to 1.0.",
            hint="Divide int16 by 32768, or call .tolist() if it is no audio.",
        )
    channels = 1 if samples.ndim == 1 else samples.shape[0]
    if samples.ndim > _PAIR or channels != output.channels:
        raise NodeError(
            f"the node returned an array of shape {samples.shape}, but its output is {output}.",
            hint="Return (n,) or (channels, n), or call .tolist() if it is no audio.",
        )
    audio: Samples = np.ascontiguousarray(samples, dtype=np.float32)
    if not np.isfinite(audio).all():
        raise NodeError("the node returned audio with NaN or infinite samples.")
    if audio.size:
        results.append(audio)


def json_of(value: object) -> str:
    """Write one result as JSON; NumPy's scalars and arrays become numbers and lists.

    Raises:
        NodeError: something in it is not JSON, or it is too long; the text says what and where.
    """
    try:
        text = json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(_culprit(value) or f"the result is not JSON: {error}.") from None
    if len(text) > MAX_RESULT_BYTES:
        raise NodeError(
            f"the result is {len(text)} bytes long as JSON; at most {MAX_RESULT_BYTES} can be sent."
        )
    return text


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _culprit(value: object, path: str = "the result", depth: int = 0) -> str | None:
    """Say what in a value is not JSON."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    found = None
    if depth > _MAX_DEPTH:
        found = f"{path} is nested too deeply."
    elif isinstance(value, float) and value - value != 0:
        found = f"{path} is {value}, which JSON cannot say: return None instead."
    elif isinstance(value, dict):
        keys = [key for key in value if not isinstance(key, str)]
        inner = (_culprit(each, f'{path}["{key}"]', depth + 1) for key, each in value.items())
        found = f"{path} has the key {keys[0]!r}: keys must be text." if keys else _first(inner)
    elif isinstance(value, list | tuple):
        items = enumerate(value)
        found = _first(_culprit(each, f"{path}[{index}]", depth + 1) for index, each in items)
    elif value is not None and not isinstance(value, str | int | float):
        found = (
            f"{path} is a {type(value).__name__}, which is not JSON: "
            "return dicts, lists, text, numbers and None."
        )
    return found


def _first(found: Iterable[str | None]) -> str | None:
    return next((each for each in found if each), None)
