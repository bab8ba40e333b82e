"""Nodes with several inputs or outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from remotemedia._bounds import Ge, Le, Len
from remotemedia.base import IN_PORT, MAX_PORTS, RuntimeHint
from remotemedia.formats import MAX_CHANNELS, AudioFormat, Channels, Rate
from remotemedia.nodes.native import Decibels, NativeNode

if TYPE_CHECKING:
    from remotemedia.nodes.native import Parameters

STEREO = 2
MIN_INPUTS = 2


class MixNode(NativeNode):
    """Add several streams of audio to one.

    Every connection to it takes the next input: ``in-1``, ``in-2`` and so on, in the order in which
    they are made; 2 to 16. Inputs are aligned by their media time. All are brought to one format,
    the highest rate and the most channels among them unless said otherwise. The sum is not limited:
    it may exceed 1.0. An input that has ended counts as silence, and so does one that is more than
    a second behind, which is counted.

    Args:
        gains_db: gain of each input in dB, in the order of the inputs; None is 0 dB for all.
        rate: rate in hertz of inputs and output; None is the highest that comes.
        channels: channels of inputs and output; None is the most that come.
        runtime_hint: where it should run.
    """

    native_kind = "mix"

    def __init__(
        self,
        *,
        gains_db: Annotated[list[Decibels], Len(MIN_INPUTS, MAX_PORTS)] | None = None,
        rate: Rate | None = None,
        channels: Channels | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.gains_db = gains_db
        self.input_rate = rate
        self.input_channels = channels
        self.inputs = tuple(f"{IN_PORT}-{number}" for number in range(1, MAX_PORTS + 1))

    def native_parameters(self) -> Parameters:
        """Give the gains, where they are said."""
        return self.parameters_of(len(self.gains_db or ()))

    def parameters_of(self, inputs: int) -> Parameters:
        """Give the gain of each of so many inputs."""
        gains = self.gains_db if self.gains_db is not None else [0.0] * inputs
        return {"gains_db": [float(gain) for gain in gains]}


class ChannelSplitNode(NativeNode):
    """Give each channel on an output of its own, as mono.

    The outputs are ``left`` and ``right`` for two channels, else ``ch-1``, ``ch-2`` and so on.

    Args:
        channels: channels that it wants to be fed with.
        runtime_hint: where it should run.
    """

    native_kind = "split"

    def __init__(
        self,
        *,
        channels: Annotated[int, Ge(1), Le(MAX_CHANNELS)] = STEREO,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.input_channels = channels
        self.output_channels = 1
        self.outputs = (
            ("left", "right")
            if channels == STEREO
            else tuple(f"ch-{number}" for number in range(1, channels + 1))
        )

    @property
    def kind(self) -> str:
        """``split``."""
        return "split"

    def native_parameters(self) -> Parameters:
        """Give nothing: the channels are the format of the input."""
        return {}

    def gives(self, taken: AudioFormat) -> AudioFormat:
        """Give the format of each output: the input's rate, mono."""
        return AudioFormat(taken.rate, 1)
