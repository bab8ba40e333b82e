"""What is different in a pipeline that is served."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from remotemedia.errors import ParameterError
from remotemedia.nodes.endpoints import AudioSource
from remotemedia.nodes.files import FileReaderNode, FileWriterNode
from remotemedia.planning.graph import Graph, PlannedNode
from remotemedia.planning.resolved import ResolvedNode
from remotemedia.planning.steps import PythonEntry


def for_sessions(graph: Graph) -> Graph:
    """Let each stream of a session hear the files that sources read, from their start.

    Such a source becomes a Python node, which the incoming audio feeds: it is the clock.

    Raises:
        MediaFileError: a file cannot be read.
    """
    fed = {link.target for link in graph.links}
    nodes = (each if each.id in fed else _for_sessions(each) for each in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def heard(nodes: Iterable[ResolvedNode], sinks: Collection[str]) -> tuple[ResolvedNode, ...]:
    """Let the audio of sinks go to who hears a session."""
    return tuple(replace(each, kind="sink") if each.id in sinks else each for each in nodes)


def check_writers(nodes: dict[str, str], entries: dict[str, PythonEntry]) -> None:
    """Refuse files that every session would write.

    Args:
        nodes: the field of each node, by its id.
        entries: the Python nodes.

    Raises:
        ParameterError: there is one; with the path of the field.
    """
    for name, entry in entries.items():
        if isinstance(entry.node, FileWriterNode):
            try:
                entry.node.check_served()
            except ParameterError as error:
                raise ParameterError(
                    error.message, field=f"{nodes[name]}.params.path", hint=error.hint
                ) from None


def _for_sessions(planned: PlannedNode) -> PlannedNode:
    node = planned.node
    if not isinstance(node, AudioSource | FileReaderNode) or node.path is None:
        return planned
    # PyAV takes long to load.
    from remotemedia.files import AudioReader
    from remotemedia.nodes.session_files import SessionFile

    path = (planned.base or Path()) / node.path
    with AudioReader(path) as reader:
        format_ = reader.format
    return replace(
        planned,
        node=SessionFile(
            path=str(path),
            rate=node.output_rate or format_.rate,
            channels=node.output_channels or format_.channels,
        ),
    )
