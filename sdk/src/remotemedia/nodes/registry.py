"""Every node type by its name in a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from remotemedia import _parameters
from remotemedia._suggest import did_you_mean
from remotemedia.base import BuiltinNode
from remotemedia.errors import (
    INVALID_PARAMETER,
    UNKNOWN_NODE_TYPE,
    ManifestError,
    NotInThisVersion,
    ParameterError,
)
from remotemedia.nodes.audio import (
    AudioBufferNode,
    AudioResampleNode,
    FormatConverterNode,
    GainNode,
    LevelMeterNode,
    PassThroughNode,
    VADNode,
)
from remotemedia.nodes.data import CalculatorNode, TextNode
from remotemedia.nodes.endpoints import AudioSink, AudioSource
from remotemedia.nodes.files import FileReaderNode, FileWriterNode
from remotemedia.nodes.python import PythonNode
from remotemedia.nodes.routing import ChannelSplitNode, MixNode

NODE_TYPES: Mapping[str, type[BuiltinNode]] = {
    cls.__name__: cls
    for cls in (
        AudioBufferNode,
        AudioResampleNode,
        AudioSink,
        AudioSource,
        CalculatorNode,
        ChannelSplitNode,
        FileReaderNode,
        FileWriterNode,
        FormatConverterNode,
        GainNode,
        LevelMeterNode,
        MixNode,
        PassThroughNode,
        PythonNode,
        TextNode,
        VADNode,
    )
}
"""The node types of this version."""

LATER = frozenset({"RemotePipelineNode"})
"""Names that are taken for later versions."""


@dataclass(frozen=True)
class ParameterInfo:
    """One parameter of a node type, for people."""

    name: str
    type: str
    default: str
    description: str
    live: bool
    """True when a client may change it while a session runs."""


def find(node_type: str, field: str = "node_type") -> type[BuiltinNode]:
    """Give a node type by its name, with or without ``Node`` at the end.

    Raises:
        ManifestError: there is none; the text has the nearest.
        NotInThisVersion: it belongs to a later version.
    """
    names = (node_type, f"{node_type}Node")
    for name in names:
        if name in NODE_TYPES:
            return NODE_TYPES[name]
    for name in names:
        if name in LATER:
            raise NotInThisVersion(f"{name} is not in this version.", field=field)
    raise ManifestError(
        f'there is no node type "{node_type}".',
        code=UNKNOWN_NODE_TYPE,
        field=field,
        hint=did_you_mean(node_type, NODE_TYPES),
    )


def build(
    node_type: str, params: Mapping[str, object], field: str, **common: object
) -> BuiltinNode:
    """Make a node from a manifest's entry.

    Args:
        node_type: the type's name.
        params: its parameters.
        field: path of the entry, such as ``nodes[2]``.
        common: arguments that stand beside ``params`` in a manifest, where the type takes them.

    Raises:
        ManifestError: with the path of each wrong parameter.
        NotInThisVersion: it belongs to a later version.
    """
    cls = find(node_type, f"{field}.node_type")
    known = _parameters.signature(cls).parameters
    beside = {name: value for name, value in common.items() if name in known}
    if common.get("isolation") == "process" and "isolation" not in known:
        raise ManifestError(
            f"{cls.__name__} is no node of one's own: only those have a process of their own.",
            code=INVALID_PARAMETER,
            field=f"{field}.isolation",
        )
    try:
        return cls(**{**beside, **params})
    except ParameterError as error:
        raise ManifestError.of(
            [
                replace(problem, field=_inside(field, problem.field, beside, params))
                for problem in error.problems
            ]
        ) from error.__cause__


def _inside(
    field: str, name: str, beside: Mapping[str, object], params: Mapping[str, object]
) -> str:
    if name == "$":
        return f"{field}.params"
    if name in beside and name not in params:
        return f"{field}.{name}"
    return f"{field}.params.{name}"


def parameters(cls: type[BuiltinNode]) -> list[ParameterInfo]:
    """List the parameters of a node type as its signature has them."""
    docs = _parameters.descriptions(cls)
    schema = _parameters.model(cls).model_json_schema()["properties"]
    return [
        ParameterInfo(
            name=name,
            type=_type_text(schema[name]),
            default="required" if p.default is p.empty else repr(p.default),
            description=docs.get(name, ""),
            live=name in cls.live_parameters,
        )
        for name, p in _parameters.signature(cls).parameters.items()
    ]


def _type_text(schema: Mapping[str, object]) -> str:
    options = schema.get("anyOf")
    if isinstance(options, list):
        texts = [_type_text(each) for each in options if each != {"type": "null"}]
        return " | ".join(dict.fromkeys(texts))
    values = schema.get("enum")
    if isinstance(values, list):
        return " | ".join(f'"{value}"' for value in values)
    items = schema.get("items")
    if isinstance(items, dict):
        return f"list of {_type_text(items)}"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" {low}..{high}" if low is not None and high is not None else ""
    return f"{schema.get('type', 'any')}{bounds}"
