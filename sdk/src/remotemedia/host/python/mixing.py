"""What waits to be heard of one source, and the sum of several within full scale.

All of it is at 48 kHz, ``(channels, n)``. Times are microseconds, given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from remotemedia.frames import Samples

RATE = 48_000
FRAME = 960
"""Samples of a packet: 20 ms."""
FRAME_US = 20_000
CUSHION_US = 20_000
"""How late a producer may be unheard: a talk spurt begins so much later than it could."""
FADE = RATE // 200
"""How long a source that runs dry fades out, and fades in when it goes on: 5 ms."""
LATE_US = 200_000
"""A source that is silent for so long has ended; one that goes on before was late."""
_PAUSE_PEAK = 0.003
"""A frame without a sample above this (-50 dBFS) is a pause: leaving it out harms nobody."""
_MAX_SAMPLE = 4.0
"""The highest sample that is believed: 12 dB above full scale."""
_RELEASE = 1.06
"""How fast the limiter's gain comes back after a peak, a frame."""
_ATTACK = FRAME // 10
"""Within so many samples the gain changes."""

Phase = Literal["idle", "filling", "playing"]


def micros_of(samples: int) -> int:
    """Say how long samples of one channel last."""
    return samples * 1_000_000 // RATE


def samples_in(micros: int) -> int:
    """Say how many samples of one channel fit."""
    return micros * RATE // 1_000_000


@dataclass
class Played:
    """What one frame took from a source.

    Attributes:
        active: something was added to the mix.
        late_us: it went on after it had run dry for so long.
        shortened_us: a pause that was left out.
    """

    active: bool = False
    late_us: int = 0
    shortened_us: int = 0


class Source:
    """One source of a mix: its audio, and where it is in its talk spurt."""

    def __init__(self, channels: int) -> None:
        """Make one; `channels` is what the mix has."""
        self._queue: Samples = np.zeros((channels, 0), np.float32)
        self._tail: Samples = self._queue
        """The last samples that were played: what fades out when nothing follows."""
        self._phase: Phase = "idle"
        self._ready_us = 0
        self._dry_us: int | None = None
        """When it ran dry."""
        self._fade_in = 0
        """Samples that are still faded in."""
        self._interrupted = False
        """It was cleared while it was played: running dry then is no sign of lateness."""
        self._behind_us = 0
        """Later than it should be, because it ran dry and then went on."""

    @property
    def queued_us(self) -> int:
        """How long the audio that waits would last."""
        return micros_of(self._queue.shape[1])

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return self._phase == "idle"

    @property
    def ready_us(self) -> int | None:
        """When it may begin, where it waits for that."""
        return self._ready_us if self._phase == "filling" else None

    def push(self, now_us: int, samples: Samples) -> None:
        """Take audio of any number of channels: one is copied to all, else all get their mean."""
        if not samples.shape[1]:
            return
        if self._phase == "idle":
            self._fade_in = FADE
        fresh = _fitted(samples, len(self._queue))
        count = min(self._fade_in, fresh.shape[1])
        left = np.arange(self._fade_in, self._fade_in - count, -1, dtype=np.float32)
        fresh[:, :count] *= 1 - left / (FADE + 1)
        self._fade_in -= count
        self._queue = np.concatenate([self._queue, fresh], axis=1)
        self._begin(now_us)

    def play(self, at_us: int, mix: Samples) -> Played:
        """Add a frame to `mix`, as far as there is one."""
        played = Played()
        if self._phase == "filling":
            if self._ready_us > at_us:
                return played
            self._phase = "playing"
            if self._dry_us is not None:
                gap, self._dry_us = at_us - self._dry_us, None
                late = gap < LATE_US + CUSHION_US
                played.late_us = gap if late else 0
                self._behind_us = self._behind_us + gap if late else 0
        if self._phase == "idle":
            return played
        played.active = True
        enough = self.queued_us >= 2 * FRAME_US + CUSHION_US
        if self._behind_us >= FRAME_US and enough and self._is_pause():
            self._queue = self._queue[:, FRAME:]
            self._behind_us -= FRAME_US
            played.shortened_us = FRAME_US
        if self._queue.shape[1] < FRAME:
            self._fade_out()
            self._phase = "idle"
            self._dry_us = None if self._interrupted else at_us
            self._interrupted = False
        frame, self._queue = self._queue[:, :FRAME], self._queue[:, FRAME:]
        mix[:, : frame.shape[1]] += frame
        self._tail = frame[:, -FADE:]
        return played

    def shorten(self, keep_us: int) -> int:
        """Leave out the oldest, so that `keep_us` is left; gives how many microseconds that was."""
        excess = self._queue.shape[1] - samples_in(keep_us)
        if excess <= 0:
            return 0
        old, kept = self._queue[:, :excess], self._queue[:, excess:].copy()
        # From the old beginning into the new one.
        fade = min(FADE, kept.shape[1], excess)
        weight = np.arange(1, fade + 1, dtype=np.float32) / (fade + 1)
        kept[:, :fade] = old[:, :fade] + (kept[:, :fade] - old[:, :fade]) * weight
        self._queue = kept
        return micros_of(excess)

    def clear(self) -> int:
        """Forget what waits; what is being played fades out. Gives how much that was."""
        dropped = self.queued_us
        self._queue = self._queue[:, :0]
        self._dry_us = None
        self._behind_us = 0
        self._fade_in = FADE
        if self._phase == "filling":
            self._phase = "idle"
        elif self._phase == "playing":
            self._interrupted = True
            self._fade_out()
        return dropped

    def _begin(self, now_us: int) -> None:
        """Decide when what has come is played: after a while in which the producer may be late next
        time; at once where it was only late."""  # noqa: D205, D209 - one sentence
        if self._phase == "playing":
            return
        goes_on = self._dry_us is not None and now_us - self._dry_us < LATE_US
        if goes_on and self._queue.shape[1] >= FRAME:
            self._ready_us = now_us
        elif self._phase == "idle":
            self._ready_us = now_us + CUSHION_US
        self._phase = "filling"

    def _is_pause(self) -> bool:
        return bool(np.abs(self._queue[:, :FRAME]).max() < _PAUSE_PEAK)

    def _fade_out(self) -> None:
        """Let what is left end in silence: no jump, so no click.

        Where next to nothing is left, the last samples run backwards meanwhile.
        """
        queue = self._queue
        if queue.shape[1] < FADE:
            known = np.concatenate([self._tail, queue], axis=1)
            queue = np.concatenate([queue, known[:, ::-1][:, :FADE]], axis=1)
        else:
            queue = queue.copy()
        faded = min(FADE, queue.shape[1])
        if faded:
            fall = np.arange(1, faded + 1, dtype=np.float32) / (faded + 1)
            queue[:, -faded:] *= 1 - fall
        self._queue = queue


class Limiter:
    """Keeps a mix within full scale.

    Frames with higher peaks are turned down as a whole, so that their shape stays.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._gain = 1.0

    def limit(self, frame: Samples) -> float:
        """Limit a frame where it lies, and give its peak before that."""
        peak = float(np.abs(frame).max())
        wanted = min(self._gain * _RELEASE, 1.0, 1.0 / max(peak, 1.0))
        if (wanted, self._gain) == (1.0, 1.0):
            return peak
        way = np.minimum(np.arange(1, frame.shape[1] + 1, dtype=np.float32) / _ATTACK, 1)
        frame *= np.float32(self._gain) + np.float32(wanted - self._gain) * way
        np.clip(frame, -1, 1, out=frame)
        self._gain = wanted
        return peak


def _fitted(samples: Samples, channels: int) -> Samples:
    """Give a copy with so many channels, of numbers: a user's node may give anything."""
    fitted = np.where(np.isfinite(samples), samples, np.float32(0))
    np.clip(fitted, -_MAX_SAMPLE, _MAX_SAMPLE, out=fitted)
    if len(fitted) != channels:
        mean = fitted.mean(axis=0, dtype=np.float32)[None, :]
        fitted = np.repeat(mean, channels, axis=0)
    return fitted.astype(np.float32, copy=False)
