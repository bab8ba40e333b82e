"""`resample`: another rate, the same channels, by soxr. Media time is kept.

soxr gives its output later and in larger pieces than the native resampler. What counts for the
nodes behind is how the stream is cut, so the output is cut as the native resampler would cut it:
only later.
"""

from __future__ import annotations

import math
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from remotemedia.errors import RuntimeMissing
from remotemedia.frames import Samples
from remotemedia.twin.chunks import Audio, Continuity, Stamp, is_jump, micros_of
from remotemedia.twin.kinds.base import Context, Make, Passing, State, audio_in, audio_out
from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import ParamError, Params

if TYPE_CHECKING:

    class _Stream(Protocol):
        def resample_chunk(
            self, x: NDArray[np.float32], last: bool = False
        ) -> NDArray[np.float32]: ...


RECIPE = "HQ"
"""soxr's recipe for every quality: MQ is hardly faster and LQ is down at 6 kHz of 8 already.

Where neither rate is a multiple of the other soxr rolls off at the top of the band: with HQ by
0.002 dB at 6 kHz of 8, with MQ by 0.02 dB, and with VHQ by no less than with HQ.
"""
_ATTENUATION = {"low": 86.0, "medium": 92.0, "high": 102.4}
_TRANSITION = 0.25
_SINC_SPAN = 64
_SINC_CHUNK = 64
_MAX_BANK = 1 << 20
_COARSE_PHASES = 256
_MAX_LEAD = 16_384
_SAME = 1e-9


def compile_resample(node: ResolvedNode) -> Make:
    """Check a node that changes the rate."""
    params = Params(node.params)
    quality = params.choice("quality", {name: name for name in _ATTENUATION})
    params.finish()
    given, wanted = audio_in(node), audio_out(node)
    if wanted.channels != given.channels:
        text = f"a resample node keeps the {given.channels} channels"
        raise ParamError("outputs[0].format", text)
    if wanted.rate == given.rate:
        return Passing
    open_stream(given.rate, wanted.rate, given.channels)
    return lambda: _Resample(given.rate, wanted.rate, given.channels, quality)


def open_stream(given: int, wanted: int, channels: int) -> _Stream:
    """Make a stream of soxr.

    Raises:
        RuntimeMissing: soxr is not installed.
    """
    try:
        import soxr  # type: ignore[import-untyped]
    except ImportError:
        raise RuntimeMissing(
            "resampling without the native runtime needs soxr.",
            hint="Install remotemedia[python].",
        ) from None
    made = soxr.ResampleStream(given, wanted, channels, dtype="float32", quality=RECIPE)
    return cast("_Stream", made)


class Schedule(Protocol):
    """How many outputs the native resampler has given."""

    def after(self, taken: int) -> int:
        """Count them after so many inputs in all, which never become fewer."""


class Whole:
    """Of its filters for whole-number ratios."""

    def __init__(self, given: int, wanted: int, quality: str) -> None:
        divisor = math.gcd(given, wanted)
        self._up, self._down = wanted // divisor, given // divisor
        width = _TRANSITION * math.pi / max(self._up, self._down)
        centre = math.ceil((_ATTENUATION[quality] - 7.95) / (2.285 * width) / 2.0)
        self._ahead = -(-centre // self._up)

    def after(self, taken: int) -> int:
        """See `Schedule`."""
        return max(-(-(taken - self._ahead) * self._up // self._down), 0)


class Sinc:
    """Of its interpolator for other ratios: the same sums, so that they round the same."""

    def __init__(self, given: int, wanted: int) -> None:
        length = -(-_SINC_SPAN * max(given, wanted) // wanted)
        self._length = -(-length // 8) * 8
        phases = wanted // math.gcd(given, wanted)
        if phases * self._length > _MAX_BANK:
            phases = _COARSE_PHASES
        self._step = 1.0 / (wanted / given)
        self._lead, self._skip = _align(wanted / given, self._length, phases)
        self._index = -(self._length - 1.0)
        self._chunks = self._given = 0

    def after(self, taken: int) -> int:
        """See `Schedule`."""
        while self._chunks < (self._lead + taken) // _SINC_CHUNK:
            space = _SINC_CHUNK - (self._length + 1.0) - self._index
            count = math.floor(space / self._step)
            steps = np.full(count + 1, self._step)
            steps[0] = self._index
            self._index = float(np.add.accumulate(steps)[-1]) - _SINC_CHUNK
            self._given += count
            self._chunks += 1
        return max(self._given - self._skip, 0)


def schedule_of(given: int, wanted: int, quality: str) -> Schedule:
    """Make the schedule of a pair of rates, at the start of a stream."""
    whole = given % wanted == 0 or wanted % given == 0
    return Whole(given, wanted, quality) if whole else Sinc(given, wanted)


@cache
def _align(ratio: float, length: int, phases: int) -> tuple[int, int]:
    """Zeros before a stream and outputs to drop, as the native resampler aligns its streams."""
    positions = (length / 2.0 + np.arange(_MAX_LEAD) - 1.0 / phases) * ratio
    errors = np.abs(positions - np.round(positions))
    lower = errors < np.concatenate([[np.inf], np.minimum.accumulate(errors)[:-1]])
    best, lead = math.inf, 0
    for each in np.flatnonzero(lower).tolist():
        if errors[each] < best - _SAME:
            best, lead = float(errors[each]), each
    return lead, round(float(positions[lead])) - 1


class _Resample(State):
    """One stream from one rate to another: output ``k`` lies at input ``k * given / wanted``."""

    def __init__(self, given: int, wanted: int, channels: int, quality: str) -> None:
        self._rates = (given, wanted)
        self._channels = channels
        self._quality = quality
        self._continuity = Continuity()
        self._reset()

    def _reset(self) -> None:
        self._schedule = schedule_of(*self._rates, self._quality)
        self._stream = open_stream(*self._rates, self._channels)
        self._ready: deque[Samples] = deque()
        self._ready_length = 0
        self._due: deque[tuple[Stamp, int]] = deque()
        self._taken = self._planned = self._base_us = 0
        self._last: Stamp | None = None

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        by = self._continuity.step(audio)
        if is_jump(by):
            self._flush(cx)
            self._continuity.step(audio)
            by = None
        if by is None:
            self._base_us = audio.stamp.pts_us
        else:
            self._base_us = max(self._base_us + by, 0)
        self._taken += len(audio)
        self._last = audio.stamp
        self._plan(audio.stamp, self._schedule.after(self._taken))
        self._feed(audio.samples)
        self._give(cx)

    def drain(self, cx: Context) -> None:
        self._flush(cx)

    def _plan(self, stamp: Stamp, total: int) -> None:
        if total > self._planned:
            pts_us = self._base_us + micros_of(self._rates[1], self._planned)
            self._due.append((stamp.at(pts_us), total - self._planned))
            self._planned = total

    def _feed(self, samples: Samples, last: bool = False) -> None:
        given = samples[0] if self._channels == 1 else np.ascontiguousarray(samples.T)
        made = self._stream.resample_chunk(given, last)
        if made.size:
            self._ready.append(made[None, :] if self._channels == 1 else made.T)
            self._ready_length += len(made)

    def _give(self, cx: Context) -> None:
        while self._due and self._due[0][1] <= self._ready_length:
            stamp, count = self._due.popleft()
            cx.give(Audio(stamp, self._rates[1], self._cut(count)))

    def _cut(self, count: int) -> Samples:
        parts: list[Samples] = []
        self._ready_length -= count
        while count:
            part = self._ready.popleft()
            if part.shape[1] > count:
                self._ready.appendleft(part[:, count:])
                part = part[:, :count]
            count -= part.shape[1]
            parts.append(part)
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def _flush(self, cx: Context) -> None:
        if self._last is None:
            return
        given, wanted = self._rates
        total = (2 * self._taken * wanted + given) // (2 * given)
        self._plan(self._last, total)
        self._feed(np.zeros((self._channels, 0), dtype=np.float32), last=True)
        missing = sum(count for _, count in self._due) - self._ready_length
        if missing > 0:
            self._ready.append(np.zeros((self._channels, missing), dtype=np.float32))
            self._ready_length += missing
        self._give(cx)
        self._reset()
        self._continuity.reset()
