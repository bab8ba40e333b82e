"""What the twin refuses, and where it says the fault lies."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia import errors
from remotemedia.errors import ManifestError
from remotemedia.twin import Run

from .graphs import DATA, ENERGY, PYTHON, VAD, anything, audio, chain, graph, node, start

MONO = audio()


def example() -> dict[str, Any]:
    return chain(
        MONO, node("vad", dict(ENERGY), MONO, MONO), node("level", {"interval_ms": 50}, MONO)
    )


def fault(manifest: dict[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(ManifestError) as caught:
        start(manifest)
    return caught.value.code, caught.value.field


Edit = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("edit", "code", "field"),
    [
        (lambda m: m.update(version="v1"), errors.INVALID_MANIFEST, "version"),
        (lambda m: m.update(extra=1), errors.INVALID_MANIFEST, "extra"),
        (lambda m: m.update(name=""), errors.INVALID_MANIFEST, "name"),
        (lambda m: m.update(name="a$"), errors.INVALID_MANIFEST, "name"),
        (lambda m: m.pop("edges"), errors.INVALID_MANIFEST, "edges"),
        (lambda m: m.update(nodes=[]), errors.INVALID_MANIFEST, "nodes"),
        (lambda m: m.update(nodes=m["nodes"] * 200), errors.INVALID_MANIFEST, "nodes"),
        (lambda m: m.update(sources={}), errors.INVALID_MANIFEST, "sources"),
        (lambda m: m["nodes"][1].update(id="vad"), errors.INVALID_MANIFEST, "nodes[1].id"),
        (lambda m: m["nodes"][0].update(id="x" * 65), errors.INVALID_MANIFEST, "nodes[0].id"),
        (lambda m: m["nodes"][0].update(id=3), errors.INVALID_MANIFEST, "nodes[0].id"),
        (lambda m: m["nodes"].append(7), errors.INVALID_MANIFEST, "nodes[2]"),
        (lambda m: m["nodes"][0].update(inputs=[]), errors.INVALID_MANIFEST, "nodes[0].inputs"),
        (
            lambda m: m["nodes"][0].update(inputs=m["nodes"][0]["inputs"] * 2),
            errors.INVALID_MANIFEST,
            "nodes[0].inputs[1].port",
        ),
        (
            lambda m: m["nodes"][0]["inputs"][0]["format"].update(rate=100),
            errors.INVALID_MANIFEST,
            "nodes[0].inputs[0].format.rate",
        ),
        (
            lambda m: m["nodes"][0]["inputs"][0]["format"].update(type="video"),
            errors.INVALID_MANIFEST,
            "nodes[0].inputs[0].format.type",
        ),
        (
            lambda m: m["sources"][0]["format"].update(channels=True),
            errors.INVALID_MANIFEST,
            "sources[0].format.channels",
        ),
        (
            lambda m: m["sources"][0].update(format={**DATA, "rate": 16_000}),
            errors.INVALID_MANIFEST,
            "sources[0].format.rate",
        ),
        (lambda m: m["nodes"][0].update(kind="asr"), errors.UNKNOWN_NODE_TYPE, "nodes[0].kind"),
        (
            lambda m: m["nodes"][0].update(runtime="python"),
            errors.INVALID_MANIFEST,
            "nodes[0].runtime",
        ),
        (
            lambda m: m["nodes"][0].update(runtime="gpu"),
            errors.INVALID_MANIFEST,
            "nodes[0].runtime",
        ),
        (
            lambda m: m["nodes"][0]["params"].update(threshold=1.5),
            errors.INVALID_PARAMETER,
            "nodes[0].params.threshold",
        ),
        (
            lambda m: m["nodes"][0]["params"].pop("emit"),
            errors.INVALID_PARAMETER,
            "nodes[0].params.emit",
        ),
        (
            lambda m: m["nodes"][0]["params"].update(tresh=1),
            errors.INVALID_PARAMETER,
            "nodes[0].params.tresh",
        ),
        (
            lambda m: m["nodes"][0]["params"].update(negative_threshold=0.9),
            errors.INVALID_PARAMETER,
            "nodes[0].params.negative_threshold",
        ),
        (
            lambda m: m["nodes"][1]["params"].update(interval_ms=50.0),
            errors.INVALID_PARAMETER,
            "nodes[1].params.interval_ms",
        ),
        (lambda m: m["nodes"][1].update(params=[]), errors.INVALID_PARAMETER, "nodes[1].params"),
        (
            lambda m: m["edges"][1]["from"].update(node="asr"),
            errors.INVALID_MANIFEST,
            "edges[1].from.node",
        ),
        (
            lambda m: m["edges"][1]["from"].update(port="left"),
            errors.PORT_MISMATCH,
            "edges[1].from.port",
        ),
        (
            lambda m: m["edges"][0]["from"].update(port="mic"),
            errors.PORT_MISMATCH,
            "edges[0].from.port",
        ),
        (lambda m: m["edges"].append(m["edges"][0]), errors.PORT_MISMATCH, "edges[2].to.port"),
        (lambda m: m["edges"].pop(), errors.INVALID_MANIFEST, "nodes[1].inputs[0]"),
        (lambda m: m["sources"][0].update(format=audio(48_000)), errors.PORT_MISMATCH, "edges[0]"),
        (lambda m: m["sources"][0].update(format=DATA), errors.PORT_MISMATCH, "edges[0]"),
        (
            lambda m: m["nodes"][0]["outputs"][0].update(format=audio(48_000)),
            errors.PORT_MISMATCH,
            "edges[1]",
        ),
    ],
)
def test_the_field_at_fault_is_named(edit: Edit, code: str, field: str) -> None:
    manifest = example()
    edit(manifest)
    assert fault(manifest) == (code, field)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (node("vad", dict(VAD), audio(48_000)), "nodes[0].inputs[0].format"),
        (node("vad", dict(ENERGY), audio(16_000, 2)), "nodes[0].inputs[0].format"),
        (node("level", {"interval_ms": 50}, anything()), "nodes[0].inputs[0].format"),
        (node("gain", {"gain_db": 0.0}, MONO, audio(48_000)), "nodes[0].outputs[0].format"),
        (node("gain", {"gain_db": 0.0}, MONO), "nodes[0].outputs"),
        (
            node("resample", {"quality": "low"}, MONO, audio(48_000, 2)),
            "nodes[0].outputs[0].format",
        ),
        (node("format", {}, audio(16_000, 2), audio(16_000, 4)), "nodes[0].outputs[0].format"),
        (node("format", {}, MONO, audio(48_000, 2)), "nodes[0].outputs[0].format"),
        (node("split", {}, audio(16_000, 2), MONO), "nodes[0].outputs"),
        (node("split", {}, MONO, audio(48_000)), "nodes[0].outputs[0].format"),
        (node("pass_through", {}, MONO, audio(48_000)), "nodes[0].outputs[0].format"),
        (node("text", {"operation": "strip"}, DATA, MONO), "nodes[0].outputs[0].format"),
        (node("gain", {"gain_db": 61}, MONO, MONO), "nodes[0].params.gain_db"),
        (node("gain", {"gain_db": True}, MONO, MONO), "nodes[0].params.gain_db"),
        (
            node("buffer", {"duration_ms": 100, "overlap_ms": 100}, MONO, MONO),
            "nodes[0].params.overlap_ms",
        ),
        (node("mix", {"gains_db": [0.0]}, MONO, MONO), "nodes[0].inputs"),
        (node("text", {"operation": "shout"}, DATA), "nodes[0].params.operation"),
        (
            node("calculator", {"operation": "add", "operand": "1"}, DATA),
            "nodes[0].params.operand",
        ),
        (node("pass_through", {"x": 1}, MONO, MONO), "nodes[0].params.x"),
        (node("python", {**PYTHON, "entry": ""}, anything()), "nodes[0].params.entry"),
        (node("python", {**PYTHON, "mailbox_ms": 1}, anything()), "nodes[0].params.mailbox_ms"),
    ],
)
def test_a_kind_checks_its_ports_and_parameters(wrong: dict[str, Any], field: str) -> None:
    manifest = chain(wrong["inputs"][0]["format"], wrong)
    assert fault(manifest)[1] == field


@pytest.mark.parametrize(
    ("ports", "gains", "field"),
    [
        ([MONO, MONO], [0.0], "nodes[0].params.gains_db"),
        ([MONO, MONO], [0.0, 99.0], "nodes[0].params.gains_db[1]"),
        ([MONO, audio(48_000)], [0.0, 0.0], "nodes[0].inputs[1].format"),
    ],
)
def test_a_mix_takes_one_format_and_a_gain_each(
    ports: list[dict[str, Any]], gains: list[float], field: str
) -> None:
    mix = node("mix", {"gains_db": gains}, ports, MONO)
    sources = {"a": ports[0], "b": ports[1]}
    manifest = graph(sources, [mix], "$source.a > mix.in-1", "$source.b > mix.in-2")
    assert fault(manifest)[1] == field


def test_a_cycle_is_named() -> None:
    nodes = [
        node("mix", {"gains_db": [0.0, 0.0]}, [MONO, MONO], MONO),
        node("gain", {"gain_db": 0.0}, MONO, MONO),
    ]
    edges = ["$source.input > mix.in-1", "gain.out > mix.in-2", "mix.out > gain.in"]
    with pytest.raises(ManifestError, match="a cycle: mix -> gain -> mix") as caught:
        start(graph({"input": MONO}, nodes, *edges))
    assert (caught.value.code, caught.value.field) == (errors.GRAPH_CYCLE, "nodes[0]")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, '{"version":NaN}', '{"version":1,"version":2}', " " * (1 << 21)],
    ids=["nothing", "list", "half", "deep", "nan", "twice", "huge"],
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        Run(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(data=st.data(), value=json_values)
def test_any_change_is_taken_or_refused_with_a_path(data: st.DataObject, value: object) -> None:
    manifest = example()
    at: Any = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = value
            break
        at = at[key]
    with contextlib.suppress(_NamedError):
        _run(manifest)


class _NamedError(Exception):
    """A refusal that names the field."""


def _run(manifest: dict[str, Any]) -> None:
    try:
        Run(json.dumps(manifest))
    except ManifestError as error:
        if error.field:
            raise _NamedError from None
        raise
