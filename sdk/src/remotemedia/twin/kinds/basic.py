"""Kinds that hold nothing back: `pass_through`, `sink`, `format`, `gain`, `split`."""

from __future__ import annotations

import numpy as np

from remotemedia.frames import Samples
from remotemedia.twin.chunks import Audio, Signal
from remotemedia.twin.kinds.base import (
    Context,
    Make,
    Passing,
    State,
    audio_in,
    audio_out,
    same_out,
)
from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import ParamError, Params

GAIN_DB = (-120.0, 60.0)
"""From and to."""


def compile_pass_through(node: ResolvedNode) -> Make:
    """Check a node that hands on what it takes."""
    Params(node.params).finish()
    if len(node.inputs) != 1:
        raise ParamError("inputs", f"a pass_through node has 1, not {len(node.inputs)}")
    same_out(node)
    return Passing


def compile_sink(node: ResolvedNode) -> Make:
    """Check a node whose audio goes to who hears a session."""
    Params(node.params).finish()
    audio_in(node)
    audio_out(node)
    same_out(node)
    return Passing


def compile_format(node: ResolvedNode) -> Make:
    """Check a node that averages channels to one, or copies one to several."""
    Params(node.params).finish()
    given, wanted = audio_in(node), audio_out(node)
    if wanted.rate != given.rate:
        raise ParamError("outputs[0].format", f"the rate stays {given.rate} Hz")
    if wanted.channels == given.channels:
        return Passing
    if 1 not in {given.channels, wanted.channels}:
        raise ParamError(
            "outputs[0].format", f"{given} turns to one channel, or one channel to several"
        )
    return lambda: _Format(wanted.channels)


class _Format(State):
    def __init__(self, channels: int) -> None:
        self._channels = channels

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        given = audio.samples
        if self._channels > 1:
            samples: Samples = np.repeat(given, self._channels, axis=0)
        else:
            total = given[0].copy()
            for channel in given[1:]:
                total += channel
            samples = (total * (np.float32(1.0) / np.float32(len(given))))[None, :]
        cx.give(Audio(audio.stamp, audio.rate, samples))


def gain_of(decibels: float) -> np.float32:
    """Give the factor of a gain."""
    factor: np.float32 = np.float32(10.0 ** (decibels / 20.0))
    return factor


def compile_gain(node: ResolvedNode) -> Make:
    """Check a node that makes audio louder or quieter."""
    params = Params(node.params)
    factor = gain_of(params.number("gain_db", *GAIN_DB))
    params.finish()
    audio_in(node)
    audio_out(node)
    same_out(node)
    return lambda: _Gain(factor)


class _Gain(State):
    def __init__(self, factor: np.float32) -> None:
        self._factor = factor

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        cx.give(Audio(audio.stamp, audio.rate, audio.samples * self._factor))

    def adopt(self, fresh: State) -> None:
        if isinstance(fresh, _Gain):
            self._factor = fresh._factor


def compile_split(node: ResolvedNode) -> Make:
    """Check a node with an output for each channel."""
    Params(node.params).finish()
    given = audio_in(node)
    if len(node.outputs) != given.channels:
        raise ParamError("outputs", f"must be {given.channels}, one for each channel")
    for index, port in enumerate(node.outputs):
        if (port.format.type, port.format.rate, port.format.channels) != ("audio", given.rate, 1):
            raise ParamError(f"outputs[{index}].format", f"must be {given.rate} Hz, 1 ch")
    return _Split


class _Split(State):
    def take(self, port: int, signal: Signal, cx: Context) -> None:
        if isinstance(signal, Audio):
            for index in range(len(signal.samples)):
                channel = signal.samples[index : index + 1]
                cx.give(Audio(signal.stamp, signal.rate, channel), index)
