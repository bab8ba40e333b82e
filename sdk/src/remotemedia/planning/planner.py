"""The decisions: formats, the rates of the sources, converters, defaults, placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from remotemedia.base import Node
from remotemedia.errors import PORT_MISMATCH, ManifestError
from remotemedia.formats import OPUS_RATES, SPEECH_RATE, AudioFormat
from remotemedia.nodes.endpoints import AudioSink, AudioSource
from remotemedia.nodes.files import FileReaderNode
from remotemedia.planning.building import Builder
from remotemedia.planning.graph import Graph
from remotemedia.planning.resolved import (
    SOURCE_NODE,
    PortFormat,
    PortRef,
    Resolved,
    Source,
)
from remotemedia.planning.runtimes import Choice, choose
from remotemedia.planning.sessions import check_writers, for_sessions, heard
from remotemedia.planning.steps import PythonEntry, Step, highest
from remotemedia.planning.wiring import Feeds, check_ids, order, wire

SOURCE_ID = "input"
"""The source of what is given where the pipeline has no node for it: live, the incoming track."""
MAX_NODES = 256
"""The most nodes that a runtime takes."""
MAX_EDGES = 1_024
"""The most connections that a runtime takes."""
MAX_SOURCES = 16
"""The most sources that a pipeline may have."""
STEREO = 2


@dataclass(frozen=True)
class Plan:
    """A pipeline that can run.

    Attributes:
        name: its name.
        resolved: what a runtime takes, native or Python.
        python: the Python nodes by their ids.
        inserted: ids of the converters that planning put in.
        files: the files that sources read, by the sources' ids; the others take what is given.
        sinks: ids of the `AudioSink` nodes, whose audio is the audio of the result; without any
            it is what the outputs give that feed nothing.
        nodes: all nodes of the pipeline by their ids, in its order.
        machine: what runs it.
        runtimes: where each node runs, by its id.
    """

    name: str
    resolved: Resolved
    python: Mapping[str, PythonEntry]
    inserted: tuple[str, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    sinks: tuple[str, ...] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    machine: Choice = field(default_factory=lambda: Choice("native"))
    runtimes: Mapping[str, Choice] = field(default_factory=dict)

    @property
    def source(self) -> AudioFormat:
        """The format in which audio comes in at the first source."""
        audio = self.resolved.sources[0].format.audio
        return AudioFormat(SPEECH_RATE) if audio is None else audio

    @property
    def takes_audio(self) -> bool:
        """Whether audio comes in at all."""
        return any(each.format.audio is not None for each in self.resolved.sources)


def plan_graph(
    graph: Graph,
    *,
    sources: Mapping[str, AudioFormat] | None = None,
    native: bool | None = None,
    devices: bool = False,
    served: bool = False,
) -> Plan:
    """Decide everything that a graph leaves open.

    Args:
        graph: the graph.
        sources: the formats of the audio that is there, by the ids of sources. Such a source has
            that format, and what needs another has converters; without, it has what is needed.
        native: the machine, where it is settled; None chooses. See `runtimes.choose`.
        devices: whether `AudioSink` nodes play what they are given.
        served: whether sessions run it; see `sessions`.

    Raises:
        ManifestError: with the path of each field that is wrong.
        NotInThisVersion: for what belongs to a later version.
        RuntimeMissing: a node must run natively, and that is not possible.
        MediaFileError: it is served, and a file cannot be read.
    """
    if served:
        graph = for_sessions(graph)
    if not graph.nodes:
        raise ManifestError("the pipeline has no nodes.", field="nodes")
    check_ids(graph.nodes, graph.links)
    steps = {node.id: Step.of(node, devices) for node in graph.nodes}
    feeds = wire(steps, graph.links)
    ordered = order(steps, feeds)
    for step in reversed(ordered):
        step.find_needs()
        for feed in feeds[step.id].values():
            steps[feed.source].followers.append(step)
    _pass_values(ordered)
    entries = _entries(ordered, feeds)
    found = _sources(steps, entries, sources or {})
    builder = _build(ordered, feeds, entries, found)
    _check_size(builder)
    machine, runtimes = choose((s for s in steps.values() if s.role != "source"), native)
    typed = [builder.typed(source) for source in found]
    # Live, the incoming tracks feed these in their order; data comes by messages.
    typed.sort(key=lambda source: source.format.audio is None)
    python = {step.id: step.entry for step in steps.values() if step.entry is not None}
    nodes, sinks = tuple(builder.nodes), _sinks(graph)
    if served:
        check_writers({step.id: step.where for step in steps.values()}, python)
        nodes = heard(nodes, sinks)
    return Plan(
        name=graph.name,
        resolved=Resolved(graph.name, tuple(typed), nodes, tuple(builder.edges)),
        python=python,
        inserted=tuple(builder.inserted),
        files=_files(graph),
        sinks=sinks,
        nodes={node.id: node.node for node in graph.nodes},
        machine=machine,
        runtimes=runtimes,
    )


def _pass_values(ordered: Sequence[Step]) -> None:
    """Let what passes everything on take values where those who follow take values."""
    for step in reversed(ordered):
        takes = {each.takes for each in step.followers}
        if step.passes_all and takes == {"data"}:
            step.pass_on("data")


def _entries(ordered: Sequence[Step], feeds: Feeds) -> dict[str, str]:
    """Give the source of each node that nothing feeds, by its id.

    Raises:
        ManifestError: it could be any of several.
    """
    tracks = [step for step in ordered if step.role == "source" and _path(step) is None]
    entries: dict[str, str] = {}
    for step in ordered:
        if step.role == "source" or feeds[step.id]:
            continue
        if step.takes == "data" or not tracks:
            entries[step.id] = SOURCE_ID
        elif len(tracks) == 1:
            entries[step.id] = tracks[0].id
        else:
            raise ManifestError(
                f'nothing feeds "{step.id}", and there are several sources.',
                code=PORT_MISMATCH,
                field=step.where,
                hint="Connect one of them: " + ", ".join(each.id for each in tracks) + ".",
            )
    return entries


def _sources(
    steps: Mapping[str, Step], entries: Mapping[str, str], given: Mapping[str, AudioFormat]
) -> list[Source]:
    """Decide the format of each source.

    Raises:
        ManifestError: a source feeds nothing, or there are too many.
    """
    ids = [step.id for step in steps.values() if step.role == "source"]
    if SOURCE_ID in entries.values() and SOURCE_ID not in ids:
        ids.append(SOURCE_ID)
    if len(ids) > MAX_SOURCES:
        raise ManifestError(f"there are more than {MAX_SOURCES} sources.", field="nodes")
    sources = []
    for id_ in ids:
        followers = [steps[name] for name, source in entries.items() if source == id_]
        source = steps.get(id_)
        if source is not None and source.role == "source":
            followers += source.followers
            if not followers:
                raise ManifestError(
                    f'"{id_}" feeds nothing.',
                    code=PORT_MISMATCH,
                    field=source.where,
                    hint=f'Connect it: connect("{id_}", "other").',
                )
        else:
            source = None
        format_ = given.get(id_) or _source_format(source, followers)
        # What is given for the pipeline as a whole may be values too: `Builder.typed` decides.
        sources.append(Source(id_, PortFormat("any" if source is None else "audio", format_)))
    return sources


def _source_format(source: Step | None, followers: Sequence[Step]) -> AudioFormat:
    audio = [each for each in followers if each.takes != "data"]
    # Where something takes what comes, it should be worth having.
    rate = max((each.needs_rate or SPEECH_RATE for each in audio), default=SPEECH_RATE)
    channels = highest(each.needs_channels for each in audio) or 1
    if source is not None:
        said = AudioFormat(source.output_rate or rate, source.output_channels or channels)
        if source.output_rate is not None or _path(source) is not None:
            return said
        channels = said.channels
    # Opus decodes to these rates by itself; the highest need decides, the others are converted to.
    return AudioFormat(next((r for r in OPUS_RATES if r >= rate), OPUS_RATES[-1]), channels)


def _build(
    ordered: Sequence[Step], feeds: Feeds, entries: Mapping[str, str], sources: Sequence[Source]
) -> Builder:
    builder = Builder(sources)
    formats = {source.id: source.format.audio for source in sources}
    gives: dict[str, PortRef] = {}
    for step in ordered:
        if step.role != "source":
            continue
        came = formats[step.id] or AudioFormat(SPEECH_RATE)
        said = AudioFormat(step.output_rate or came.rate, step.output_channels or came.channels)
        gives[step.id] = builder.source(step.id, said, step.where)
    for step in ordered:
        if step.role == "source":
            continue
        entry = entries.get(step.id)
        if entry is not None:
            port = gives.get(entry, PortRef(SOURCE_NODE, entry))
            builder.add(step, [(port, entry, step.where)])
            continue
        fed = [feeds[step.id][port] for port in step.inputs]
        builder.add(
            step,
            [
                (gives.get(feed.source) or PortRef(feed.source, feed.port), feed.source, feed.field)
                for feed in fed
            ],
        )
    return builder


def _check_size(builder: Builder) -> None:
    """Refuse what no runtime takes; converters count too."""
    for what, count, most in (
        ("nodes", len(builder.nodes), MAX_NODES),
        ("connections", len(builder.edges), MAX_EDGES),
    ):
        if count > most:
            put_in = f", {len(builder.inserted)} of them put in" if builder.inserted else ""
            raise ManifestError(
                f"the pipeline has {count} {what} as it runs{put_in}: {most} are the most.",
                field=what,
            )


def _sinks(graph: Graph) -> tuple[str, ...]:
    return tuple(
        planned.id
        for planned in graph.nodes
        if isinstance(planned.node, AudioSink) and planned.node.path is None
    )


def _files(graph: Graph) -> dict[str, Path]:
    return {
        planned.id: (planned.base or Path()) / planned.node.path
        for planned in graph.nodes
        if isinstance(planned.node, AudioSource | FileReaderNode) and planned.node.path is not None
    }


def _path(step: Step) -> str | None:
    return step.node.path if isinstance(step.node, AudioSource | FileReaderNode) else None


__all__ = ["Plan", "plan_graph"]
