"""Audio of any length cut into frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from remotemedia.errors import INVALID_PARAMETER
from remotemedia.frames import Samples
from remotemedia.twin.chunks import (
    JUMP_TOLERANCE_US,
    MICROS,
    RTP_RATE,
    Audio,
    Stamp,
    micros_of,
    samples_in,
)
from remotemedia.twin.manifest import PortFormat
from remotemedia.twin.values import RuntimeFault

_RTP_MASK = 0xFFFF_FFFF
_DIMENSIONS = 2


class Framer:
    """Cuts what is pushed to one source; what fills no frame waits for more."""

    def __init__(self, given: PortFormat, frame_ms: int) -> None:
        self.format = given
        self.ended = False
        self._length = max(samples_in(given.rate, frame_ms * 1_000), 1)
        self._rest: Samples = np.zeros((given.channels, 0), dtype=np.float32)
        self._base_us = 0
        self._at = 0
        self._seq = 0

    def push(self, samples: Samples, pts_us: int | None) -> Iterator[Audio]:
        """Give the frames that are full."""
        planar = self._checked(samples)
        if pts_us is not None:
            if pts_us < 0:
                raise RuntimeFault("must not be negative", code=INVALID_PARAMETER, field="pts_us")
            held = self._rest.shape[1]
            expected = self._base_us + micros_of(self.format.rate, self._at + held)
            if abs(pts_us - expected) > JUMP_TOLERANCE_US:
                yield from self._cut(held)
                self._base_us, self._at = pts_us, 0
        self._rest = np.concatenate([self._rest, planar], axis=1)
        yield from self._cut(self._length)

    def end(self) -> Iterator[Audio]:
        """Give the rest, and take no more."""
        self.ended = True
        yield from self._cut(self._rest.shape[1])

    def stamp(self) -> Stamp:
        """Name the next value, which lies behind the audio so far."""
        made = self._stamp()
        self._seq += 1
        return made

    def _stamp(self) -> Stamp:
        rate = self.format.rate
        pts_us = self._base_us + (micros_of(rate, self._at) if rate else 0)
        ticks = self._base_us * RTP_RATE // MICROS
        ticks += self._at * RTP_RATE // rate if rate else 0
        return Stamp(self._seq, pts_us, ticks & _RTP_MASK)

    def _cut(self, length: int) -> Iterator[Audio]:
        while length and self._rest.shape[1] >= length:
            frame, self._rest = self._rest[:, :length], self._rest[:, length:]
            made = Audio(self._stamp(), self.format.rate, frame)
            self._seq += 1
            self._at += length
            yield made

    def _checked(self, samples: Samples) -> Samples:
        """Give a copy ``(channels, n)``."""
        given = self.format
        wrong = None
        if not given.takes_audio:
            wrong = "the source takes no audio"
        elif not isinstance(samples, np.ndarray) or samples.dtype != np.float32:
            wrong = "must be a float32 array"
        elif samples.ndim not in {1, _DIMENSIONS}:
            wrong = "must be (n,) or (channels, n)"
        elif (1 if samples.ndim == 1 else samples.shape[0]) != given.channels:
            wrong = f"is of shape {samples.shape}; the source takes {given}"
        elif not samples.flags.c_contiguous:
            wrong = "must be contiguous"
        if wrong is not None:
            raise RuntimeFault(wrong, code=INVALID_PARAMETER, field="samples")
        return np.array(samples, dtype=np.float32).reshape(given.channels, -1)
