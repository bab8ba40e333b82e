# /// script
# requires-python = ">=3.10"
# dependencies = ["av>=14", "numpy>=1.26", "onnxruntime>=1.20"]
# ///
"""Writes jfk_16k.s16 and jfk_silero_v6.f32, what silero_parity.rs compares with.

    pip download --no-deps silero-vad==6.2.3
    uv run make_reference.py jfk.flac silero_vad-6.2.3-py3-none-any.whl

The speech is brought to 16 kHz mono and rounded to 16 bits; the probabilities come from
onnxruntime over the rounded samples / 32768, one per window of 512, with the state carried on.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import av
import numpy as np
import onnxruntime  # type: ignore[import-untyped]

MODEL = "silero_vad/data/silero_vad_16k_op15.onnx"
WINDOW = 512
CONTEXT = 64


def main(speech: str, wheel: str) -> None:
    """Decode the speech, run the model over it and write both files beside this script."""
    here = Path(__file__).parent
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(speech) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    pcm = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype("<i2")

    with zipfile.ZipFile(wheel) as archive:
        session = onnxruntime.InferenceSession(
            archive.read(MODEL), providers=["CPUExecutionProvider"]
        )
    samples = pcm.astype(np.float32) / 32768
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros(CONTEXT, np.float32)
    probabilities: list[float] = []
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        chunk = np.concatenate([context, samples[start : start + WINDOW]])
        inputs = {"input": chunk[None], "state": state, "sr": np.array(16_000, np.int64)}
        output, state = session.run(None, inputs)
        context = chunk[-CONTEXT:]
        probabilities.append(float(output[0, 0]))

    (here / "jfk_16k.s16").write_bytes(pcm.tobytes())
    (here / "jfk_silero_v6.f32").write_bytes(np.array(probabilities, "<f4").tobytes())


if __name__ == "__main__":
    try:
        speech, wheel = sys.argv[1:]
    except ValueError:
        raise SystemExit(__doc__) from None
    main(speech, wheel)
