"""The decisions: formats, the source's rate, converters, defaults, placement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from remotemedia.base import BuiltinNode, FunctionNode, Node, check_placement, process_of
from remotemedia.errors import (
    INVALID_PARAMETER,
    PORT_MISMATCH,
    ManifestError,
    NotInThisVersion,
    ParameterError,
)
from remotemedia.formats import (
    MAX_CHANNELS,
    MAX_RATE,
    MIN_RATE,
    OPUS_RATES,
    SPEECH_RATE,
    AudioFormat,
)
from remotemedia.manifest.models import Manifest
from remotemedia.nodes.audio import AudioResampleNode, FormatConverterNode, NativeNode
from remotemedia.nodes.python import PythonNode
from remotemedia.planning.graph import IN_PORT, OUT_PORT, Graph, Link, PlannedNode
from remotemedia.planning.resolved import (
    SOURCE_NODE,
    Edge,
    Port,
    PortFormat,
    PortRef,
    PortType,
    Resolved,
    ResolvedNode,
    Source,
)

SOURCE_ID = "input"
"""The source's id: live it is fed by the incoming audio track."""
CONVERTER_QUALITY = "high"
"""The quality of resamplers that planning puts in."""
MAX_ENTRY_BYTES = 256
"""How much of an entry the runtime is told; it only shows it."""
STEREO = 2


@dataclass(frozen=True)
class PythonEntry:
    """A Python node of a plan: what to make an instance of, and the bound of its mailbox."""

    node: Node
    entry: str
    mailbox_frames: int = 50
    mailbox_ms: int = 1000


@dataclass(frozen=True)
class Plan:
    """A pipeline that can run.

    Attributes:
        name: its name.
        resolved: what the native runtime takes.
        python: the Python nodes by their ids.
        inserted: ids of the converters that planning put in.
    """

    name: str
    resolved: Resolved
    python: Mapping[str, PythonEntry]
    inserted: tuple[str, ...]

    @property
    def source(self) -> AudioFormat:
        """The format in which audio comes in."""
        audio = self.resolved.sources[0].format.audio
        if audio is None:
            raise AssertionError("the first source takes audio")
        return audio


def plan(manifest: Manifest, base: Path | None = None) -> Plan:
    """Plan a manifest.

    Args:
        manifest: the manifest.
        base: the folder of its file, that files of nodes are seen from.

    Raises:
        ManifestError: with the path of each field that is wrong.
        NotInThisVersion: for what belongs to a later version.
    """
    return plan_graph(Graph.of(manifest, base))


def plan_graph(graph: Graph) -> Plan:
    """Plan a graph. See `plan`."""
    if not graph.nodes:
        raise ManifestError("the pipeline has no nodes.", field="nodes")
    order = graph.ordered()
    steps = {node.id: _step(node) for node in order}
    feeding = {link.target: link for link in graph.links}
    for node in reversed(order):
        link = feeding.get(node.id)
        if link is not None:
            steps[link.source].followers.append(steps[node.id])
    roots = [steps[node.id] for node in order if node.id not in feeding]
    taken = _source_format(roots)
    source = Source(SOURCE_ID, PortFormat("audio", taken))
    builder = _Builder(source, taken)
    for node in order:
        builder.add(steps[node.id], feeding.get(node.id))
    return Plan(
        name=graph.name,
        resolved=Resolved(graph.name, (source,), tuple(builder.nodes), tuple(builder.edges)),
        python={step.id: step.entry for step in steps.values() if step.entry is not None},
        inserted=tuple(builder.inserted),
    )


@dataclass
class _Step:
    """A node with what it wants; `followers` are those that it feeds."""

    id: str
    where: str
    node: Node
    rate: int | None
    channels: int | None
    entry: PythonEntry | None = None
    output_rate: int | None = None
    output_channels: int | None = None
    followers: list[_Step] = field(default_factory=list)

    def gives(self, taken: AudioFormat) -> AudioFormat:
        if isinstance(self.node, NativeNode):
            return self.node.gives(taken)
        return AudioFormat(
            self.output_rate or taken.rate,
            self.output_channels or taken.channels,
        )

    def needed_rate(self) -> int | None:
        """Give the rate that this node, or what it passes its audio to, is made for."""
        if self.rate is not None:
            return self.rate
        if self.output_rate is not None:
            return self.output_rate if isinstance(self.node, AudioResampleNode) else None
        return max((need for f in self.followers if (need := f.needed_rate())), default=None)

    def needed_channels(self) -> int | None:
        if self.channels is not None or self.output_channels is not None:
            return self.channels
        return max((need for f in self.followers if (need := f.needed_channels())), default=None)


def _step(planned: PlannedNode) -> _Step:
    node = planned.node
    check_placement(node, planned.field)
    if isinstance(node, NativeNode):
        if node.runtime_hint == "python":
            raise NotInThisVersion(
                f"{node.node_type} in Python is not in this version.",
                field=f"{planned.field}.runtime_hint",
            )
        return _Step(
            planned.id,
            planned.field,
            node,
            node.input_rate,
            node.input_channels,
            output_rate=node.output_rate,
            output_channels=node.output_channels,
        )
    return _python_step(planned)


def _python_step(planned: PlannedNode) -> _Step:
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
        entry = PythonEntry(inner, node.entry, node.mailbox_frames, node.mailbox_ms)
    else:
        try:
            process_of(node)
        except ParameterError as error:
            raise _moved(error, where) from None
        inner, entry = node, PythonEntry(node, entry_of(node))
    step = _Step(planned.id, where, inner, None, None, entry)
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


def _moved(error: ParameterError, field: str) -> ParameterError:
    where = f"{field}.{error.field}" if error.field else field
    return ParameterError(error.message, code=error.code, field=where, hint=error.hint)


def entry_of(node: Node) -> str:
    """Give the import path of a Python node."""
    named = node.function if isinstance(node, FunctionNode) else type(node)
    return f"{named.__module__}:{named.__qualname__}"


def _source_format(roots: list[_Step]) -> AudioFormat:
    rates = {root.needed_rate() or SPEECH_RATE for root in roots}
    channels = {root.needed_channels() or 1 for root in roots}
    # Opus decodes to these rates by itself; the highest need decides, the others are converted to.
    rate = next((each for each in OPUS_RATES if each >= max(rates)), OPUS_RATES[-1])
    return AudioFormat(rate, STEREO if max(channels) == STEREO else 1)


class _Builder:
    """Puts resolved nodes together, with converters where formats differ."""

    def __init__(self, source: Source, taken: AudioFormat) -> None:
        self.nodes: list[ResolvedNode] = []
        self.edges: list[Edge] = []
        self.inserted: list[str] = []
        self._source = source
        self._outputs: dict[PortRef, AudioFormat] = {PortRef(SOURCE_NODE, source.id): taken}
        self._converted: dict[tuple[PortRef, str, AudioFormat], PortRef] = {}

    def add(self, step: _Step, link: Link | None) -> None:
        port = (
            PortRef(SOURCE_NODE, self._source.id)
            if link is None
            else PortRef(link.source, link.source_port)
        )
        given = self._outputs[port]
        taken = AudioFormat(step.rate or given.rate, step.channels or given.channels)
        port = self._convert(port, taken, link.field if link else step.where)
        output = step.gives(taken)
        native = step.node if isinstance(step.node, NativeNode) else None
        if isinstance(native, FormatConverterNode):
            _check_channels(taken.channels, output.channels, f"{step.where}.params.output_channels")
        if native is None:
            kind, params = "python", _python_params(step)
        elif taken == output and isinstance(native, AudioResampleNode | FormatConverterNode):
            kind, params = "pass_through", {}
        else:
            kind, params = native.native_kind, dict(native.native_parameters())
        self._append(step.id, kind, params, port, taken, output)

    def _append(
        self,
        id_: str,
        kind: str,
        params: Mapping[str, JsonValue],
        port: PortRef,
        taken: AudioFormat,
        output: AudioFormat,
    ) -> PortRef:
        runtime = "python" if kind == "python" else "native"
        carries: PortType = "any" if kind == "python" else "audio"
        inputs = (Port(IN_PORT, PortFormat(carries, taken)),)
        outputs = (Port(OUT_PORT, PortFormat(carries, output)),)
        self.nodes.append(ResolvedNode(id_, kind, runtime, params, inputs, outputs))
        self.edges.append(Edge(port, PortRef(id_, IN_PORT)))
        given = PortRef(id_, OUT_PORT)
        self._outputs[given] = output
        return given

    def _convert(self, port: PortRef, taken: AudioFormat, field: str) -> PortRef:
        given = self._outputs[port]
        _check_channels(given.channels, taken.channels, field)
        # Fewer channels are less to resample, so they are averaged before and copied after.
        if taken.channels < given.channels:
            port = self._insert("format", port, AudioFormat(given.rate, taken.channels), {})
        channels = self._outputs[port].channels
        if taken.rate != given.rate:
            quality: dict[str, JsonValue] = {"quality": CONVERTER_QUALITY}
            port = self._insert("resample", port, AudioFormat(taken.rate, channels), quality)
        if taken.channels > given.channels:
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
            self._converted[key] = self._append(
                id_, kind, params, port, self._outputs[port], output
            )
        return self._converted[key]


def _python_params(step: _Step) -> dict[str, JsonValue]:
    if step.entry is None:
        raise AssertionError(f"{step.id} is neither native nor Python")
    return {
        "entry": step.entry.entry.encode()[:MAX_ENTRY_BYTES].decode(errors="ignore"),
        "mailbox_frames": step.entry.mailbox_frames,
        "mailbox_ms": step.entry.mailbox_ms,
    }


def _check_channels(given: int, wanted: int, field: str) -> None:
    if given != wanted and 1 not in (given, wanted):
        raise ManifestError(
            f"{given} channels cannot become {wanted}: what goes where is not said.",
            code=PORT_MISMATCH,
            field=field,
            hint="Go by way of one channel: FormatConverterNode(output_channels=1).",
        )


__all__ = ["BuiltinNode", "Plan", "PythonEntry", "entry_of", "plan", "plan_graph"]
