"""Opus packets made ahead of time, so that every peer sends the very same ones."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
FRAME_SAMPLES = 960


@dataclass(frozen=True)
class Bandwidth:
    """What a browser's encoder makes of its microphone."""

    name: str
    bit_rate: int
    cutoff_hz: int


FULLBAND = Bandwidth("fullband", 32_000, 20_000)
"""What libwebrtc sends unasked."""
WIDEBAND = Bandwidth("wideband", 20_000, 8_000)
"""What it sends where the answer has ``maxplaybackrate=16000`` (RFC 7587, section 6.1)."""


def encode(samples: NDArray[np.float32], bandwidth: Bandwidth = FULLBAND) -> list[bytes]:
    """Encode mono 48 kHz samples to Opus packets of 20 ms (the last one filled up with silence)."""
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate = RATE
    codec.layout = "mono"
    codec.format = "flt"
    codec.bit_rate = bandwidth.bit_rate
    codec.time_base = Fraction(1, RATE)
    codec.options = {
        "frame_duration": "20",
        "application": "voip",
        "cutoff": str(bandwidth.cutoff_hz),
    }
    padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).astype(np.float32)
    packets: list[bytes] = []
    for start in range(0, len(padded), FRAME_SAMPLES):
        frame = av.AudioFrame.from_ndarray(
            padded[None, start : start + FRAME_SAMPLES], format="flt", layout="mono"
        )
        frame.sample_rate = RATE
        frame.pts = start
        packets.extend(bytes(packet) for packet in codec.encode(frame))
    packets.extend(bytes(packet) for packet in codec.encode(None))
    return packets


def write_packets(path: Path, packets: list[bytes]) -> Path:
    """Write packets as the JSON list of base64 strings that libdatachannel.mjs reads."""
    path.write_text(json.dumps([base64.b64encode(packet).decode() for packet in packets]))
    return path
