"""Resolved manifests in few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

DATA: Json = {"type": "data"}
SILERO: Json = {
    "engine": "silero",
    "threshold": 0.5,
    "negative_threshold": 0.35,
    "min_speech_ms": 250,
    "min_silence_ms": 100,
    "speech_pad_ms": 30,
    "emit": "all",
}
ENERGY: Json = {**SILERO, "engine": "energy", "threshold_db": -45.0}
LEVEL: Json = {"interval_ms": 50}
PYTHON: Json = {"entry": "e", "mailbox_frames": 50, "mailbox_ms": 1000}


def audio(rate: int = 16_000, channels: int = 1) -> Json:
    """A port of audio."""
    return {"type": "audio", "rate": rate, "channels": channels}


def anything(rate: int = 16_000, channels: int = 1) -> Json:
    """A port of a Python node."""
    return {"type": "any", "rate": rate, "channels": channels}


def node(
    node_id: str,
    kind: str,
    params: Json,
    inputs: Mapping[str, Json] | Json,
    outputs: Mapping[str, Json] | Json | None = None,
) -> Json:
    """A node; its ports by name, or the format of the one that is called in or out."""
    return {
        "id": node_id,
        "kind": kind,
        "runtime": "python" if kind == "python" else "native",
        "params": params,
        "inputs": _ports("in", inputs),
        "outputs": _ports("out", outputs or {}),
    }


def graph(sources: Mapping[str, Json], nodes: Sequence[Json], *edges: str) -> Json:
    """A manifest; edges as ``"a.out > b.in"``, a source as ``"$source.input"``."""
    return {
        "version": "resolved/1",
        "name": "parity",
        "sources": [{"id": name, "format": given} for name, given in sources.items()],
        "nodes": list(nodes),
        "edges": [_edge(each) for each in edges],
    }


def chain(source: Json, *nodes: Json) -> Json:
    """Nodes one after the other, from ``out`` to ``in``."""
    edges, before = [], "$source.input"
    for each in nodes:
        edges.append(f"{before} > {each['id']}.in")
        before = f"{each['id']}.out"
    return graph({"input": source}, nodes, *edges)


def _ports(name: str, given: Mapping[str, Json] | Json) -> list[Json]:
    ports = {name: given} if "type" in given else given
    return [{"port": port, "format": each} for port, each in ports.items()]


def _edge(text: str) -> Json:
    source, target = (end.strip().rsplit(".", 1) for end in text.split(">"))
    return {
        "from": {"node": source[0], "port": source[1]},
        "to": {"node": target[0], "port": target[1]},
    }
