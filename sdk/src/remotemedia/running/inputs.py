"""What `Pipeline.run` may be given, made into pieces for the sources of a plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from remotemedia._suggest import did_you_mean
from remotemedia.errors import MediaFileError, ParameterError
from remotemedia.formats import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioFormat
from remotemedia.frames import AudioFrame, Samples

if TYPE_CHECKING:
    from remotemedia.files import AudioReader
    from remotemedia.planning.resolved import PortFormat

SOURCE_ID = "input"
"""The source where a pipeline names none."""
_PAIR = 2
_VALUE_FILES = (".json", ".jsonl")


@dataclass(frozen=True)
class Value:
    """A piece that is no audio."""

    value: object


Piece = Samples | Value
"""At most a second of audio, contiguous, or a value."""


class Input(Protocol):
    """What one source gives."""

    @property
    def format(self) -> AudioFormat | None:
        """Of its audio; None where it gives no audio, or takes the format of the source."""

    @property
    def seconds(self) -> float | None:
        """How long it is, where that is known."""

    def pieces(self, taken: AudioFormat | None) -> Iterator[Piece]:
        """Give everything, in order; `taken` is the source's format."""

    def close(self) -> None:
        """Free what was taken."""


class ArrayInput:
    """An array, whose rate is the source's unless it is given."""

    def __init__(self, samples: object, rate: object, planned: AudioFormat) -> None:
        """Check the array.

        Raises:
            ParameterError: it is no audio; the text says why.
        """
        self._samples = checked(samples)
        shape = self._samples.shape
        self.format = AudioFormat(
            planned.rate if rate is None else checked_rate(rate),
            1 if len(shape) == 1 else shape[0],
        )

    @property
    def seconds(self) -> float | None:
        """How long it is."""
        return float(self._samples.shape[-1] / self.format.rate)

    def pieces(self, taken: AudioFormat | None) -> Iterator[Piece]:
        """Give the array a second at a time, without a copy where it is one channel."""
        length = self._samples.shape[-1]
        for start in range(0, length, self.format.rate):
            yield contiguous(self._samples[..., start : start + self.format.rate])

    def close(self) -> None:
        """Do nothing."""


class FileInput:
    """An audio file."""

    def __init__(self, path: str | Path) -> None:
        """Open it.

        Raises:
            MediaFileError: it cannot be read.
        """
        from remotemedia.files import AudioReader

        self.path = Path(path)
        self._reader: AudioReader = AudioReader(path)
        self.format = self._reader.format

    @property
    def seconds(self) -> float | None:
        """How long it is, where the file says."""
        return self._reader.seconds

    def pieces(self, taken: AudioFormat | None) -> Iterator[Piece]:
        """Give the file a second at a time."""
        yield from self._reader.blocks()

    def close(self) -> None:
        """Close it."""
        self._reader.close()


class ValueInput:
    """Values."""

    format = None
    seconds = None

    def __init__(self, values: Iterable[object]) -> None:
        """Give these, one after the other."""
        self._values = values

    def pieces(self, taken: AudioFormat | None) -> Iterator[Piece]:
        """Give the values."""
        for value in self._values:
            yield Value(value)

    def close(self) -> None:
        """Do nothing."""


class SequenceInput:
    """Pieces from an iterator, of which the first is known already."""

    seconds = None

    def __init__(self, first: object, rest: Iterator[object], planned: AudioFormat | None) -> None:
        """Take the format of the first piece."""
        self._first = first
        self._rest = rest
        self.format: AudioFormat | None = None
        if planned is not None and is_audio(first):
            samples, rate = parts(first)
            self.format = ArrayInput(samples, rate, planned).format

    def pieces(self, taken: AudioFormat | None) -> Iterator[Piece]:
        """Give the pieces; long ones are cut."""
        yield from self._piece(self._first)
        for item in self._rest:
            yield from self._piece(item)

    def close(self) -> None:
        """Close the iterator."""
        close = getattr(self._rest, "close", None)
        if close is not None:
            close()

    def _piece(self, item: object) -> Iterator[Piece]:
        if self.format is None or not is_audio(item):
            yield Value(item)
            return
        samples, rate = parts(item)
        audio = ArrayInput(samples, rate, self.format)
        if audio.format != self.format:
            raise ParameterError(
                f"the audio changed from {self.format} to {audio.format}.",
                hint="All pieces of one source have one format.",
            )
        yield from audio.pieces(None)


def inputs_of(data: object, sources: Mapping[str, PortFormat]) -> dict[str, Input]:
    """Find out what was given for which source.

    Args:
        data: as `Pipeline.run` takes it.
        sources: what the sources take, by id.

    Raises:
        ParameterError: there is too much, too little, or of the wrong kind.
        MediaFileError: a file cannot be read.
    """
    names = list(sources)
    if isinstance(data, Mapping) and [*data] == [SOURCE_ID] and _is_audio_alone(sources):
        data = data[SOURCE_ID]
    if isinstance(data, Mapping) and data and all(name in sources for name in data):
        given = dict(data)
    elif len(names) == 1:
        if isinstance(data, Mapping) and sources[names[0]].type == "audio":
            _check_names(data, names)
        given = {names[0]: data}
    elif not names:
        raise ParameterError(
            "nothing can be given: the pipeline's nodes name the files that they read.",
            hint="Call run without data.",
        )
    else:
        raise ParameterError(
            f"the pipeline has the sources {', '.join(names)}: say what is for which.",
            hint="Give a dict by source id.",
        )
    missing = [name for name in names if name not in given]
    if missing:
        raise ParameterError(f"nothing was given for the source {missing[0]}.", field=missing[0])
    made: dict[str, Input] = {}
    try:
        for name in names:
            made[name] = _input(given[name], sources[name], name)
    except BaseException:
        for each in made.values():
            each.close()
        raise
    return made


def _check_names(data: Mapping[object, object], names: Sequence[str]) -> None:
    for name in map(str, data):
        if name not in (*names, SOURCE_ID):
            known = dict.fromkeys([*names, SOURCE_ID])
            raise ParameterError(f'there is no source "{name}".', hint=did_you_mean(name, known))


def _is_audio_alone(sources: Mapping[str, PortFormat]) -> bool:
    """Say whether the only source goes by `SOURCE_ID` too: such a dict may be a value otherwise."""
    return len(sources) == 1 and all(taken.type == "audio" for taken in sources.values())


def _input(data: object, taken: PortFormat, name: str) -> Input:
    audio = taken.audio
    if isinstance(data, str | Path) and _names_file(data, taken):
        if Path(data).suffix.lower() in _VALUE_FILES and taken.type != "audio":
            return ValueInput(_values_of(Path(data)))
        if audio is None:
            raise ParameterError(
                "the pipeline takes data, not an audio file.",
                field=name,
                hint="Give the value, or a .json or .jsonl file.",
            )
        if not str(data):
            raise ParameterError("the path is empty.", field=name)
        return FileInput(data)
    if is_audio(data):
        if audio is None:
            raise ParameterError("the pipeline takes data, not audio.", field=name)
        samples, rate = parts(data)
        return ArrayInput(samples, rate, audio)
    if isinstance(data, Iterator):
        first = next(data, None)
        if first is None:
            return ValueInput(())
        _check_kind(first, taken, name)
        return SequenceInput(first, data, audio)
    _check_kind(data, taken, name)
    return ValueInput((data,))


def _names_file(data: str | Path, taken: PortFormat) -> bool:
    # Text is a value where values are taken, unless a Python node takes anything and it is a file.
    if isinstance(data, Path) or taken.type == "audio":
        return True
    if taken.type == "data":
        return False
    try:
        return Path(data).is_file()
    except (OSError, ValueError):
        return False


def _check_kind(data: object, taken: PortFormat, name: str) -> None:
    if taken.type == "audio" and not is_audio(data):
        raise ParameterError(
            f"the pipeline takes audio, not {type(data).__name__}.",
            field=name,
            hint="Give a float32 array, (array, rate) or a file's path.",
        )


def _values_of(path: Path) -> Iterator[object]:
    try:
        if path.suffix.lower() == ".json":
            yield json.loads(path.read_text(encoding="utf-8"))
            return
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise MediaFileError(f"{path}, line {number}: {error}.") from error
    except OSError as error:
        raise MediaFileError(f"{path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise MediaFileError(f"{path} is not JSON: {error}.") from error


def is_audio(data: object) -> bool:
    """Say whether something is an array, a pair of an array and its rate, or a frame."""
    if isinstance(data, tuple) and len(data) == _PAIR:
        return isinstance(data[0], np.ndarray)
    return isinstance(data, AudioFrame) or (isinstance(data, np.ndarray) and data.ndim > 0)


def parts(data: object) -> tuple[object, object]:
    """Give samples and rate; the rate is None where it is not said."""
    if isinstance(data, AudioFrame):
        return data.samples, data.rate
    if isinstance(data, tuple):
        return data[0], data[1]
    return data, None


def checked_rate(rate: object) -> int:
    """Give a rate that was given.

    Raises:
        ParameterError: it is none.
    """
    if isinstance(rate, float) and rate.is_integer():
        rate = int(rate)
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
        raise ParameterError(f"{rate!r} is no sample rate.", field="rate")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ParameterError(f"{rate} Hz is not from {MIN_RATE} to {MAX_RATE} Hz.", field="rate")
    return int(rate)


def checked(samples: object) -> np.ndarray:
    """Give samples that were given.

    Raises:
        ParameterError: they are none; the text says why.
    """
    if not isinstance(samples, np.ndarray) or samples.dtype.kind != "f":
        what = f"{samples.dtype} array" if isinstance(samples, np.ndarray) else type(samples)
        raise ParameterError(
            f"audio must be a float array from -1.0 to 1.0, not {what}.",
            hint=_hint_for(samples),
        )
    if samples.ndim not in (1, _PAIR) or (samples.ndim == _PAIR and not samples.shape[0]):
        raise ParameterError(f"audio must be (n,) or (channels, n), not {samples.shape}.")
    if samples.ndim == _PAIR and samples.shape[0] > MAX_CHANNELS:
        hint = "Transpose it: .T" if samples.shape[1] <= MAX_CHANNELS else None
        raise ParameterError(
            f"audio must be (n,) or (channels, n) with at most {MAX_CHANNELS} channels, "
            f"not {samples.shape}.",
            hint=hint,
        )
    return samples


def _hint_for(samples: object) -> str | None:
    kind = samples.dtype.kind if isinstance(samples, np.ndarray) else ""
    if kind == "i":
        return f"Divide whole numbers by {np.iinfo(samples.dtype).max + 1}."  # type: ignore[attr-defined]
    return "Take 128 off and divide by 128." if kind == "u" else None


def contiguous(samples: np.ndarray) -> Samples:
    """Give samples as the runtimes take them.

    Raises:
        ParameterError: one of them is NaN or infinite.
    """
    made: Samples = np.ascontiguousarray(samples, np.float32)
    if made.ndim == _PAIR and made.shape[0] == 1:
        made = made[0]
    if not np.isfinite(made).all():
        raise ParameterError("audio has NaN or infinite samples.")
    return made


def seconds_of(inputs: Sequence[Input]) -> float | None:
    """Give how long the longest is, where all say so."""
    lengths = [each.seconds for each in inputs]
    known = [each for each in lengths if each is not None]
    return max(known) if known and len(known) == len(lengths) else None
