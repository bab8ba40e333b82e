"""The graph that planning works on: nodes and links with the fields they came from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remotemedia.base import Node
from remotemedia.errors import ManifestError, Problem
from remotemedia.nodes import registry

if TYPE_CHECKING:
    from remotemedia.manifest.models import Manifest


@dataclass(frozen=True)
class PlannedNode:
    """A node of the graph.

    Attributes:
        id: unique in the graph.
        node: the node itself.
        field: where it came from, for errors: ``nodes[2]``.
        base: the folder that its files are seen from; None is the working directory.
        host: the machine that it should run on; None is this one.
    """

    id: str
    node: Node
    field: str
    base: Path | None = None
    host: str | None = None


@dataclass(frozen=True)
class Link:
    """A connection of the graph: one node's output feeds another's input.

    Attributes:
        source: id of the node that gives.
        target: id of the node that takes.
        field: where it came from, for errors: ``connections[2]``.
        source_port: which output; None where it is not said.
        target_port: which input; None where it is not said.
    """

    source: str
    target: str
    field: str
    source_port: str | None = None
    target_port: str | None = None

    @classmethod
    def parse(cls, source: str, target: str, field: str) -> Link:
        """Read ``a`` or ``a.port`` at both ends."""
        source_node, _, source_port = source.partition(".")
        target_node, _, target_port = target.partition(".")
        return cls(source_node, target_node, field, source_port or None, target_port or None)


@dataclass(frozen=True)
class Graph:
    """A pipeline before anything is decided."""

    name: str
    nodes: tuple[PlannedNode, ...]
    links: tuple[Link, ...]

    @classmethod
    def of(cls, manifest: Manifest, base: Path | None = None) -> Graph:
        """Make the graph of a manifest.

        Args:
            manifest: the manifest.
            base: the folder of its file, that files of nodes are seen from.

        Raises:
            ManifestError: with the path of each field that is wrong.
            NotInThisVersion: for node types that belong to a later version.
        """
        nodes: list[PlannedNode] = []
        problems: list[Problem] = []
        for index, spec in enumerate(manifest.nodes):
            field = f"nodes[{index}]"
            common: dict[str, object] = {"runtime_hint": spec.runtime_hint}
            if spec.isolation is not None:
                common["isolation"] = spec.isolation
            try:
                made = registry.build(spec.node_type, spec.params, field, **common)
            except ManifestError as error:
                problems.extend(error.problems)
            else:
                nodes.append(PlannedNode(spec.id, made, field, base, spec.host))
        if problems:
            raise ManifestError.of(problems)
        if manifest.connections is None:
            links = chain([node.id for node in nodes])
        else:
            links = tuple(
                Link.parse(connection.source, connection.target, f"connections[{index}]")
                for index, connection in enumerate(manifest.connections)
            )
        return cls(manifest.metadata.name, tuple(nodes), links)


def chain(ids: Sequence[str]) -> tuple[Link, ...]:
    """Connect nodes one after the other."""
    return tuple(
        Link(source, target, f"nodes[{index}]")
        for index, (source, target) in enumerate(itertools.pairwise(ids), start=1)
    )
