"""The graph that planning works on: nodes and links with the fields they came from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remotemedia._suggest import did_you_mean
from remotemedia.base import Node
from remotemedia.errors import (
    GRAPH_CYCLE,
    INVALID_MANIFEST,
    PORT_MISMATCH,
    ManifestError,
    NotInThisVersion,
    Problem,
)
from remotemedia.manifest.models import Manifest
from remotemedia.nodes import registry

IN_PORT = "in"
OUT_PORT = "out"


@dataclass(frozen=True)
class PlannedNode:
    """A node of the graph.

    Attributes:
        id: unique in the graph.
        node: the node itself.
        field: where it came from, for errors: ``nodes[2]``.
        base: the folder that its files are seen from; None is the working directory.
    """

    id: str
    node: Node
    field: str
    base: Path | None = None


@dataclass(frozen=True)
class Link:
    """A connection of the graph: one node's output feeds another's input."""

    source: str
    target: str
    field: str
    source_port: str = OUT_PORT
    target_port: str = IN_PORT

    @classmethod
    def parse(cls, source: str, target: str, field: str) -> Link:
        """Read ``a`` or ``a.port`` at both ends."""
        source_node, _, source_port = source.partition(".")
        target_node, _, target_port = target.partition(".")
        return cls(source_node, target_node, field, source_port or OUT_PORT, target_port or IN_PORT)


@dataclass(frozen=True)
class Graph:
    """A pipeline before anything is decided. Nodes that no link feeds take the source's audio."""

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
            NotInThisVersion: for what belongs to a later version.
        """
        nodes: list[PlannedNode] = []
        problems: list[Problem] = []
        for index, spec in enumerate(manifest.nodes):
            field = f"nodes[{index}]"
            if spec.host is not None:
                raise NotInThisVersion(
                    "nodes on other machines are not in this version.", field=f"{field}.host"
                )
            common: dict[str, object] = {"runtime_hint": spec.runtime_hint}
            if spec.isolation is not None:
                common["isolation"] = spec.isolation
            try:
                made = registry.build(spec.node_type, spec.params, field, **common)
            except ManifestError as error:
                problems.extend(error.problems)
            else:
                nodes.append(PlannedNode(spec.id, made, field, base))
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

    def ordered(self) -> list[PlannedNode]:
        """Check the structure and give the nodes so that each follows what feeds it.

        Among those that could come next the first in the list comes first.

        Raises:
            ManifestError: doubled or unknown ids, unknown ports, two links into one port, a cycle.
        """
        self._check()
        feeding = {link.target: link.source for link in self.links}
        done: set[str] = set()
        order: list[PlannedNode] = []
        waiting = list(self.nodes)
        while waiting:
            ready = next((node for node in waiting if feeding.get(node.id) in done | {None}), None)
            if ready is None:
                raise self._cycle(waiting[0].id, feeding)
            waiting.remove(ready)
            done.add(ready.id)
            order.append(ready)
        return order

    def _check(self) -> None:
        problems: list[Problem] = []
        ids: set[str] = set()
        for node in self.nodes:
            if node.id in ids:
                problems.append(
                    Problem(INVALID_MANIFEST, f"{node.field}.id", f'"{node.id}" is used twice.')
                )
            ids.add(node.id)
        fed: dict[tuple[str, str], str] = {}
        for link in self.links:
            known = True
            for end, name in (("from", link.source), ("to", link.target)):
                if name not in ids:
                    known = False
                    problems.append(
                        Problem(
                            INVALID_MANIFEST,
                            f"{link.field}.{end}",
                            f'there is no node "{name}".',
                            did_you_mean(name, ids),
                        )
                    )
            problems.extend(_port_problems(link))
            other = fed.setdefault((link.target, link.target_port), link.source)
            if known and other != link.source:
                problems.append(
                    Problem(
                        PORT_MISMATCH,
                        f"{link.field}.to",
                        f'"{link.target}" is fed by "{other}" already.',
                        "A node takes the audio of one other node.",
                    )
                )
            elif known and self.links.index(link) != _last_index(self.links, link):
                problems.append(
                    Problem(INVALID_MANIFEST, link.field, "this connection is listed twice.")
                )
        if problems:
            raise ManifestError.of(problems)

    def _cycle(self, start: str, feeding: dict[str, str]) -> ManifestError:
        path = [start]
        while path.count(path[-1]) == 1:
            path.append(feeding[path[-1]])
        loop = path[path.index(path[-1]) :][::-1]
        field = next(
            link.field for link in self.links if (link.source, link.target) == (loop[0], loop[1])
        )
        return ManifestError(
            "the connections go round in a circle: " + " -> ".join(loop) + ".",
            code=GRAPH_CYCLE,
            field=field,
            hint="Take one of them out.",
        )


def chain(ids: Sequence[str]) -> tuple[Link, ...]:
    """Connect nodes one after the other."""
    return tuple(
        Link(source, target, f"nodes[{index}]")
        for index, (source, target) in enumerate(itertools.pairwise(ids), start=1)
    )


def _port_problems(link: Link) -> list[Problem]:
    ends = (("from", link.source_port, OUT_PORT), ("to", link.target_port, IN_PORT))
    return [
        Problem(
            PORT_MISMATCH, f"{link.field}.{end}", f'there is no port "{port}".', f"There is {only}."
        )
        for end, port, only in ends
        if port != only
    ]


def _last_index(links: tuple[Link, ...], link: Link) -> int:
    ends = (link.source, link.source_port, link.target, link.target_port)
    return max(
        index
        for index, other in enumerate(links)
        if (other.source, other.source_port, other.target, other.target_port) == ends
    )
