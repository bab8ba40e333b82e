"""The resolved manifest, as the native runtime takes it: nothing is left to guess."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remotemedia.formats import AudioFormat

if TYPE_CHECKING:
    from pydantic import JsonValue

VERSION = "resolved/1"
SOURCE_NODE = "$source"
"""The node that stands for the sources in an edge; the port is the source's id."""


PortType = Literal["audio", "data", "any"]


@dataclass(frozen=True)
class PortFormat:
    """What a port carries.

    Attributes:
        type: audio of one format, JSON values (data), or what a Python node likes (any).
        audio: the format of its audio; None for data.
    """

    type: PortType
    audio: AudioFormat | None

    def __str__(self) -> str:
        return "data" if self.audio is None else str(self.audio)

    def to_dict(self) -> dict[str, JsonValue]:
        """Give it as plain data."""
        if self.audio is None:
            return {"type": self.type}
        return {"type": self.type, "rate": self.audio.rate, "channels": self.audio.channels}


DATA = PortFormat("data", None)
"""The format of ports that carry JSON values."""


@dataclass(frozen=True)
class Port:
    """A port of a node with what it carries."""

    port: str
    format: PortFormat

    def to_dict(self) -> dict[str, JsonValue]:
        """Give it as plain data."""
        return {"port": self.port, "format": self.format.to_dict()}


@dataclass(frozen=True)
class Source:
    """Where frames enter the graph."""

    id: str
    format: PortFormat


@dataclass(frozen=True)
class ResolvedNode:
    """A node with everything decided."""

    id: str
    kind: str
    runtime: str
    params: Mapping[str, JsonValue]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


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
            "sources": [{"id": s.id, "format": s.format.to_dict()} for s in self.sources],
            "nodes": [
                {
                    "id": n.id,
                    "kind": n.kind,
                    "runtime": n.runtime,
                    "params": dict(n.params),
                    "inputs": [port.to_dict() for port in n.inputs],
                    "outputs": [port.to_dict() for port in n.outputs],
                }
                for n in self.nodes
            ],
            "edges": [{"from": _port(e.source), "to": _port(e.target)} for e in self.edges],
        }

    def to_json(self) -> str:
        """Give it as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":"))


def _port(value: PortRef) -> dict[str, JsonValue]:
    return {"node": value.node, "port": value.port}
