"""What there is to draw of a plan."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remotemedia.base import BuiltinNode, Node
from remotemedia.errors import MediaFileError
from remotemedia.nodes.python import PythonNode
from remotemedia.planning.resolved import SOURCE_NODE, PortFormat, PortRef

if TYPE_CHECKING:
    from pydantic import JsonValue

    from remotemedia.formats import AudioFormat
    from remotemedia.planning import Plan, ResolvedNode


@dataclass(frozen=True)
class DrawnNode:
    """A node, a source, or a converter that planning put in.

    Attributes:
        id: its id; that of a source has a ``$`` before it where no node stands for it.
        type: the node type, what a `PythonNode` names, or the kind of a converter.
        runtime: ``native`` or ``python``; empty for a source.
        reason: why it does not run natively.
        own: it is written in Python, so that there is no choice.
        inserted: planning put it in.
        source: frames enter here.
        sink: what it gives is part of the result.
        file: what it reads, for a source.
        unread: the file could not be read, so that the format of its audio is not known.
        parameters: what it runs with.
    """

    id: str
    type: str
    runtime: str = ""
    reason: str | None = None
    own: bool = False
    inserted: bool = False
    source: bool = False
    sink: bool = False
    file: str | None = None
    unread: bool = False
    parameters: dict[str, JsonValue] | None = None


@dataclass(frozen=True)
class DrawnEdge:
    """A connection with what goes through it."""

    source: str
    source_port: str
    target: str
    target_port: str
    format: str


@dataclass(frozen=True)
class Inspection:
    """A pipeline as it runs; ``print`` draws it.

    Attributes:
        name: the pipeline's name.
        nodes: sources first, then the nodes in the order in which they run.
        edges: the connections, in the same order.
    """

    name: str
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]

    def text(self) -> str:
        """Draw it with the characters of a terminal."""
        from remotemedia.inspecting.text import draw

        return draw(self)

    def mermaid(self) -> str:
        """Draw it as a Mermaid flowchart, which GitHub and many editors show."""
        from remotemedia.inspecting.mermaid import draw

        return draw(self)

    def to_dict(self) -> dict[str, JsonValue]:
        """Give it as plain data."""
        return {
            "name": self.name,
            "nodes": [
                {
                    "id": node.id,
                    "type": node.type,
                    "role": "source" if node.source else "sink" if node.sink else "node",
                    "runtime": node.runtime or None,
                    "reason": node.reason,
                    "inserted": node.inserted,
                    "file": node.file,
                    "parameters": node.parameters,
                }
                for node in self.nodes
            ],
            "edges": [
                {
                    "from": f"{edge.source}.{edge.source_port}",
                    "to": f"{edge.target}.{edge.target_port}",
                    "format": edge.format,
                }
                for edge in self.edges
            ],
        }

    def __str__(self) -> str:
        return self.text()


def formats_of_files(plan: Plan) -> dict[str, AudioFormat]:
    """Give the formats of the files that sources read, by the sources' ids, where they can be."""
    formats: dict[str, AudioFormat] = {}
    if plan.files:
        from remotemedia.files import AudioReader

        for source, path in plan.files.items():
            with suppress(MediaFileError), AudioReader(path) as reader:
                formats[source] = reader.format
    return formats


def inspect(plan: Plan, read: Collection[str] = ()) -> Inspection:
    """Give what there is to draw of a plan.

    Args:
        plan: the plan.
        read: sources whose files were read to see their format.
    """
    sources = tuple(
        DrawnNode(
            id=_source_id(plan, source.id),
            type=_type(plan.nodes[source.id]) if source.id in plan.nodes else "input",
            source=True,
            file=str(plan.files[source.id]) if source.id in plan.files else None,
            unread=source.id in plan.files and source.id not in read,
        )
        for source in plan.resolved.sources
    )
    given = {PortRef(SOURCE_NODE, source.id): source.format for source in plan.resolved.sources}
    taken: dict[PortRef, PortFormat] = {}
    for node in plan.resolved.nodes:
        given |= {PortRef(node.id, port.port): port.format for port in node.outputs}
        taken |= {PortRef(node.id, port.port): port.format for port in node.inputs}
    edges = tuple(
        DrawnEdge(
            source=_source_id(plan, edge.source.port)
            if edge.source.node == SOURCE_NODE
            else edge.source.node,
            source_port="out" if edge.source.node == SOURCE_NODE else edge.source.port,
            target=edge.target.node,
            target_port=edge.target.port,
            format=_passing(given[edge.source], taken[edge.target]),
        )
        for edge in plan.resolved.edges
    )
    nodes = tuple(_drawn(plan, node) for node in plan.resolved.nodes)
    return Inspection(plan.name, (*sources, *nodes), edges)


def _passing(given: PortFormat, taken: PortFormat) -> str:
    """Say what goes through an edge."""
    if "data" in (given.type, taken.type):
        return "values"
    return f"{given.audio}" + (" or values" if given.type == taken.type == "any" else "")


def _drawn(plan: Plan, node: ResolvedNode) -> DrawnNode:
    inserted = node.id in plan.inserted
    choice = plan.machine if inserted else plan.runtimes[node.id]
    return DrawnNode(
        id=node.id,
        type=node.kind if inserted else _named(plan, node.id),
        runtime=choice.runtime,
        reason=choice.reason,
        own=node.id in plan.python,
        inserted=inserted,
        sink=node.id in plan.sinks,
        parameters=dict(node.params),
    )


def _source_id(plan: Plan, source: str) -> str:
    node = plan.nodes.get(source)
    # A node that is no source may be called "input" too.
    return source if node is not None and not node.inputs else f"${source}"


def _named(plan: Plan, id_: str) -> str:
    node = plan.nodes[id_]
    return node.entry if isinstance(node, PythonNode) else _type(node)


def _type(node: Node) -> str:
    if isinstance(node, BuiltinNode):
        return node.node_type
    return getattr(node, "__name__", type(node).__name__)
