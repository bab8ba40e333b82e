"""Putting resolved nodes together, with converters where formats differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from remotemedia.base import IN_PORT, OUT_PORT
from remotemedia.errors import PORT_MISMATCH, ManifestError
from remotemedia.formats import SPEECH_RATE, AudioFormat
from remotemedia.nodes.audio import AudioResampleNode, FormatConverterNode
from remotemedia.nodes.endpoints import AudioSink
from remotemedia.nodes.native import NativeNode
from remotemedia.nodes.routing import MixNode
from remotemedia.planning.resolved import (
    DATA,
    SOURCE_NODE,
    Edge,
    Port,
    PortFormat,
    PortRef,
    PortType,
    ResolvedNode,
    Source,
)
from remotemedia.planning.steps import PythonEntry, Step

if TYPE_CHECKING:
    from pydantic import JsonValue

CONVERTER_QUALITY = "high"
"""The quality of resamplers that planning puts in."""
MAX_ENTRY_BYTES = 256
"""How much of an entry the runtime is told; it only shows it."""


class Builder:
    """Puts nodes together, in the order in which they run."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Begin with the sources."""
        self.nodes: list[ResolvedNode] = []
        self.edges: list[Edge] = []
        self.inserted: list[str] = []
        self._outputs = {PortRef(SOURCE_NODE, each.id): each.format for each in sources}
        self._converted: dict[tuple[PortRef, str, AudioFormat], PortRef] = {}

    def source(self, id_: str, wanted: AudioFormat, field: str) -> PortRef:
        """Give where the audio of a source is to be had in the format that it says itself."""
        return self._convert(PortRef(SOURCE_NODE, id_), wanted, field)

    def add(self, step: Step, feeds: Sequence[tuple[PortRef, str, str]]) -> None:
        """Add a node.

        Args:
            step: the node.
            feeds: what feeds each of its inputs, as a port, the name of who gives it, and the field
                of the connection.

        Raises:
            ManifestError: something that feeds it does not fit.
        """
        if step.passes_all and feeds[0][0].node != SOURCE_NODE:
            step.pass_on(self._outputs[feeds[0][0]].type)
        for port, giver, field in feeds:
            self._check_type(step, self._outputs[port], giver, field)
        taken = self._taken(step, [self._outputs[port] for port, _, _ in feeds])
        ports = [
            port if wanted.audio is None else self._convert(port, wanted.audio, field)
            for (port, _, field), wanted in zip(feeds, taken, strict=True)
        ]
        first = taken[0].audio
        given = DATA
        if step.gives != "data":
            audio = step.audio_given(first or AudioFormat(SPEECH_RATE))
            given = PortFormat(step.gives, audio)
        if isinstance(step.node, FormatConverterNode) and first and given.audio:
            field = f"{step.where}.params.output_channels"
            _check_channels(first.channels, given.audio.channels, field)
        kind, params = _kind(step, first, given.audio)
        inputs = tuple(map(Port, step.inputs, taken))
        outputs = tuple(Port(port, given) for port in step.outputs or (OUT_PORT,))
        self._append(step.id, kind, params, inputs, outputs, ports)

    def typed(self, source: Source) -> Source:
        """Give a source of any type with that of what it feeds; any where those are several."""
        if source.format.type != "any":
            return source
        types: set[PortType] = set()
        takers = {node.id: node for node in self.nodes}
        for edge in self.edges:
            if edge.source == PortRef(SOURCE_NODE, source.id):
                ports = takers[edge.target.node].inputs
                types |= {p.format.type for p in ports if p.port == edge.target.port}
        if types == {"data"}:
            return replace(source, format=DATA)
        type_: PortType = "audio" if types <= {"audio"} else "any"
        return replace(source, format=PortFormat(type_, source.format.audio))

    def _check_type(self, step: Step, given: PortFormat, giver: str, field: str) -> None:
        if {given.type, step.takes} != {"audio", "data"}:
            return
        what = {"audio": "audio", "data": "values"}
        raise ManifestError(
            f'"{giver}" gives {what[given.type]}, but "{step.id}" takes {what[step.takes]}.',
            code=PORT_MISMATCH,
            field=field,
            hint="Put a Python node between that makes one of the other."
            if given.type == "audio"
            else "Feed it from a node that gives audio.",
        )

    def _taken(self, step: Step, given: Sequence[PortFormat]) -> list[PortFormat]:
        """Give what each input takes: what comes, where the node does not say what it wants."""
        if step.takes == "data":
            return [DATA for _ in given]
        came = [each.audio or AudioFormat(SPEECH_RATE) for each in given]
        if isinstance(step.node, MixNode):
            rate = step.rate or max(each.rate for each in came)
            channels = step.channels or max(each.channels for each in came)
            return [PortFormat("audio", AudioFormat(rate, channels)) for _ in came]
        return [
            PortFormat(
                step.takes,
                AudioFormat(step.rate or each.rate, step.channels or each.channels),
            )
            for each in came
        ]

    def _append(
        self,
        id_: str,
        kind: str,
        params: Mapping[str, JsonValue],
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        feeds: Sequence[PortRef],
    ) -> None:
        runtime = "python" if kind == "python" else "native"
        self.nodes.append(ResolvedNode(id_, kind, runtime, params, inputs, outputs))
        for port, source in zip(inputs, feeds, strict=True):
            self.edges.append(Edge(source, PortRef(id_, port.port)))
        for port in outputs:
            self._outputs[PortRef(id_, port.port)] = port.format

    def _convert(self, port: PortRef, taken: AudioFormat, field: str) -> PortRef:
        given = self._outputs[port].audio
        if given is None or given == taken:
            return port
        _check_channels(given.channels, taken.channels, field)
        channels = given.channels
        # Fewer channels are less to resample, so they are averaged before and copied after.
        if taken.channels < channels:
            channels = taken.channels
            port = self._insert("format", port, AudioFormat(given.rate, channels), {})
        if taken.rate != given.rate:
            quality: dict[str, JsonValue] = {"quality": CONVERTER_QUALITY}
            port = self._insert("resample", port, AudioFormat(taken.rate, channels), quality)
        if taken.channels > channels:
            port = self._insert("format", port, taken, {})
        return port

    def _insert(
        self, kind: str, port: PortRef, output: AudioFormat, params: Mapping[str, JsonValue]
    ) -> PortRef:
        key = (port, kind, output)
        if key not in self._converted:
            # A dot is in no id of a manifest, so this one is free.
            id_ = f"{kind}.{sum(name.startswith(f'{kind}.') for name in self.inserted) + 1}"
            self.inserted.append(id_)
            self._converted[key] = PortRef(id_, OUT_PORT)
            self._append(
                id_,
                kind,
                params,
                (Port(IN_PORT, PortFormat("audio", self._outputs[port].audio)),),
                (Port(OUT_PORT, PortFormat("audio", output)),),
                [port],
            )
        return self._converted[key]


def _kind(
    step: Step, taken: AudioFormat | None, given: AudioFormat | None
) -> tuple[str, Mapping[str, JsonValue]]:
    """Give the runtime's name for a node, and its parameters."""
    node = step.node
    if step.entry is not None:
        return "python", _python_params(step.entry)
    if isinstance(node, MixNode):
        return node.native_kind, node.parameters_of(len(step.inputs))
    if isinstance(node, AudioSink):
        return "pass_through", {}
    if not isinstance(node, NativeNode):
        raise AssertionError(f"{step.id} is neither native nor Python")
    if taken == given and isinstance(node, AudioResampleNode | FormatConverterNode):
        return "pass_through", {}
    return node.native_kind, node.native_parameters()


def _python_params(entry: PythonEntry) -> dict[str, JsonValue]:
    return {
        "entry": entry.entry.encode()[:MAX_ENTRY_BYTES].decode(errors="ignore"),
        "mailbox_frames": entry.mailbox_frames,
        "mailbox_ms": entry.mailbox_ms,
    }


def _check_channels(given: int, wanted: int, field: str) -> None:
    if given != wanted and 1 not in (given, wanted):
        raise ManifestError(
            f"{given} channels cannot become {wanted}: what goes where is not said.",
            code=PORT_MISMATCH,
            field=field,
            hint="Go by way of one channel: FormatConverterNode(output_channels=1).",
        )
