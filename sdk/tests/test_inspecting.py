"""Drawings of pipelines."""

from __future__ import annotations

import numpy as np
import pytest

from remotemedia import Pipeline, node
from remotemedia.files import AudioWriter
from remotemedia.nodes import (
    AudioSink,
    AudioSource,
    ChannelSplitNode,
    FileReaderNode,
    GainNode,
    LevelMeterNode,
    MixNode,
    TextNode,
    VADNode,
)


@node
def words(audio):
    """Give text."""


@pytest.fixture
def pipeline(monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    made = Pipeline("demo")
    made.add_node("mic", AudioSource()).add_node("music", FileReaderNode(path="a.mp3"))
    made.add_node("split", ChannelSplitNode()).add_node("mix", MixNode())
    made.add_node("vad", VADNode()).add_node("out", AudioSink(rate=48000))
    made.add_node("words", words).add_node("up", TextNode(operation="uppercase"))
    made.connect("mic", "split").connect("split.left", "mix").connect("music", "mix")
    made.connect("split.right", "vad").connect("mix", "out")
    return made.connect("vad", "words").connect("words", "up")


def test_text(pipeline):
    drawn, _, reason = str(pipeline.inspect()).rpartition("\n\n")
    assert reason.startswith("in Python: REMOTEMEDIA_USE_RUST=0 switches")
    assert drawn == (
        "demo\n"
        "\n"
        "mic  AudioSource\n"
        "└─ 48000 Hz, 2 channels -> split  [ChannelSplitNode, python]\n"
        "   ├─ left: 48000 Hz, mono -> in-1 of mix (below)\n"
        "   └─ right: 48000 Hz, mono -> resample.1  [resample, python, put in]\n"
        "      └─ 16000 Hz, mono -> vad  [VADNode, python]\n"
        "         └─ 16000 Hz, mono -> words  [words, python]\n"
        "            └─ values -> up  [TextNode, python]\n"
        "\n"
        "music  FileReaderNode, a.mp3, cannot be read: formats are guesses\n"
        "└─ 48000 Hz, mono -> in-2 of mix  [MixNode, python]\n"
        "   └─ 48000 Hz, mono -> out  [AudioSink, python]"
    )


def test_a_file_has_its_own_format(tmp_path, monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    with AudioWriter(tmp_path / "a.flac", 44100, 2) as writer:
        writer.write(np.zeros((2, 4410), np.float32))
    made = Pipeline("p", FileReaderNode(path=tmp_path / "a.flac"), GainNode(), VADNode())
    assert made.resolve()["sources"][0]["format"] == {"type": "audio", "rate": 44100, "channels": 2}
    lines = made.inspect().text().splitlines()
    assert lines[2] == f"file-reader-1  FileReaderNode, {tmp_path}/a.flac"
    assert lines[3] == "└─ 44100 Hz, 2 channels -> gain-1  [GainNode, python]"
    assert "put in" in lines[4]
    assert lines[-3].endswith("16000 Hz, mono -> vad-1  [VADNode, python]")


def test_a_node_that_several_feed_is_drawn_below_the_last():
    made = Pipeline("p").add_node("a", GainNode()).add_node("b", VADNode())
    made.add_node("mix", MixNode()).add_node("end", LevelMeterNode())
    made.connect("a", "mix").connect("b", "mix").connect("mix", "end")
    drawn = made.inspect().text()
    assert drawn.count("[MixNode") == 1
    assert "in-1 of mix (below)" in drawn
    assert drawn.index("(below)") < drawn.index("[MixNode")


def test_values_or_audio():
    drawn = Pipeline("p", words, words).inspect().text()
    assert "16000 Hz, mono or values -> words-1  [words, python]" in drawn


def test_a_long_chain_can_be_drawn():
    made = Pipeline([GainNode() for _ in range(250)])
    assert len(made.inspect().text().splitlines()) >= 253


def test_mermaid(pipeline):
    lines = pipeline.inspect().mermaid().splitlines()
    assert lines[0] == "flowchart LR"
    assert '    n0(["mic<br/>AudioSource"])' in lines
    assert (
        '    n1(["music<br/>FileReaderNode<br/>a.mp3<br/>cannot be read: formats are guesses"])'
        in lines
    )
    assert '    n2["split<br/>ChannelSplitNode"]' in lines
    assert '    n2 -->|"left to in-1: 48000 Hz, mono"| n3' in lines
    (inserted,) = [line for line in lines if line.endswith(" inserted")]
    assert inserted == "    class n4 inserted"
    assert '    n4["resample.1<br/>resample"]' in lines


def test_mermaid_takes_nothing_for_its_own():
    made = Pipeline(FileReaderNode(path='a"b|c]<script>.wav'), VADNode())
    drawn = made.inspect().mermaid()
    assert "script" in drawn
    assert not set('|<>"') & set(drawn.split('(["')[1].split('"])')[0].replace("<br/>", ""))


def test_plain_data(pipeline):
    data = pipeline.inspect().to_dict()
    assert data["name"] == "demo"
    nodes = {each["id"]: each for each in data["nodes"]}
    assert list(nodes) == [
        "mic",
        "music",
        "split",
        "mix",
        "resample.1",
        "vad",
        "out",
        "words",
        "up",
    ]
    assert [nodes[name]["role"] for name in ("mic", "out", "vad")] == ["source", "sink", "node"]
    assert nodes["resample.1"]["inserted"]
    assert nodes["music"]["file"] == "a.mp3"
    assert nodes["vad"]["parameters"]["engine"] == "silero"
    assert nodes["words"]["reason"] == "It is a Python node."
    assert {"from": "mic.out", "to": "split.in", "format": "48000 Hz, 2 channels"} in data["edges"]
    assert len(data["edges"]) == 8


def test_a_node_called_input_is_not_the_source():
    drawn = Pipeline("p").add_node("input", VADNode()).inspect()
    assert [each.id for each in drawn.nodes] == ["$input", "input"]
    assert "└─ 16000 Hz, mono -> input  [VADNode" in drawn.text()


def test_what_a_python_node_names_is_shown(tmp_path):
    (tmp_path / "n.py").write_text("def mine(audio): pass\n")
    data = {"nodes": [{"id": "a", "node_type": "PythonNode", "params": {"entry": "n.py:mine"}}]}
    drawn = Pipeline.from_dict(data, base=tmp_path).inspect()
    assert "-> a  [n.py:mine, python]" in drawn.text()
