"""The reference Silero model on onnxruntime: what our own forward pass is compared with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tests.support.segments import Segment

WINDOW = 512
CONTEXT = 64


def model_path() -> Path:
    """Where the `silero-vad` distribution keeps the 16 kHz model (its code needs PyTorch)."""
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None, "silero-vad is not installed"
    assert spec.submodule_search_locations, "silero-vad is not a package"
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad_16k_op15.onnx"


def load_session() -> onnxruntime.InferenceSession:
    """The model on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(model_path()), options, providers=["CPUExecutionProvider"]
    )


class ReferenceSilero:
    """One stream through the reference model, window after window."""

    def __init__(self, session: onnxruntime.InferenceSession | None = None) -> None:
        self._session = session or load_session()
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._rate = np.array(16_000, dtype=np.int64)

    def probability(self, window: NDArray[np.float32]) -> float:
        """Of one window of 512 samples at 16 kHz."""
        assert window.shape == (WINDOW,)
        given = np.concatenate([self._context, window])[None, :]
        out, self._state = self._session.run(
            None, {"input": given, "state": self._state, "sr": self._rate}
        )
        self._context = window[-CONTEXT:]
        return float(out[0, 0])


def probabilities(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of every whole window of `samples` (16 kHz mono)."""
    model = ReferenceSilero()
    count = len(samples) // WINDOW
    return np.array(
        [model.probability(samples[i * WINDOW : (i + 1) * WINDOW]) for i in range(count)],
        dtype=np.float32,
    )


def segments(samples: NDArray[np.float32]) -> list[Segment]:
    """Where the speech in `samples` (16 kHz mono) is, with the usual parameters.

    Written apart from the segmenter under test: runs of windows above 0.5, going on down to 0.35,
    pauses shorter than 100 ms filled, runs shorter than 250 ms dropped, 30 ms added at both ends.
    """
    window_ms = WINDOW / 16.0
    runs: list[list[float]] = []
    for index, value in enumerate(probabilities(samples)):
        start_ms = index * window_ms
        goes_on = bool(runs) and runs[-1][1] == start_ms
        if value >= 0.5 or (goes_on and value >= 0.35):
            if runs and start_ms - runs[-1][1] < 100.0:
                runs[-1][1] = start_ms + window_ms
            else:
                runs.append([start_ms, start_ms + window_ms])
    return [Segment(a - 30.0, b + 30.0) for a, b in runs if b - a >= 250.0]
