"""Reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
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
            self._container = av.open(str(path))
        except (FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            hint = "It is no media file." if isinstance(error, InvalidDataError) else None
            raise MediaFileError(f"{path}: {reason}.", hint=hint) from error
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

    def blocks(self) -> Iterator[Samples]:
        """Give the audio in blocks of a second, ``(n,)`` for one channel or ``(channels, n)``.

        Damaged packets are left out.

        Raises:
            MediaFileError: nothing in it could be decoded.
        """
        size = int(self.format.rate * BLOCK_SECONDS)
        pieces: list[Samples] = []
        waiting = 0
        for piece in self._pieces():
            pieces.append(piece)
            waiting += piece.shape[1]
            while waiting >= size:
                joined = np.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]
                yield self._shaped(joined[:, :size])
                pieces = [joined[:, size:]]
                waiting -= size
        if waiting:
            yield self._shaped(np.concatenate(pieces, axis=1))

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shaped(self, block: Samples) -> Samples:
        return np.ascontiguousarray(block[0] if self.channels == 1 else block)

    def _pieces(self) -> Iterator[Samples]:
        decoded = False
        damaged: FFmpegError | None = None
        resampler: AudioResampler | None = None
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except InvalidDataError as error:
                    damaged = error  # the next packet may be sound
                    continue
                for frame in frames:
                    decoded = True
                    if resampler is None and self._is_plain(frame):
                        yield _floats(frame)
                        continue
                    # Other sample formats, and files whose format changes on the way.
                    resampler = resampler or AudioResampler(
                        format="fltp", layout=self._layout, rate=self.rate
                    )
                    for converted in resampler.resample(frame):
                        yield _floats(converted)
        except (FFmpegError, OSError) as error:
            if not decoded:
                raise MediaFileError(f"{self.path} cannot be decoded: {error}.") from error
            damaged = damaged or (error if isinstance(error, FFmpegError) else None)
        if not decoded:
            raise MediaFileError(f"{self.path} holds no audio that can be decoded.") from damaged
        if resampler is not None:
            for converted in resampler.resample(None):
                yield _floats(converted)

    def _is_plain(self, frame: av.AudioFrame) -> bool:
        return (
            frame.format.name == "fltp"
            and frame.sample_rate == self.rate
            and len(frame.layout.channels) == self.channels
        )


def _floats(frame: av.AudioFrame) -> Samples:
    return cast("Samples", frame.to_ndarray())


def _seconds(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000
