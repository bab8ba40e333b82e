"""The node types of the package: what they accept, and what those in Python do."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from remotemedia import NodeError, NodeSession, ParameterError, Pipeline
from remotemedia import nodes as all_nodes
from remotemedia.base import process_of
from remotemedia.nodes import (
    AudioBufferNode,
    AudioSink,
    AudioSource,
    CalculatorNode,
    ChannelSplitNode,
    FileReaderNode,
    FileWriterNode,
    GainNode,
    MixNode,
    PassThroughNode,
    TextNode,
    VADNode,
)
from remotemedia.nodes.registry import NODE_TYPES

IN_AUDIO = NODE_TYPES.keys() - {"TextNode", "CalculatorNode", "PythonNode"}


def session(**rest):
    return NodeSession(
        **{"id": "s", "participant": "p", "stream": "a", **rest}, pipeline="x", node="n"
    )


@pytest.mark.parametrize("name", sorted(NODE_TYPES))
def test_every_type_can_be_imported(name):
    assert getattr(all_nodes, name) is NODE_TYPES[name]
    assert name in all_nodes.__all__
    audio = importlib.import_module("remotemedia.nodes.audio")
    assert hasattr(audio, name) == (name in IN_AUDIO)
    assert (name in audio.__all__) == (name in IN_AUDIO)


@pytest.mark.parametrize("name", sorted(NODE_TYPES))
def test_every_type_takes_a_runtime_hint(name):
    needs = {
        "PythonNode": {"entry": "json:loads"},
        "AudioResampleNode": {"output_rate": 8000},
        "TextNode": {"operation": "words"},
        "FileReaderNode": {"path": "x"},
        "FileWriterNode": {"path": "x.wav"},
    }
    made = NODE_TYPES[name](**needs.get(name, {}), runtime_hint="python")
    assert made.runtime_hint == "python"
    assert made.fresh().arguments == made.arguments


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (AudioSource(), "source"),
        (AudioSink(), "sink"),
        (GainNode(), "gain"),
        (MixNode(), "mix"),
        (ChannelSplitNode(), "split"),
        (AudioBufferNode(), "buffer"),
        (TextNode(operation="words"), "text"),
        (CalculatorNode(), "calculator"),
        (FileReaderNode(path="x"), "file-reader"),
        (FileWriterNode(path="x.wav"), "file-writer"),
    ],
)
def test_kinds(made, kind):
    assert made.kind == kind


@pytest.mark.parametrize(
    ("call", "field", "words"),
    [
        (lambda: GainNode(gain_db=61), "gain_db", "less than or equal to 60"),
        (lambda: GainNode(gain=1), "gain", 'Did you mean "gain_db"?'),
        (lambda: GainNode(gain_db=float("inf")), "gain_db", "finite"),
        (lambda: MixNode(gains_db=[0.0]), "gains_db", "at least 2"),
        (lambda: MixNode(gains_db=[0.0, 99.0]), "gains_db[1]", "less than or equal to 60"),
        (lambda: MixNode(gains_db=[0.0] * 17), "gains_db", "at most 16"),
        (lambda: ChannelSplitNode(channels=9), "channels", "less than or equal to 8"),
        (lambda: AudioBufferNode(duration_ms=9), "duration_ms", "greater than or equal to 10"),
        (lambda: AudioBufferNode(duration_ms=50, overlap_ms=50), "overlap_ms", "below duration_ms"),
        (lambda: TextNode(operation="upercase"), "operation", 'Did you mean "uppercase"?'),
        (TextNode, None, "operation"),
        (lambda: CalculatorNode(operation="sub"), "operation", "Input should be"),
        (lambda: CalculatorNode(operand="2"), "operand", "valid number"),
        (lambda: FileReaderNode(path=""), "path", "must not be empty"),
        (lambda: FileReaderNode(path=3), "path", "not 3"),
        (lambda: FileWriterNode(path="out"), "path", "no ending"),
        (lambda: FileWriterNode(path="out.wave"), "path", 'Did you mean ".wav"?'),
        (lambda: FileWriterNode(path="{sesion}.wav"), "path", "Known: {session}"),
        (lambda: FileWriterNode(path="{session.wav"), "path", "braces"),
        (lambda: FileWriterNode(path="{session.id}.wav"), "path", "braces"),
        (lambda: FileWriterNode(path="{}.wav"), "path", "braces"),
        (lambda: AudioSource(path="x", device="y"), "device", "exclude each other"),
        (lambda: AudioSink(path="x.wav", device="y"), "device", "exclude each other"),
        (lambda: AudioSource(path=""), "path", "must not be empty"),
        (lambda: AudioSource(rate=100), "rate", "greater than or equal to 4000"),
    ],
)
def test_wrong_arguments_are_told(call, field, words):
    with pytest.raises(ParameterError) as caught:
        call()
    assert words in str(caught.value)
    assert field is None or caught.value.field == field


def test_paths_are_text_in_a_manifest():
    nodes = [FileReaderNode(path=Path("a") / "b.wav"), FileWriterNode(path=Path("c.wav"))]
    data = Pipeline(nodes).serialize()
    assert [each["params"]["path"] for each in data["nodes"]] == ["a/b.wav", "c.wav"]


def test_what_passes_through_is_what_came():
    value = {"a": [1]}
    assert process_of(PassThroughNode())(value) is value


def tone(samples, channels=1):
    wave = 0.5 * np.sin(np.arange(samples) / 10, dtype=np.float32)
    return wave if channels == 1 else np.stack([wave] * channels)


def read(path):
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        stream = container.streams.audio[0]
        return np.concatenate(frames, axis=1), stream.rate, stream.channels


@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_written_as_it_comes(tmp_path, channels):
    writer = FileWriterNode(path="out.wav").seen_from(tmp_path)
    for size in (1, 319, 1280):
        writer.process(tone(size, channels), session(rate=16000))
    assert writer.flush() == {"path": str(tmp_path / "out.wav"), "duration_ms": 100.0}
    assert writer.flush() is None
    writer.cleanup()
    samples, rate, found = read(tmp_path / "out.wav")
    assert (samples.size, rate, found) == (1600 * channels, 16000, channels)
    assert np.abs(samples).max() == pytest.approx(0.5 * 32767, rel=1e-3)


def test_a_file_is_complete_where_its_stream_is_broken_off(tmp_path):
    writer = FileWriterNode(path="out.flac").seen_from(tmp_path)
    writer.process(tone(4000), session(rate=8000))
    writer.cleanup()
    assert read(tmp_path / "out.flac")[0].size == 4000


def test_nothing_is_written_where_nothing_came(tmp_path):
    writer = FileWriterNode(path="out.wav").seen_from(tmp_path)
    assert writer.flush() is None
    writer.cleanup()
    assert list(tmp_path.iterdir()) == []


def test_each_stream_has_a_file_of_its_own(tmp_path):
    recipe = FileWriterNode(path="{session}-{participant}.wav").seen_from(tmp_path)
    for who in ("p1", "../p2"):
        writer = recipe.fresh()
        writer.process(tone(100), session(rate=8000, participant=who))
        writer.cleanup()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["s-___p2.wav", "s-p1.wav"]


def test_no_two_streams_write_to_one_file(tmp_path):
    recipe = FileWriterNode(path="out.wav").seen_from(tmp_path)
    first, second = recipe.fresh(), recipe.fresh()
    first.process(tone(100), session(rate=8000))
    with pytest.raises(NodeError, match="another stream") as caught:
        second.process(tone(100), session(rate=8000))
    assert "{session}" in caught.value.hint
    first.cleanup()


def test_a_run_replaces_a_file(tmp_path):
    recipe = FileWriterNode(path="out.wav").seen_from(tmp_path)
    for count in (100, 50):
        writer = recipe.fresh()
        writer.process(tone(count), session(rate=8000, id="offline"))
        writer.cleanup()
    assert read(tmp_path / "out.wav")[0].size == 50


def test_a_session_replaces_none(tmp_path):
    recipe = FileWriterNode(path="{session}.wav").seen_from(tmp_path)
    first, second, other = recipe.fresh(), recipe.fresh(), recipe.fresh()
    first.process(tone(100), session(rate=8000))
    first.cleanup()
    with pytest.raises(NodeError, match="is there already") as caught:
        second.process(tone(50), session(rate=8000))
    assert "{participant}" in caught.value.hint
    other.process(tone(50), session(rate=8000, id="s2"))
    other.cleanup()
    sizes = {each.name: read(each)[0].size for each in tmp_path.iterdir()}
    assert sizes == {"s.wav": 100, "s2.wav": 50}


@pytest.mark.parametrize("path", ["out.wav", "{participant}.wav", "{{session}}{stream}.wav"])
def test_a_path_that_is_the_same_for_every_session_is_not_served(path):
    with pytest.raises(ParameterError, match="every session would write") as caught:
        FileWriterNode(path=path).check_served()
    assert caught.value.field == "path"


@pytest.mark.parametrize("path", ["{session}.wav", "a/{session}/{participant}-{stream:.3}.mp3"])
def test_a_path_of_each_session_is_served(path):
    FileWriterNode(path=path).check_served()


def test_a_file_that_cannot_be_written_is_free_again(tmp_path):
    writer = FileWriterNode(path="none/out.wav").seen_from(tmp_path)
    with pytest.raises(Exception, match="cannot be written"):
        writer.process(tone(100), session(rate=8000))
    (tmp_path / "none").mkdir()
    writer.process(tone(100), session(rate=8000))
    assert writer.flush()["duration_ms"] == 12.5


def test_files_are_written_by_several_threads(tmp_path):
    recipe = FileWriterNode(path="{stream}.wav").seen_from(tmp_path)

    def write(number):
        writer = recipe.fresh()
        for _ in range(10):
            writer.process(tone(160), session(rate=8000, stream=str(number)))
        writer.cleanup()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {read(path)[0].size for path in tmp_path.iterdir()} == {1600}


def test_a_pipeline_reads_and_writes_files(tmp_path, monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    writer = FileWriterNode(path="in.wav").seen_from(tmp_path)
    writer.process(tone(24000), session(rate=24000))
    writer.cleanup()
    made = Pipeline.from_yaml(
        "nodes:\n"
        f"  - {{id: a, node_type: FileReader, params: {{path: {tmp_path}/in.wav}}}}\n"
        "  - {id: b, node_type: Gain, params: {gain_db: -6.0206}}\n"
        f"  - {{id: c, node_type: FileWriter, params: {{path: {tmp_path}/out.wav}}}}\n"
    )
    (told,) = made.run().events
    assert told.data == {"path": f"{tmp_path}/out.wav", "duration_ms": 1000.0}
    samples, rate, channels = read(tmp_path / "out.wav")
    assert (samples.size, rate, channels) == (24000, 24000, 1)
    assert np.abs(samples).max() == pytest.approx(0.25 * 32767, rel=1e-3)


def test_audio_goes_to_the_sinks(monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    made = Pipeline("p").add_node("in", AudioSource()).add_node("vad", VADNode(engine="energy"))
    made.add_node("quiet", GainNode(gain_db=-20)).add_node("out", AudioSink(rate=8000))
    made.connect("in", "vad").connect("in", "quiet").connect("quiet", "out")
    result = made.run((tone(16000), 16000))
    assert (result.rate, result.audio.shape) == (8000, (8000,))
