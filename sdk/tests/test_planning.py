"""From a pipeline to what runs: formats, the source's rate, converters, errors."""

from __future__ import annotations

import json

import pytest

from remotemedia import ManifestError, Node, ParameterError, Pipeline, node
from remotemedia.nodes.audio import (
    AudioResampleNode,
    FormatConverterNode,
    LevelMeterNode,
    PassThroughNode,
    VADNode,
)
from remotemedia.nodes.python import PythonNode


@node
def plain(audio):
    """Take what comes."""


@node(input_rate=44100, input_channels=2)
def wide(audio):
    """Want much."""


def resolve(*nodes, connect=()):
    made = Pipeline("p")
    for name, each in zip("abcdef", nodes, strict=False):
        made.add_node(name, each)
    for source, target in connect:
        made.connect(source, target)
    return made.resolve()


def formats(resolved):
    return {
        each["id"]: (each["inputs"][0]["format"]["rate"], each["outputs"][0]["format"]["rate"])
        for each in resolved["nodes"]
    }


def edges(resolved):
    return [(each["from"]["node"], each["to"]["node"]) for each in resolved["edges"]]


def source(resolved):
    (only,) = resolved["sources"]
    assert only["id"] == "input"
    return (only["format"]["rate"], only["format"]["channels"])


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([VADNode()], (16000, 1)),
        ([VADNode(engine="energy")], (16000, 1)),
        ([plain], (16000, 1)),
        ([LevelMeterNode()], (16000, 1)),
        ([LevelMeterNode(input_rate=48000)], (48000, 1)),
        ([LevelMeterNode(input_rate=8000)], (8000, 1)),
        ([LevelMeterNode(input_rate=20000)], (24000, 1)),
        ([LevelMeterNode(input_rate=96000)], (48000, 1)),
        ([AudioResampleNode(input_rate=48000, output_rate=16000), VADNode()], (48000, 1)),
        ([AudioResampleNode(output_rate=16000), VADNode()], (16000, 1)),
        ([AudioResampleNode(output_rate=44100)], (48000, 1)),
        ([PassThroughNode(), LevelMeterNode(), VADNode()], (16000, 1)),
        ([PassThroughNode(), LevelMeterNode(input_rate=24000)], (24000, 1)),
        ([wide], (48000, 2)),
        ([FormatConverterNode(input_channels=2)], (16000, 2)),
        ([FormatConverterNode(output_channels=2)], (16000, 1)),
    ],
)
def test_the_source_gives_what_is_needed_and_no_more(nodes, expected):
    assert source(resolve(*nodes)) == expected


def test_branches_share_the_highest_rate():
    resolved = resolve(
        LevelMeterNode(input_rate=48000),
        AudioResampleNode(input_rate=48000, output_rate=16000),
        VADNode(),
        connect=[("b", "c")],
    )
    assert source(resolved) == (48000, 1)
    assert formats(resolved) == {"a": (48000, 48000), "b": (48000, 16000), "c": (16000, 16000)}
    assert edges(resolved) == [("$source", "a"), ("$source", "b"), ("b", "c")]


def test_a_converter_is_put_in_once_for_all_who_need_it():
    resolved = resolve(
        LevelMeterNode(input_rate=48000), VADNode(), VADNode(), connect=[("a", "b"), ("a", "c")]
    )
    assert edges(resolved) == [
        ("$source", "a"),
        ("a", "resample.1"),
        ("resample.1", "b"),
        ("resample.1", "c"),
    ]
    assert formats(resolved)["resample.1"] == (48000, 16000)


def test_channels_are_averaged_before_and_copied_after_resampling():
    down = resolve(wide, VADNode(), connect=[("a", "b")])
    assert [each["id"] for each in down["nodes"]] == [
        "resample.1",
        "a",
        "format.1",
        "resample.2",
        "b",
    ]
    up = resolve(VADNode(), wide, connect=[("a", "b")])
    assert [each["id"] for each in up["nodes"]] == ["a", "resample.1", "format.1", "b"]


def test_a_converter_that_changes_nothing_passes_through():
    resolved = resolve(AudioResampleNode(output_rate=16000), FormatConverterNode(), VADNode())
    assert [each["kind"] for each in resolved["nodes"]] == ["pass_through", "pass_through", "vad"]


def test_parameters_are_explicit():
    energy, silero = (
        resolve(VADNode(engine=engine, threshold=0.4))["nodes"][0]["params"]
        for engine in ("energy", "silero")
    )
    assert silero == {
        "engine": "silero",
        "threshold": 0.4,
        "negative_threshold": 0.25,
        "min_speech_ms": 250,
        "min_silence_ms": 100,
        "speech_pad_ms": 30,
        "emit": "all",
    }
    assert energy == {**silero, "engine": "energy", "threshold_db": -45.0}


def test_python_nodes_run_in_python():
    resolved = resolve(plain)
    (only,) = resolved["nodes"]
    assert (only["kind"], only["runtime"]) == ("python", "python")
    assert only["params"] == {
        "entry": f"{__name__}:plain",
        "mailbox_frames": 50,
        "mailbox_ms": 1000,
    }


def test_long_names_of_functions_fit():
    @node
    def inner(audio):
        """Have a name with <locals>."""

    inner.function.__qualname__ = "x" * 400
    assert len(resolve(inner)["nodes"][0]["params"]["entry"]) <= 256


def test_python_nodes_say_what_they_take_and_give():
    class Synth(Node):
        input_rate = 48000
        output_rate = 24000
        output_channels = 2

        def process(self, audio):
            """Return audio."""

    resolved = resolve(Synth(), VADNode())
    assert source(resolved) == (48000, 1)
    first = resolved["nodes"][0]
    (taken,), (given,) = first["inputs"], first["outputs"]
    assert taken["port"] == "in"
    assert (taken["format"]["rate"], taken["format"]["channels"]) == (48000, 1)
    assert given["port"] == "out"
    assert (given["format"]["rate"], given["format"]["channels"]) == (24000, 2)


def test_a_manifest_may_overrule_what_a_node_says(tmp_path):
    (tmp_path / "n.py").write_text(
        "from remotemedia import node\n@node(input_rate=48000)\ndef n(audio): pass\n"
    )
    made = Pipeline(PythonNode(entry=f"{tmp_path}/n.py:n", input_rate=8000))
    assert source(made.resolve()) == (8000, 1)


@pytest.mark.parametrize(
    ("nodes", "connect", "field", "words"),
    [
        ([VADNode()], [("a", "a")], "connections[0]", "circle: a -> a"),
        (
            [VADNode(), VADNode(), VADNode()],
            [("a", "b"), ("b", "c"), ("c", "a")],
            "connections[0]",
            "circle",
        ),
        (
            [VADNode(), VADNode(), VADNode()],
            [("a", "c"), ("b", "c")],
            "connections[1].to",
            '"c" is fed by "a" already',
        ),
        ([VADNode(), VADNode()], [("a", "b"), ("a", "b")], "connections[1]", "listed twice"),
        (
            [FormatConverterNode(output_channels=4), FormatConverterNode(output_channels=2)],
            [("a", "b")],
            "nodes[1].params.output_channels",
            "4 channels cannot become 2",
        ),
        (
            [FormatConverterNode(output_channels=4), wide],
            [("a", "b")],
            "connections[0]",
            "4 channels cannot become 2",
        ),
    ],
)
def test_graphs_that_cannot_run(nodes, connect, field, words):
    with pytest.raises(ManifestError) as caught:
        resolve(*nodes, connect=connect)
    assert caught.value.field == field
    assert words in caught.value.message


def test_a_cycle_beside_a_sound_part_is_found():
    with pytest.raises(ManifestError, match="circle: b -> c -> b"):
        resolve(VADNode(), VADNode(), VADNode(), connect=[("b", "c"), ("c", "b")])


def test_an_empty_pipeline_cannot_run():
    with pytest.raises(ManifestError, match="has no nodes"):
        Pipeline().plan()


def test_a_node_of_which_a_process_cannot_know_is_refused():
    with pytest.raises(ParameterError, match="top level") as caught:
        resolve(node(isolation="process")(lambda audio: None))
    assert caught.value.field == "nodes[0].isolation"


def test_a_python_node_cannot_run_natively():
    class Mine(Node):
        runtime_hint = "rust"

        def __init__(self):
            """Leave the hint of the class."""

        def process(self, audio):
            """Do nothing."""

    with pytest.raises(ManifestError, match="runs in Python"):
        resolve(Mine())


def test_formats_of_python_nodes_are_checked():
    class Odd(Node):
        input_rate = 12.5

        def process(self, audio):
            """Do nothing."""

    with pytest.raises(ParameterError, match="4000 to 384000") as caught:
        resolve(Odd())
    assert caught.value.field == "nodes[0].input_rate"


def test_the_order_is_that_of_the_list_where_nothing_else_decides():
    resolved = resolve(VADNode(), VADNode(), VADNode(), VADNode(), connect=[("d", "a"), ("c", "b")])
    assert [each["id"] for each in resolved["nodes"]] == ["c", "b", "d", "a"]


def test_what_runs_is_json():
    made = Pipeline("p", VADNode(), plain)
    assert json.loads(made.plan().resolved.to_json()) == made.resolve()
    assert made.resolve()["version"] == "resolved/1"
