"""A track that comes in: decoded by aiortc, brought to the source's format, gaps filled.

aiortc hands a packet on when the next has come, and waits for one that is missing until a few stand
behind it, whatever the network does. It decodes without forward error correction: what is lost
becomes silence here, counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from av.audio.frame import AudioFrame

from remotemedia.formats import AudioFormat
from remotemedia.frames import Samples
from remotemedia.host.python.resampling import Resampler

RTP_RATE = 48_000
"""The clock of Opus (RFC 7587, section 4.1)."""
MAX_FILLED = RTP_RATE * 2
"""A longer gap, and any step backwards, is a jump: media time goes on where it was."""
_MICROS = 1_000_000
_INT16 = 32_768.0


@dataclass(frozen=True)
class Piece:
    """Audio of a track, ``(channels, n)`` in the source's format, and where it begins."""

    pts_us: int
    samples: Samples


@dataclass
class TrackStats:
    """What came of a track."""

    frames: int = 0
    concealed: int = 0
    jumps: int = 0


class Converter:
    """Turns decoded frames into pieces for a graph."""

    def __init__(self, wanted: AudioFormat) -> None:
        """Convert to `wanted`."""
        self.stats = TrackStats()
        self.wanted = wanted
        self._expected: int | None = None
        self._resampler: Resampler | None = None
        self._rate = 0
        self._given = 0

    def push(self, frame: AudioFrame) -> Iterator[Piece]:
        """Take a decoded frame, whose time is an RTP timestamp."""
        samples = _samples(frame, self.wanted.channels)
        length = frame.samples * RTP_RATE // frame.sample_rate
        at = frame.pts if frame.pts is not None else (self._expected or 0)
        gap = 0 if self._expected is None else at - self._expected
        if 0 < gap <= MAX_FILLED:
            self.stats.concealed += max(gap // max(length, 1), 1)
            silence = np.zeros((len(samples), gap * frame.sample_rate // RTP_RATE), np.float32)
            yield from self._convert(silence, frame.sample_rate)
        elif gap:
            self.stats.jumps += 1
        self._expected = at + length
        self.stats.frames += 1
        yield from self._convert(samples, frame.sample_rate)

    def _convert(self, samples: Samples, rate: int) -> Iterator[Piece]:
        if rate != self.wanted.rate:
            if self._resampler is None or rate != self._rate:
                self._rate = rate
                self._resampler = Resampler(rate, self.wanted.rate, self.wanted.channels)
            samples = self._resampler.push(samples)
        count = samples.shape[1]
        if count:
            pts_us = self._given * _MICROS // self.wanted.rate
            self._given += count
            yield Piece(pts_us, samples)


def _samples(frame: AudioFrame, channels: int) -> Samples:
    """Give ``(channels, n)`` of a frame with interleaved 16-bit samples."""
    there = len(frame.layout.channels)
    raw = frame.to_ndarray().reshape(-1, there).T
    planar = raw.astype(np.float32) / np.float32(_INT16)
    if channels == there:
        return np.ascontiguousarray(planar)
    mono = planar.mean(axis=0, dtype=np.float32)[None, :]
    return np.ascontiguousarray(mono if channels == 1 else np.repeat(mono, channels, axis=0))
