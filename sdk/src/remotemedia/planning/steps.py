"""Nodes as planning sees them: their ports, and the formats that they wish for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from remotemedia.base import (
    IN_PORT,
    MAX_PORTS,
    OUT_PORT,
    BuiltinNode,
    FunctionNode,
    Isolation,
    Node,
    PortType,
    check_placement,
    process_of,
)
from remotemedia.errors import (
    INVALID_PARAMETER,
    ManifestError,
    NotInThisVersion,
    ParameterError,
)
from remotemedia.formats import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioFormat
from remotemedia.nodes.audio import AudioResampleNode, PassThroughNode
from remotemedia.nodes.endpoints import AudioSink, AudioSource
from remotemedia.nodes.files import FileReaderNode, FileWriterNode
from remotemedia.nodes.native import NativeNode
from remotemedia.nodes.python import PythonNode
from remotemedia.nodes.routing import MixNode
from remotemedia.planning.graph import PlannedNode

Role = Literal["source", "machine", "python"]
"""What a node is to the runtime: where frames enter, its own, or one that runs in Python."""

_PORT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class PythonEntry:
    """A Python node of a plan: what to make an instance of, and the bound of its mailbox."""

    node: Node
    entry: str
    mailbox_frames: int = 50
    mailbox_ms: int = 1000
    isolation: Isolation = "thread"


@dataclass
class Step:
    """A node with what it wants.

    Attributes:
        id: the node's id.
        where: its field, for errors.
        node: the node; of a `PythonNode` what it names.
        role: what it is to the runtime.
        inputs: its inputs; those of a `MixNode` are cut to what is connected.
        outputs: its outputs.
        takes: what its inputs take.
        gives: what its outputs give.
        rate: the rate that it wants to be fed with.
        channels: the channels that it wants to be fed with.
        output_rate: the rate that it gives.
        output_channels: the channels that it gives.
        entry: what runs, for a Python node.
        followers: the nodes that it feeds.
        needs_rate: the rate that it, or what it passes its audio to, is made for.
        needs_channels: the same for channels.
    """

    id: str
    where: str
    node: Node
    role: Role
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    takes: PortType
    gives: PortType
    rate: int | None = None
    channels: int | None = None
    output_rate: int | None = None
    output_channels: int | None = None
    entry: PythonEntry | None = None
    followers: list[Step] = field(default_factory=list)
    needs_rate: int | None = None
    needs_channels: int | None = None

    @classmethod
    def of(cls, planned: PlannedNode, devices: bool = False) -> Step:
        """Look at a node.

        Args:
            planned: the node.
            devices: whether sinks play what they are given.

        Raises:
            ManifestError: it cannot run; with the path of the field.
            NotInThisVersion: it belongs to a later version.
        """
        node = planned.node
        if planned.host is not None:
            raise NotInThisVersion(
                "nodes on other machines are not in this version.", field=f"{planned.field}.host"
            )
        check_placement(node, planned.field)
        if isinstance(node, AudioSource | FileReaderNode):
            return _builtin_step(planned, node, "source")
        if isinstance(node, NativeNode):
            return _builtin_step(planned, node, "machine")
        if isinstance(node, AudioSink):
            return _sink_step(planned, node, devices)
        return _python_step(planned)

    @property
    def grows(self) -> bool:
        """Whether connections to it become inputs of their own."""
        return isinstance(self.node, MixNode)

    def audio_given(self, taken: AudioFormat) -> AudioFormat:
        """Give the format of its audio for that of its first input."""
        if isinstance(self.node, NativeNode):
            return self.node.gives(taken)
        return AudioFormat(
            self.output_rate or taken.rate,
            self.output_channels or taken.channels,
        )

    def find_needs(self) -> None:
        """Find what it needs, when all `followers` know what they need."""
        if self.takes == "data":
            return
        if self.rate is not None:
            self.needs_rate = self.rate
        elif self.output_rate is not None:
            resamples = isinstance(self.node, AudioResampleNode)
            self.needs_rate = self.output_rate if resamples else None
        else:
            self.needs_rate = highest(each.needs_rate for each in self.followers)
        if self.channels is not None or self.output_channels is not None:
            self.needs_channels = self.channels
        else:
            self.needs_channels = highest(each.needs_channels for each in self.followers)

    def pass_on(self, type_: PortType) -> None:
        """Let a `PassThroughNode` pass on what feeds it. Values it passes on in Python."""
        self.takes = self.gives = type_
        if type_ == "audio":
            return
        self.role = "python"
        self.entry = PythonEntry(self.node, entry_of(self.node))
        if self.node.runtime_hint == "rust":
            raise ManifestError(
                f'"{self.id}" passes values on, which it does in Python.',
                code=INVALID_PARAMETER,
                field=f"{self.where}.runtime_hint",
            )

    @property
    def passes_all(self) -> bool:
        """Whether it takes whatever comes, audio natively."""
        return isinstance(self.node, PassThroughNode)


def highest(needs: Iterable[int | None]) -> int | None:
    """Give the highest of several needs, of which each may be None."""
    return max((need for need in needs if need is not None), default=None)


def entry_of(node: Node) -> str:
    """Give the import path of a Python node."""
    named = node.function if isinstance(node, FunctionNode) else type(node)
    return f"{named.__module__}:{named.__qualname__}"


def _builtin_step(planned: PlannedNode, node: BuiltinNode, role: Role) -> Step:
    return Step(
        planned.id,
        planned.field,
        node,
        role,
        node.inputs,
        node.outputs,
        node.input_type,
        node.output_type,
        node.input_rate,
        node.input_channels,
        node.output_rate,
        node.output_channels,
    )


def _sink_step(planned: PlannedNode, sink: AudioSink, devices: bool) -> Step:
    if sink.path is None and not devices:
        return _builtin_step(planned, sink, "machine")
    taker: Node
    if sink.path is not None:
        try:
            taker = FileWriterNode(
                path=sink.path, rate=sink.input_rate, channels=sink.input_channels
            )
        except ParameterError as error:
            raise _moved(error, f"{planned.field}.params") from None
    else:
        from remotemedia.devices import Loudspeaker

        taker = Loudspeaker(device=sink.device)
    step = _python_step(replace(planned, node=taker))
    step.rate, step.channels = sink.input_rate, sink.input_channels
    step.takes, step.outputs = "audio", ()
    return step


def _python_step(planned: PlannedNode) -> Step:
    node, where = planned.node, planned.field
    if node.runtime_hint == "rust":
        raise ManifestError(
            "a Python node runs in Python.", code=INVALID_PARAMETER, field=f"{where}.runtime_hint"
        )
    if isinstance(node, PythonNode):
        try:
            inner = node.load(planned.base)
            process_of(inner)
        except ParameterError as error:
            raise _moved(error, f"{where}.params") from error.__cause__
        isolation = node.isolation if node.isolation != "thread" else inner.isolation
        check_placement(inner, where, isolation)
        entry = PythonEntry(
            inner, node.entry, node.mailbox_frames, node.mailbox_ms, isolation=isolation
        )
    else:
        inner = node
        try:
            process_of(node)
        except ParameterError as error:
            raise _moved(error, where) from None
        if isinstance(node, FileWriterNode):
            inner = node.seen_from(planned.base)
        entry = PythonEntry(inner, entry_of(node), isolation=node.isolation)
    if isinstance(inner, BuiltinNode):
        takes, gives = inner.input_type, inner.output_type
    else:
        takes = gives = "any"
    inputs = _port_names(inner.inputs, f"{where}.inputs")
    outputs = _port_names(inner.outputs, f"{where}.outputs")
    step = Step(planned.id, where, inner, "python", inputs, outputs, takes, gives, entry=entry)
    for attribute, name, low, high in (
        ("rate", "input_rate", MIN_RATE, MAX_RATE),
        ("channels", "input_channels", 1, MAX_CHANNELS),
        ("output_rate", "output_rate", MIN_RATE, MAX_RATE),
        ("output_channels", "output_channels", 1, MAX_CHANNELS),
    ):
        value = getattr(node, name)
        value = getattr(inner, name) if value is None else value
        if value is not None and not (type(value) is int and low <= value <= high):
            raise ParameterError(
                f"must be a number from {low} to {high}, not {value!r}.", field=f"{where}.{name}"
            )
        setattr(step, attribute, value)
    return step


def _port_names(names: object, field: str) -> tuple[str, ...]:
    """Check the names of ports, which a class of the user's says."""
    listed = tuple(names) if isinstance(names, tuple | list) else ()
    if not 1 <= len(listed) <= MAX_PORTS:
        raise ParameterError(
            f"must be a tuple of 1 to {MAX_PORTS} names, not {names!r}.",
            field=field,
            hint=f'Write ("{IN_PORT if field.endswith("inputs") else OUT_PORT}",) for one.',
        )
    for name in listed:
        if not isinstance(name, str) or _PORT_NAME.fullmatch(name) is None:
            raise ParameterError(
                f"{name!r} is no name of a port.",
                field=field,
                hint="It has up to 64 letters, digits, - and _.",
            )
        if listed.count(name) > 1:
            raise ParameterError(f'"{name}" is there twice.', field=field)
    return listed


def _moved(error: ParameterError, field: str) -> ManifestError:
    return ParameterError.of(
        [
            replace(each, field=field if each.field == "$" else f"{field}.{each.field}")
            for each in error.problems
        ]
    )
