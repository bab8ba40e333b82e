# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx>=1.16", "numpy>=1.26"]
# ///
"""Writes silero_v6.bin, the weights of Silero VAD v6 for 16 kHz, from its published ONNX file.

    pip download --no-deps silero-vad==6.2.3
    uv run extract.py silero_vad-6.2.3-py3-none-any.whl

The wheel's `silero_vad_16k_op15.onnx` is read, never its `silero_vad_16k.safetensors`, which
holds other weights. The STFT basis is left out because it is a Hann window times the DFT; this
script checks that before it writes. The same wheel always gives the same bytes.

Layout: little-endian f32 tensors one after the other, row-major, in the order of TENSORS, no
header. The LSTM's gates stand in PyTorch's order i, f, g, o; its two biases are added.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

MODEL = "silero_vad/data/silero_vad_16k_op15.onnx"
LICENCE = "silero_vad-6.2.3.dist-info/licenses/LICENSE"

# Half a step of f32 near one, and what the generator rounded.
BASIS_TOLERANCE = 1e-6

Tensor = npt.NDArray[np.float32]

TENSORS: dict[str, tuple[int, ...]] = {
    "encoder.0.reparam_conv.weight": (128, 129, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}


def check_basis(basis: Tensor) -> None:
    """Make sure that the basis is what the runtime generates: 129 cosines, then 129 sines."""
    n = np.arange(256)
    k = np.arange(129)[:, None]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / 256)
    angle = 2 * np.pi * k * n / 256
    expected = np.concatenate([np.cos(angle) * window, -np.sin(angle) * window])
    worst = float(np.abs(basis[:, 0] - expected).max())
    if worst > BASIS_TOLERANCE:
        raise SystemExit(f"the STFT basis is not Hann x DFT: off by {worst}")


def main(wheel: str) -> None:
    """Read the wheel and write the weights and the licence beside this script."""
    here = Path(__file__).parent
    with zipfile.ZipFile(wheel) as archive:
        model = onnx.load_model_from_string(archive.read(MODEL))
        licence = archive.read(LICENCE)
    found: dict[str, Tensor] = {
        tensor.name.removeprefix("model."): numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
    }
    check_basis(found["stft.forward_basis_buffer"])
    found["decoder.rnn.bias"] = found["decoder.rnn.bias_ih"] + found["decoder.rnn.bias_hh"]
    parts: list[bytes] = []
    for name, shape in TENSORS.items():
        if found[name].shape != shape:
            raise SystemExit(f"{name} has shape {found[name].shape}, expected {shape}")
        parts.append(found[name].astype("<f4").tobytes())
    (here / "silero_v6.bin").write_bytes(b"".join(parts))
    (here / "LICENSE.silero-vad").write_bytes(licence.rstrip() + b"\n")


if __name__ == "__main__":
    try:
        (wheel,) = sys.argv[1:]
    except ValueError:
        raise SystemExit(__doc__) from None
    main(wheel)
