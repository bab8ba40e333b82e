"""Silero VAD for 16 kHz, by onnxruntime."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from remotemedia.errors import RuntimeMissing
from remotemedia.frames import Samples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class _Session(Protocol):
        def run(
            self, names: None, inputs: Mapping[str, NDArray[np.generic]]
        ) -> tuple[Samples, Samples]: ...


WINDOW = 512
"""Samples that are judged at a time."""
CONTEXT = 64
"""Samples before them that the model sees too."""
_RATE = 16_000


@cache
def session() -> _Session:
    """Load the model, on one thread: windows of a stream depend on each other.

    Raises:
        RuntimeMissing: onnxruntime is not installed.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError:
        raise RuntimeMissing(
            "the silero engine without the native runtime needs onnxruntime.",
            hint="Install remotemedia[python].",
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = resources.files("remotemedia.twin").joinpath("data/silero_vad_16k.onnx").read_bytes()
    made = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return cast("_Session", made)


class Silero:
    """The model at work on one stream."""

    def __init__(self) -> None:
        self._session = session()
        self._rate = np.array(_RATE, dtype=np.int64)
        self._given = np.zeros((1, CONTEXT + WINDOW), dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._given[:] = 0.0

    def probability(self, window: Samples) -> float:
        """Judge the next window of `WINDOW` samples."""
        self._given[0, :CONTEXT] = self._given[0, WINDOW:]
        self._given[0, CONTEXT:] = window
        out, self._state = self._session.run(
            None, {"input": self._given, "state": self._state, "sr": self._rate}
        )
        return float(out[0, 0])
