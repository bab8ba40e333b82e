"""Graphs of every shape: what is planned is what the runtimes take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia import ManifestError, Pipeline
from remotemedia.runtime import unavailable
from remotemedia.twin import Run

AUDIO = {
    "GainNode": st.just({}),
    "PassThroughNode": st.just({}),
    "LevelMeterNode": st.fixed_dictionaries({}, optional={"input_rate": st.just(24000)}),
    "AudioBufferNode": st.just({"duration_ms": 100, "overlap_ms": 20}),
    "VADNode": st.just({"engine": "energy"}),
    "AudioResampleNode": st.fixed_dictionaries({"output_rate": st.sampled_from([8000, 48000])}),
    "FormatConverterNode": st.fixed_dictionaries({"output_channels": st.integers(1, 2)}),
    "ChannelSplitNode": st.fixed_dictionaries({"channels": st.integers(1, 3)}),
    "AudioSink": st.just({}),
    "FileWriterNode": st.just({"path": "x.wav"}),
}
VALUES = {
    "TextNode": st.just({"operation": "strip"}),
    "CalculatorNode": st.just({"operand": 2}),
}
SOURCES = {
    "AudioSource": st.fixed_dictionaries({}, optional={"rate": st.sampled_from([16000, 44100])}),
    "FileReaderNode": st.just({"path": "a.wav", "channels": 1}),
}


def outputs(kind, params):
    """Give the outputs of a node and their type."""
    if kind == "ChannelSplitNode":
        count = params["channels"]
        names = ["left", "right"] if count == 2 else [f"ch-{i + 1}" for i in range(count)]
        return [(f".{name}", "audio") for name in names]
    if kind == "AudioSink":
        return []
    return [("", "values" if kind in VALUES or kind == "FileWriterNode" else "audio")]


@st.composite
def graphs(draw):
    nodes, connections, free, idle = [], [], [], set()
    kinds = draw(st.lists(st.sampled_from(sorted(SOURCES)), max_size=3))
    kinds += draw(st.lists(st.sampled_from([*AUDIO, *VALUES, "MixNode"]), min_size=1, max_size=8))
    for index, kind in enumerate(kinds):
        name = f"n{index}"
        known = {**AUDIO, **VALUES, **SOURCES}
        params = draw(known[kind]) if kind in known else {}
        wanted = "values" if kind in VALUES else "audio"
        fitting = [port for port, type_ in free if type_ == wanted]
        if kind == "MixNode":
            if len(fitting) < 2:
                continue
            feeding = draw(st.lists(st.sampled_from(fitting), min_size=2, max_size=4, unique=True))
        elif kind in SOURCES or not fitting:
            feeding = []
        else:
            feeding = [draw(st.sampled_from(fitting))]
        tracks = sum(each["node_type"] == "AudioSource" for each in nodes)
        if kind not in SOURCES and not feeding and wanted == "audio" and tracks > 1:
            continue
        nodes.append({"id": name, "node_type": kind, "params": params})
        connections += [{"from": each, "to": name} for each in feeding]
        idle -= {each.partition(".")[0] for each in feeding}
        idle |= {name} if kind in SOURCES else set()
        free += [(name + port, type_) for port, type_ in outputs(kind, params)]
    nodes = [each for each in nodes if each["id"] not in idle]
    if not any(each["node_type"] not in SOURCES for each in nodes):
        nodes = [{"id": "n", "node_type": "GainNode"}]
    # What is fed by what is listed after it comes later all the same.
    return {"nodes": draw(st.permutations(nodes)), "connections": connections}


def planned(data):
    """Plan, unless channels would have to be guessed."""
    try:
        return Pipeline.from_dict(data).plan()
    except ManifestError as error:
        if "cannot become" in error.message:
            return None
        raise


@given(graphs())
def test_what_is_planned_is_taken(data):
    plan = planned(data)
    if plan is None:
        return
    Run(plan.resolved.to_json())
    native = unavailable("Run")[0]
    if native is not None:
        native.check_manifest(plan.resolved.to_json())


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_connections_changes_mixers_alone(data, random):
    mixers = {each["id"] for each in data["nodes"] if each["node_type"] == "MixNode"}
    shuffled = list(data["connections"])
    random.shuffle(shuffled)
    plan, other = planned(data), planned({**data, "connections": shuffled})
    assert (plan is None) == (other is None)
    if plan is not None and not mixers:
        assert [each.id for each in plan.resolved.nodes] == [
            each.id for each in other.resolved.nodes
        ]
        assert set(plan.resolved.edges) == set(other.resolved.edges)


@given(graphs())
def test_every_plan_can_be_drawn(data):
    if planned(data) is None:
        return
    drawn = Pipeline.from_dict(data).inspect()
    text, mermaid = drawn.text(), drawn.mermaid()
    for each in drawn.nodes:
        assert text.count(f"{each.id}  [") == (not each.source)
        assert f'"{each.id.removeprefix("$")}' in mermaid
    assert mermaid.count("-->") == len(drawn.edges)


@pytest.mark.parametrize("count", [200, 256])
def test_large_graphs_are_planned_quickly(count):
    nodes = [{"id": f"n{index}", "node_type": "GainNode"} for index in range(count)]
    assert len(Pipeline.from_dict({"nodes": nodes}).plan().resolved.nodes) == count
