"""The reference Silero model on onnxruntime: what our own forward pass is compared with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

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
