"""Nodes that work on audio.

The rest that audio pipelines need is importable from here too: where audio comes in and goes out,
mixing and splitting, files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from remotemedia._bounds import Ge, Le
from remotemedia.base import RuntimeHint
from remotemedia.errors import ParameterError
from remotemedia.formats import SPEECH_RATE, AudioFormat, Channels, Rate
from remotemedia.nodes.endpoints import AudioSink, AudioSource
from remotemedia.nodes.files import FileReaderNode, FileWriterNode
from remotemedia.nodes.native import Decibels, Milliseconds, NativeNode
from remotemedia.nodes.routing import ChannelSplitNode, MixNode

if TYPE_CHECKING:
    from pydantic import JsonValue

    from remotemedia.nodes.native import Parameters

Quality = Literal["low", "medium", "high"]
Probability = Annotated[float, Ge(0.0), Le(1.0)]


class AudioResampleNode(NativeNode):
    """Change the sample rate. Channels stay as they are.

    The output is aligned: sample k lies at the time of input sample k * input / output. Where the
    input has the output's rate already, frames pass through untouched.

    Args:
        input_rate: rate in hertz that it wants to be fed with; None takes what comes.
        output_rate: rate in hertz that it gives.
        target_sample_rate: another name of `output_rate`.
        quality: how well the filter keeps out what the output cannot carry. From 48 to 16 kHz all
            keep everything below 7 kHz; what lies above 9 kHz is down by 85, 91 or 101 dB.
        runtime_hint: where it should run.
    """

    native_kind = "resample"

    def __init__(
        self,
        *,
        input_rate: Rate | None = None,
        output_rate: Rate | None = None,
        target_sample_rate: Rate | None = None,
        quality: Quality = "high",
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        if output_rate is None and target_sample_rate is None:
            raise ParameterError(
                "AudioResampleNode needs output_rate.",
                field="output_rate",
                hint="For speech that is output_rate=16000.",
            )
        if None not in (output_rate, target_sample_rate) and output_rate != target_sample_rate:
            raise ParameterError(
                "output_rate and target_sample_rate are the same thing; give one of them.",
                field="target_sample_rate",
            )
        self.input_rate = input_rate
        self.output_rate = output_rate if output_rate is not None else target_sample_rate
        self.quality = quality

    @property
    def kind(self) -> str:
        """``resample``."""
        return "resample"

    def native_parameters(self) -> Parameters:
        """Give the quality; the rates are the formats of the ports."""
        return {"quality": self.quality}

    def gives(self, taken: AudioFormat) -> AudioFormat:
        """Give the output's format: the output's rate, the input's channels."""
        return AudioFormat(self.output_rate or taken.rate, taken.channels)


class FormatConverterNode(NativeNode):
    """Change the number of channels: several to one by averaging, one to several by copying.

    Args:
        output_channels: channels that it gives.
        input_channels: channels that it wants to be fed with; None takes what comes.
        runtime_hint: where it should run.
    """

    native_kind = "format"

    def __init__(
        self,
        *,
        output_channels: Channels = 1,
        input_channels: Channels | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.output_channels = output_channels
        self.input_channels = input_channels

    @property
    def kind(self) -> str:
        """``format``."""
        return "format"

    def native_parameters(self) -> Parameters:
        """Give nothing: the channels are the formats of the ports."""
        return {}

    def gives(self, taken: AudioFormat) -> AudioFormat:
        """Give the output's format: the input's rate, the output's channels."""
        return AudioFormat(taken.rate, self.output_channels or taken.channels)


class VADNode(NativeNode):
    """Find speech. Audio passes through.

    Each window gives a `vad` result, 32 ms long with Silero and one frame with energy; where
    speech begins and ends come `speech_started` and `speech_stopped`.

    Args:
        engine: `silero` is a neural network (Silero v6, 16 kHz); `energy` compares the level with
            a threshold and takes any rate.
        threshold: probability from which a window counts as speech.
        negative_threshold: probability below which it counts as silence; None is 0.15 below
            `threshold`.
        min_speech_ms: speech shorter than this is not reported.
        min_silence_ms: a pause shorter than this does not end speech.
        speech_pad_ms: what is added before the start and after the end.
        emit: `events` leaves the results of windows out.
        threshold_db: level in dBFS that stands for probability 0.5, for `energy`.
        runtime_hint: where it should run.
    """

    native_kind = "vad"
    live_parameters = frozenset(
        {
            "threshold",
            "negative_threshold",
            "min_speech_ms",
            "min_silence_ms",
            "speech_pad_ms",
            "emit",
            "threshold_db",
        }
    )

    def __init__(
        self,
        *,
        engine: Literal["silero", "energy"] = "silero",
        threshold: Probability = 0.5,
        negative_threshold: Probability | None = None,
        min_speech_ms: Milliseconds = 250,
        min_silence_ms: Milliseconds = 100,
        speech_pad_ms: Milliseconds = 30,
        emit: Literal["all", "events"] = "all",
        threshold_db: Annotated[float, Ge(-100.0), Le(0.0)] | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        if negative_threshold is not None and negative_threshold > threshold:
            raise ParameterError(
                f"must not be above threshold, which is {threshold}.", field="negative_threshold"
            )
        if threshold_db is not None and engine != "energy":
            raise ParameterError('is only for engine "energy".', field="threshold_db")
        self.engine = engine
        self.threshold = threshold
        self.negative_threshold = negative_threshold
        self.min_speech_ms = min_speech_ms
        self.min_silence_ms = min_silence_ms
        self.speech_pad_ms = speech_pad_ms
        self.emit = emit
        self.threshold_db = threshold_db
        self.input_channels = 1
        self.input_rate = SPEECH_RATE if engine == "silero" else None

    def native_parameters(self) -> Parameters:
        """Give every parameter; the negative threshold follows the threshold."""
        negative = self.negative_threshold
        if negative is None:
            negative = round(max(self.threshold - 0.15, 0.0), 6)
        parameters: dict[str, JsonValue] = {
            "engine": self.engine,
            "threshold": self.threshold,
            "negative_threshold": negative,
            "min_speech_ms": self.min_speech_ms,
            "min_silence_ms": self.min_silence_ms,
            "speech_pad_ms": self.speech_pad_ms,
            "emit": self.emit,
        }
        if self.engine == "energy":
            parameters["threshold_db"] = -45.0 if self.threshold_db is None else self.threshold_db
        return parameters


class LevelMeterNode(NativeNode):
    """Measure the level: a `level` result with RMS and peak in dBFS at each interval.

    Audio passes through. Digital silence is -120 dBFS.

    Args:
        interval_ms: how long each measurement is.
        input_rate: rate in hertz at which it measures; None takes what comes.
        runtime_hint: where it should run.
    """

    native_kind = "level"
    live_parameters = frozenset({"interval_ms"})

    def __init__(
        self,
        *,
        interval_ms: Annotated[int, Ge(10), Le(10_000)] = 50,
        input_rate: Rate | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.interval_ms = interval_ms
        self.input_rate = input_rate

    @property
    def kind(self) -> str:
        """``level``."""
        return "level"

    def native_parameters(self) -> Parameters:
        """Give the interval."""
        return {"interval_ms": self.interval_ms}


class PassThroughNode(NativeNode):
    """Pass everything on as it is: audio, and values where a node feeds it that gives values.

    Args:
        runtime_hint: where it should run.
    """

    native_kind = "pass_through"

    def __init__(self, *, runtime_hint: RuntimeHint = "auto") -> None:
        super().__init__(runtime_hint=runtime_hint)

    def native_parameters(self) -> Parameters:
        """Give nothing: there is nothing to set."""
        return {}

    def process(self, data: object) -> object:
        """Pass a value on: where it passes values it runs in Python."""
        return data


class GainNode(NativeNode):
    """Make audio louder or quieter.

    Each sample is multiplied by 10^(gain_db / 20). Nothing is limited: samples may exceed 1.0, and
    are cut there where audio leaves as Opus or as integers.

    Args:
        gain_db: the gain in dB; 6.02 doubles, -6.02 halves, 0 changes nothing.
        runtime_hint: where it should run.
    """

    native_kind = "gain"
    live_parameters = frozenset({"gain_db"})

    def __init__(self, *, gain_db: Decibels = 0.0, runtime_hint: RuntimeHint = "auto") -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.gain_db = gain_db

    def native_parameters(self) -> Parameters:
        """Give the gain."""
        return {"gain_db": self.gain_db}


class AudioBufferNode(NativeNode):
    """Gather audio into chunks of one length, for nodes that want more than a packet at once.

    Every chunk has exactly `duration_ms`, the first `overlap_ms` of it being the last of the chunk
    before. At the end of the input comes what is left, which is shorter.

    Args:
        duration_ms: length of a chunk in milliseconds.
        overlap_ms: how much of a chunk the next one repeats; less than `duration_ms`.
        input_rate: rate in hertz that it wants to be fed with; None takes what comes.
        runtime_hint: where it should run.
    """

    native_kind = "buffer"

    def __init__(
        self,
        *,
        duration_ms: Annotated[int, Ge(10), Le(60_000)] = 1000,
        overlap_ms: Annotated[int, Ge(0), Le(59_999)] = 0,
        input_rate: Rate | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        if overlap_ms >= duration_ms:
            raise ParameterError(
                f"must be below duration_ms, which is {duration_ms}.", field="overlap_ms"
            )
        self.duration_ms = duration_ms
        self.overlap_ms = overlap_ms
        self.input_rate = input_rate

    @property
    def kind(self) -> str:
        """``buffer``."""
        return "buffer"

    def native_parameters(self) -> Parameters:
        """Give both lengths."""
        return {"duration_ms": self.duration_ms, "overlap_ms": self.overlap_ms}


__all__ = [
    "AudioBufferNode",
    "AudioResampleNode",
    "AudioSink",
    "AudioSource",
    "ChannelSplitNode",
    "FileReaderNode",
    "FileWriterNode",
    "FormatConverterNode",
    "GainNode",
    "LevelMeterNode",
    "MixNode",
    "PassThroughNode",
    "VADNode",
]
