"""Audio for a peer: from arrays and files to what `AudioTrack` takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from remotemedia.client.track import RATE, Pcm
from remotemedia.errors import ParameterError
from remotemedia.files import AudioReader
from remotemedia.formats import MAX_RATE, MIN_RATE
from remotemedia.frames import AudioFrame

Floats = NDArray[np.floating]
Audio = Floats | tuple[Floats, int] | AudioFrame
"""Samples ``(n,)`` or ``(channels, n)`` from -1.0 to 1.0; with their rate as a tuple or a frame."""

_DIMENSIONS = 2


class Converter:
    """Turns floats at any rate into mono 16-bit samples at 48 kHz, continuously."""

    def __init__(self) -> None:
        """Make a converter without a past."""
        self._rate = 0
        self._resampler: AudioResampler | None = None

    def convert(self, audio: Audio, default_rate: int) -> Pcm:
        """Convert one piece.

        Args:
            audio: the samples.
            default_rate: the rate of an array that comes without one, in hertz.

        Raises:
            ParameterError: it is no audio; the text says why.
        """
        samples, rate = _parts(audio, default_rate)
        converted: Pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
        if rate != self._rate:
            self._rate = rate
            self._resampler = None if rate == RATE else _resampler()
        if self._resampler is None or not len(converted):
            return converted
        frame = av.AudioFrame.from_ndarray(converted.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        return _joined(self._resampler.resample(frame))

    def flush(self) -> Pcm:
        """Give what the resampler still holds."""
        resampler, self._resampler, self._rate = self._resampler, None, 0
        return _joined(resampler.resample(None)) if resampler else np.zeros(0, np.int16)


class AudioFile:
    """An audio file of any kind that PyAV reads, decoded as it goes."""

    def __init__(self, path: Path) -> None:
        """Open the file and find its audio.

        Raises:
            MediaFileError: it cannot be read, or holds no audio.
        """
        self._reader = AudioReader(path)

    @property
    def seconds(self) -> float | None:
        """How long it is, where the file says."""
        return self._reader.seconds

    def blocks(self) -> Iterator[Pcm]:
        """Give mono samples at 48 kHz, piece by piece.

        Raises:
            MediaFileError: nothing in it could be decoded.
        """
        for frame in self._reader.frames("s16", "mono", RATE):
            yield _joined([frame])

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def _parts(audio: Audio, default_rate: int) -> tuple[Floats, int]:
    rate: object = default_rate
    samples: object = audio
    if isinstance(audio, AudioFrame):
        samples, rate = audio.samples, audio.rate
    elif isinstance(audio, tuple) and len(audio) == _DIMENSIONS:
        samples, rate = audio
    if not isinstance(rate, int | np.integer) or not MIN_RATE <= rate <= MAX_RATE:
        raise ParameterError(f"{rate!r} is no sample rate from {MIN_RATE} to {MAX_RATE} Hz.")
    if not isinstance(samples, np.ndarray) or samples.dtype.kind != "f":
        what = f"{samples.dtype} array" if isinstance(samples, np.ndarray) else type(samples)
        raise ParameterError(
            f"audio must be a float array from -1.0 to 1.0, not {what}.",
            hint="Divide int16 by 32768.",
        )
    if samples.ndim not in (1, _DIMENSIONS):
        raise ParameterError(f"audio must be (n,) or (channels, n), not {samples.shape}.")
    if not np.isfinite(samples).all():
        raise ParameterError("audio has NaN or infinite samples.")
    mono = samples if samples.ndim == 1 else samples.mean(axis=0)
    return mono, int(rate)


def _resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="mono", rate=RATE)


def _joined(frames: list[av.AudioFrame]) -> Pcm:
    pieces = [frame.to_ndarray().reshape(-1) for frame in frames]
    joined: Pcm = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return joined
