"""Graphs of several inputs, outputs and sources: which port feeds which, types, formats."""

from __future__ import annotations

import pytest

from remotemedia import AudioFormat, ManifestError, Node, ParameterError, Pipeline, node
from remotemedia.nodes import (
    AudioBufferNode,
    AudioResampleNode,
    AudioSink,
    AudioSource,
    CalculatorNode,
    ChannelSplitNode,
    FileReaderNode,
    FileWriterNode,
    GainNode,
    LevelMeterNode,
    MixNode,
    PassThroughNode,
    PythonNode,
    TextNode,
    VADNode,
)


@node
def plain(data):
    """Take what comes."""


class Both(Node):
    """A node with two inputs and two outputs."""

    inputs = ("left", "right")
    outputs = ("sum", "count")

    def process(self, audio):
        """Give nothing."""


TEXT = {"operation": "uppercase"}


def pipeline(nodes, *links):
    made = Pipeline("p")
    for name, each in nodes.items():
        made.add_node(name, each)
    for source, target in links:
        made.connect(source, target)
    return made


def edges(resolved):
    return [
        tuple(f"{end['node']}.{end['port']}" for end in (each["from"], each["to"]))
        for each in resolved["edges"]
    ]


def audio(rate, channels=1):
    return {"type": "audio", "rate": rate, "channels": channels}


def any_(rate, channels=1):
    return {"type": "any", "rate": rate, "channels": channels}


DATA = {"type": "data"}


def node_of(resolved, name):
    (found,) = [each for each in resolved["nodes"] if each["id"] == name]
    return found


def ports(resolved, name, side):
    return {each["port"]: each["format"] for each in node_of(resolved, name)[side]}


def sources(resolved):
    return {each["id"]: each["format"] for each in resolved["sources"]}


def test_a_split_names_its_outputs():
    made = pipeline(
        {"s": ChannelSplitNode(), "l": VADNode(), "r": VADNode()}, ("s.left", "l"), ("s.right", "r")
    ).resolve()
    assert sources(made) == {"input": audio(16000, 2)}
    assert ports(made, "s", "inputs") == {"in": audio(16000, 2)}
    assert ports(made, "s", "outputs") == {"left": audio(16000), "right": audio(16000)}
    assert edges(made) == [("$source.input", "s.in"), ("s.left", "l.in"), ("s.right", "r.in")]
    four = Pipeline(ChannelSplitNode(channels=4)).resolve()
    assert list(ports(four, "split-1", "outputs")) == ["ch-1", "ch-2", "ch-3", "ch-4"]


def test_connections_to_a_mixer_are_numbered():
    made = pipeline(
        {"a": GainNode(), "b": GainNode(), "c": GainNode(), "mix": MixNode()},
        ("a", "mix"),
        ("b", "mix.in-3"),
        ("c", "mix.in"),
    ).resolve()
    assert edges(made)[3:] == [("a.out", "mix.in-1"), ("c.out", "mix.in-2"), ("b.out", "mix.in-3")]
    assert node_of(made, "mix")["params"] == {"gains_db": [0.0, 0.0, 0.0]}
    assert [each["id"] for each in made["nodes"]] == ["a", "b", "c", "mix"]


def test_a_mixer_takes_the_highest_rate_and_the_most_channels():
    made = pipeline(
        {
            "a": AudioSource(rate=48000),
            "b": AudioSource(rate=24000, channels=2),
            "mix": MixNode(gains_db=[0, -6]),
            "vad": VADNode(),
        },
        ("a", "mix"),
        ("b", "mix"),
        ("mix", "vad"),
    ).resolve()
    assert sources(made) == {"a": audio(48000), "b": audio(24000, 2)}
    assert ports(made, "mix", "inputs") == {"in-1": audio(48000, 2), "in-2": audio(48000, 2)}
    assert node_of(made, "mix")["params"] == {"gains_db": [0.0, -6.0]}
    assert edges(made) == [
        ("$source.a", "format.1.in"),
        ("$source.b", "resample.1.in"),
        ("format.1.out", "mix.in-1"),
        ("resample.1.out", "mix.in-2"),
        ("mix.out", "format.2.in"),
        ("format.2.out", "resample.2.in"),
        ("resample.2.out", "vad.in"),
    ]


def test_a_mixer_may_say_its_format():
    made = pipeline(
        {"a": AudioSource(), "b": AudioSource(), "mix": MixNode(rate=8000, channels=1)},
        ("a", "mix"),
        ("b", "mix"),
    ).resolve()
    assert sources(made) == {"a": audio(8000), "b": audio(8000)}
    assert ports(made, "mix", "outputs") == {"out": audio(8000)}


def test_a_node_of_ones_own_has_several_ports():
    made = pipeline(
        {"a": AudioSource(), "b": Both(), "up": TextNode(**TEXT), "level": LevelMeterNode()},
        ("a", "b.left"),
        ("a", "b.right"),
        ("b.sum", "level"),
        ("b.count", "up"),
    ).resolve()
    assert ports(made, "b", "inputs") == {"left": any_(16000), "right": any_(16000)}
    assert ports(made, "b", "outputs") == {"sum": any_(16000), "count": any_(16000)}
    assert ports(made, "up", "inputs") == {"in": DATA}
    assert node_of(made, "b")["runtime"] == "python"


def test_ports_of_a_node_by_import_path_are_known(tmp_path):
    (tmp_path / "n.py").write_text(
        "from remotemedia import Node\n"
        "class Two(Node):\n"
        "    outputs = ('x', 'y')\n"
        "    def process(self, audio): pass\n"
    )
    nodes = {"two": PythonNode(entry=f"{tmp_path}/n.py:Two"), "vad": VADNode()}
    made = pipeline(nodes, ("two.y", "vad")).resolve()
    assert ("two.y", "vad.in") in edges(made)
    with pytest.raises(ManifestError, match='no port "z"'):
        pipeline(nodes, ("two.z", "vad")).plan()


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([VADNode()], {"input": audio(16000)}),
        ([plain], {"input": any_(16000)}),
        ([TextNode(**TEXT)], {"input": DATA}),
        ([CalculatorNode(operand=1), plain], {"input": DATA}),
        ([PassThroughNode(), PassThroughNode(), TextNode(**TEXT)], {"input": DATA}),
        ([PassThroughNode(), VADNode()], {"input": audio(16000)}),
        ([PassThroughNode(), plain], {"input": audio(16000)}),
        ([AudioSource(), plain], {"source-1": audio(16000)}),
        ([AudioSource(rate=44100, channels=2), plain], {"source-1": audio(44100, 2)}),
        ([FileReaderNode(path="x.wav"), VADNode()], {"file-reader-1": audio(16000)}),
        (
            [FileReaderNode(path="x.wav"), LevelMeterNode(input_rate=44100)],
            {"file-reader-1": audio(44100)},
        ),
    ],
)
def test_what_comes_in_is_what_is_taken(nodes, expected):
    assert sources(Pipeline(nodes).resolve()) == expected


def test_values_and_audio_may_come_in_together():
    both = pipeline({"vad": VADNode(), "text": TextNode(**TEXT), "c": GainNode()}, ("vad", "c"))
    assert sources(both.resolve()) == {"input": any_(16000)}
    beside = pipeline(
        {"text": TextNode(**TEXT), "mic": AudioSource(), "vad": VADNode()}, ("mic", "vad")
    )
    assert list(sources(beside.resolve()).items()) == [("mic", audio(16000)), ("input", DATA)]


def test_nodes_that_nothing_feeds_take_the_only_source():
    made = pipeline(
        {"mic": AudioSource(), "vad": VADNode(), "level": LevelMeterNode(input_rate=48000)},
        ("mic", "vad"),
    ).resolve()
    assert sources(made) == {"mic": audio(48000)}
    assert ("$source.mic", "level.in") in edges(made)


def test_passing_values_on_is_done_in_python():
    made = Pipeline(plain, PassThroughNode(), TextNode(**TEXT)).resolve()
    passing = node_of(made, "pass-through-1")
    assert (passing["kind"], passing["runtime"]) == ("python", "python")
    assert passing["params"]["entry"] == "remotemedia.nodes.audio:PassThroughNode"
    native = node_of(Pipeline(VADNode(), PassThroughNode()).resolve(), "pass-through-1")
    assert (native["kind"], native["runtime"]) == ("pass_through", "native")


def test_the_formats_that_are_there_decide_where_they_are_known():
    made = Pipeline(GainNode(), VADNode())
    plan = made.plan(sources={"input": AudioFormat(44100, 2)})
    resolved = plan.resolved.to_dict()
    assert sources(resolved) == {"input": audio(44100, 2)}
    assert ports(resolved, "gain-1", "outputs") == {"out": audio(44100, 2)}
    assert plan.inserted == ("format.1", "resample.1")
    said = Pipeline(AudioSource(rate=8000), GainNode())
    resolved = said.plan(sources={"source-1": AudioFormat(48000)}).resolved.to_dict()
    assert edges(resolved) == [
        ("$source.source-1", "resample.1.in"),
        ("resample.1.out", "gain-1.in"),
    ]
    assert ports(resolved, "gain-1", "inputs") == {"in": audio(8000)}


def test_files_are_seen_from_the_manifest(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "nodes:\n"
        "  - {id: a, node_type: AudioSource, params: {path: talk.wav}}\n"
        "  - {id: b, node_type: FileWriter, params: {path: out.flac}}\n"
    )
    plan = Pipeline.from_file(path).plan()
    assert plan.files == {"a": tmp_path / "talk.wav"}
    writer = plan.python["b"].node
    assert (writer.base, writer.fresh().base) == (tmp_path, tmp_path)


def test_sinks_are_named_and_files_are_written_by_python():
    made = pipeline(
        {"a": AudioSource(), "out": AudioSink(rate=48000), "file": AudioSink(path="x.wav")},
        ("a", "out"),
        ("a", "file"),
    )
    plan = made.plan()
    assert plan.sinks == ("out",)
    resolved = plan.resolved.to_dict()
    assert node_of(resolved, "out")["kind"] == "pass_through"
    assert ports(resolved, "out", "inputs") == {"in": audio(48000)}
    assert node_of(resolved, "file")["kind"] == "python"
    assert isinstance(plan.python["file"].node, FileWriterNode)
    assert Pipeline(VADNode()).plan().sinks == ()


def test_every_kind_gets_all_its_parameters():
    made = pipeline(
        {
            "gain": GainNode(gain_db=3),
            "buffer": AudioBufferNode(duration_ms=500, overlap_ms=100),
            "split": ChannelSplitNode(),
            "text": TextNode(operation="words"),
            "sum": CalculatorNode(operation="add"),
        },
        ("gain", "buffer"),
    ).resolve()
    assert {each["id"]: (each["kind"], each["params"]) for each in made["nodes"]} == {
        "gain": ("gain", {"gain_db": 3}),
        "buffer": ("buffer", {"duration_ms": 500, "overlap_ms": 100}),
        "split": ("split", {}),
        "text": ("text", {"operation": "words"}),
        "sum": ("calculator", {"operation": "add", "operand": None}),
    }


def named(names, side="inputs"):
    return type("Named", (Both,), {side: names})()


@pytest.mark.parametrize(
    ("nodes", "links", "field", "words"),
    [
        ([VADNode(), TextNode(**TEXT)], None, "nodes[1]", '"a" gives audio, but "b" takes values'),
        ([TextNode(**TEXT), VADNode()], None, "nodes[1]", '"a" gives values, but "b" takes audio'),
        (
            [VADNode(), TextNode(**TEXT)],
            [("a", "b")],
            "connections[0]",
            '"a" gives audio, but "b" takes values',
        ),
        ([FileWriterNode(path="x.wav"), VADNode()], None, "nodes[1]", '"a" gives values'),
        ([AudioSource(), ChannelSplitNode(), VADNode()], None, "nodes[2].from", "several outputs"),
        ([AudioSource(), Both()], None, "nodes[1].to", "several inputs: say which"),
        ([AudioSource(), Both()], [("a", "b.left")], "nodes[1]", 'nothing feeds "b.right"'),
        ([Both()], None, "nodes[0]", 'nothing feeds "a.left"'),
        ([VADNode(), AudioSource()], None, "nodes[1].to", '"b" has no input'),
        ([AudioSink(), VADNode()], None, "nodes[1].from", '"a" has no output'),
        ([AudioSource(), MixNode()], None, "nodes[1]", "at least 2 streams, but one node"),
        ([MixNode()], None, "nodes[0]", "at least 2 streams, but nothing"),
        (
            [AudioSource(), AudioSource(), MixNode()],
            [("a", "c"), ("b", "c.in-3")],
            "nodes[2]",
            'nothing feeds "c.in-2"',
        ),
        (
            [AudioSource(), AudioSource(), MixNode(gains_db=[1, 2, 3])],
            [("a", "c"), ("b", "c")],
            "nodes[2].params.gains_db",
            "3 gains for 2 inputs",
        ),
        (
            [VADNode(), VADNode(), Both()],
            [("a", "c.left"), ("b", "c.left")],
            "connections[1].to",
            '"c.left" is fed by "a" already',
        ),
        (
            [AudioSource(), AudioSource(), VADNode(), VADNode()],
            [("a", "c"), ("b", "c")],
            "connections[1].to",
            "fed by",
        ),
        (
            [AudioSource(), AudioSource(), GainNode(), GainNode(), VADNode()],
            [("a", "c"), ("b", "d")],
            "nodes[4]",
            "there are several sources",
        ),
        ([AudioSource(), AudioSource(), VADNode()], [("a", "c")], "nodes[1]", '"b" feeds nothing'),
        ([named(())], None, "nodes[0].inputs", "1 to 16 names"),
        ([named("left")], None, "nodes[0].inputs", "1 to 16 names"),
        ([named(("a", "a"))], None, "nodes[0].inputs", "twice"),
        ([named(("a.b",))], None, "nodes[0].inputs", "no name of a port"),
        ([named((3,), "outputs")], None, "nodes[0].outputs", "no name of a port"),
    ],
)
def test_graphs_that_cannot_run(nodes, links, field, words):
    made = Pipeline("p")
    for name, each in zip("abcdefg", nodes, strict=False):
        made.add_node(name, each)
    for source, target in links or ():
        made.connect(source, target)
    with pytest.raises(ManifestError) as caught:
        made.plan()
    assert caught.value.field == field
    assert words in caught.value.message


def test_a_mixer_has_no_more_than_its_inputs():
    made = Pipeline("p").add_node("mix", MixNode())
    for number in range(17):
        made.add_node(f"g{number}", GainNode()).connect(f"g{number}", "mix")
    with pytest.raises(ManifestError, match="more than 16 inputs") as caught:
        made.plan()
    assert caught.value.field == "connections[16].to"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("s.lft", "v", 'Did you mean "left"?'),
        ("s.left", "v.inn", 'Did you mean "in"?'),
        ("s.left", "m.in-17", 'no port "in-17"'),
        ("v.in", "v", 'no port "in"'),
        (3, "v", "an id is text, not 3"),
    ],
)
def test_connect_knows_the_ports(source, target, words):
    made = Pipeline("p").add_node("s", ChannelSplitNode()).add_node("v", VADNode())
    made.add_node("m", MixNode())
    with pytest.raises(ParameterError) as caught:
        made.connect(source, target)
    assert words in str(caught.value)


def test_a_circle_through_several_inputs_is_found():
    made = pipeline(
        {"a": AudioSource(), "mix": MixNode(), "gain": GainNode()},
        ("a", "mix"),
        ("gain", "mix"),
        ("mix", "gain"),
    )
    with pytest.raises(ManifestError, match="circle: ") as caught:
        made.plan()
    assert caught.value.code == "RM-1004"
    assert caught.value.field in {"connections[1]", "connections[2]"}


def test_no_more_than_sixteen_sources():
    made = Pipeline("p")
    for number in range(17):
        made.add_node(f"s{number}", AudioSource()).add_node(f"v{number}", VADNode())
        made.connect(f"s{number}", f"v{number}")
    with pytest.raises(ManifestError, match="more than 16 sources"):
        made.plan()


def test_converters_are_shared_between_ports():
    made = pipeline(
        {
            "s": AudioSource(rate=48000),
            "r": AudioResampleNode(output_rate=16000),
            "v": VADNode(),
            "w": VADNode(),
            "b": Both(),
        },
        ("s", "r"),
        ("s", "v"),
        ("s", "w"),
        ("r", "b.left"),
        ("s", "b.right"),
    ).resolve()
    assert [each["id"] for each in made["nodes"]] == ["r", "resample.1", "v", "w", "b"]


def test_converters_count_too():
    made = Pipeline("p").add_node("s", AudioSource(rate=48000))
    for number in range(150):
        made.add_node(f"v{number}", VADNode())
        made.connect("s" if number % 2 == 0 else f"g{number}", f"v{number}")
        if number % 2 == 0:
            made.add_node(f"g{number + 1}", AudioResampleNode(output_rate=8000))
            made.connect(f"v{number}", f"g{number + 1}")
    with pytest.raises(ManifestError, match=r"as it runs, \d+ of them put in: 256") as caught:
        made.plan()
    assert caught.value.field == "nodes"


def test_no_more_connections_than_a_runtime_takes():
    made = Pipeline("p")
    for number in range(20):
        made.add_node(f"g{number}", GainNode())
    for number in range(70):
        made.add_node(f"m{number}", MixNode())
        for other in range(16):
            made.connect(f"g{other}", f"m{number}")
    with pytest.raises(ManifestError, match="connections as it runs: 1024 are the most") as caught:
        made.plan()
    assert caught.value.field == "connections"
