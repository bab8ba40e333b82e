"""What nodes return, as the native runtime takes it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from remotemedia._suggest import did_you_mean
from remotemedia.base import OUT_PORT, Out
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
_EXACT = frozenset({str, bool, int, type(None)})
_PAIR = 2


T = TypeVar("T")


def results_of(value: object, output: AudioFormat) -> list[LaneResult]:
    """Convert what a node with one output returned for one frame, for the native runtime.

    Args:
        value: None gives nothing, an array is audio, a list is several, anything else is JSON.
        output: the format that audio must have.

    Raises:
        NodeError: something in it can neither be sent nor passed on; the text says what and where.
    """
    if type(value) is dict:  # the usual result
        return [json_of(value)]
    return [result for _, result in _with_one_output(output).of(value)]


@functools.lru_cache(64)
def _with_one_output(output: AudioFormat) -> Results[str]:
    return Results({OUT_PORT: output}, lambda _, data: json_of(data))


class Results(Generic[T]):
    """Sorts what a node returns: which output it leaves by, and whether it is audio."""

    def __init__(
        self, outputs: Mapping[str, AudioFormat | None], data: Callable[[str, object], T]
    ) -> None:
        """Sort for a node.

        Args:
            outputs: the format of audio by the output's name, the first first; None takes none.
            data: makes a result of a port and what is no audio.
        """
        self._outputs = outputs
        self._first = next(iter(outputs))
        self._data = data

    def of(self, value: object) -> list[tuple[str, Samples | T]]:
        """Give the results with their ports; see `results_of` for `value` and errors."""
        results: list[tuple[str, Samples | T]] = []
        self._append(value, self._first, results, 0)
        return results

    def _append(
        self, value: object, port: str, results: list[tuple[str, Samples | T]], depth: int
    ) -> None:
        if value is None:
            return
        if type(value) is dict:  # the usual result
            results.append((port, self._data(port, value)))
            return
        if isinstance(value, Out):
            if value.port not in self._outputs:
                raise NodeError(
                    f'the node has no output "{value.port}".',
                    hint=did_you_mean(value.port, self._outputs),
                )
            port, value = value.port, value.value
        if isinstance(value, AudioFrame):
            self._append_audio(value.samples, value.rate, port, results)
        elif isinstance(value, np.ndarray) and value.ndim > 0:
            self._append_audio(value, None, port, results)
        elif isinstance(value, tuple) and len(value) == _PAIR and isinstance(value[0], np.ndarray):
            self._append_audio(value[0], value[1], port, results)
        elif isinstance(value, list | tuple):
            if depth > 0:
                raise NodeError("a node may return a list of results, not a list of lists.")
            for each in value:
                self._append(each, port, results, 1)
        elif value is not None:
            results.append((port, self._data(port, value)))
        if len(results) > MAX_RESULTS:
            raise NodeError(f"a node may return at most {MAX_RESULTS} results for a frame.")

    def _append_audio(
        self,
        samples: np.ndarray,
        rate: object,
        port: str,
        results: list[tuple[str, Samples | T]],
    ) -> None:
        output = self._outputs[port]
        if output is None:
            raise NodeError(
                f'the node returned audio, but its output "{port}" is for data.',
                hint="Call .tolist() if it is no audio.",
            )
        if rate is not None and rate != output.rate:
            raise NodeError(
                f"the node returned audio at {rate} Hz, but its output is {output}.",
                hint="Say so with output_rate.",
            )
        audio = _audio(samples, output)
        if audio.size:
            results.append((port, audio))


def _audio(samples: np.ndarray, output: AudioFormat) -> Samples:
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
    return audio


def is_json(value: object, depth: int = 0) -> bool:
    """Say whether a value is JSON as it stands: nothing in it must be converted."""
    items: Iterable[object]
    if type(value) is dict:
        for key in value:  # a generator would take longer than what it goes through
            if type(key) is not str:
                return False
        items = value.values()
    elif type(value) is list:
        items = value
    else:
        return value - value == 0 if type(value) is float else type(value) in _EXACT
    if depth > _MAX_DEPTH:
        return False
    for each in items:  # noqa: SIM110 - as above
        if not is_json(each, depth + 1):
            return False
    return True


def plain_of(value: object) -> object:
    """Make a value JSON: NumPy's scalars and arrays become numbers and lists.

    Raises:
        NodeError: something in it is not JSON; the text says what and where.
    """
    plain: object = json.loads(_dumps(value))
    return plain


def json_of(value: object) -> str:
    """Write one result as JSON; NumPy's scalars and arrays become numbers and lists.

    Raises:
        NodeError: something in it is not JSON, or it is too long; the text says what and where.
    """
    text = _dumps(value)
    if len(text) > MAX_RESULT_BYTES:
        raise NodeError(
            f"the result is {len(text)} bytes long as JSON; at most {MAX_RESULT_BYTES} can be sent."
        )
    return text


def _dumps(value: object) -> str:
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(_culprit(value) or f"the result is not JSON: {error}.") from None


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _encoder() -> Callable[[object], str]:
    slow = json.JSONEncoder(default=_plain, allow_nan=False, separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return slow.encode
    # `JSONEncoder.encode` makes one for each call, which takes longer than a small result.
    # Circular values are not looked for: they end as RecursionError.
    quote = json.encoder.encode_basestring_ascii
    fast = make(None, _plain, quote, None, ":", ",", False, False, False)
    return lambda value: "".join(fast(value, 0))


_encode = _encoder()


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
