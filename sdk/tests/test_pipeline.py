"""Pipelines as people write them."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import remotemedia
from remotemedia import (
    FunctionNode,
    ManifestError,
    Node,
    NotInThisVersion,
    ParameterError,
    Pipeline,
    node,
)
from remotemedia.nodes.audio import (
    AudioResampleNode,
    FormatConverterNode,
    LevelMeterNode,
    PassThroughNode,
    VADNode,
)
from remotemedia.nodes.python import PythonNode
from remotemedia.nodes.registry import NODE_TYPES, parameters


@node
def peak(audio, session):
    """Give the peak."""
    return float(audio.max())


class Gain(Node):
    """A node of one's own with arguments."""

    def __init__(self, gain, offset=0.0, *, clip=True):
        super().__init__("gain")
        self.gain, self.offset, self.clip = gain, offset, clip

    def process(self, audio):
        """Make it louder."""
        return audio * self.gain


def ids(pipeline):
    return list(pipeline.nodes)


@pytest.mark.parametrize(
    ("made", "name", "nodes"),
    [
        (Pipeline(), "pipeline", []),
        (Pipeline("mic"), "mic", []),
        (Pipeline(name="mic", enable_metrics=True), "mic", []),
        (Pipeline([PassThroughNode(), VADNode()], name="mic"), "mic", ["pass-through-1", "vad-1"]),
        (Pipeline(VADNode(), VADNode()), "pipeline", ["vad-1", "vad-2"]),
        (Pipeline("mic", VADNode(), [peak, Gain(2)]), "mic", ["vad-1", "peak-1", "gain-1"]),
    ],
)
def test_every_form_of_the_constructor(made, name, nodes):
    assert (made.name, ids(made)) == (name, nodes)


def test_ids_are_kinds_and_numbers():
    made = Pipeline().add(AudioResampleNode(output_rate=16000)).add(FormatConverterNode())
    made.add_node("vad-1", VADNode()).add_node(VADNode()).add(LevelMeterNode()).add_node(peak)
    made.add(PythonNode(entry="json:loads"))
    assert ids(made) == [
        "resample-1",
        "format-1",
        "vad-1",
        "vad-2",
        "level-1",
        "peak-1",
        "python-1",
    ]
    assert repr(Pipeline("p", VADNode())) == "Pipeline('p': vad-1)"


def test_nodes_form_a_chain_until_connect_says_otherwise():
    made = Pipeline(VADNode(), VADNode(), VADNode())
    assert [each["from"]["node"] for each in made.resolve()["edges"]] == [
        "$source",
        "vad-1",
        "vad-2",
    ]
    made.connect("vad-1", "vad-3")
    assert sorted(each["from"]["node"] for each in made.resolve()["edges"]) == [
        "$source",
        "$source",
        "vad-1",
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Pipeline("a", name="b"), "two names"),
        (lambda: Pipeline(VADNode), "Make one of it: VADNode()"),
        (lambda: Pipeline(lambda audio: None), "Decorate the function with @node"),
        (lambda: Pipeline(VADNode(), 3), "3 is not a node"),
        (lambda: Pipeline(["a"]), "'a' is not a node"),
        (lambda: Pipeline().add("a"), "'a' is not a node"),
        (lambda: Pipeline().add_node("a"), "'a' is not a node"),
        (lambda: Pipeline().add_node("a", None), "'a' is not a node"),
        (lambda: Pipeline().add_node(VADNode(), VADNode()), 'Write add_node("id", node)'),
        (lambda: Pipeline().add_node("a", VADNode()).add_node("a", VADNode()), "used twice"),
        (lambda: Pipeline(VADNode()).connect("vad-1", "vad"), 'Did you mean "vad-1"?'),
        (lambda: Pipeline().connect("a", "b"), "None is known here"),
        (lambda: VADNode(treshold=0.5), 'Did you mean "threshold"?'),
        (lambda: VADNode(0.5), "too many positional arguments. Its parameters are engine, thresh"),
        (lambda: Pipeline(nmae="x"), 'Did you mean "name"?'),
        (lambda: Pipeline("x", enable_metric=True), 'Did you mean "enable_metrics"?'),
        (lambda: node(inptu_rate=16000), 'Did you mean "input_rate"?'),
        (lambda: VADNode(threshold=np.float32(0.5)), "Python's own, not np.float32(0.5)"),
        (lambda: AudioResampleNode(output_rate=np.int64(8000)), "Its method item() gives it"),
        (lambda: VADNode(threshold="high"), "valid number, not 'high'"),
        (lambda: VADNode(engine="enrgy"), 'Did you mean "energy"?'),
        (lambda: VADNode(threshold=float("nan")), "finite"),
        (lambda: AudioResampleNode(output_rate=16000.5), "integer"),
        (lambda: AudioResampleNode(output_rate=True), "integer"),
        (lambda: AudioResampleNode(output_rate=100), "greater than or equal to 4000"),
        (PythonNode, "missing a required"),
        (Gain, "missing a required argument: 'gain'"),
        (lambda: Node(isolation="proces"), 'Did you mean "process"?'),
        (lambda: Node(runtime_hint="rusty"), 'Did you mean "rust"?'),
        (lambda: node(isolation="proces")(peak.function), 'Did you mean "process"?'),
        (lambda: Gain(gian=1), 'Did you mean "gain"?'),
        (lambda: node(3), "not 3"),
        (lambda: Pipeline(node(lambda: None)), "must take (audio) or (audio, session)"),
        (lambda: Pipeline(node(lambda a, b, c: None)), "must take"),
        (lambda: Pipeline(Node()), "Add `def process(self, audio)`"),
    ],
)
def test_wrong_use_is_told_what_is_right(call, words):
    with pytest.raises(ParameterError) as caught:
        call()
    assert words in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)


def test_where_a_node_runs_may_be_said_by_its_class():
    class Apart(Node):
        isolation = "process"

    class Wrong(Node):
        isolation = "proces"

    assert (Apart().isolation, Apart(isolation="thread").isolation) == ("process", "thread")
    assert (Node().isolation, Node().runtime_hint) == ("thread", "auto")
    with pytest.raises(ParameterError, match="isolation: is none of thread, process"):
        Wrong()


def test_a_subclass_may_take_more():
    class Mine(Pipeline):
        def __init__(self, level, *, size=1):
            super().__init__(f"mine-{level}-{size}")

    assert Mine(level=1, size=2).name == "mine-1-2"
    with pytest.raises(ParameterError, match="size"):
        Mine(1, siez=2)


def test_arguments_with_defaults_are_the_functions_own():
    assert Pipeline(node(lambda audio, gain=2.0: audio * gain)).plan().python
    assert Pipeline(node(lambda *audio: None)).plan().python


def test_functions_stay_callable():
    assert isinstance(peak, FunctionNode)
    assert peak.__name__ == "peak"
    assert peak.__doc__ == "Give the peak."
    assert node(input_rate=8000)(lambda audio: 3)(None) == 3


def test_instances_are_made_anew_with_the_same_arguments():
    first = Gain(2.0, clip=False)
    first.gain = 5.0
    second = first.fresh()
    assert second is not first
    assert (second.gain, second.offset, second.clip) == (2.0, 0.0, False)
    assert first.arguments == {"gain": 2.0, "clip": False}


def test_the_defaults_may_be_awaited_or_not():
    class Old(Node):
        async def initialize(self):
            await super().initialize()

        async def cleanup(self):
            super().cleanup()
            await super().cleanup()

        def process(self, data):
            """Do nothing."""

    made = Old("old")
    asyncio.run(made.initialize())
    asyncio.run(made.cleanup())


def test_nodes_can_be_copied_and_pickled():
    original = Gain(2.0, clip=False)
    original.gain = 5.0
    for made in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert (made.gain, made.clip, made.arguments) == (5.0, False, original.arguments)


def test_a_pipeline_comes_back_from_its_manifest(tmp_path):
    made = Pipeline("mic", AudioResampleNode(output_rate=16000, quality="low"), VADNode())
    made.connect("resample-1", "vad-1")
    data = made.serialize()
    assert data == {
        "version": "v1",
        "metadata": {"name": "mic"},
        "nodes": [
            {
                "id": "resample-1",
                "node_type": "AudioResampleNode",
                "params": {"output_rate": 16000, "quality": "low"},
            },
            {"id": "vad-1", "node_type": "VADNode"},
        ],
        "connections": [{"from": "resample-1", "to": "vad-1"}],
    }
    path = tmp_path / "mic.yaml"
    path.write_text(made.to_yaml())
    for again in (
        Pipeline.from_dict(data),
        Pipeline.from_yaml(made.to_yaml()),
        Pipeline.from_yaml(str(path)),
        Pipeline.from_yaml(path),
        Pipeline.from_file(path, enable_metrics=True),
        Pipeline.from_json(path),
    ):
        assert again.serialize() == data
        assert again.resolve() == made.resolve()
    assert Pipeline.from_json('{"nodes": [{"id": "a", "node_type": "VAD"}]}').name == "pipeline"


def test_nodes_of_ones_own_are_named_in_the_manifest():
    wide = node(input_rate=48000, output_channels=2)(peak.function)
    data = Pipeline(peak, Gain(2.0, clip=False), wide).serialize()
    assert [each["params"] for each in data["nodes"]] == [
        {"entry": f"{__name__}:peak"},
        {"entry": f"{__name__}:Gain", "params": {"gain": 2.0, "clip": False}},
        {"entry": f"{__name__}:peak", "input_rate": 48000, "output_channels": 2},
    ]


def test_a_node_inside_a_function_has_no_name_outside():
    @node
    def inner(audio):
        """Be local."""

    made = Pipeline(inner)
    assert made.plan().python
    with pytest.raises(ManifestError, match="at the top of a module"):
        made.serialize()


def test_a_node_of_the_main_module_is_named_by_its_file(tmp_path):
    script = tmp_path / "app.py"
    script.write_text(
        "from remotemedia import Pipeline, node\n"
        "@node\n"
        "def mine(audio): pass\n"
        "print(Pipeline(mine).serialize()['nodes'][0]['params']['entry'])\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"{script}:mine"


@pytest.mark.parametrize("name", ["", "a/b", "a$b", "x" * 65])
def test_names_that_cannot_be_served(name):
    with pytest.raises(ManifestError) as caught:
        Pipeline(name, VADNode()).plan()
    assert caught.value.field == "metadata.name"


def test_ids_that_cannot_be_used():
    with pytest.raises(ManifestError) as caught:
        Pipeline().add_node("a b", VADNode()).plan()
    assert caught.value.field == "nodes[0].id"
    assert str(caught.value).startswith('pipeline "pipeline": nodes[0].id: ')


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p.export("x.rmpkg"),
        lambda p: p.push("oci://x"),
    ],
)
def test_later_calls_say_so(call):
    with pytest.raises(NotInThisVersion, match="not in this version"):
        call(Pipeline(VADNode()))


@pytest.mark.parametrize("name", sorted(NODE_TYPES))
def test_every_node_type_is_documented(name):
    for parameter in parameters(NODE_TYPES[name]):
        assert parameter.description, f"{name}.{parameter.name} has no documentation"
    live = NODE_TYPES[name].live_parameters
    assert live <= {each.name for each in parameters(NODE_TYPES[name])}


def test_the_import_is_light():
    code = (
        "import sys, remotemedia\n"
        "heavy = {'numpy', 'pydantic', 'aiortc', 'av', 'aiohttp', 'yaml', 'typer', 'rich'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_package_knows_its_names():
    assert set(dir(remotemedia)) == set(remotemedia.__all__)
    for name in remotemedia.__all__:
        assert getattr(remotemedia, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = remotemedia.conect
