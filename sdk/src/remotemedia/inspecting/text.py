"""A graph in the characters of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remotemedia.inspecting.inspection import DrawnEdge, DrawnNode, Inspection

PUT_IN = "put in"
"""How converters are marked that planning put in."""
UNREAD = "cannot be read: formats are guesses"
"""How files are marked whose format is not known."""


def draw(inspection: Inspection) -> str:
    """Draw a tree from each source; a node that several feed hangs below the last of them."""
    tree = _Tree(inspection)
    reasons = {node.reason for node in inspection.nodes if node.reason and not node.own}
    lines = [inspection.name]
    for node in inspection.nodes:
        if node.source:
            lines += ["", *tree.lines(node)]
    if reasons:
        lines += ["", *(f"in Python: {reason}" for reason in sorted(reasons))]
    return "\n".join(lines)


class _Tree:
    def __init__(self, inspection: Inspection) -> None:
        self._nodes: Mapping[str, DrawnNode] = {node.id: node for node in inspection.nodes}
        self._edges: dict[str, list[DrawnEdge]] = {node.id: [] for node in inspection.nodes}
        self._feeds: dict[str, int] = dict.fromkeys(self._nodes, 0)
        for edge in inspection.edges:
            self._edges[edge.source].append(edge)
            self._feeds[edge.target] += 1
        self._drawn: dict[str, int] = dict.fromkeys(self._nodes, 0)

    def lines(self, node: DrawnNode) -> Iterator[str]:
        """Draw a source and all that it feeds. Not by recursion: a chain may be long."""
        yield _label(node)
        # What is still to be drawn, the next last: an edge and what stands before it.
        pending = self._below(node.id, "")
        while pending:
            edge, before, last = pending.pop()
            bend, run = ("└─ ", "   ") if last else ("├─ ", "│  ")
            target = self._nodes[edge.target]
            port = "" if edge.source_port == "out" else f"{edge.source_port}: "
            into = "" if edge.target_port == "in" else f" {edge.target_port} of"
            self._drawn[target.id] += 1
            complete = self._drawn[target.id] == self._feeds[target.id]
            yield f"{before}{bend}{port}{edge.format} ->{into} " + (
                _label(target) if complete else f"{target.id} (below)"
            )
            if complete:
                pending += self._below(target.id, before + run)

    def _below(self, node: str, before: str) -> list[tuple[DrawnEdge, str, bool]]:
        edges = self._edges[node]
        return [(edge, before, edge is edges[-1]) for edge in reversed(edges)]


def _label(node: DrawnNode) -> str:
    if node.source:
        told = [node.file, *([UNREAD] if node.unread else [])] if node.file else []
        named = node.id.removeprefix("$")
        return f"{named}  {', '.join([node.type, *told])}" if node.type != named else named
    told = [node.type, node.runtime, *([PUT_IN] if node.inserted else [])]
    return f"{node.id}  [{', '.join(told)}]"
