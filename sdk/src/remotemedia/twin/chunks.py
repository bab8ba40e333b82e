"""Frames on their way through the graph."""

from __future__ import annotations

from dataclasses import dataclass

from remotemedia.frames import Samples

MICROS = 1_000_000
RTP_RATE = 48_000
"""The clock of `rtp_ts` (RFC 7587, section 4.1)."""
JUMP_TOLERANCE_US = 1_000
"""A jump of media time up to this is rounding and keeps a stream continuous."""


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
    """Follows the media time of a stream and tells a jump from rounding."""

    def __init__(self) -> None:
        self._expected: int | None = None

    def step(self, audio: Audio) -> int | None:
        """Take the next piece; gives how far it is off the one before, None for the first."""
        by = None if self._expected is None else audio.stamp.pts_us - self._expected
        self._expected = audio.end_us
        return by

    def reset(self) -> None:
        """Begin anew."""
        self._expected = None


def is_jump(by: int | None) -> bool:
    """Whether a step of `Continuity` is more than rounding."""
    return by is not None and abs(by) > JUMP_TOLERANCE_US
