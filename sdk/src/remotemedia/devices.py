"""Microphone and loudspeaker, by sounddevice (PortAudio), which ``remotemedia[mic]`` brings."""

from __future__ import annotations

import importlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from threading import Condition
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from remotemedia.base import Node
from remotemedia.errors import MediaFileError
from remotemedia.formats import AudioFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from remotemedia.frames import NodeSession, Samples
    from remotemedia.running.inputs import Piece

MODULE = "sounddevice"
BLOCK_MS = 20
"""How long a block is that a device gives."""
MAX_WAITING = 500
"""Blocks of a microphone that wait at most: ten seconds; then the oldest is dropped, counted."""
LOOK_SECONDS = 0.1
"""How often a run that waits for a microphone looks whether it shall end."""

_log = logging.getLogger("remotemedia")

Callback = Callable[["NDArray[np.float32]", int, object, object], None]


class _Stream(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...
    def write(self, data: NDArray[np.float32]) -> bool: ...


class _Opener(Protocol):
    def __call__(
        self,
        *,
        samplerate: int,
        channels: int,
        dtype: str,
        device: str | None,
        blocksize: int = 0,
        callback: Callback | None = None,
    ) -> _Stream: ...


class _Sounds(Protocol):
    """What is needed of sounddevice, which has no types."""

    @property
    def InputStream(self) -> _Opener: ...  # noqa: N802 - the module's name
    @property
    def OutputStream(self) -> _Opener: ...  # noqa: N802 - the module's name
    @property
    def PortAudioError(self) -> type[Exception]: ...  # noqa: N802 - the module's name

    def check_input_settings(
        self, *, device: str | None, channels: int, dtype: str, samplerate: int
    ) -> None: ...
    def query_devices(self, device: str | None, kind: str) -> Mapping[str, object]: ...


class Microphone:
    """A microphone as an input of a run. It ends with the run, or by Ctrl-C."""

    def __init__(self, device: str | None, wanted: AudioFormat) -> None:
        """Find the microphone and the format that it can have.

        Args:
            device: its name; None is the default one.
            wanted: the format that the pipeline would like.

        Raises:
            MediaFileError: there is no such microphone, or sounddevice is not installed.
        """
        self._sounds = _sounds("a microphone")
        self._device = device
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._changed = Condition()
        self._closed = False
        self._stream: _Stream | None = None
        self.dropped = 0
        self.format = self._possible(wanted)

    @property
    def seconds(self) -> float | None:
        """Nobody knows how long it will be."""
        return None

    def pieces(self, taken: AudioFormat | None) -> Iterator[Piece]:
        """Give what is heard, block by block; at times nothing at all, so that a run may end."""
        rate, channels = self.format.rate, self.format.channels
        try:
            self._stream = self._sounds.InputStream(
                samplerate=rate,
                channels=channels,
                dtype="float32",
                device=self._device,
                blocksize=rate * BLOCK_MS // 1000,
                callback=self._heard,
            )
            self._stream.start()
        except (self._sounds.PortAudioError, ValueError) as error:
            raise _unusable("microphone", self._device, error) from error
        silence = np.zeros(0 if channels == 1 else (channels, 0), np.float32)
        try:
            # What was heard before it was closed is somebody's last word.
            while not self._closed or self._blocks:
                block = self._next()
                yield silence if block is None else block
        except KeyboardInterrupt:
            return

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
            stream.close()
        if self.dropped:
            _log.warning("%d blocks of the microphone were dropped: too slow", self.dropped)

    def _next(self) -> Samples | None:
        with self._changed:
            if not self._blocks:
                self._changed.wait(LOOK_SECONDS)
            return self._blocks.popleft() if self._blocks else None

    def _heard(self, data: NDArray[np.float32], _count: int, _time: object, _flags: object) -> None:
        # The array belongs to PortAudio, and its channels are the second axis.
        block = data[:, 0].copy() if data.shape[1] == 1 else np.ascontiguousarray(data.T)
        with self._changed:
            if len(self._blocks) >= MAX_WAITING:
                self._blocks.popleft()
                self.dropped += 1
            self._blocks.append(block)
            self._changed.notify()

    def _possible(self, wanted: AudioFormat) -> AudioFormat:
        sounds = self._sounds
        try:
            told = sounds.query_devices(self._device, "input")
            most = int(cast("int", told["max_input_channels"]))
            channels = max(1, min(wanted.channels, most))
            try:
                sounds.check_input_settings(
                    device=self._device, channels=channels, dtype="float32", samplerate=wanted.rate
                )
            except sounds.PortAudioError:
                return AudioFormat(int(cast("float", told["default_samplerate"])), channels)
        except (sounds.PortAudioError, ValueError) as error:
            raise _unusable("microphone", self._device, error) from error
        return AudioFormat(wanted.rate, channels)


class Loudspeaker(Node):
    """Plays audio as it comes, and waits while the device is full."""

    def __init__(self, *, device: str | None = None) -> None:
        """Take the name of the device; None is the default one."""
        super().__init__()
        self._device = device
        self._sounds = _sounds("a loudspeaker")
        self._stream: _Stream | None = None

    def process(self, audio: Samples, session: NodeSession) -> None:
        """Play a piece.

        Raises:
            MediaFileError: there is no such loudspeaker.
        """
        channels = 1 if audio.ndim == 1 else int(audio.shape[0])
        if self._stream is None:
            try:
                self._stream = self._sounds.OutputStream(
                    samplerate=session.rate,
                    channels=channels,
                    dtype="float32",
                    device=self._device,
                )
                self._stream.start()
            except (self._sounds.PortAudioError, ValueError) as error:
                raise _unusable("loudspeaker", self._device, error) from error
        self._stream.write(np.ascontiguousarray(audio.reshape(channels, -1).T))

    def flush(self) -> None:
        """Play what was given to the end."""
        if self._stream is not None:
            self._stream.stop()

    def cleanup(self) -> None:
        """Let the device go."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _sounds(what: str) -> _Sounds:
    try:
        return cast("_Sounds", importlib.import_module(MODULE))
    # Where PortAudio itself is missing the import ends with an OSError.
    except (ImportError, OSError) as error:
        raise MediaFileError(
            f"{what} needs {MODULE}, which cannot be imported: {error}.",
            hint="Install remotemedia[mic], or give a file or an array.",
        ) from error


def _unusable(what: str, device: str | None, error: Exception) -> MediaFileError:
    named = f'the {what} "{device}"' if device else f"the default {what}"
    return MediaFileError(f"{named} cannot be used: {error}.")
