"""One stream of packets: what its sources have, mixed, 20 ms each 20 ms.

It reads no clock: give it audio (`Mixer.push`, or `Mixer.room` and then `push`), and call
`Mixer.poll` at the time that `Mixer.poll_timeout` names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from remotemedia.frames import Samples
from remotemedia.host.python.mixing import FRAME, FRAME_US, Limiter, Source, samples_in

MAX_QUEUED_US = 200_000
"""Audio that a source may have waiting. What is made as fast as it is heard loses its oldest beyond
it, counted; what is made faster waits elsewhere until there is room."""
MAX_SOURCES = 64
"""Sources that one mixer takes; audio of further ones is dropped, counted as overrun."""
MAX_BEHIND_US = 100_000
"""A driver that comes later than this does not catch up: what should have gone out meanwhile is
skipped, counted."""
HANGOVER = 5
"""Frames of silence that are sent after sound; then one that says that silence goes on."""
REFRESH = 20
"""A source that is silent has that said again so many frames later."""
SILENCE_PEAK = 1e-5
"""Below this (-100 dBFS) there is nothing to hear."""
_STEP_US, _STEP_TICKS = 2_500, 120
"""The shortest piece of audio that receivers can make up."""

SourceId = tuple[int, str]
"""A stream, and the sink that gives its audio."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What is to be sent, and when it lies: ticks of 48 kHz from the first on.

    Attributes:
        samples: ``(channels, 960)``; None says that there is silence from now on.
    """

    ticks: int
    samples: Samples | None


@dataclass
class MixerStats:
    """What a mixer has done, in microseconds.

    Attributes:
        underruns: times that a source ran dry and then went on.
        concealed_us: how much was filled with silence then.
        shortened_us: pauses shortened to make up for it.
        overrun_us: the oldest audio, left out because too much waited.
        interrupted_us: audio that an interrupt made worthless.
        skipped_us: time that passed unsent because the driver came too late.
    """

    underruns: int = 0
    concealed_us: int = 0
    shortened_us: int = 0
    overrun_us: int = 0
    interrupted_us: int = 0
    skipped_us: int = 0


class Mixer:
    """See the module.

    A talk spurt begins 20 ms after its first audio: so late may a producer be each time. One that
    is later fades into silence and back, and what is now late catches up in pauses. With nothing to
    say nothing is given, but for the end of the talk spurt.
    """

    def __init__(self, channels: int) -> None:
        """Make one with nothing to say."""
        self.stats = MixerStats()
        self._channels = channels
        self._sources: dict[SourceId, Source] = {}
        self._limiter = Limiter()
        self._first_us: int | None = None
        self._next_us: int | None = None
        """When the next frame is due, while anything is being said."""
        self._free_us = 0
        """The end of the last frame: none begins before it."""
        self._quiet = 0

    @property
    def channels(self) -> int:
        """Of the mix."""
        return self._channels

    @channels.setter
    def channels(self, channels: int) -> None:
        if channels != self._channels:
            self.stop()
            self._channels = channels

    @property
    def queued_us(self) -> int:
        """Audio that waits, of the source with the most."""
        return max((each.queued_us for each in self._sources.values()), default=0)

    def push(self, now_us: int, source: SourceId, samples: Samples) -> None:
        """Take audio ``(channels, n)`` at 48 kHz."""
        known = self._source(source)
        if known is None:
            self.stats.overrun_us += samples.shape[1] * FRAME_US // FRAME
            return
        if known.queued_us > MAX_QUEUED_US:
            self.stats.overrun_us += known.shorten(MAX_QUEUED_US // 2)
        known.push(now_us, samples)

    def room(self, source: SourceId) -> int:
        """Give the samples of a channel that a source may still have waiting."""
        known = self._sources.get(source)
        queued_us = 0 if known is None else known.queued_us
        return samples_in(max(MAX_QUEUED_US - queued_us, 0))

    def interrupt(self, which: Callable[[SourceId], bool]) -> None:
        """Drop the audio of sources that wait; what is being played fades out."""
        for name, source in self._sources.items():
            if which(name):
                self.stats.interrupted_us += source.clear()

    def stop(self) -> None:
        """Forget all sources: nothing is said until something new comes."""
        self.stats.interrupted_us += sum(each.queued_us for each in self._sources.values())
        self._sources.clear()
        self._next_us = None

    def poll_timeout(self) -> int | None:
        """Say when `poll` may have a frame."""
        if self._next_us is not None:
            return self._next_us
        ready = (each.ready_us for each in self._sources.values())
        begin = min((each for each in ready if each is not None), default=None)
        return None if begin is None else max(begin, self._free_us)

    def poll(self, now_us: int) -> Frame | None:
        """Give the next frame that is due."""
        while True:
            due_us = self.poll_timeout()
            if due_us is None or due_us > now_us:
                return None
            at_us = self._keep_up(due_us, now_us)
            self._free_us = self._next_us = at_us + FRAME_US
            frame = self._mix(at_us)
            if frame is not None:
                return frame

    def _source(self, name: SourceId) -> Source | None:
        found = self._sources.get(name)
        if found is None:
            if len(self._sources) >= MAX_SOURCES:
                # Those that have ended make room.
                active = {key: each for key, each in self._sources.items() if not each.is_idle}
                self._sources = active
            if len(self._sources) < MAX_SOURCES:
                found = self._sources[name] = Source(self._channels)
        return found

    def _keep_up(self, due_us: int, now_us: int) -> int:
        """Give the frame to go on with: a later one for a driver that stood still."""
        behind_us = now_us - due_us
        if behind_us <= MAX_BEHIND_US:
            return due_us
        skipped_us = behind_us // FRAME_US * FRAME_US
        self.stats.skipped_us += skipped_us
        return due_us + skipped_us

    def _mix(self, at_us: int) -> Frame | None:
        mix = np.zeros((self._channels, FRAME), np.float32)
        active, stats = False, self.stats
        for source in self._sources.values():
            played = source.play(at_us, mix)
            active |= played.active
            stats.underruns += played.late_us > 0
            stats.concealed_us += played.late_us
            stats.shortened_us += played.shortened_us
        silent = self._limiter.limit(mix) < SILENCE_PEAK
        self._quiet = self._quiet + 1 if silent else 0
        if self._quiet <= HANGOVER:
            return Frame(self._ticks(at_us), mix)
        if not active:
            self._next_us = None
        if (self._quiet - HANGOVER) % REFRESH == 1:
            return Frame(self._ticks(at_us), None)
        return None

    def _ticks(self, at_us: int) -> int:
        if self._first_us is None:
            self._first_us = at_us
        return (at_us - self._first_us + _STEP_US // 2) // _STEP_US * _STEP_TICKS
