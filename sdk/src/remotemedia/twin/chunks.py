"""Frames on their way through the graph."""

from __future__ import annotations

from dataclasses import dataclass

from remotemedia.frames import Samples

MICROS = 1_000_000
RTP_RATE = 48_000
"""The clock of `rtp_ts` (RFC 7587, section 4.1)."""
JUMP_TOLERANCE_US = 1_000
"""A jump of media time up to this is rounding and keeps a stream continuous."""
ROUNDING_US = 1
"""A frame's time may be off by this much because its sample lies between two microseconds."""


def micros_of(rate: int, samples: int) -> int:
    """How long samples of one channel last, in microseconds, rounded down."""
    return samples * MICROS // rate


def samples_in(rate: int, micros: int) -> int:
    """How many whole samples of one channel fit in `micros`."""
    return micros * rate // MICROS


@dataclass(frozen=True)
class Stamp:
    """Where a frame lies: its number, its media time, and where the packet behind it lies."""

    seq: int
    pts_us: int
    rtp_ts: int

    def at(self, pts_us: int) -> Stamp:
        """Give the same at another media time."""
        return Stamp(self.seq, pts_us, self.rtp_ts)


@dataclass(frozen=True, eq=False)
class Audio:
    """A piece of audio; `samples` is ``(channels, n)`` and is not written to."""

    stamp: Stamp
    rate: int
    samples: Samples

    def __len__(self) -> int:
        return int(self.samples.shape[1])

    @property
    def end_us(self) -> int:
        """Media time behind the last sample."""
        return self.stamp.pts_us + micros_of(self.rate, len(self))


@dataclass(frozen=True, eq=False)
class Value:
    """A JSON value, or an opaque object."""

    stamp: Stamp
    value: object
    opaque: bool = False


Signal = Audio | Value


class Continuity:
    """Follows the media time of a stream by counting samples, and tells a jump from rounding."""

    def __init__(self) -> None:
        self._rate: int | None = None
        self._base_us = self._counted = self._length = 0

    def step(self, audio: Audio) -> int | None:
        """Take the next piece.

        Returns:
            How far it is off the one before, beyond rounding; None for the first.
        """
        by = None if self._rate is None else audio.stamp.pts_us - self.at(self._length)
        if by is not None and abs(by) <= ROUNDING_US and self._rate == audio.rate:
            # Counting on keeps such errors from adding up.
            self._counted += self._length
            by = 0
        else:
            self._rate, self._base_us, self._counted = audio.rate, audio.stamp.pts_us, 0
        self._length = len(audio)
        return by

    def at(self, samples: int) -> int:
        """Give the media time of a sample of the last piece, counted from its first, or before."""
        if self._rate is None:
            return 0
        since = self._counted + samples
        micros = micros_of(self._rate, abs(since))
        return max(self._base_us - micros, 0) if since < 0 else self._base_us + micros

    def reset(self) -> None:
        """Begin anew."""
        self._rate = None


def is_jump(by: int | None) -> bool:
    """Whether a step of `Continuity` is more than rounding."""
    return by is not None and abs(by) > JUMP_TOLERANCE_US
