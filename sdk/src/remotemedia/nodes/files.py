"""Nodes that read and write files."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, ClassVar

from remotemedia._suggest import did_you_mean
from remotemedia.base import BuiltinNode, PortType, RuntimeHint
from remotemedia.errors import NodeError, ParameterError
from remotemedia.formats import Channels, Rate

if TYPE_CHECKING:
    from remotemedia.frames import NodeSession, Samples

FilePath = str | Path
PLACES = {"session": "id", "participant": "participant", "stream": "stream"}
"""What may stand in braces in the path of a file that is written, and where it is in a session."""
OFFLINE = "offline"
"""The session's id in a run."""
_OWN_FILE = "Put {session}, {participant} and {stream} into the path."
ENDINGS = (".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".webm")
"""The kinds of files that are written: those of `remotemedia.files`, which takes long to load."""


class FileReaderNode(BuiltinNode):
    """Read a file: a source of audio, like ``AudioSource(path=...)``.

    Whatever PyAV reads is decoded as it goes, brought to the format that the nodes want which it
    feeds. Its media time is the file's; where the file ends, the input ends. Served, each stream of
    a session hears it from its start, for as long as audio comes in, and silence after its end.

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

    The kinds are WAV and FLAC with 16 bits, OGG, OPUS and WEBM with Opus, MP3, and M4A with AAC;
    samples beyond 1.0 are cut. When the input has ended it gives one result:
    ``{"path": "out.wav", "duration_ms": 1000.0}``. A run replaces a file that is there. A served
    pipeline replaces none: each stream needs a file of its own, so the path must have ``{session}``
    in it, and ``{participant}`` or ``{stream}`` where a session has several. It always runs in
    Python.

    Args:
        path: the file, seen from the manifest's folder; ``{session}``, ``{participant}`` and
            ``{stream}`` are filled in.
        rate: rate in hertz that it wants; None takes what comes.
        channels: channels that it wants; None takes what comes.
        runtime_hint: where it should run.
    """

    output_type: ClassVar[PortType] = "data"

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
        try:
            self.path.format(**dict.fromkeys(PLACES, "x"))
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ParameterError(
                f"has braces that cannot be filled in: {self.path}",
                field="path",
                hint="Known: {" + "}, {".join(PLACES) + "}.",
            ) from None
        suffix = Path(self.path).suffix.lower()
        if suffix not in ENDINGS:
            raise ParameterError(
                f'"{suffix}" is no ending that says what to write.',
                field="path",
                hint=did_you_mean(suffix, ENDINGS),
            )
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

    def check_served(self) -> None:
        """Refuse a path that is the same for every session.

        Raises:
            ParameterError: it is.
        """
        if self.path.format(**dict.fromkeys(PLACES, "x")) == self.path.format(
            **dict.fromkeys(PLACES, "x") | {"session": "y"}
        ):
            raise ParameterError(
                f"every session would write to {self.path}.",
                field="path",
                hint="Put {session} into it.",
            )

    def process(self, audio: Samples, session: NodeSession) -> None:
        """Write one piece.

        Raises:
            MediaFileError: the file cannot be written.
            NodeError: another stream is writing to it, or has written it in a served pipeline.
        """
        if self._writer is None:
            places = {name: _safe(getattr(session, where)) for name, where in PLACES.items()}
            path = (self.base or Path()) / self.path.format(**places)
            channels = 1 if audio.ndim == 1 else int(audio.shape[0])
            self._writer = _Writer(path, session.rate, channels, replace=session.id == OFFLINE)
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


_open: set[Path] = set()
"""Files that are being written, so that no two streams write to one."""
_lock = Lock()


class _Writer:
    """A file that is being written, by one stream."""

    def __init__(self, path: Path, rate: int, channels: int, *, replace: bool) -> None:
        from remotemedia.files import AudioWriter

        self.path = path
        self._rate = rate
        self._written = 0
        self._key = path.absolute()
        with _lock:
            if self._key in _open:
                raise NodeError(f"{path} is being written by another stream.", hint=_OWN_FILE)
            if not replace and path.exists():
                raise NodeError(f"{path} is there already.", hint=_OWN_FILE)
            _open.add(self._key)
        try:
            self._file = AudioWriter(path, rate, channels)
        except BaseException:
            self._release()
            raise

    def write(self, audio: Samples) -> None:
        self._written += int(audio.shape[-1])
        self._file.write(audio)

    def close(self) -> float:
        """Finish; give the length in seconds."""
        try:
            self._file.close()
        finally:
            self._release()
        return self._written / self._rate

    def _release(self) -> None:
        with _lock:
            _open.discard(self._key)


def _safe(text: str) -> str:
    """Keep ids from outside within the folder."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)


def _path(path: FilePath) -> str:
    if not str(path):
        raise ParameterError("must not be empty.", field="path")
    return str(path)
