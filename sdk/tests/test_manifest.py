"""Manifests: what is accepted, what comes back, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia import ManifestError, NotInThisVersion, ParameterError, Pipeline
from remotemedia.manifest import dump_yaml, load, load_file, load_json, load_yaml
from remotemedia.manifest.schema import main, manifest_schema, schema_text
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
    ("number", "words"),
    [
        ("1e400", "is inf, which is no number"),
        ("-1e400", "is -inf, which is no number"),
        ("NaN", "is nan, which is no number"),
        ("Infinity", "is inf, which is no number"),
        ("9" * 5000, "is an integer of more than 64 bits"),
        ("-" + "9" * 5000, "is an integer of more than 64 bits"),
    ],
)
def test_what_is_no_number_in_json_is_told_where(number, words):
    text = '{"nodes": [{"id": "a", "node_type": "GainNode", "params": {"gain_db": %s}}]}'
    with pytest.raises(ManifestError, match=words) as caught:
        Pipeline.from_json(text % number)
    assert caught.value.field == "nodes[0].params.gain_db"


def test_a_byte_order_mark_is_passed_over(tmp_path):
    text = '\ufeff{"nodes": [{"id": "a", "node_type": "GainNode"}]}'
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert [*Pipeline.from_json(text).nodes] == ["a"]
    assert [*Pipeline.from_file(tmp_path / "a.json").nodes] == ["a"]


@pytest.mark.parametrize(
    "name", ["a\x00", "a\nb", "a\x85b", "a\u202eb", "a\u200bb", "\ufeffa", "$a"]
)
def test_names_have_nothing_that_nobody_sees(name):
    with pytest.raises(ManifestError, match="not allowed here") as caught:
        Pipeline.from_dict(
            {"metadata": {"name": name}, "nodes": [{"id": "a", "node_type": "Gain"}]}
        )
    assert caught.value.field == "metadata.name"


def test_bytes_are_no_text():
    with pytest.raises(ManifestError, match="must be text or the path"):
        Pipeline.from_json(b"{}")


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({}, "nodes", "is missing"),
        ({"nodes": []}, "nodes", "has no nodes"),
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
        (
            {"node_type": "PythonNode", "params": {"entry": "a:b"}, "runtime_hint": "rust"},
            "runtime_hint",
            "RM-1003",
            "runs in Python",
        ),
        ({"isolation": "process"}, "isolation", "RM-1003", "no node of one's own"),
    ],
)
def test_a_wrong_node_is_told_where(changes, field, code, words):
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_dict(one(**changes)).plan()
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


def test_ids_that_do_not_fit():
    data = one()
    data["nodes"] += [{"id": "a", "node_type": "VAD"}, {"id": "ab", "node_type": "VAD"}]
    data["connections"] = [{"from": "ab", "to": "abc"}, {"from": "nobody", "to": "a"}]
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_dict(data).plan()
    assert [(each.field, each.hint) for each in caught.value.problems] == [
        ("nodes[1].id", None),
        ("connections[0].to", 'Did you mean "ab"?'),
        ("connections[1].from", "Known: a, ab."),
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
        ("a: [" + "1," * 500_000 + "]", "too many values"),
        ("a: 1" + ":59" * 300_000, "the number is too long"),
        ("a: !!float " + "9" * 300_000, "the number is too long"),
        ("? " * 300_000, "nested too deeply"),
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
    assert path.read_text() == schema_text(), "run make schema"


def test_the_schema_is_printed_or_written(tmp_path, capsys):
    main([])
    assert capsys.readouterr().out == schema_text()
    main([str(tmp_path / "manifest.json")])
    assert (tmp_path / "manifest.json").read_text() == schema_text()


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
RATES = st.sampled_from([8000, 16000, 44100, 48000])
HINT = st.sampled_from(["auto", "python"])


def some(**optional):
    return st.fixed_dictionaries({}, optional=optional)


PARAMETERS = {
    "AudioBufferNode": some(duration_ms=st.integers(100, 60_000), overlap_ms=st.integers(0, 99)),
    "AudioResampleNode": st.fixed_dictionaries(
        {"output_rate": RATES}, optional={"quality": st.sampled_from(["low", "medium", "high"])}
    ),
    "AudioSink": some(rate=RATES, channels=st.integers(1, 8)),
    "AudioSource": some(rate=RATES, channels=st.integers(1, 8), device=st.text(max_size=8)),
    "CalculatorNode": some(operation=st.sampled_from(["add", "power"]), operand=st.floats(-9, 9)),
    "ChannelSplitNode": some(channels=st.integers(1, 8)),
    "FileReaderNode": st.fixed_dictionaries({"path": st.text(min_size=1, max_size=8)}),
    "FileWriterNode": st.fixed_dictionaries(
        {"path": st.sampled_from(["a.wav", "ü {session}.mp3"])}
    ),
    "FormatConverterNode": some(output_channels=st.integers(1, 8)),
    "GainNode": some(gain_db=st.floats(-120, 60)),
    "LevelMeterNode": some(interval_ms=st.integers(10, 10_000)),
    "MixNode": some(gains_db=st.lists(st.floats(-120, 60), min_size=2, max_size=3), rate=RATES),
    "PassThroughNode": st.just({}),
    "TextNode": st.fixed_dictionaries({"operation": st.sampled_from(["words", "length"])}),
    "VADNode": some(
        engine=st.sampled_from(["silero", "energy"]),
        threshold=st.floats(0.5, 1.0),
        negative_threshold=st.floats(0.0, 0.5),
        min_speech_ms=st.integers(0, 60_000),
    ),
}
PORTS = st.sampled_from(["", "", "", ".in", ".out", ".left", ".ch-1", ".in-1", ".in-2"])


@st.composite
def manifests(draw):
    ids = draw(st.lists(IDS, min_size=1, max_size=6, unique=True))
    nodes = []
    for name in ids:
        kind = draw(st.sampled_from(sorted(PARAMETERS)))
        nodes.append({"id": name, "node_type": kind, "params": draw(PARAMETERS[kind])})
        nodes[-1] |= draw(some(runtime_hint=HINT, is_streaming=st.booleans()))
    connections = [
        {
            "from": ids[draw(st.integers(0, index - 1))] + draw(PORTS),
            "to": ids[index] + draw(PORTS),
        }
        for index in range(1, len(ids))
        for _ in range(draw(st.integers(0, 2)))
    ]
    texts = st.dictionaries(st.text(max_size=8).filter(lambda key: key not in META), JSON_VALUES)
    data = {
        "version": "v1",
        "metadata": {**draw(texts), "name": draw(IDS)},
        "nodes": nodes,
    }
    return data | draw(st.sampled_from([{}, {"connections": connections}]))


META = {"name", "description"}
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


def test_every_node_type_is_tried():
    assert PARAMETERS.keys() | {"PythonNode"} == NODE_TYPES.keys()


@given(manifests())
def test_sound_manifests_round_trip(data):
    pipeline = Pipeline.from_dict(data)
    for again in (Pipeline.from_yaml(pipeline.to_yaml()), Pipeline.from_json(pipeline.to_json())):
        assert again.serialize() == pipeline.serialize()
    assert load(data) == pipeline.manifest()


def carries(given, taken):
    if "data" in (given["type"], taken["type"]):
        return "audio" not in (given["type"], taken["type"])
    return given | {"type": ""} == taken | {"type": ""}


@given(manifests())
def test_sound_manifests_are_planned_without_gaps_or_refused_in_words(data):
    try:
        plan = Pipeline.from_dict(data).plan()
    except ManifestError as error:
        refused = [each for each in error.problems if not each.field.startswith(PATHS)]
    else:
        refused = None
    assert not refused
    if refused is not None:
        return
    resolved = plan.resolved.to_dict()
    given_by = {("$source", each["id"]): each["format"] for each in resolved["sources"]}
    takes = {}
    places = {"$source": -1}
    for place, each in enumerate(resolved["nodes"]):
        places[each["id"]] = place
        given_by |= {(each["id"], port["port"]): port["format"] for port in each["outputs"]}
        takes |= {(each["id"], port["port"]): port["format"] for port in each["inputs"]}
        assert len(each["id"].encode()) <= 64
        assert each["runtime"] == ("python" if each["kind"] == "python" else "native")
    fed = [(each["to"]["node"], each["to"]["port"]) for each in resolved["edges"]]
    assert sorted(fed) == sorted(takes)
    for edge in resolved["edges"]:
        source, target = ((edge[end]["node"], edge[end]["port"]) for end in ("from", "to"))
        assert carries(given_by[source], takes[target])
        assert places[source[0]] < places[target[0]]
    assert 1 <= len(resolved["sources"]) <= 16
    assert plan.runtimes.keys() | set(plan.inserted) == places.keys() - {"$source"}
    assert Pipeline.from_dict(data).resolve() == resolved


PATHS = ("nodes[", "connections[", "nodes")


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


def deep(levels):
    data = inner = {}
    for _ in range(levels):
        inner["a"] = {}
        inner = inner["a"]
    return data


def around(value):
    return {"nodes": [{"id": "a", "node_type": "VADNode", "params": {"x": value}}]}


LOOP = {}
LOOP["loop"] = LOOP


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        (around(float("nan")), "nodes[0].params.x", "is nan, which is no number in JSON"),
        (around([1, float("inf")]), "nodes[0].params.x[1]", "is inf"),
        (around(1 << 63), "nodes[0].params.x", "more than 64 bits"),
        (around(-(1 << 63) - 1), "nodes[0].params.x", "more than 64 bits"),
        (around("\ud800"), "nodes[0].params.x", "half of a character"),
        (around({1: 2}), "nodes[0].params.x", "has the key 1: keys must be text"),
        (around({"\udfff": 2}), "nodes[0].params.x", "keys must be text"),
        (around(b"x"), "nodes[0].params.x", "is a bytes"),
        (around({object()}), "nodes[0].params.x", "is a set"),
        (around(deep(100_000)), None, "nested too deeply"),
        (around(LOOP), None, "nested too deeply"),
        (around([0] * 20_001), None, "more than 20000 values"),
        (around(["x" * 1024] * 1025), None, "characters of text"),
        ({"metadata": {"name": "a", "note": float("inf")}}, "metadata.note", "is inf"),
        ({"nodes": [{"id": "a", "node_type": "VAD"}] * 257}, "nodes", "256 are the most"),
        (
            {
                "nodes": [{"id": "a", "node_type": "VAD"}],
                "connections": [{"from": "a", "to": "a"}] * 1025,
            },
            "connections",
            "1024 are the most",
        ),
    ],
)
def test_data_that_nobody_should_send(data, field, words):
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_dict(data)
    assert words in str(caught.value)
    assert field is None or caught.value.field == field
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", "1" + "0" * 30, "1" + "0" * 5000, '"\\ud800"']
)
def test_numbers_and_texts_that_json_does_not_have(value):
    text = json.dumps(around(0)).replace("0}}", value + "}}")
    with pytest.raises(ManifestError, match=r"64 bits|no number|4300|half of a character"):
        load_json(text)


@pytest.mark.parametrize(
    "value",
    [
        ".nan",
        "-.inf",
        "0x" + "f" * 30,
        '"\\ud800"',
        "!!binary aGk=",
        "!!set {a, b}",
        "!!timestamp 2024-01-01",
        "!!python/name:os.system",
        "{[1]: 2}",
        "{1: 2}",
        "{~: 2}",
        "{on: 2}",
    ],
)
def test_values_that_yaml_has_and_json_has_not(value):
    with pytest.raises(ManifestError):
        load_yaml(f"nodes:\n- id: a\n  node_type: VAD\n  params: {{x: {value}}}")


@pytest.mark.parametrize("name", ["a b", "a/b", "a$", "../a", "a\n", "ä", "a\x00", "", "x" * 65, 3])
def test_ids_that_are_none(name):
    with pytest.raises(ManifestError) as caught:
        load(one(id=name))
    assert caught.value.field == "nodes[0].id"


def test_no_more_is_read_than_a_manifest_may_have():
    with pytest.raises(ManifestError, match="longer than"):
        load_file(Path("/dev/zero"))


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".YML"])
def test_manifests_are_written_and_read_again(tmp_path, suffix):
    pipeline = Pipeline.from_dict(FIRST)
    path = tmp_path / f"out{suffix}"
    pipeline.export(path)
    pipeline.export(str(path))
    again = Pipeline.from_file(path)
    assert again.serialize() == pipeline.serialize()
    assert again.description == "of version 0.1"


@pytest.mark.parametrize(
    ("name", "words"), [("x.yam", 'Did you mean ".yaml"?'), ("x", "no ending"), ("no/x.json", "No")]
)
def test_where_no_manifest_can_be_written(tmp_path, name, words):
    with pytest.raises(ParameterError) as caught:
        Pipeline.from_dict(FIRST).export(tmp_path / name)
    assert words in str(caught.value)
    assert caught.value.field == "path"
