"""Manifests: what is accepted, what comes back, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia import ManifestError, NotInThisVersion, Pipeline
from remotemedia.manifest import dump_yaml, load, load_file, load_json, load_yaml
from remotemedia.manifest.schema import manifest_schema, schema_text
from remotemedia.nodes.registry import NODE_TYPES

ROOT = Path(__file__).resolve().parents[2]

FIRST = {
    "version": "v1",
    "metadata": {
        "name": "Whisper_With_Capabilities",
        "description": "of version 0.1",
        "created_at": "2025-10-22T12:00:00Z",
        "author": {"name": "somebody"},
    },
    "nodes": [
        {
            "id": "audio-input",
            "node_type": "PassThrough",
            "params": {},
            "is_streaming": True,
            "runtime_hint": "cpython",
        },
        {
            "id": "vad_1",
            "node_type": "VADNode",
            "params": {"threshold": 0.4},
            "execution": {"placement": "remote", "reason": "requires_threads", "extra": 1},
            "capabilities": {
                "memory_gb": 0.5,
                "cpu": {"cores": 4},
                "gpu": {"type": "cuda", "min_memory_gb": 4.0, "required": False},
            },
            "retry": {"max": 3},
        },
    ],
    "connections": [{"from": "audio-input", "to": "vad_1"}],
}
"""Everything that manifests of version 0.1 have."""


def test_manifests_of_the_first_version_load():
    manifest = load(FIRST)
    assert manifest.metadata.model_extra == {
        "created_at": "2025-10-22T12:00:00Z",
        "author": {"name": "somebody"},
    }
    assert manifest.nodes[0].runtime_hint == "python"
    assert manifest.nodes[1].capabilities.gpu.min_memory_gb == 4.0
    assert manifest.nodes[1].execution.placement == "remote"


def test_yaml_and_json_say_the_same():
    manifest = load(FIRST)
    assert load_yaml(dump_yaml(manifest)) == manifest
    assert load_json(json.dumps(manifest.to_dict())) == manifest
    assert load_yaml(json.dumps(manifest.to_dict())) == manifest


def one(**changes):
    return {"version": "v1", "nodes": [{"id": "a", "node_type": "VADNode", **changes}]}


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({}, "nodes", "is missing"),
        ({"nodes": []}, "nodes", "at least 1"),
        ({**one(), "version": "v2"}, "version", "'v1'"),
        ({**one(), "node": []}, "node", 'Did you mean "nodes"?'),
        (one(parms={}), "nodes[0].parms", 'Did you mean "params"?'),
        (one(id=""), "nodes[0].id", "not allowed"),
        (one(id="a.b"), "nodes[0].id", "not allowed"),
        (one(id="x" * 65), "nodes[0].id", "at most 64"),
        (one(runtime_hint="rusty"), "nodes[0].runtime_hint", 'Did you mean "rust"?'),
        (one(capabilities={"memory": 1}), "nodes[0].capabilities.memory", 'mean "memory_gb"?'),
        (one(capabilities={"gpu": {"kind": 1}}), "nodes[0].capabilities.gpu.kind", "no field"),
        (one(capabilities={"gpu": {"type": "cda"}}), "nodes[0].capabilities.gpu.type", '"cuda"?'),
        (one(params=[]), "nodes[0].params", "dictionary"),
        ({**one(), "connections": [{"from": "a"}]}, "connections[0].to", "is missing"),
        ({**one(), "connections": [{"from": "a", "to": "b", "x": 1}]}, "connections[0].x", "field"),
        ({**one(), "metadata": {"name": "a/b"}}, "metadata.name", "not allowed"),
        ({**one(), "metadata": {"name": "é" * 40}}, "metadata.name", "at most 64 bytes"),
    ],
)
def test_a_wrong_manifest_is_told_where(data, field, words):
    with pytest.raises(ManifestError) as caught:
        load(data)
    assert caught.value.field == field
    assert words in str(caught.value)
    assert caught.value.code == "RM-1001"


@pytest.mark.parametrize(
    ("changes", "field", "code", "words"),
    [
        ({"node_type": "VDNode"}, "node_type", "RM-1002", 'Did you mean "VADNode"?'),
        ({"node_type": "zzz"}, "node_type", "RM-1002", "Known: AudioBufferNode"),
        ({"params": {"treshold": 1}}, "params.treshold", "RM-1003", '"threshold"?'),
        ({"params": {"threshold": 2}}, "params.threshold", "RM-1003", "less than or equal"),
        ({"params": {"threshold": "0.5"}}, "params.threshold", "RM-1003", "valid number"),
        ({"params": {"engine": "silver"}}, "params.engine", "RM-1003", '"silero"?'),
        (
            {"params": {"threshold": 0.2, "negative_threshold": 0.4}},
            "params.negative_threshold",
            "RM-1003",
            "above threshold",
        ),
        ({"params": {"threshold_db": -40}}, "params.threshold_db", "RM-1003", "energy"),
        (
            {"node_type": "AudioResampleNode"},
            "params.output_rate",
            "RM-1003",
            "output_rate=16000",
        ),
        (
            {
                "node_type": "AudioResample",
                "params": {"output_rate": 16000, "target_sample_rate": 8000},
            },
            "params.target_sample_rate",
            "RM-1003",
            "same thing",
        ),
        ({"node_type": "PythonNode"}, "params.entry", "RM-1003", "missing"),
    ],
)
def test_a_wrong_node_is_told_where(changes, field, code, words):
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_dict(one(**changes))
    assert (caught.value.field, caught.value.code) == (f"nodes[0].{field}", code)
    assert words in str(caught.value)


def test_every_problem_is_told_at_once():
    data = one()
    data["nodes"] += [{"id": "b", "node_type": "Nope"}, {"id": "c", "node_type": "VAD"}]
    data["nodes"][2]["params"] = {"emit": "none", "engine": 1}
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_dict(data)
    assert [each.field for each in caught.value.problems] == [
        "nodes[1].node_type",
        "nodes[2].params.engine",
        "nodes[2].params.emit",
    ]


def test_remote_pipelines_come_later():
    with pytest.raises(NotInThisVersion) as caught:
        Pipeline.from_dict(one(node_type="RemotePipelineNode"))
    assert (caught.value.field, caught.value.code) == ("nodes[0].node_type", "RM-4003")


def test_a_node_on_another_machine_is_read_but_cannot_run():
    pipeline = Pipeline.from_dict(one(host="webrtc://gpu-1:8080/asr"))
    assert pipeline.serialize()["nodes"][0]["host"] == "webrtc://gpu-1:8080/asr"
    with pytest.raises(NotInThisVersion) as caught:
        pipeline.plan()
    assert (caught.value.field, caught.value.code) == ("nodes[0].host", "RM-4003")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "must be an object"),
        ("a: [", "is not YAML"),
        ("a: 1\na: 2", '"a" occurs twice (line 2'),
        ("a: &x [1]\nb: *x", "aliases are not allowed"),
        ("!!python/object:os.system {}", "is not YAML"),
        ("\0", "is not YAML"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("x" * ((1 << 20) + 1), "longer than"),
    ],
)
def test_yaml_that_is_none(text, words):
    with pytest.raises(ManifestError) as caught:
        load_yaml(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ('{"a": 1, "a": 2}', '"a" occurs twice'),
        ("[" * 100_000, "is nested too deeply"),
        ("3", "must be an object"),
    ],
)
def test_json_that_is_none(text, words):
    with pytest.raises(ManifestError) as caught:
        load_json(text)
    assert words in str(caught.value)


def test_files_say_which_they_are(tmp_path):
    missing = tmp_path / "none.yaml"
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"nodes": [{"id": "a", "node_type": "VAD", "params": {"x": 1}}]}')
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, words in ((missing, "No such file"), (wrong, 'no parameter "x"'), (binary, "UTF-8")):
        with pytest.raises(ManifestError) as caught:
            Pipeline.from_file(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert words in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "pipelines").glob("*.yaml")), ids=str)
def test_the_pipelines_of_the_repository_run(path):
    assert load_file(path).metadata.name == path.stem
    assert Pipeline.from_file(path).plan().name == path.stem


def test_the_schema_file_is_that_of_the_models():
    path = ROOT / "configs" / "schema" / "manifest.schema.json"
    assert path.read_text() == schema_text(), "python -m remotemedia.manifest.schema > " + str(path)


def test_the_schema_knows_what_the_models_know():
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(FIRST | {"nodes": FIRST["nodes"][1:]})
    assert validator.is_valid(one(params={"engine": "energy"}))
    assert not validator.is_valid(one(params={"engine": "other"}))
    assert not validator.is_valid(one(node_type="VAD", params={"treshold": 0.5}))
    assert not validator.is_valid(one(extra=1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
IDS = st.text("abcXYZ019_-", min_size=1, max_size=12)
PARAMETERS = {
    "PassThroughNode": st.just({}),
    "FormatConverterNode": st.fixed_dictionaries(
        {}, optional={"output_channels": st.integers(1, 8)}
    ),
    "AudioResampleNode": st.fixed_dictionaries(
        {"output_rate": st.sampled_from([8000, 16000, 44100, 48000])},
        optional={"quality": st.sampled_from(["low", "medium", "high"])},
    ),
    "LevelMeterNode": st.fixed_dictionaries({}, optional={"interval_ms": st.integers(10, 10_000)}),
    "VADNode": st.fixed_dictionaries(
        {},
        optional={
            "engine": st.sampled_from(["silero", "energy"]),
            "threshold": st.floats(0.5, 1.0),
            "negative_threshold": st.floats(0.0, 0.5),
            "min_speech_ms": st.integers(0, 60_000),
        },
    ),
}


@st.composite
def manifests(draw):
    ids = draw(st.lists(IDS, min_size=1, max_size=6, unique=True))
    nodes = []
    for name in ids:
        kind = draw(st.sampled_from(sorted(PARAMETERS)))
        nodes.append({"id": name, "node_type": kind, "params": draw(PARAMETERS[kind])})
    connections = [
        {"from": ids[draw(st.integers(0, index - 1))], "to": ids[index]}
        for index in range(1, len(ids))
        if draw(st.booleans())
    ]
    data = {"version": "v1", "metadata": {"name": draw(IDS)}, "nodes": nodes}
    return data | draw(st.sampled_from([{}, {"connections": connections}]))


@given(manifests())
def test_sound_manifests_round_trip(data):
    pipeline = Pipeline.from_dict(data)
    again = Pipeline.from_yaml(pipeline.to_yaml())
    assert again.serialize() == pipeline.serialize()
    assert load(data) == pipeline.manifest()


def audio(port_format):
    return port_format["rate"], port_format["channels"]


@given(manifests())
def test_sound_manifests_are_planned_without_gaps_or_refused_in_words(data):
    try:
        resolved = Pipeline.from_dict(data).resolve()
    except ManifestError as error:
        refused = error.message
    else:
        refused = None
    if refused is not None:
        assert "cannot become" in refused
        return
    given_by = {each["id"]: audio(each["outputs"][0]["format"]) for each in resolved["nodes"]}
    given_by["$source"] = audio(resolved["sources"][0]["format"])
    takes = {each["id"]: audio(each["inputs"][0]["format"]) for each in resolved["nodes"]}
    assert {each["to"]["node"] for each in resolved["edges"]} == takes.keys()
    seen = {"$source"}
    for edge in resolved["edges"]:
        assert given_by[edge["from"]["node"]] == takes[edge["to"]["node"]]
        assert edge["from"]["node"] in seen
        seen.add(edge["to"]["node"])
    assert all(len(each["id"].encode()) <= 64 for each in resolved["nodes"])


def refusal(call, *args):
    try:
        call(*args)
    except (ManifestError, NotInThisVersion) as error:
        return error
    return None


@given(JSON)
def test_no_data_breaks_the_loader(data):
    whole = data if isinstance(data, dict) else {"nodes": data, "metadata": data}
    assert str(refusal(Pipeline.from_dict, whole))


@given(st.sampled_from(sorted(NODE_TYPES)), st.dictionaries(st.text(max_size=12), JSON, max_size=4))
def test_no_parameters_break_a_node(name, params):
    data = {"nodes": [{"id": "a", "node_type": name, "params": params}]}
    error = refusal(Pipeline.from_dict, data)
    assert error is None or error.field.startswith("nodes[0]")


@given(st.text(max_size=200))
def test_no_text_breaks_the_readers(text):
    for read in (load_yaml, load_json):
        assert str(refusal(read, text))
