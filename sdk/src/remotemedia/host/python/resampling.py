"""Another rate for audio that goes on, by libswresample.

soxr, which the nodes resample with, gives what it makes in lumps of up to 170 ms: too late for what
is to be heard as it comes. This holds back about a millisecond.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.filter import Graph

from remotemedia.frames import Samples

_LAYOUTS = ("mono", "stereo")
_HELD_BACK = 16
"""Samples at the lower rate that libswresample's filter waits for."""


class Resampler:
    """Gives as much as it was given, so that the frames of a stream stay as long as they were.

    What it owes at first is silence before it all.
    """

    def __init__(self, given: int, wanted: int, channels: int) -> None:
        """Make one for one channel or two.

        Args:
            given: the rate of what comes, in hertz.
            wanted: the rate of what goes.
            channels: of both.
        """
        self._given, self._wanted = given, wanted
        self._layout = _LAYOUTS[channels - 1]
        self._taken = 0
        whole = given % wanted == 0 or wanted % given == 0
        lead = -(-_HELD_BACK * wanted // min(given, wanted)) + (not whole)
        self._ready: Samples = np.zeros((channels, lead), np.float32)
        self._graph = graph = Graph()
        if hasattr(graph, "threads"):
            graph.threads = 1  # further ones would only wait, and each graph has its own
        self._first = graph.add_abuffer(
            sample_rate=given, format="fltp", layout=self._layout, time_base=Fraction(1, given)
        )
        filter_ = graph.add("aresample", str(wanted))
        self._last = graph.add("abuffersink")
        self._first.link_to(filter_)
        filter_.link_to(self._last)
        graph.configure()

    def push(self, samples: Samples) -> Samples:
        """Take ``(channels, n)`` and give what is as long."""
        count = samples.shape[1]
        made = self._made(samples) if count else []
        owed = (self._taken + count) * self._wanted // self._given
        owed -= self._taken * self._wanted // self._given
        self._taken += count
        ready = np.concatenate([self._ready, *made], axis=1)
        self._ready = ready[:, owed:]
        return np.ascontiguousarray(ready[:, :owed])

    def _made(self, samples: Samples) -> list[Samples]:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self._layout)
        frame.sample_rate, frame.pts = self._given, self._taken
        frame.time_base = Fraction(1, self._given)
        self._first.push(frame)
        made: list[Samples] = []
        while True:
            try:
                given = self._last.pull()
            except (BlockingIOError, FFmpegError):
                return made
            if isinstance(given, AudioFrame):
                made.append(given.to_ndarray().astype(np.float32, copy=False))
