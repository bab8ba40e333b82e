"""What `remotemedia call` does with audio that comes back: writes it, plays it, or counts it."""

from __future__ import annotations

import logging
import time
from collections import deque
from pathlib import Path
from threading import Condition, Thread
from typing import Protocol

import numpy as np

from remotemedia.devices import Loudspeaker
from remotemedia.errors import MediaFileError, ParameterError
from remotemedia.files import AudioWriter
from remotemedia.files.writer import is_audio
from remotemedia.formats import AudioFormat
from remotemedia.frames import NodeSession, Samples
from remotemedia.running.events import AudioEvent

MAX_LATE_SECONDS = 0.2
"""Audio that waits for the loudspeaker at most; then the oldest is left out, so that a conversation
stays one."""
GAP_SECONDS = 1.0
"""What is written with silence for what is missing is no longer than the call by more than this."""

_log = logging.getLogger("remotemedia")


class _Hearer(Protocol):
    """Takes the audio that comes back."""

    def hear(self, event: AudioEvent) -> None: ...
    def close(self) -> None: ...


class Recording:
    """Writes it to a file; where packets are missing there is silence."""

    def __init__(self, path: Path, format_: AudioFormat) -> None:
        """Make the file.

        Raises:
            MediaFileError: it cannot be written.
        """
        self._writer = AudioWriter(path, format_.rate, format_.channels)
        self._position = 0
        self._began = time.monotonic()

    def hear(self, event: AudioEvent) -> None:
        """Write a piece.

        Raises:
            MediaFileError: the file cannot be written.
        """
        rate = event.rate
        # A timestamp that leaps must not fill the disk.
        most = int((time.monotonic() - self._began + GAP_SECONDS) * rate)
        missing = min(round(event.pts_ms * rate / 1000), most) - self._position
        while missing > 0:
            silence = np.zeros_like(event.samples, shape=(*event.samples.shape[:-1], rate))
            self._write(silence[..., : min(missing, rate)])
            missing -= rate
        self._write(event.samples)

    def close(self) -> None:
        """Complete the file, however the call ended; take it away where nothing came."""
        if self._position:
            self._writer.close()
        else:
            self._writer.discard()

    def _write(self, samples: Samples) -> None:
        self._position += int(samples.shape[-1])
        self._writer.write(samples)


class Playing:
    """Plays it on a thread of its own, as a device takes it."""

    def __init__(self) -> None:
        """Begin to play what will come.

        Raises:
            MediaFileError: sounddevice is not installed.
        """
        self._speaker = Loudspeaker()
        self._waiting: deque[AudioEvent] = deque()
        self._seconds = 0.0
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._play, name="remotemedia-loudspeaker", daemon=True)
        self._thread.start()

    def hear(self, event: AudioEvent) -> None:
        """Play a piece as soon as the device takes it."""
        with self._changed:
            self._waiting.append(event)
            self._seconds += _seconds(event)
            while self._seconds > MAX_LATE_SECONDS and len(self._waiting) > 1:
                self._seconds -= _seconds(self._waiting.popleft())
            self._changed.notify()

    def close(self) -> None:
        """Play what is left, and let the device go."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _play(self) -> None:
        session = NodeSession("", "", "", "", "")
        try:
            while (event := self._next()) is not None:
                session.rate = event.rate
                self._speaker.process(event.samples, session)
            self._speaker.flush()
        except MediaFileError as error:
            _log.warning("nothing is played: %s", error)
            self._closed = True
        finally:
            self._speaker.cleanup()

    def _next(self) -> AudioEvent | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            event = self._waiting.popleft()
            self._seconds -= _seconds(event)
            return event


class Hearers:
    """Everything that takes the audio of a call."""

    def __init__(self, output: Path | None, format_: AudioFormat | None, *, play: bool) -> None:
        """Begin.

        Args:
            output: the file to write.
            format_: what comes back; None is nothing.
            play: whether it is played.

        Raises:
            ParameterError: there is a file to write and nothing comes back.
            MediaFileError: the file cannot be written, or the loudspeaker not be used.
        """
        self.seconds = 0.0
        """How much came back."""
        self._hearers: list[_Hearer] = []
        if format_ is None and output is not None:
            raise ParameterError(
                "the pipeline sends no audio, so there is none to write.",
                field="-o",
                hint="Leave -o out, or add an AudioSink to the pipeline.",
            )
        if format_ is None:
            return
        if output is not None:
            self._hearers.append(Recording(output, format_))
        if play:
            self._hearers.append(Playing())

    def hear(self, event: AudioEvent) -> None:
        """Hand a piece to all of them."""
        self.seconds += _seconds(event)
        for each in self._hearers:
            each.hear(event)

    def close(self) -> None:
        """End."""
        for each in self._hearers:
            each.close()


def check_output(path: Path | None, *, fast: bool) -> None:
    """Refuse a file that cannot be written, before anybody is called.

    Args:
        path: the file.
        fast: whether audio is sent faster than real time.

    Raises:
        ParameterError: it is of no kind that is written, or would have gaps.
    """
    if path is None:
        return
    if fast:
        raise ParameterError(
            "audio comes back in real time: sent faster, most of it would be left out.",
            field="-o",
            hint="Leave --fast out.",
        )
    if not is_audio(path):
        raise ParameterError(
            f'"{path.name}" is no kind of audio file that can be written.',
            field="-o",
            hint="Write .wav, .flac, .ogg, .opus, .webm, .mp3 or .m4a.",
        )


def _seconds(event: AudioEvent) -> float:
    return int(event.samples.shape[-1]) / event.rate
