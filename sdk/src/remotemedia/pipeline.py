"""Pipelines: what users put together."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, overload

from remotemedia._parameters import check_names, shorten
from remotemedia._suggest import did_you_mean
from remotemedia.base import IN_PORT, BuiltinNode, FunctionNode, Node, process_of
from remotemedia.errors import (
    ManifestError,
    NotInThisVersion,
    ParameterError,
    RemoteMediaError,
)

if TYPE_CHECKING:
    from pydantic import JsonValue
    from typing_extensions import Self

    from remotemedia.client.events import Event
    from remotemedia.formats import AudioFormat
    from remotemedia.inspecting import Inspection
    from remotemedia.manifest import Manifest, NodeSpec
    from remotemedia.planning import Graph, Plan
    from remotemedia.running.driver import Options
    from remotemedia.running.metrics import Metrics
    from remotemedia.running.result import Result

_EXPORTS = (".json", ".yaml", ".yml")
"""What `Pipeline.export` writes, by the file's ending."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
"""A name of which nothing more must be asked."""
_FEW = 64
"""Nodes of which nobody asks whether there are too many."""
_BESIDE = frozenset({"runtime_hint", "isolation"})
"""Arguments that stand beside ``params`` in a manifest."""


@dataclass
class _Entry:
    id: str
    node: Node
    spec: NodeSpec | None = None


class Pipeline:
    """Nodes and how audio goes through them.

    ::

        Pipeline("mic", AudioResampleNode(output_rate=16000), VADNode())

    Nodes form a chain in the order in which they are added. With the first `connect` that ends:
    from then on the connections are exactly those made by `connect`, and a node that nothing feeds
    takes the incoming audio.
    """

    def __new__(cls, *_parts: object, **options: object) -> Self:
        """Check the keywords."""
        taken = [*inspect.signature(cls.__init__).parameters.values()][1:]
        if not any(each.kind is each.VAR_KEYWORD for each in taken):
            known = [each.name for each in taken if each.kind is not each.VAR_POSITIONAL]
            check_names(cls.__name__, options, known)
        return super().__new__(cls)

    def __init__(
        self,
        *parts: str | Node | Iterable[Node],
        name: str | None = None,
        enable_metrics: bool = False,
    ) -> None:
        """Make a pipeline of a name and nodes, both optional.

        Args:
            parts: the name first, if it is not given as `name`; then nodes or lists of nodes.
            name: the name under which it is served; ``pipeline`` if there is none.
            enable_metrics: measure while it runs.

        Raises:
            ParameterError: a part is neither, or there are two names.
        """
        self.enable_metrics = enable_metrics
        self._metrics: Metrics | None = None
        self._metadata: dict[str, JsonValue] = {}
        self._entries: list[_Entry] = []
        self._links: list[tuple[str, str]] | None = None
        self._base: Path | None = None
        self._source: str | None = None
        if parts and isinstance(parts[0], str):
            if name is not None:
                raise ParameterError("the pipeline has two names.", field="name")
            name, parts = parts[0], parts[1:]
        self.name = "pipeline" if name is None else name
        for part in parts:
            if isinstance(part, Iterable) and not isinstance(part, str | Node):
                for each in part:
                    self.add(each)
            else:
                self.add(_node(part))

    def add(self, node: Node) -> Self:
        """Add a node; its id is its kind and a number, such as ``vad-1``. Gives the pipeline."""
        return self._append(self._free_id(_node(node).kind), node)

    @overload
    def add_node(self, node: Node, /) -> Self: ...

    @overload
    def add_node(self, node_id: str, node: Node, /) -> Self: ...

    def add_node(self, first: str | Node, second: Node | None = None, /) -> Self:
        """Add a node, with an id if one is given. Gives the pipeline.

        Raises:
            ParameterError: what is given is no node, or the id is taken.
        """
        if second is None:
            return self.add(_node(first))
        if not isinstance(first, str):
            raise ParameterError(
                f"the id must be text, not {shorten(first)}.", hint='Write add_node("id", node).'
            )
        if any(entry.id == first for entry in self._entries):
            raise ParameterError(f'"{first}" is used twice.', field="id")
        return self._append(first, second)

    def connect(self, source: str, target: str) -> Self:
        """Let one node feed another, by id; a port follows a dot. Gives the pipeline.

        ::

            pipeline.connect("split.left", "vad.in")
            pipeline.connect("a", "mix").connect("b", "mix")  # become mix.in-1 and mix.in-2

        Raises:
            ParameterError: there is no such node or port; the text has the nearest.
        """
        self._check_end(source, "outputs")
        self._check_end(target, "inputs")
        self._links = [*(self._links or []), (source, target)]
        return self

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by id, in the order in which they were added."""
        return {entry.id: entry.node for entry in self._entries}

    @property
    def description(self) -> str | None:
        """What it is for, where its manifest says so."""
        text = self._metadata.get("description")
        return text if isinstance(text, str) else None

    @classmethod
    def from_dict(
        cls, data: Mapping[str, object], *, enable_metrics: bool = False, base: Path | None = None
    ) -> Self:
        """Make a pipeline of a manifest as plain data.

        Args:
            data: the manifest.
            enable_metrics: measure while it runs.
            base: the folder that files of nodes are seen from; None is the working directory.

        Raises:
            ManifestError: with the path of each field that is wrong.
        """
        from remotemedia.manifest import load

        return cls._of(load(data), enable_metrics, base)

    @classmethod
    def from_yaml(cls, source: str | Path, *, enable_metrics: bool = False) -> Self:
        """Make a pipeline of YAML: the text itself, or the path of a file. See `from_dict`."""
        from remotemedia.manifest import load_yaml

        if _is_path(source):
            return cls.from_file(source, enable_metrics=enable_metrics)
        return cls._of(load_yaml(str(source)), enable_metrics, None)

    @classmethod
    def from_json(cls, source: str | Path, *, enable_metrics: bool = False) -> Self:
        """Make a pipeline of JSON: the text itself, or the path of a file. See `from_dict`."""
        from remotemedia.manifest import load_json

        if _is_path(source):
            return cls.from_file(source, enable_metrics=enable_metrics)
        return cls._of(load_json(str(source)), enable_metrics, None)

    @classmethod
    def from_file(cls, path: str | Path, *, enable_metrics: bool = False) -> Self:
        """Make a pipeline of a ``.yaml`` or ``.json`` file. See `from_dict`."""
        from remotemedia.manifest import load_file

        try:
            made = cls._of(load_file(Path(path)), enable_metrics, Path(path).resolve().parent)
        except RemoteMediaError as error:
            error.source = str(path)
            raise
        made._source = str(path)
        return made

    @classmethod
    def _of(cls, manifest: Manifest, enable_metrics: bool, base: Path | None) -> Self:
        from remotemedia.planning import Graph

        graph = Graph.of(manifest, base)
        made = cls(name=graph.name, enable_metrics=enable_metrics)
        made._base = base
        made._metadata = manifest.metadata.model_dump(mode="json", exclude_unset=True)
        made._entries = [
            _Entry(planned.id, planned.node, spec)
            for planned, spec in zip(graph.nodes, manifest.nodes, strict=True)
        ]
        if manifest.connections is not None:
            made._links = [(each.source, each.target) for each in manifest.connections]
        return made

    def manifest(self) -> Manifest:
        """Give the manifest.

        Raises:
            ManifestError: a field is wrong, or a node cannot be named in a manifest.
        """
        from remotemedia.manifest import load

        data: dict[str, object] = {
            "version": "v1",
            "metadata": {**self._metadata, "name": self.name},
            "nodes": [_spec(entry, f"nodes[{i}]") for i, entry in enumerate(self._entries)],
        }
        if self._links is not None:
            data["connections"] = [{"from": a, "to": b} for a, b in self._links]
        return load(data)

    def serialize(self) -> dict[str, JsonValue]:
        """Give the manifest as plain data. See `manifest` for errors."""
        return self.manifest().to_dict()

    def to_yaml(self) -> str:
        """Give the manifest as YAML. See `manifest` for errors."""
        from remotemedia.manifest import dump_yaml

        return dump_yaml(self.manifest())

    def to_json(self) -> str:
        """Give the manifest as JSON. See `manifest` for errors."""
        from remotemedia.manifest import dump_json

        return dump_json(self.manifest())

    def plan(
        self,
        *,
        sources: Mapping[str, AudioFormat] | None = None,
        native: bool | None = None,
        devices: bool = False,
        served: bool = False,
    ) -> Plan:
        """Decide everything that is open: what runs, and the Python nodes that belong to it.

        Args:
            sources: the formats of the audio that there is, by the ids of sources; the others have
                what is needed.
            native: whether it is the native runtime that runs it; None chooses.
            devices: whether each `AudioSink` without a path plays what it is given.
            served: whether sessions run it, each stream of which hears the files of its sources.

        Raises:
            ManifestError: with the path of each field that is wrong.
            NotInThisVersion: for what belongs to a later version.
            RuntimeMissing: a node must run natively, and that is not possible.
            MediaFileError: it is served, and a file cannot be read.
        """
        from remotemedia.planning import plan_graph

        try:
            return plan_graph(
                self._graph(), sources=sources, native=native, devices=devices, served=served
            )
        except RemoteMediaError as error:
            error.source = self._source or f'pipeline "{self.name}"'
            raise

    def resolve(self) -> dict[str, JsonValue]:
        """Give what runs, as plain data: the resolved manifest.

        Files that sources read are opened to see their format; what comes in by a track or is given
        to `run` counts as having the rate that is needed. See `plan` for errors.
        """
        return self._opened()[0].resolved.to_dict()

    def inspect(self) -> Inspection:
        """Draw what runs: the graph with the formats on its edges, and where each node runs.

        ::

            print(pipeline.inspect())
            pipeline.inspect().mermaid()

        Files that sources read are opened to see their format. See `plan` for errors.
        """
        from remotemedia.inspecting import inspect

        return inspect(*self._opened())

    def _opened(self) -> tuple[Plan, Mapping[str, AudioFormat]]:
        """Plan with the formats of the files that can be read."""
        from remotemedia.inspecting import formats_of_files

        plan = self.plan()
        formats = formats_of_files(plan)
        return (self.plan(sources=formats) if formats else plan), formats

    async def serve(self, *, host: str = "127.0.0.1", port: int = 8080, tls: bool = False) -> None:
        """Serve this pipeline with signaling and the demo page, until cancelled or Ctrl-C.

        Where to open it is written to standard error.

        Args:
            host: the address to listen at; ``0.0.0.0`` lets other machines in.
            port: the port to listen at; 0 takes a free one.
            tls: make a certificate and speak HTTPS, without which browsers on other machines give
                no microphone.

        Raises:
            RuntimeMissing: a node must run natively and the native runtime is absent, or a package
                is missing that a node needs without it.
            ManifestError: the pipeline cannot run.
            ConfigError: the address or the port cannot be used.
        """
        from remotemedia.server import serve

        await serve([self], host=host, port=port, tls=tls)

    def run(self, data: object = ..., /, *, remote: str | None = None) -> Result:
        """Run over given data, to its end.

        ::

            result = pipeline.run(audio)          # in a script
            result = await pipeline.run(audio)    # inside a running event loop

        Inside a running loop the run begins when it is awaited, on a thread of its own; cancelling
        the task that awaits it ends it. Each run has instances of the nodes of its own.

        Args:
            data: a float array, ``(samples,)`` or ``(channels, samples)`` from -1.0 to 1.0, with
                the rate that the pipeline takes; ``(array, rate)``; the path of a file; for
                pipelines that take data a JSON value, or the path of a .json or .jsonl file; an
                iterator of arrays or values; a dict of these by source id where there are several.
                Nothing where the pipeline names its files itself, or where each `AudioSource` shall
                be the microphone, until Ctrl-C; then each `AudioSink` is the loudspeaker.
            remote: another machine to run on; not in this version.

        Raises:
            NotInThisVersion: `remote` is given.
            ManifestError: the pipeline cannot run.
            ParameterError: the data does not fit it.
            MediaFileError: the file cannot be read.
            NodeError: a node could not begin, or failed on too many frames in a row. A node that
                fails on some frames only is told of in the result's ``errors``.
        """
        if remote is not None:
            raise NotInThisVersion(
                "runs on other machines are not in this version.", field="remote"
            )
        from remotemedia.running import runs

        return runs.run(self, runs.NOTHING if data is ... else data, self._options(), self._keep)

    def stream(self, source: object = ..., /) -> AsyncGenerator[Event, None]:
        """Run over a source, giving events as they come: those of a session, and `AudioEvent`.

        What a node yields comes as it is yielded. The run waits for its reader, and ends when the
        iterator is closed.

        Args:
            source: what `run` takes, or an async iterator of arrays or values.

        Raises:
            RemoteMediaError: as `run`, while it is iterated over.
        """
        from remotemedia.running import awaiting, runs

        given = runs.NOTHING if source is ... else source
        return awaiting.stream(self, given, self._options(eager=True), self._keep)

    def get_metrics(self) -> Metrics:
        """Give what was measured in the run that ended last; zeros where none has ended.

        Raises:
            ParameterError: the pipeline does not measure.
        """
        if not self.enable_metrics:
            raise ParameterError(
                "the pipeline does not measure.",
                field="enable_metrics",
                hint="Make it with Pipeline(..., enable_metrics=True).",
            )
        if self._metrics is None:
            from remotemedia.running.metrics import none

            return none(self.name, self.nodes)
        return self._metrics

    def _keep(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def _options(self, *, eager: bool = False) -> Options:
        from remotemedia.running.driver import Options

        return Options(metrics=self.enable_metrics, eager=eager)

    def export(self, path: str | Path) -> None:
        """Write the manifest to a ``.json``, ``.yaml`` or ``.yml`` file. See `manifest` for errors.

        Files of nodes are seen from the manifest's folder: a manifest that names some by relative
        paths belongs where it was read.

        Raises:
            ParameterError: the ending is none of these, or the file cannot be written.
            NotInThisVersion: the ending is ``.rmpkg``.
        """
        from remotemedia.manifest import dump_json, dump_yaml

        file = Path(path)
        suffix = file.suffix.lower()
        if suffix == ".rmpkg":
            raise NotInThisVersion("packages are not in this version.", field="path")
        if suffix not in _EXPORTS:
            raise ParameterError(
                f'"{file.name}" has no ending that says what to write.',
                field="path",
                hint=did_you_mean(suffix, _EXPORTS),
            )
        text = (dump_json if suffix == ".json" else dump_yaml)(self.manifest())
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ParameterError(
                f"{file} cannot be written: {error.strerror or error}.", field="path"
            ) from error

    def push(self, reference: str) -> NoReturn:
        """Push a package to a registry. Not in this version."""
        raise NotInThisVersion("Pipeline.push is not in this version.")

    def __repr__(self) -> str:
        ids = ", ".join(entry.id for entry in self._entries)
        return f"Pipeline({self.name!r}: {ids})"

    def _append(self, node_id: str, node: Node) -> Self:
        _node(node)
        if not isinstance(node, BuiltinNode):
            process_of(node)
        self._entries.append(_Entry(node_id, node))
        return self

    def _check_end(self, end: str, way: Literal["inputs", "outputs"]) -> None:
        if not isinstance(end, str):
            raise ParameterError(f"an id is text, not {shorten(end)}.")
        name, _, port = end.partition(".")
        if name not in self.nodes:
            raise ParameterError(f'there is no node "{name}".', hint=did_you_mean(name, self.nodes))
        if port:
            _check_port(name, self.nodes[name], port, way)

    def _free_id(self, kind: str) -> str:
        taken = {entry.id for entry in self._entries}
        number = 1
        while f"{kind}-{number}" in taken:
            number += 1
        return f"{kind}-{number}"

    def _check_names(self) -> None:
        # Ids and name obey the manifest's rules, though the nodes may be impossible to name there.
        names = [self.name, *(entry.id for entry in self._entries)]
        if 1 < len(names) <= _FEW and all(map(_PLAIN_NAME.fullmatch, names)):
            return  # by far the most, and pydantic takes long to load
        from remotemedia.manifest import load

        stand_in = [{"id": entry.id, "node_type": "PassThroughNode"} for entry in self._entries]
        load({"metadata": {"name": self.name}, "nodes": stand_in})

    def _graph(self) -> Graph:
        from remotemedia.planning import Graph, Link, PlannedNode
        from remotemedia.planning.graph import chain

        self._check_names()
        nodes = tuple(
            PlannedNode(
                entry.id,
                entry.node,
                f"nodes[{index}]",
                self._base,
                entry.spec.host if entry.spec is not None else None,
            )
            for index, entry in enumerate(self._entries)
        )
        if self._links is None:
            links = chain([node.id for node in nodes])
        else:
            links = tuple(
                Link.parse(source, target, f"connections[{index}]")
                for index, (source, target) in enumerate(self._links)
            )
        return Graph(self.name, nodes, links)


def _node(part: object) -> Node:
    if isinstance(part, Node):
        return part
    hint = None
    if isinstance(part, type) and issubclass(part, Node):
        hint = f"Make one of it: {part.__name__}()."
    elif callable(part):
        hint = "Decorate the function with @node."
    raise ParameterError(f"{shorten(part)} is not a node.", hint=hint)


def _check_port(name: str, node: Node, port: str, way: Literal["inputs", "outputs"]) -> None:
    from remotemedia.nodes import MixNode, PythonNode

    if isinstance(node, PythonNode):
        return  # its ports are known when what it names is loaded
    if port == IN_PORT and way == "inputs" and isinstance(node, MixNode):
        return
    ports: tuple[str, ...] = getattr(node, way)
    if port not in ports:
        raise ParameterError(f'"{name}" has no port "{port}".', hint=did_you_mean(port, ports))


def _is_path(source: str | Path) -> bool:
    if isinstance(source, Path):
        return True
    if not isinstance(source, str):
        raise ParameterError(f"must be text or the path of a file, not {shorten(source)}.")
    return "\n" not in source and not source.lstrip("\ufeff \t").startswith(("{", "["))


def _spec(entry: _Entry, field: str) -> dict[str, object]:
    if entry.spec is not None:
        return entry.spec.model_dump(mode="json", exclude_unset=True)
    node = entry.node
    spec: dict[str, object] = {"id": entry.id}
    if isinstance(node, BuiltinNode):
        spec["node_type"] = node.node_type
        params = {k: v for k, v in node.arguments.items() if k not in _BESIDE}
        spec["params"] = {k: str(v) if isinstance(v, Path) else v for k, v in params.items()}
    else:
        spec["node_type"] = "PythonNode"
        spec["params"] = _python_params(node, field)
    spec["runtime_hint"] = node.runtime_hint
    if node.isolation != "thread":
        spec["isolation"] = node.isolation
    return {name: value for name, value in spec.items() if value not in ({}, "auto")}


def _python_params(node: Node, field: str) -> dict[str, object]:
    named = node.function if isinstance(node, FunctionNode) else type(node)
    if "<locals>" in named.__qualname__:
        raise ManifestError(
            f"{named.__qualname__} is defined inside a function and cannot be imported.",
            field=field,
            hint="Define it at the top of a module.",
        )
    params: dict[str, object] = {"entry": _importable(named.__module__, named.__qualname__)}
    for name in ("input_rate", "input_channels", "output_rate", "output_channels"):
        value = getattr(node, name)
        if value is not None:
            params[name] = value
    if not isinstance(node, FunctionNode) and node.arguments:
        params["params"] = dict(node.arguments)
    return params


def _importable(module: str, name: str) -> str:
    if module == "__main__":
        import __main__

        module = getattr(__main__, "__file__", None) or module
    return f"{module}:{name}"
