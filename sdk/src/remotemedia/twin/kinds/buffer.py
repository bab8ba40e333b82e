"""`buffer`: pieces of exactly one length, which may overlap."""

from __future__ import annotations

import numpy as np

from remotemedia.frames import Samples
from remotemedia.twin.chunks import Audio, Continuity, Stamp, is_jump, micros_of, samples_in
from remotemedia.twin.kinds.base import Context, Make, State, audio_in, audio_out, same_out
from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import ParamError, Params


def compile_buffer(node: ResolvedNode) -> Make:
    """Check a node that cuts audio anew."""
    params = Params(node.params)
    duration_ms = params.integer("duration_ms", 10, 60_000)
    overlap_ms = params.integer("overlap_ms", 0, 60_000)
    params.finish()
    if overlap_ms >= duration_ms:
        raise ParamError("overlap_ms", f"must lie below duration_ms, which is {duration_ms}")
    rate = audio_in(node).rate
    audio_out(node)
    same_out(node)
    length = samples_in(rate, duration_ms * 1_000)
    overlap = samples_in(rate, overlap_ms * 1_000)
    return lambda: _Buffer(rate, length, max(length - overlap, 1))


class _Buffer(State):
    def __init__(self, rate: int, length: int, step: int) -> None:
        self._rate = rate
        self._length = length
        self._step = step
        self._continuity = Continuity()
        self._clear()

    def _clear(self) -> None:
        self._parts: list[Samples] = []
        self._held = 0
        self._new = 0
        self._start = 0
        self._base_us = 0
        self._last: Stamp | None = None

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        by = self._continuity.step(audio)
        if is_jump(by):
            self._flush(cx)
            by = None
        if by is None:
            self._base_us = audio.stamp.pts_us
        else:
            self._base_us = max(self._base_us + by, 0)
        self._parts.append(audio.samples)
        self._held += len(audio)
        self._new += len(audio)
        self._last = audio.stamp
        if self._held < self._length:
            return
        held = np.concatenate(self._parts, axis=1)
        at = 0
        while self._held - at >= self._length:
            self._give(held[:, at : at + self._length], audio.stamp, cx)
            at += self._step
            self._start += self._step
        self._parts = [held[:, at:]]
        self._held -= at
        self._new = max(self._held - (self._length - self._step), 0)

    def drain(self, cx: Context) -> None:
        self._flush(cx)
        self._continuity.reset()

    def interrupt(self) -> int:
        dropped = int(self._new > 0)
        self._clear()
        self._continuity.reset()
        return dropped

    def _flush(self, cx: Context) -> None:
        """Give the rest, unless all of it was the end of the piece before."""
        if self._new and self._last is not None:
            self._give(np.concatenate(self._parts, axis=1), self._last, cx)
        self._clear()

    def _give(self, samples: Samples, stamp: Stamp, cx: Context) -> None:
        pts_us = self._base_us + micros_of(self._rate, self._start)
        cx.give(Audio(stamp.at(pts_us), self._rate, samples))
