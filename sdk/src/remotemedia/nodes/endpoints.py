"""Where audio comes in and goes out."""

from __future__ import annotations

from pathlib import Path

from remotemedia.base import BuiltinNode, RuntimeHint
from remotemedia.errors import ParameterError
from remotemedia.formats import Channels, Rate

FilePath = str | Path


class AudioSource(BuiltinNode):
    """Where audio comes in.

    Served, it is the peer's incoming track, and with several sources the first track feeds the
    first, the second the second; in ``run(data)`` it is the given data, and with several sources
    ``run({"id": data})``. With `path` it is always that file; served, each stream of a
    session hears it from its start, for as long as audio comes in, and silence after its end. Where
    a run is given nothing it is the microphone, until Ctrl-C, which needs ``remotemedia[mic]``.

    Args:
        path: a file that PyAV reads, seen from the manifest's folder; None is what is given.
        device: name of a microphone; None is the default one.
        rate: rate in hertz that it gives; None is what the nodes need that it feeds.
        channels: channels that it gives; None is what the nodes need that it feeds.
        runtime_hint: where it should run.
    """

    inputs = ()

    def __init__(
        self,
        *,
        path: FilePath | None = None,
        device: str | None = None,
        rate: Rate | None = None,
        channels: Channels | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        _check_place(path, device)
        self.path = None if path is None else str(path)
        self.device = device
        self.output_rate = rate
        self.output_channels = channels

    @property
    def kind(self) -> str:
        """``source``."""
        return "source"


class AudioSink(BuiltinNode):
    """Where audio goes out.

    Served, it goes to the peers: each hears what was made of its own streams, and who sends no
    audio hears all. In ``run(data)`` the audio of sinks is the audio of the result. With `path` it
    is written to that file instead. In a run that listens to the microphone it is the loudspeaker,
    which needs ``remotemedia[mic]``.

    Args:
        path: a file that PyAV writes, seen from the manifest's folder; see `FileWriterNode`.
        device: name of a loudspeaker; None is the default one.
        rate: rate in hertz that it wants; None takes what comes.
        channels: channels that it wants; None takes what comes.
        runtime_hint: where it should run.
    """

    outputs = ()

    def __init__(
        self,
        *,
        path: FilePath | None = None,
        device: str | None = None,
        rate: Rate | None = None,
        channels: Channels | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        _check_place(path, device)
        self.path = None if path is None else str(path)
        self.device = device
        self.input_rate = rate
        self.input_channels = channels

    @property
    def kind(self) -> str:
        """``sink``."""
        return "sink"


def _check_place(path: FilePath | None, device: str | None) -> None:
    if path is not None and device is not None:
        raise ParameterError("path and device exclude each other.", field="device")
    if path is not None and not str(path):
        raise ParameterError("must not be empty.", field="path")
