"""A resolved manifest checked and put in order."""

from __future__ import annotations

from dataclasses import dataclass

from remotemedia.errors import GRAPH_CYCLE
from remotemedia.planning.resolved import SOURCE_NODE, PortRef
from remotemedia.twin.chunks import Audio, Signal
from remotemedia.twin.kinds import Action, compile_node
from remotemedia.twin.manifest import (
    PortFormat,
    ResolvedManifest,
    Source,
    invalid,
    mismatch,
)


@dataclass(frozen=True)
class Feed:
    """What feeds an input: an output of a node by its place in the plan, or (None) a source."""

    node: int | None
    port: int


@dataclass(frozen=True)
class Output:
    """An output port, and which frames that it gives are taken."""

    name: str
    format: PortFormat
    audio_taken: bool
    data_taken: bool
    opaque_taken: bool

    def takes(self, signal: Signal) -> bool:
        """Whether any input takes a frame."""
        if isinstance(signal, Audio):
            return self.audio_taken
        return self.opaque_taken if signal.opaque else self.data_taken


@dataclass(frozen=True)
class PlanNode:
    """A node in its place."""

    id: str
    kind: str
    action: Action
    inputs: tuple[tuple[str, PortFormat], ...]
    feeds: tuple[Feed, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Plan:
    """A graph whose nodes stand in the order in which they run."""

    name: str
    sources: tuple[Source, ...]
    nodes: tuple[PlanNode, ...]


def compile_plan(manifest: ResolvedManifest) -> Plan:
    """Check ports, parameters and cycles; the manifest's order breaks ties.

    Raises:
        ManifestError: with the path of the first field that is wrong.
    """
    feeds = _check_edges(manifest)
    order = _order(manifest, feeds)
    actions = {position: compile_node(manifest.nodes[position], position) for position in order}
    place = {position: index for index, position in enumerate(order)}
    nodes = []
    for position in order:
        node = manifest.nodes[position]
        nodes.append(
            PlanNode(
                id=node.id,
                kind=node.kind,
                action=actions[position],
                inputs=tuple((port.name, port.format) for port in node.inputs),
                feeds=tuple(
                    Feed(None if feed.node is None else place[feed.node], feed.port)
                    for feed in feeds[position]
                ),
                outputs=tuple(
                    _output(manifest, PortRef(node.id, port.name), port.format)
                    for port in node.outputs
                ),
            )
        )
    return Plan(manifest.name, manifest.sources, tuple(nodes))


def _output(manifest: ResolvedManifest, ref: PortRef, given: PortFormat) -> Output:
    taken = [
        port.format
        for edge in manifest.edges
        if edge.source == ref
        for node in manifest.nodes
        if node.id == edge.target.node
        for port in node.inputs
        if port.name == edge.target.port
    ]
    return Output(
        name=ref.port,
        format=given,
        audio_taken=given.takes_audio and any(each.takes_audio for each in taken),
        data_taken=given.takes_data and any(each.takes_data for each in taken),
        opaque_taken=given.type == "any" and any(each.type == "any" for each in taken),
    )


def _check_edges(manifest: ResolvedManifest) -> list[tuple[Feed, ...]]:
    """Give what feeds each input, by the positions of the manifest."""
    sources = {source.id: index for index, source in enumerate(manifest.sources)}
    positions = {node.id: index for index, node in enumerate(manifest.nodes)}
    found: dict[tuple[int, int], Feed] = {}
    for index, edge in enumerate(manifest.edges):
        path = f"edges[{index}]"
        if edge.source.node == SOURCE_NODE:
            number = _find("source", list(sources), edge.source.port, f"{path}.from")
            feed, given = Feed(None, number), manifest.sources[number].format
        else:
            position = _position(positions, edge.source.node, f"{path}.from")
            outputs = manifest.nodes[position].outputs
            number = _find("port", [p.name for p in outputs], edge.source.port, f"{path}.from")
            feed, given = Feed(position, number), outputs[number].format
        target = _position(positions, edge.target.node, f"{path}.to")
        inputs = manifest.nodes[target].inputs
        port = _find("port", [p.name for p in inputs], edge.target.port, f"{path}.to")
        if not given.feeds(inputs[port].format):
            text = f'"{edge.source.node}" gives {given}'
            text += f' but "{edge.target.node}" takes {inputs[port].format}'
            raise mismatch(path, text)
        if (target, port) in found:
            text = f'"{edge.target.port}" of "{edge.target.node}" is fed twice'
            raise mismatch(f"{path}.to.port", f"{text}; mix the streams first")
        found[target, port] = feed
    for position, node in enumerate(manifest.nodes):
        for port, given_port in enumerate(node.inputs):
            if (position, port) not in found:
                text = f'nothing feeds "{given_port.name}" of "{node.id}"'
                raise invalid(f"nodes[{position}].inputs[{port}]", text)
    return [
        tuple(found[position, port] for port in range(len(node.inputs)))
        for position, node in enumerate(manifest.nodes)
    ]


def _position(positions: dict[str, int], node: str, path: str) -> int:
    if node not in positions:
        raise invalid(f"{path}.node", f'no node "{node}"')
    return positions[node]


def _find(what: str, names: list[str], wanted: str, path: str) -> int:
    if wanted not in names:
        there = ", ".join(sorted(names)) or "none"
        raise mismatch(f"{path}.port", f'no {what} "{wanted}": there is {there}')
    return names.index(wanted)


def _order(manifest: ResolvedManifest, feeds: list[tuple[Feed, ...]]) -> list[int]:
    """Positions so that each comes after what feeds it."""
    order: list[int] = []
    placed: set[int] = set()
    while len(order) < len(feeds):
        for position, each in enumerate(feeds):
            if position not in placed and all(f.node is None or f.node in placed for f in each):
                break
        else:
            raise _cycle(manifest, feeds, placed)
        placed.add(position)
        order.append(position)
    return order


def _cycle(
    manifest: ResolvedManifest, feeds: list[tuple[Feed, ...]], placed: set[int]
) -> Exception:
    """Name the nodes of one cycle among those that could not be placed."""
    at = next(position for position in range(len(feeds)) if position not in placed)
    path: list[int] = []
    # Every node left has a feeder that is left, so walking up must come back somewhere.
    while at not in path:
        path.append(at)
        at = next(f.node for f in feeds[at] if f.node is not None and f.node not in placed)
    cycle = path[path.index(at) :][::-1]
    turn = cycle.index(min(cycle))
    cycle = cycle[turn:] + cycle[:turn]
    names = " -> ".join(manifest.nodes[position].id for position in [*cycle, cycle[0]])
    return invalid(f"nodes[{cycle[0]}]", f"a cycle: {names}", GRAPH_CYCLE)
