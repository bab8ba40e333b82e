"""Nodes that read and write files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, ClassVar

from remotemedia.base import BuiltinNode, PortType, RuntimeHint
from remotemedia.errors import MediaFileError, NodeError, ParameterError
from remotemedia.formats import OPUS_RATES, Channels, Rate

if TYPE_CHECKING:
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

    from remotemedia.frames import NodeSession, Samples

FilePath = str | Path
PLACES = ("session", "participant", "stream")
"""What may stand in braces in the path of a file that is written."""
CODECS = {".wav": "pcm_s16le", ".opus": "libopus", ".ogg": "libopus"}
"""What is written by the file's ending where its container's own choice is another."""


class FileReaderNode(BuiltinNode):
    """Read a file: a source of audio, like ``AudioSource(path=...)``.

    Whatever PyAV reads is decoded as it goes, brought to the format that the nodes want which it
    feeds. Its media time is the file's; where the file ends, the input ends.

    Args:
        path: the file, seen from the manifest's folder.
        rate: rate in hertz that it gives; None is what the nodes need that it feeds.
        channels: channels that it gives; None is what the nodes need that it feeds.
        runtime_hint: where it should run.
    """

    inputs = ()

    def __init__(
        self,
        *,
        path: FilePath,
        rate: Rate | None = None,
        channels: Channels | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.path = _path(path)
        self.output_rate = rate
        self.output_channels = channels


class FileWriterNode(BuiltinNode):
    """Write audio to a file with PyAV, as it comes; the ending says the kind of file.

    WAV is written as 16 bits, OGG as Opus, the others as their containers have it; samples beyond
    1.0 are cut. When the input has ended it gives one result:
    ``{"path": "out.wav", "duration_ms": 1000.0}``. A file that is there is replaced. In a live
    session each stream needs a file of its own: put ``{session}``, ``{participant}`` or
    ``{stream}`` into the path. It always runs in Python.

    Args:
        path: the file, seen from the manifest's folder.
        codec: FFmpeg's name of the codec; None goes by the ending.
        rate: rate in hertz that it wants; None takes what comes.
        channels: channels that it wants; None takes what comes.
        runtime_hint: where it should run.
    """

    output_type: ClassVar[PortType] = "data"

    def __init__(
        self,
        *,
        path: FilePath,
        codec: str | None = None,
        rate: Rate | None = None,
        channels: Channels | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.path = _path(path)
        try:
            self.path.format(**dict.fromkeys(PLACES, "x"))
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ParameterError(
                f"has braces that cannot be filled in: {self.path}",
                field="path",
                hint="Known: {" + "}, {".join(PLACES) + "}.",
            ) from None
        if not Path(self.path).suffix:
            raise ParameterError(
                f"{self.path} has no ending, which says the kind of file.",
                field="path",
                hint="Write out.wav, out.flac or out.mp3.",
            )
        self.codec = codec
        self.input_rate = rate
        self.input_channels = channels
        self.base: Path | None = None
        self._writer: _Writer | None = None

    def fresh(self) -> FileWriterNode:
        """Make another instance, with the same folder."""
        made = FileWriterNode(**self.arguments)  # type: ignore[arg-type]
        made.base = self.base
        return made

    def seen_from(self, base: Path | None) -> FileWriterNode:
        """Give another instance whose path is seen from a folder."""
        made = self.fresh()
        made.base = base
        return made

    def process(self, audio: Samples, session: NodeSession) -> None:
        """Write one piece.

        Raises:
            MediaFileError: the file cannot be written.
            NodeError: another stream is writing to it.
        """
        if self._writer is None:
            places = {name: _safe(value) for name, value in _places(session).items()}
            path = (self.base or Path()) / self.path.format(**places)
            channels = 1 if audio.ndim == 1 else int(audio.shape[0])
            self._writer = _Writer(path, self.codec, session.rate, channels)
        self._writer.write(audio)

    def flush(self) -> object:
        """Finish the file and say what was written."""
        return self._finish()

    def cleanup(self) -> None:
        """Finish the file where its stream was broken off."""
        self._finish()

    def _finish(self) -> dict[str, object] | None:
        writer, self._writer = self._writer, None
        if writer is None:
            return None
        duration = writer.close()
        return {"path": str(writer.path), "duration_ms": round(duration * 1000, 3)}


class _Writer:
    """A file that is being written."""

    _open: ClassVar[set[Path]] = set()
    _lock: ClassVar = Lock()

    def __init__(self, path: Path, codec: str | None, rate: int, channels: int) -> None:
        import av
        from av.error import FFmpegError

        self.path = path
        self._rate = rate
        self._written = 0
        self._key = path.absolute()
        with self._lock:
            if self._key in self._open:
                raise NodeError(
                    f"{path} is being written by another stream.",
                    hint="Put {session} and {participant} into the path.",
                )
            self._open.add(self._key)
        try:
            self._container: OutputContainer = av.open(str(path), "w")
            name = codec or CODECS.get(path.suffix.lower()) or self._container.default_audio_codec
            self._stream = _stream(self._container, name, rate, channels)
            self._resampler = _resampler(self._stream)
        except (FFmpegError, OSError, ValueError, TypeError) as error:
            self._release()
            reason = getattr(error, "strerror", None) or str(error)
            raise MediaFileError(f"{path} cannot be written: {reason}.") from error
        self._layout = "mono" if channels == 1 else f"{channels}c"

    def write(self, audio: Samples) -> None:
        import av
        import numpy as np

        planar = np.ascontiguousarray(audio.reshape(-1, audio.shape[-1]), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts = self._written
        frame.time_base = Fraction(1, self._rate)
        self._written += planar.shape[1]
        self._encode(frame)

    def close(self) -> float:
        """Finish; give the length in seconds."""
        try:
            self._encode(None)
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
            self._release()
        return self._written / self._rate

    def _encode(self, frame: object) -> None:
        from av.error import FFmpegError

        try:
            for converted in self._resampler.resample(frame):  # type: ignore[arg-type]
                self._container.mux(self._stream.encode(converted))
        except (FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise MediaFileError(f"{self.path} cannot be written: {reason}.") from error

    def _release(self) -> None:
        with self._lock:
            self._open.discard(self._key)


def _stream(container: OutputContainer, codec: str, rate: int, channels: int) -> AudioStream:
    from av import AudioStream as Stream
    from av.codec import Codec

    rates = Codec(codec, "w").audio_rates or ([*OPUS_RATES] if "opus" in codec else None)
    if rates and rate not in rates:
        # The next higher one keeps everything; where there is none, the highest.
        rate = min((each for each in rates if each >= rate), default=max(rates))
    stream = container.add_stream(codec, rate=rate)
    if not isinstance(stream, Stream):
        raise ValueError(f"{codec} is no codec for audio")
    stream.layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")
    return stream


def _resampler(stream: AudioStream) -> AudioResampler:
    from av.audio.resampler import AudioResampler

    size = stream.codec_context.frame_size
    return AudioResampler(stream.format, stream.layout, stream.rate, frame_size=size or None)


def _places(session: NodeSession) -> dict[str, str]:
    return {name: str(getattr(session, name)) for name in PLACES}


def _safe(text: str) -> str:
    """Keep ids from outside within the folder."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)


def _path(path: FilePath) -> str:
    if not str(path):
        raise ParameterError("must not be empty.", field="path")
    return str(path)
