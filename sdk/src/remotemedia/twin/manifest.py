"""Resolved manifests read strictly: nothing is guessed and nothing unknown passes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from remotemedia.errors import INVALID_MANIFEST, PORT_MISMATCH, ManifestError
from remotemedia.formats import MAX_CHANNELS, MAX_RATE, MIN_RATE
from remotemedia.planning.resolved import VERSION, Edge, PortRef, PortType

MAX_NODES = 256
"""The most nodes a pipeline may have."""
MAX_EDGES = 1_024
"""The most connections a pipeline may have."""
MAX_SOURCES = 16
"""The most places where frames enter."""
MAX_PORTS = 16
"""The most ports that a node may have on one side."""
MAX_NAME_BYTES = 64
"""The longest id or name, in bytes."""
MAX_MANIFEST_BYTES = 1 << 20
"""The longest resolved manifest, in bytes of JSON."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f$]")


@dataclass(frozen=True)
class PortFormat:
    """What passes a port: audio of one format, values, or (``any``) both; no rate for values."""

    type: PortType
    rate: int = 0
    channels: int = 0

    def __str__(self) -> str:
        if self.type == "data":
            return "data"
        audio = f"{self.rate} Hz, {self.channels} ch"
        return audio if self.type == "audio" else f"anything, audio of {audio}"

    @property
    def takes_audio(self) -> bool:
        """Whether audio may pass."""
        return self.type != "data"

    @property
    def takes_data(self) -> bool:
        """Whether values may pass."""
        return self.type != "audio"

    def feeds(self, taken: PortFormat) -> bool:
        """Whether an output of this format may feed an input of the other."""
        if self.takes_audio and taken.takes_audio:
            return (self.rate, self.channels) == (taken.rate, taken.channels)
        return self.takes_data and taken.takes_data


@dataclass(frozen=True)
class Port:
    """A port of a node."""

    name: str
    format: PortFormat


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
    runtime: Literal["native", "python"]
    params: object
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True)
class ResolvedManifest:
    """A pipeline with everything decided."""

    name: str
    sources: tuple[Source, ...]
    nodes: tuple[ResolvedNode, ...]
    edges: tuple[Edge, ...]

    @classmethod
    def from_json(cls, text: str) -> ResolvedManifest:
        """Read and check the structure; parameters, ports and cycles are the plan's to check.

        Raises:
            ManifestError: with the path of the first field that is wrong.
        """
        if len(text.encode("utf-8", "surrogatepass")) > MAX_MANIFEST_BYTES:
            raise invalid("$", f"larger than {MAX_MANIFEST_BYTES} bytes")
        try:
            value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twins)
        except (ValueError, RecursionError) as error:
            raise invalid("$", str(error) or "nested too deeply") from None
        root = _Object(value, "")
        version = root.text("version")
        if version != VERSION:
            raise invalid("version", f'expected "{VERSION}", got "{version}"')
        manifest = cls(
            name=root.name("name"),
            sources=tuple(_source(each) for each in root.objects("sources", 1, MAX_SOURCES)),
            nodes=tuple(_node(each) for each in root.objects("nodes", 1, MAX_NODES)),
            edges=tuple(_edge(each) for each in root.objects("edges", 0, MAX_EDGES)),
        )
        root.finish()
        _unique("sources", [source.id for source in manifest.sources])
        _unique("nodes", [node.id for node in manifest.nodes])
        return manifest


def invalid(path: str, message: str, code: str = INVALID_MANIFEST) -> ManifestError:
    """Make the error of the field at `path`."""
    return ManifestError(message, code=code, field=path)


def mismatch(path: str, message: str) -> ManifestError:
    """Make the error of two ports that do not fit."""
    return invalid(path, message, PORT_MISMATCH)


class _Object:
    """An object whose fields are read one by one; those left over are refused."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise invalid(path or "$", "must be an object")
        self._fields: dict[str, object] = value
        self._path = path
        self._known: list[str] = []

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def take(self, name: str) -> object:
        self._known.append(name)
        if name not in self._fields:
            raise invalid(self.path(name), "is missing")
        return self._fields[name]

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str):
            raise invalid(self.path(name), "must be a text")
        return value

    def name(self, name: str) -> str:
        value, path = self.text(name), self.path(name)
        if not 1 <= len(value.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES:
            raise invalid(path, f"must have 1 to {MAX_NAME_BYTES} bytes")
        if _FORBIDDEN.search(value):
            raise invalid(path, "must not have control characters or $")
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise invalid(self.path(name), f"must be an integer from {least} to {most}")
        return value

    def object(self, name: str) -> _Object:
        return _Object(self.take(name), self.path(name))

    def objects(self, name: str, least: int, most: int) -> list[_Object]:
        value, path = self.take(name), self.path(name)
        if not isinstance(value, list):
            raise invalid(path, "must be an array")
        if not least <= len(value) <= most:
            raise invalid(path, f"must have {least} to {most} entries, has {len(value)}")
        return [_Object(each, f"{path}[{index}]") for index, each in enumerate(value)]

    def finish(self) -> None:
        for name in self._fields:
            if name not in self._known:
                known = ", ".join(self._known)
                raise invalid(self.path(name), f"is not known: there are {known}")


def _source(given: _Object) -> Source:
    source = Source(given.name("id"), _format(given.object("format")))
    given.finish()
    return source


def _node(given: _Object) -> ResolvedNode:
    node_id, kind, runtime = given.name("id"), given.name("kind"), given.text("runtime")
    if runtime not in {"native", "python"}:
        raise invalid(given.path("runtime"), 'must be "native" or "python"')
    node = ResolvedNode(
        id=node_id,
        kind=kind,
        runtime="native" if runtime == "native" else "python",
        params=given.take("params"),
        inputs=_ports(given, "inputs", 1),
        outputs=_ports(given, "outputs", 0),
    )
    given.finish()
    return node


def _ports(given: _Object, side: str, least: int) -> tuple[Port, ...]:
    ports = []
    for each in given.objects(side, least, MAX_PORTS):
        ports.append(Port(each.name("port"), _format(each.object("format"))))
        each.finish()
    _unique(given.path(side), [port.name for port in ports], "port")
    return tuple(ports)


def _format(given: _Object) -> PortFormat:
    kind = given.text("type")
    result: PortFormat
    if kind == "data":
        result = PortFormat("data")
    elif kind in {"audio", "any"}:
        rate = given.integer("rate", MIN_RATE, MAX_RATE)
        channels = given.integer("channels", 1, MAX_CHANNELS)
        result = PortFormat("audio" if kind == "audio" else "any", rate, channels)
    else:
        raise invalid(given.path("type"), 'must be "audio", "data" or "any"')
    given.finish()
    return result


def _edge(given: _Object) -> Edge:
    ends = []
    for side in ("from", "to"):
        end = given.object(side)
        ends.append(PortRef(end.text("node"), end.text("port")))
        end.finish()
    given.finish()
    return Edge(*ends)


def _unique(path: str, names: list[str], field: str = "id") -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise invalid(f"{path}[{index}].{field}", f'"{name}" is used twice')


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands twice in one object")
    return fields
