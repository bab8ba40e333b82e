"""`level`: loudness per interval of media time. Hands its audio on."""

from __future__ import annotations

import math

import numpy as np

from remotemedia.frames import Samples
from remotemedia.twin import messages
from remotemedia.twin.chunks import Audio, Continuity, Stamp, is_jump, samples_in
from remotemedia.twin.kinds.base import Context, Make, Passing, State, audio_in, same_out
from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import Params

FLOOR_DBFS = messages.FLOOR_DBFS


def compile_level(node: ResolvedNode) -> Make:
    """Check a node that measures loudness."""
    params = Params(node.params)
    interval_us = params.integer("interval_ms", 10, 10_000) * 1_000
    params.finish()
    audio_in(node)
    same_out(node)
    return lambda: _Level(interval_us)


def measure(samples: Samples) -> tuple[float, float]:
    """Sum of squares and largest magnitude; samples that are not finite are silence."""
    if not samples.size:
        return 0.0, 0.0
    magnitudes = np.abs(samples)
    magnitudes[~np.isfinite(magnitudes)] = 0.0
    wide = magnitudes.astype(np.float64)
    return float(np.sum(wide * wide)), float(magnitudes.max())


def dbfs(amplitude: float) -> float:
    """Give an amplitude relative to full scale, at least the floor."""
    return max(20.0 * math.log10(amplitude), FLOOR_DBFS) if amplitude > 0.0 else FLOOR_DBFS


def rms_dbfs(samples: Samples) -> float:
    """Root mean square relative to full scale, at least the floor; empty is silence."""
    squares, _ = measure(samples)
    return dbfs(math.sqrt(squares / samples.size)) if samples.size else FLOOR_DBFS


class _Level(Passing):
    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us
        self._continuity = Continuity()
        self._last: tuple[Stamp, int] | None = None
        self._clear()

    def _clear(self) -> None:
        self._squares = self._peak = 0.0
        self._samples = self._measured = 0

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        if is_jump(self._continuity.step(audio)):
            self._clear()
        interval = max(samples_in(audio.rate, self._interval_us), 1)
        at = 0
        while at < len(audio):
            take = min(len(audio) - at, interval - self._measured)
            piece = audio.samples[:, at : at + take]
            squares, peak = measure(piece)
            self._squares += squares
            self._peak = max(self._peak, peak)
            self._samples += piece.size
            self._measured += take
            at += take
            if self._measured >= interval:
                self._report(audio.stamp, at, cx)
        self._last = (audio.stamp, len(audio))

    def finish(self, cx: Context) -> None:
        if self._last is not None and self._measured:
            self._report(*self._last, cx)
        self._last = None
        self._continuity.reset()

    def adopt(self, fresh: State) -> None:
        if isinstance(fresh, _Level):
            self._interval_us = fresh._interval_us

    def _report(self, stamp: Stamp, end: int, cx: Context) -> None:
        """Tell of what ends at this sample of the last piece."""
        start_us = self._continuity.at(end - self._measured)
        rms = dbfs(math.sqrt(self._squares / self._samples))
        data = {
            "rms_dbfs": messages.decibels(rms),
            "peak_dbfs": messages.decibels(dbfs(self._peak)),
        }
        self._clear()
        cx.event("level", stamp.at(start_us), dict(data))
