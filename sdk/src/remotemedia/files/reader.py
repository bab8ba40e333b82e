"""Reading."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.error import FFmpegError, InvalidDataError

from remotemedia.errors import MediaFileError
from remotemedia.formats import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioFormat

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from typing_extensions import Self

    from remotemedia.frames import Samples

BLOCK_SECONDS = 1.0
"""How much audio a block has, except for the last."""


class AudioReader:
    """The first audio stream of a file, decoded as it is read.

    Attributes:
        format: rate and channels, as the file has them.
        seconds: how long it is, where the file says; else None.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file and find its audio.

        Raises:
            MediaFileError: it cannot be read, or holds no audio that can be taken.
        """
        self.path = Path(path)
        try:
            # Without "file:" a name with a colon would be a URL.
            self._container = av.open(f"file:{path}")
        except (FFmpegError, OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        try:
            if not self._container.streams.audio:
                raise MediaFileError(f"{path} holds no audio.")
            self._stream = self._container.streams.audio[0]
            self.seconds = _seconds(self._container, self._stream)
            context = self._stream.codec_context
            self._layout = context.layout.name
            self.format = AudioFormat(context.sample_rate, context.channels)
            if not MIN_RATE <= self.format.rate <= MAX_RATE:
                raise MediaFileError(f"{path} has {self.format.rate} Hz, which is out of bounds.")
            if not 1 <= self.format.channels <= MAX_CHANNELS:
                raise MediaFileError(
                    f"{path} has {self.format.channels} channels; at most {MAX_CHANNELS} go."
                )
        except BaseException:
            self._container.close()
            raise

    @property
    def rate(self) -> int:
        """Samples a second and channel."""
        return self.format.rate

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.format.channels

    @property
    def layout(self) -> str:
        """FFmpeg's name of the channels, such as ``stereo``."""
        return self._layout

    def blocks(self) -> Iterator[Samples]:
        """Give the audio in blocks of a second, ``(n,)`` for one channel or ``(channels, n)``.

        Damaged packets are left out.

        Raises:
            MediaFileError: nothing in it could be decoded.
        """
        size = int(self.format.rate * BLOCK_SECONDS)
        fifo, unit = AudioFifo(), Fraction(1, self.rate)
        for frame in self.frames("fltp", self._layout, self.rate):
            frame.pts = None  # where packets are left out the times have gaps
            frame.time_base = unit
            fifo.write(frame)
            while fifo.samples >= size:
                yield self._shaped(fifo.read(size))
        if fifo.samples:
            yield self._shaped(fifo.read())

    def frames(self, sample_format: str, layout: str, rate: int) -> Iterator[av.AudioFrame]:
        """Give the audio in a format, in frames as they were decoded.

        Damaged packets are left out.

        Args:
            sample_format: FFmpeg's name of it, such as ``fltp`` and ``s16``.
            layout: FFmpeg's name of the channels, such as ``mono``.
            rate: samples a second.

        Raises:
            MediaFileError: nothing in it could be decoded.
        """
        wanted = sample_format, len(AudioLayout(layout).channels), rate
        resampler: AudioResampler | None = None
        taken: object = None
        for frame in self._decoded():
            came = frame.format.name, len(frame.layout.channels), frame.sample_rate
            # Some files change their format on the way.
            if resampler is not None and came != taken:
                yield from resampler.resample(None)
                resampler = None
            if came == wanted:
                yield frame
                continue
            if resampler is None:
                taken = came
                resampler = AudioResampler(format=sample_format, layout=layout, rate=rate)
            yield from resampler.resample(frame)
        if resampler is not None:
            yield from resampler.resample(None)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shaped(self, frame: av.AudioFrame | None) -> Samples:
        block = cast("Samples", cast("av.AudioFrame", frame).to_ndarray())
        return np.ascontiguousarray(block[0] if self.channels == 1 else block)

    def _decoded(self) -> Iterator[av.AudioFrame]:
        decoded = False
        damaged: FFmpegError | None = None
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except InvalidDataError as error:
                    damaged = error  # the next packet may be sound
                    continue
                for frame in frames:
                    decoded = True
                    yield frame
        except (FFmpegError, OSError) as error:
            if not decoded:
                raise MediaFileError(f"{self.path} cannot be decoded: {error}.") from error
        if not decoded:
            raise MediaFileError(f"{self.path} holds no audio that can be decoded.") from damaged


def _unreadable(path: Path, error: Exception) -> MediaFileError:
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return MediaFileError(f"{path} is a folder.", hint=f"Name its files: {path / '*'}")
    if isinstance(error, InvalidDataError):
        empty = path.is_file() and not path.stat().st_size
        return MediaFileError(f"{path} is {'empty' if empty else 'no media file'}.")
    return MediaFileError(f"{path}: {getattr(error, 'strerror', None) or error}.")


def _seconds(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000
