"""Resolved manifests in few words, and a driver for runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from remotemedia.twin import LaneItem, Run, RunOutput

DATA: dict[str, Any] = {"type": "data"}
VAD: dict[str, Any] = {
    "engine": "silero",
    "threshold": 0.5,
    "negative_threshold": 0.35,
    "min_speech_ms": 250,
    "min_silence_ms": 100,
    "speech_pad_ms": 30,
    "emit": "all",
}
ENERGY: dict[str, Any] = {**VAD, "engine": "energy", "threshold_db": -45.0}
PYTHON: dict[str, Any] = {"entry": "e", "mailbox_frames": 50, "mailbox_ms": 1000}


def audio(rate: int = 16_000, channels: int = 1) -> dict[str, Any]:
    return {"type": "audio", "rate": rate, "channels": channels}


def anything(rate: int = 16_000, channels: int = 1) -> dict[str, Any]:
    return {"type": "any", "rate": rate, "channels": channels}


def node(
    kind: str,
    params: dict[str, Any],
    inputs: dict[str, Any] | Sequence[dict[str, Any]],
    outputs: dict[str, Any] | Sequence[dict[str, Any]] = (),
    node_id: str | None = None,
    outs: Sequence[str] | None = None,
) -> dict[str, Any]:
    taken = [inputs] if isinstance(inputs, dict) else list(inputs)
    given = [outputs] if isinstance(outputs, dict) else list(outputs)
    ins = ["in"] if len(taken) == 1 else [f"in-{i + 1}" for i in range(len(taken))]
    outs = outs or (["out"] if len(given) == 1 else [f"ch-{i + 1}" for i in range(len(given))])
    return {
        "id": node_id or kind,
        "kind": kind,
        "runtime": "python" if kind == "python" else "native",
        "params": params,
        "inputs": [{"port": p, "format": f} for p, f in zip(ins, taken, strict=True)],
        "outputs": [{"port": p, "format": f} for p, f in zip(outs, given, strict=True)],
    }


def graph(
    sources: dict[str, dict[str, Any]], nodes: list[dict[str, Any]], *edges: str
) -> dict[str, Any]:
    """Edges as ``"a.out > b.in"``; a source is ``"$source.input"``."""
    ends = []
    for edge in edges:
        pair = [end.strip().rsplit(".", 1) for end in edge.split(">")]
        refs = [{"node": each[0], "port": each[1]} for each in pair]
        ends.append({"from": refs[0], "to": refs[1]})
    manifest = {
        "version": "resolved/1",
        "name": "test",
        "sources": [{"id": name, "format": format_} for name, format_ in sources.items()],
        "nodes": nodes,
        "edges": ends,
    }
    copied: dict[str, Any] = json.loads(json.dumps(manifest))  # nothing in it is shared
    return copied


def chain(source: dict[str, Any], *nodes: dict[str, Any]) -> dict[str, Any]:
    edges, before = [], "$source.input"
    for each in nodes:
        edges.append(f"{before} > {each['id']}.in")
        before = f"{each['id']}.out"
    return graph({"input": source}, list(nodes), *edges)


def start(manifest: dict[str, Any], **options: Any) -> Run:
    return Run(json.dumps(manifest), **options)


def tone(seconds: float, rate: int = 16_000, hz: float = 440.0) -> NDArray[np.float32]:
    at = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def noise(count: int, seed: int = 1, channels: int | None = None) -> NDArray[np.float32]:
    shape = count if channels is None else (channels, count)
    return (np.random.default_rng(seed).standard_normal(shape) * 0.1).astype(np.float32)


def run(
    manifest: dict[str, Any],
    samples: NDArray[np.float32],
    chunk: int | None = None,
    node_of: Callable[[LaneItem], Any] | None = None,
) -> list[RunOutput]:
    """Push all samples, in chunks, and end; `node_of` stands for the Python nodes."""
    made = start(manifest)
    outputs = []
    length = samples.shape[-1]
    for at in range(0, length, chunk or max(length, 1)):
        piece = samples[..., at : at + (chunk or length)]
        made.push_audio("input", np.ascontiguousarray(piece))
        outputs += made.poll()
        if node_of is not None:
            outputs += work(made, node_of)
    made.end()
    outputs += made.poll()
    if node_of is not None:
        outputs += work(made, node_of)
    return outputs


def work(made: Run, node_of: Callable[[LaneItem], Any]) -> list[RunOutput]:
    """Let the Python nodes do what is there."""
    outputs = []
    while items := made.take_work(16):
        made.complete([(item.token, node_of(item)) for item in items])
        outputs += made.poll()
    return outputs


def values(manifest: dict[str, Any], *given: object) -> list[RunOutput]:
    """Push values and end."""
    made = start(manifest)
    for each in given:
        made.push_data("input", each)
    made.end()
    return made.poll()


def heard(outputs: Sequence[RunOutput], port: str | None = None) -> NDArray[np.float32]:
    """All audio in one."""
    parts = [o.samples for o in outputs if o.samples is not None and port in {None, o.port}]
    return np.concatenate(parts, axis=-1) if parts else np.zeros(0, np.float32)


def events(outputs: Sequence[RunOutput], kind: str | None = None) -> list[dict[str, Any]]:
    return [dict(o.message) for o in outputs if o.message and kind in {None, o.message["type"]}]


def data(outputs: Sequence[RunOutput], kind: str = "node") -> list[Any]:
    return [message["data"] for message in events(outputs, kind)]
