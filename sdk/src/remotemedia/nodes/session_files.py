"""Files that the sources of a served pipeline read."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from remotemedia.base import BuiltinNode
from remotemedia.formats import Channels, Rate
from remotemedia.frames import AudioFrame, Samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remotemedia.files import AudioReader

MIN_LOST_MS = 1.0
"""Less is but rounding: no packet is as short."""
MAX_LOST_MS = 1000.0
"""Incoming audio that was lost is time that passed, and as much of the file is left out. A longer
gap is a pause, in which the file waits."""


class SessionFile(BuiltinNode):
    """Give a file as incoming audio goes on: planning puts it where a source reads a file.

    Each stream of a session gets the file from its start. The clock is that of the incoming audio,
    so the file is as long as what is heard meanwhile, and both can be mixed. After its end it is
    silent.

    Args:
        path: the file.
        rate: rate in hertz that it gives.
        channels: channels that it gives: those of the file, fewer are averages, more are copies.
    """

    def __init__(self, *, path: str, rate: Rate, channels: Channels) -> None:
        super().__init__()
        self.path = path
        self.output_rate = rate
        self.output_channels = channels
        self._rate = rate
        self._channels = channels
        self._reader: AudioReader | None = None
        self._blocks: Iterator[Samples] = iter(())
        self._rest = self._silence(0)
        self._began_ms = 0.0
        self._given = 0

    def process(self, frame: AudioFrame) -> Samples | None:
        """Give what the file has for the time of a frame.

        Raises:
            MediaFileError: the file cannot be read any more.
        """
        if self._reader is None:
            self._open()
            self._began_ms = frame.pts_ms
        lost_ms = frame.pts_ms - self._began_ms - self._given * 1000.0 / self._rate
        if lost_ms > MAX_LOST_MS:
            self._began_ms += lost_ms
        elif lost_ms > MIN_LOST_MS:
            self._take(round(lost_ms * self._rate / 1000.0))
        end_ms = frame.pts_ms + frame.duration_ms - self._began_ms
        wanted = round(end_ms * self._rate / 1000.0) - self._given
        return self._take(wanted) if wanted > 0 else None

    def cleanup(self) -> None:
        """Close the file."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _open(self) -> None:
        from remotemedia.files import AudioReader

        self._reader = AudioReader(self.path)
        self._blocks = self._converted(self._reader)

    def _converted(self, reader: AudioReader) -> Iterator[Samples]:
        for frame in reader.frames("fltp", reader.layout, self._rate):
            samples = cast("Samples", frame.to_ndarray())
            if samples.shape[0] != self._channels:
                mono = samples.mean(axis=0)
                samples = np.stack([mono] * self._channels)
            yield samples[0] if self._channels == 1 else samples

    def _take(self, count: int) -> Samples:
        """Give the next samples: what is left of the file, then silence."""
        self._given += count
        pieces: list[Samples] = []
        while count:
            if not self._rest.shape[-1]:
                self._rest = next(self._blocks, self._silence(count))
            pieces.append(self._rest[..., :count])
            count -= int(pieces[-1].shape[-1])
            self._rest = self._rest[..., int(pieces[-1].shape[-1]) :]
        return np.concatenate(pieces, axis=-1)

    def _silence(self, count: int) -> Samples:
        return np.zeros(count if self._channels == 1 else (self._channels, count), np.float32)
