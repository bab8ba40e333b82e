"""The resolved manifest, as the native runtime takes it: nothing is left to guess."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from remotemedia.formats import AudioFormat

VERSION = "resolved/1"
SOURCE_NODE = "$source"
"""The node that stands for the sources in an edge; the port is the source's id."""


@dataclass(frozen=True)
class Source:
    """Where frames enter the graph."""

    id: str
    format: AudioFormat


@dataclass(frozen=True)
class ResolvedNode:
    """A node with everything decided."""

    id: str
    kind: str
    runtime: str
    params: Mapping[str, JsonValue]
    input: AudioFormat
    output: AudioFormat


@dataclass(frozen=True)
class PortRef:
    """A port of a node."""

    node: str
    port: str


@dataclass(frozen=True)
class Edge:
    """A connection between two ports."""

    source: PortRef
    target: PortRef


@dataclass(frozen=True)
class Resolved:
    """A whole pipeline with everything decided."""

    name: str
    sources: tuple[Source, ...]
    nodes: tuple[ResolvedNode, ...]
    edges: tuple[Edge, ...]

    def to_dict(self) -> dict[str, JsonValue]:
        """Give it as plain data, in the runtime's order of fields."""
        return {
            "version": VERSION,
            "name": self.name,
            "sources": [{"id": s.id, "format": _format(s.format)} for s in self.sources],
            "nodes": [
                {
                    "id": n.id,
                    "kind": n.kind,
                    "runtime": n.runtime,
                    "params": dict(n.params),
                    "input": _format(n.input),
                    "output": _format(n.output),
                }
                for n in self.nodes
            ],
            "edges": [{"from": _port(e.source), "to": _port(e.target)} for e in self.edges],
        }

    def to_json(self) -> str:
        """Give it as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":"))


def _format(value: AudioFormat) -> dict[str, JsonValue]:
    return {"rate": value.rate, "channels": value.channels}


def _port(value: PortRef) -> dict[str, JsonValue]:
    return {"node": value.node, "port": value.port}
