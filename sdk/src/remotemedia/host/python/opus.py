"""Opus as it is sent: what the other side would like, and an encoder for it.

The encoder is ours, by PyAV, because aiortc's takes the frame after a pause for the one right
behind the frame before it, and always has two channels and 96 kbit/s.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from av.audio.frame import AudioFrame
from av.codec import CodecContext

from remotemedia.host.python.mixing import FRAME, RATE

if TYPE_CHECKING:
    from remotemedia.frames import Samples

BITRATE = 32_000
"""Bits per second and channel."""
_BITRATES = range(6_000, 510_001)
_RATES = range(8_000, 48_001)
_BANDWIDTHS = ((8_000, 4_000), (12_000, 6_000), (16_000, 8_000), (24_000, 12_000))
"""Rates, and the highest frequency that Opus encodes at them (RFC 6716, section 2)."""
_FULL_SCALE = 32_767.0
_CODE_0 = 0xFC


@dataclass(frozen=True)
class Wishes:
    """What the other side would like to receive (RFC 7587, section 6.1).

    Attributes:
        stereo: two channels.
        max_bitrate: bits per second at most.
        max_rate: the highest rate in hertz that it makes use of.
    """

    stereo: bool = False
    max_bitrate: int | None = None
    max_rate: int | None = None

    @classmethod
    def parse(cls, parameters: str) -> Wishes:
        """Read format parameters; those that are wrong say nothing."""
        found: dict[str, str] = {}
        for each in parameters.split(";"):
            name, sign, value = each.partition("=")
            if sign:
                found[name.strip().lower()] = value.strip()
        return cls(
            stereo=found.get("stereo") == "1",
            max_bitrate=_number(found.get("maxaveragebitrate", ""), _BITRATES),
            max_rate=_number(found.get("maxplaybackrate", ""), _RATES),
        )


@dataclass(frozen=True)
class Encoding:
    """How audio is encoded: channels, bits per second, and the highest frequency, None for all."""

    channels: int
    bitrate: int
    cutoff: int | None

    @classmethod
    def of(cls, rate: int, channels: int, wishes: Wishes) -> Encoding:
        """Choose one for audio of a rate and channels, with no more than is of use."""
        most = BITRATE * channels
        rate = min(rate, wishes.max_rate or rate)
        cutoff = next((hertz for enough, hertz in _BANDWIDTHS if rate <= enough), None)
        return cls(channels, min(most, wishes.max_bitrate or most), cutoff)


class Encoder:
    """One stream: a packet for each frame of 20 ms."""

    def __init__(self, encoding: Encoding) -> None:
        """Begin a stream."""
        self.encoding = encoding
        mono = encoding.channels == 1
        self._layout = "mono" if mono else "stereo"
        self._codec = codec = CodecContext.create("libopus", "w")
        codec.sample_rate, codec.format, codec.layout = RATE, "s16", self._layout
        codec.bit_rate = encoding.bitrate
        codec.time_base = Fraction(1, RATE)
        codec.options = {"application": "voip" if mono else "audio"}
        if encoding.cutoff is not None:
            codec.options = {**codec.options, "cutoff": str(encoding.cutoff)}
        self._at = 0
        self._head = _CODE_0

    def encode(self, samples: Samples) -> bytes:
        """Encode ``(channels, 960)``."""
        whole = np.rint(np.clip(samples, -1, 1) * _FULL_SCALE).astype(np.int16)
        packed = np.ascontiguousarray(whole.T).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, "s16", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._at, Fraction(1, RATE)
        self._at += FRAME
        packet = b"".join(bytes(each) for each in self._codec.encode(frame))
        if packet:
            self._head = packet[0]
        return packet

    def silence(self) -> bytes:
        """Say that silence goes on: a frame of no length (RFC 6716, section 3.2.1)."""
        return bytes([self._head & _CODE_0])


def _number(text: str, bounds: range) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(bounds.stop))):
        return None
    return int(text) if int(text) in bounds else None
