"""Writing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from remotemedia._suggest import did_you_mean
from remotemedia.errors import MediaFileError, ParameterError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from typing_extensions import Self

    from remotemedia.frames import Samples


@dataclass(frozen=True)
class Encoding:
    """How a kind of file is written.

    Attributes:
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the codec.
        sample_format: what the codec takes.
        rates: what it takes, in hertz; empty is any. Others are converted to the next above.
        max_channels: what it takes.
        bit_rate: bits a second and channel, where it loses anything.
    """

    container: str
    codec: str
    sample_format: str
    rates: tuple[int, ...] = ()
    max_channels: int = 8
    bit_rate: int | None = None


_OPUS = Encoding("ogg", "libopus", "flt", (8_000, 12_000, 16_000, 24_000, 48_000), 2, 64_000)
AUDIO_FORMATS: Mapping[str, Encoding] = {
    ".wav": Encoding("wav", "pcm_s16le", "s16"),
    ".flac": Encoding("flac", "flac", "s16"),
    ".ogg": _OPUS,
    ".opus": _OPUS,
    ".webm": Encoding("webm", "libopus", "flt", _OPUS.rates, 2, 64_000),
    ".mp3": Encoding(
        "mp3",
        "libmp3lame",
        "fltp",
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        2,
        96_000,
    ),
    ".m4a": Encoding("ipod", "aac", "fltp", (16_000, 22_050, 24_000, 32_000, 44_100, 48_000), 2),
}
"""How audio is written, by the file's suffix: 16 bits in WAV and FLAC."""
_LAYOUTS = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")


def is_audio(path: str | Path) -> bool:
    """Say whether a file of this name would be written as audio."""
    return Path(path).suffix.lower() in AUDIO_FORMATS


class AudioWriter:
    """An audio file, encoded as it is written. `close` completes it, `discard` takes it away."""

    def __init__(self, path: str | Path, rate: int, channels: int = 1) -> None:
        """Make the file; one that is there is replaced.

        Args:
            path: its suffix says how it is written; see `AUDIO_FORMATS`.
            rate: of the samples that will come, in hertz.
            channels: of the samples that will come.

        Raises:
            ParameterError: there is no such kind of file, or it cannot have so many channels.
            MediaFileError: it cannot be written.
        """
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in AUDIO_FORMATS:
            raise ParameterError(
                f'"{self.path.name}" is no kind of audio file that can be written.',
                hint=did_you_mean(suffix, AUDIO_FORMATS),
            )
        encoding = AUDIO_FORMATS[suffix]
        if channels > encoding.max_channels:
            raise ParameterError(
                f"{suffix} files have at most {encoding.max_channels} channels, not {channels}.",
                hint="Write .wav or .flac, or put FormatConverterNode(output_channels=1) before.",
            )
        self.rate = rate
        self.channels = channels
        self._layout = _LAYOUTS[channels - 1]
        self._position = 0
        written = next((each for each in sorted(encoding.rates) if each >= rate), None)
        written = rate if not encoding.rates else written or max(encoding.rates)
        try:
            self._container = av.open(f"file:{path}", "w", format=encoding.container)
            self._stream = cast(
                "AudioStream",
                self._container.add_stream(encoding.codec, rate=written, layout=self._layout),
            )
            if encoding.bit_rate is not None:
                self._stream.bit_rate = encoding.bit_rate * channels
            self._container.start_encoding()  # now, so that a wrong path is told of now
        except (FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error
        self._resampler = AudioResampler(
            format=encoding.sample_format, layout=self._layout, rate=written
        )

    def write(self, samples: Samples) -> None:
        """Write samples, ``(n,)`` or ``(channels, n)``; what is beyond 1.0 is clipped.

        Raises:
            MediaFileError: the file cannot be written.
        """
        planar = np.clip(samples.reshape(self.channels, -1), -1.0, 1.0)
        if not planar.size:
            return
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(planar, np.float32), format="fltp", layout=self._layout
        )
        frame.sample_rate = self.rate
        frame.pts = self._position
        self._position += planar.shape[1]
        self._encode(frame)

    def close(self) -> None:
        """Write what is left and complete the file.

        Raises:
            MediaFileError: it cannot be written.
        """
        try:
            self._encode(None)
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except (FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error

    def discard(self) -> None:
        """Close the file and take it away."""
        with contextlib.suppress(FFmpegError, OSError, ValueError):
            self._container.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _encode(self, frame: av.AudioFrame | None) -> None:
        try:
            for converted in self._resampler.resample(frame):
                self._container.mux(self._stream.encode(converted))
        except (FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> MediaFileError:
        reason = getattr(error, "strerror", None) or str(error)
        return MediaFileError(f"{self.path} cannot be written: {reason}.")
