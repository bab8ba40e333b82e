"""What a node kind is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from remotemedia.twin.chunks import Audio, Signal, Stamp, Value
from remotemedia.twin.manifest import Port, PortFormat, ResolvedNode
from remotemedia.twin.params import ParamError

if TYPE_CHECKING:
    from pydantic import JsonValue


class Context(Protocol):
    """What a node may reach while it works."""

    @property
    def live(self) -> bool:
        """Whether audio cannot wait."""

    def event(self, kind: str, stamp: Stamp, data: JsonValue) -> None:
        """Report about the frame that `stamp` names."""

    def fail(self, stamp: Stamp, message: str) -> None:
        """Report that the node failed on a frame; the run goes on."""

    def give(self, signal: Signal, port: int = 0) -> None:
        """Put a frame out, by the number of the port."""

    def later(self, job: Callable[[], None]) -> None:
        """Do something once all nodes have seen the frame that is under way."""


class State:
    """One node at work. A kind overrides what it needs."""

    def take(self, port: int, signal: Signal, cx: Context) -> None:
        """Take the next frame of an input, by the number of the port."""
        if isinstance(signal, Audio):
            self.audio(port, signal, cx)
        else:
            self.value(signal, cx)

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        """Take audio."""

    def value(self, value: Value, cx: Context) -> None:
        """Take a value."""

    def end_input(self, port: int, cx: Context) -> None:
        """Learn that nothing comes to an input any more."""

    def begin_input(self, port: int) -> None:
        """Learn that an input that had ended begins anew."""

    def drain(self, cx: Context) -> None:
        """Give out what is held back: all inputs have ended."""

    def finish(self, cx: Context) -> None:
        """Report what is still open, after everything was drained."""

    def interrupt(self) -> int:
        """Drop audio that is held back for later, count its pieces; filters and models go on."""
        return 0

    def adopt(self, fresh: State) -> None:
        """Go on with the parameters of a new state of the same kind: those of `LIVE` may differ."""


Make = Callable[[], State]
Compile = Callable[[ResolvedNode], Make]
"""Checks a node of the manifest; what it gives makes the state of a run."""


class Passing(State):
    """Hands its frames on as they are."""

    def take(self, port: int, signal: Signal, cx: Context) -> None:
        """Look at a frame and hand it on."""
        super().take(port, signal, cx)
        cx.give(signal)


def audio_in(node: ResolvedNode) -> PortFormat:
    """Give the format of a node with one input, of audio."""
    _count(node, "inputs", node.inputs, 1)
    return _audio(node, "inputs", node.inputs[0])


def audio_out(node: ResolvedNode) -> PortFormat:
    """Give the format of a node with one output, of audio."""
    _count(node, "outputs", node.outputs, 1)
    return _audio(node, "outputs", node.outputs[0])


def same_out(node: ResolvedNode) -> None:
    """Refuse an output that differs from the input, for kinds that hand on what they take."""
    _count(node, "outputs", node.outputs, 0, 1)
    given = node.inputs[0].format
    if node.outputs and node.outputs[0].format != given:
        text = f"a {node.kind} node gives what it takes: {given}"
        raise ParamError("outputs[0].format", text)


def data_ports(node: ResolvedNode) -> None:
    """Check the ports of a kind that turns values to values."""
    _count(node, "inputs", node.inputs, 1)
    _count(node, "outputs", node.outputs, 0, 1)
    for side, ports in (("inputs", node.inputs), ("outputs", node.outputs)):
        if ports and ports[0].format.type != "data":
            text = f"must be data for a {node.kind} node, is {ports[0].format}"
            raise ParamError(f"{side}[0].format", text)


def _count(
    node: ResolvedNode, side: str, ports: tuple[Port, ...], least: int, most: int = 1
) -> None:
    if not least <= len(ports) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise ParamError(side, f"a {node.kind} node has {wanted}, not {len(ports)}")


def _audio(node: ResolvedNode, side: str, port: Port) -> PortFormat:
    if port.format.type != "audio":
        text = f"must be audio for a {node.kind} node, is {port.format}"
        raise ParamError(f"{side}[0].format", text)
    return port.format
