"""What `run` takes and gives."""

from __future__ import annotations

import asyncio
import json
import threading

import numpy as np
import pytest

from remotemedia import (
    AudioFrame,
    MediaFileError,
    Node,
    NodeError,
    NotInThisVersion,
    Out,
    ParameterError,
    Pipeline,
    RemoteMediaError,
    TransientError,
    node,
)
from remotemedia.client import NodeResult, SpeechStarted, Vad
from remotemedia.files import AudioReader, AudioWriter
from remotemedia.nodes.audio import (
    AudioResampleNode,
    FileReaderNode,
    FileWriterNode,
    LevelMeterNode,
    PassThroughNode,
    VADNode,
)
from remotemedia.running.result import Result

pytestmark = pytest.mark.usefixtures("backend")


@node
def half(audio):
    return audio * 0.5


@node
async def peak(audio):
    return {"peak": round(float(np.abs(audio).max()), 3)}


def test_an_array_comes_out_as_it_went_in(noise):
    audio = noise(2.5)
    result = Pipeline(PassThroughNode()).run(audio)
    assert result.rate == 16000
    assert result.audio.dtype == np.float32
    np.testing.assert_array_equal(result.audio, audio)
    np.testing.assert_array_equal(np.asarray(result), audio)
    assert np.asarray(result, np.float64).dtype == np.float64


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (8000, None), (48000, 1)])
def test_the_rate_and_the_channels_that_are_given_stay(noise, rate, channels):
    audio = noise(1.2, rate, channels)
    result = Pipeline(PassThroughNode()).run((audio, rate))
    assert result.rate == rate
    np.testing.assert_array_equal(result.audio, audio[0] if channels == 1 else audio)


def test_a_frame_is_audio_too(noise):
    audio = noise(0.5, 8000)
    assert Pipeline(PassThroughNode()).run(AudioFrame(audio, 8000)).rate == 8000


def test_audio_is_brought_to_what_nodes_need(noise):
    result = Pipeline(AudioResampleNode(output_rate=16000)).run((noise(1.0, 48000, 2), 48000))
    assert result.rate == 16000
    assert result.audio.shape == (2, 16000)


def test_doubles_and_strides_are_taken(noise):
    audio = noise(1.0).astype(np.float64)[::2]
    result = Pipeline(PassThroughNode()).run((audio, 8000))
    np.testing.assert_array_equal(result.audio, audio.astype(np.float32))


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_file_keeps_its_format(tmp_path, noise, kind):
    path = tmp_path / "a.wav"
    audio = noise(1.5, 44100, 2)
    with AudioWriter(path, 44100, 2) as writer:
        writer.write(audio)
    result = Pipeline(PassThroughNode()).run(kind(path))
    assert result.rate == 44100
    np.testing.assert_allclose(result.audio, audio, atol=1 / 32768)


def test_pieces_of_an_iterator_join(noise):
    audio = noise(3.0)
    pieces = (audio[i : i + 700] for i in range(0, len(audio), 700))
    np.testing.assert_array_equal(Pipeline(PassThroughNode()).run(pieces).audio, audio)


def test_an_empty_array_gives_nothing():
    result = Pipeline(PassThroughNode()).run(np.zeros(0, np.float32))
    assert (result.audio.shape, result.rate, result.events) == ((0,), 0, [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros(100, np.int16), "int16.*Divide"),
        (np.zeros((100, 2), np.float32), "Transpose"),
        (np.zeros((1, 2, 3), np.float32), r"\(1, 2, 3\)"),
        (np.full(100, np.nan, np.float32), "NaN"),
        ((np.zeros(10, np.float32), 100), "100 Hz"),
        ((np.zeros(10, np.float32), "16k"), "'16k' is no sample rate"),
        (17, "takes audio, not int"),
        (None, "takes audio, not NoneType"),
        ([0.1, 0.2], "takes audio, not list. Give a float32 array"),
        (b"RIFF", "takes audio, not bytes"),
        ((16000, np.zeros(10, np.float32)), "takes audio, not tuple"),
        (np.zeros(100, np.int32), "Divide whole numbers by 2147483648"),
        (np.zeros(100, np.uint8), "Take 128 off"),
        (np.zeros(100, np.complex64), "not complex64"),
        (np.full((2, 100), -np.inf), "infinite"),
        (np.zeros((16, 100), np.float32), r"at most 8 channels, not \(16, 100\)[.]$"),
        ({"inptu": np.zeros(10, np.float32)}, 'no source "inptu". Did you mean "input"'),
        ("", "the path is empty"),
    ],
)
def test_what_is_no_audio_is_refused(data, words):
    with pytest.raises(ParameterError, match=words):
        Pipeline(PassThroughNode()).run(data)


def test_nothing_given_is_said():
    with pytest.raises(ParameterError, match="nothing was given"):
        Pipeline(PassThroughNode()).run()


def test_a_file_that_is_not_there():
    with pytest.raises(MediaFileError, match="No such file"):
        Pipeline(PassThroughNode()).run("no-such-file.wav")


def test_events_are_typed(noise):
    audio = np.concatenate([np.zeros(8000, np.float32), noise(1.0, level=0.9)])
    result = Pipeline().add_node("v", VADNode(engine="energy")).run(audio)
    assert {type(event) for event in result.events} >= {Vad, SpeechStarted}
    assert all(event.node == "v" for event in result.events)
    assert json.loads(result.events[0].text)["type"] == "vad"
    assert result.outputs["v"].events == result.events
    np.testing.assert_array_equal(result.outputs["v"].audio, audio)


def test_python_nodes_in_a_chain(noise):
    pipeline = Pipeline().add_node("half", half).add_node("peak", peak)
    result = pipeline.run(np.full(16000, 0.5, np.float32))
    assert [event.data for event in result.events] == [{"peak": 0.25}] * 50
    assert result.outputs["peak"] == [{"peak": 0.25}] * 50
    assert result.values == [{"peak": 0.25}] * 50


def test_order_is_the_frames_order_whatever_takes_longer(noise):
    @node
    async def slow(audio, session):
        await asyncio.sleep(0.002 if session.seq % 2 else 0)
        return {"slow": session.seq}

    @node
    def fast(audio, session):
        return {"fast": session.seq}

    pipeline = Pipeline().add_node("slow", slow).add_node("fast", fast)
    pipeline.add_node("p", PassThroughNode()).connect("p", "slow").connect("p", "fast")
    runs = [[event.data for event in pipeline.run(noise(0.4)).events] for _ in range(3)]
    assert runs[0] == runs[1] == runs[2]
    assert [each["slow"] for each in runs[0] if "slow" in each] == list(range(20))


class Old(Node):
    """As nodes of version 0.1 are written."""

    log: list[str]

    def __init__(self):
        super().__init__()
        self.seen = 0

    async def initialize(self):
        await super().initialize()
        self.log = ["initialize"]

    async def process(self, data):
        self.seen += len(data)
        return data

    async def flush(self):
        self.log.append("flush")
        return {"seen": self.seen, "log": list(self.log)}

    async def cleanup(self):
        self.log.append("cleanup")
        CLEANED.append(list(self.log))


CLEANED: list[list[str]] = []


def test_a_node_of_version_0_1(noise):
    CLEANED.clear()
    result = Pipeline(Old()).run(noise(0.5))
    assert result.values == [{"seen": 8000, "log": ["initialize", "flush"]}]
    assert len(result.audio) == 8000
    assert CLEANED == [["initialize", "flush", "cleanup"]]


def test_what_flush_gives_goes_on(noise):
    class Held(Node):
        def process(self, audio):
            self.held = audio

        def flush(self):
            yield self.held
            yield self.held

    result = Pipeline(Held(), half).run(noise(0.1))
    np.testing.assert_allclose(result.audio, np.tile(noise(0.1)[-320:] * 0.5, 2))


def test_generators_give_several(noise):
    @node
    def twice(audio):
        yield {"n": 1}
        yield {"n": 2}

    @node
    async def thrice(audio):
        for number in range(3):
            yield {"m": number}

    assert Pipeline(twice).run(noise(0.02)).values == [{"n": 1}, {"n": 2}]
    both = Pipeline().add_node("p", PassThroughNode()).add_node("a", twice).add_node("b", thrice)
    both.connect("p", "a").connect("p", "b")
    assert both.run(noise(0.02)).outputs["b"] == [{"m": 0}, {"m": 1}, {"m": 2}]


def test_objects_pass_between_python_nodes(noise):
    class Spectrum:
        def __init__(self, size):
            self.size = size

    @node
    def analyse(audio):
        return Spectrum(len(audio))

    @node
    def measure(spectrum):
        return {"size": spectrum.size}

    result = Pipeline(analyse, measure).run(noise(0.04))
    assert result.values == [{"size": 320}] * 2
    (left, _) = Pipeline(analyse).run(noise(0.04)).values
    assert isinstance(left, Spectrum)


def test_arrays_in_a_dict_become_lists_only_for_the_result(noise):
    @node
    def bands(audio):
        return {"bands": np.arange(3)}

    @node
    def kind(data):
        return type(data["bands"]).__name__

    assert Pipeline(bands, kind).run(noise(0.02)).values == ["ndarray"]
    assert Pipeline(bands).run(noise(0.02)).values == [{"bands": [0, 1, 2]}]


class Splitter(Node):
    outputs = ("loud", "quiet")

    def process(self, audio):
        return Out("loud" if np.abs(audio).max() > 0.5 else "quiet", audio)


def test_named_outputs(noise):
    audio = np.concatenate([noise(0.1, level=0.9), noise(0.1, level=0.1)])
    pipeline = Pipeline().add_node("s", Splitter()).add_node("half", half)
    result = pipeline.connect("s.loud", "half").run(audio)
    np.testing.assert_allclose(result.outputs["half"].audio, audio[:1600] * 0.5)
    np.testing.assert_array_equal(result.outputs["s.quiet"].audio, audio[1600:])


def failing(*bad):
    @node
    def fails(audio, session):
        if session.seq in bad:
            raise ValueError(f"frame {session.seq}")
        return {"seq": session.seq}

    return fails


def test_a_frame_that_fails_is_told_of_and_the_run_goes_on(noise):
    result = Pipeline(failing(1, 2)).run(noise(0.1))
    assert [each["seq"] for each in result.values] == [0, 3, 4]
    assert [error.message for error in result.errors] == [
        "ValueError: frame 1",
        "ValueError: frame 2",
    ]
    assert "raise ValueError" in result.errors[0].traceback
    assert "remotemedia/" not in result.errors[0].traceback


def test_a_node_that_fails_on_and_on_ends_the_run(noise):
    with pytest.raises(NodeError, match="fails-1: ValueError") as caught:
        Pipeline(failing(*range(100))).run(noise(1.0))
    assert caught.value.node == "fails-1"
    assert "raise ValueError" in caught.value.traceback
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_node_that_cannot_begin_ends_the_run(noise):
    class Broken(Node):
        def initialize(self):
            raise OSError("no model")

        def process(self, audio):
            """Do nothing."""

    with pytest.raises(NodeError, match=r"b: .*no model") as caught:
        Pipeline().add_node("b", Broken()).run(noise(0.1))
    assert caught.value.node == "b"


def test_transient_errors_are_tried_again(noise):
    tries = []

    @node
    def flaky(audio, session):
        tries.append(session.seq)
        if tries.count(session.seq) < 2 and session.seq == 1:
            raise TransientError("busy")
        return {"seq": session.seq}

    result = Pipeline(flaky).run(noise(0.06))
    assert result.values == [{"seq": 0}, {"seq": 1}, {"seq": 2}]
    assert result.errors == []
    assert tries.count(1) == 2


def test_two_runs_of_one_pipeline_at_once_never_mix():
    together = threading.Barrier(2, timeout=10)

    class Sum(Node):
        def __init__(self):
            super().__init__()
            self.sum = 0.0

        def initialize(self):
            together.wait()

        def process(self, audio):
            self.sum += float(audio.sum())

        def flush(self):
            return {"sum": round(self.sum)}

    pipeline = Pipeline(PassThroughNode(), Sum())
    results = {}

    def work(value):
        results[value] = pipeline.run(np.full(16000, value, np.float32)).values

    threads = [threading.Thread(target=work, args=(value,)) for value in (0.25, 0.5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == {0.25: [{"sum": 4000}], 0.5: [{"sum": 8000}]}


async def test_inside_a_loop_it_is_awaited(noise):
    pipeline = Pipeline().add_node("level", LevelMeterNode())
    result = pipeline.run(noise(0.5))
    assert isinstance(result, Result)
    with pytest.raises(RemoteMediaError, match="must be awaited"):
        _ = result.audio
    assert "await" in repr(result)
    assert await result is result
    assert await result is result
    assert len(result.events) == 10
    first, second = await asyncio.gather(pipeline.run(noise(0.1)), pipeline.run(noise(0.2)))
    assert (len(first.audio), len(second.audio)) == (1600, 3200)


async def test_inside_a_loop_errors_come_when_it_is_awaited():
    result = Pipeline(PassThroughNode()).run("no-such-file.wav")
    with pytest.raises(MediaFileError):
        await result
    with pytest.raises(RemoteMediaError, match="Call run again"):
        await result


async def test_a_cancelled_run_cleans_up(noise):
    begun, cleaned = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Endless(Node):
        async def process(self, audio):
            loop.call_soon_threadsafe(begun.set)
            await asyncio.Event().wait()

        def cleanup(self):
            cleaned.set()

    task = asyncio.ensure_future(Pipeline(Endless()).run(noise(1.0)))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()


def test_a_pipeline_that_reads_its_file_itself(tmp_path, noise):
    from remotemedia.nodes import FileReaderNode

    path = tmp_path / "a.flac"
    with AudioWriter(path, 22050) as writer:
        writer.write(noise(1.0, 22050))
    result = Pipeline(FileReaderNode(path=path), PassThroughNode()).run()
    assert (result.rate, len(result.audio)) == (22050, 22050)


@pytest.mark.parametrize("given", [True, False])
def test_a_file_that_is_read_is_not_written_over(tmp_path, noise, given):
    path = tmp_path / "a.wav"
    with AudioWriter(path, 16000) as writer:
        writer.write(noise(1.0))
    before = path.read_bytes()
    nodes = [FileWriterNode(path=tmp_path / "." / "a.wav")]
    pipeline = Pipeline(*([] if given else [FileReaderNode(path=path)]), *nodes)
    with pytest.raises(ParameterError, match=r"would write over .*a\.wav, which is read"):
        pipeline.run(*([path] if given else []))
    assert path.read_bytes() == before


def test_several_sources_by_name(noise):
    from remotemedia.nodes import AudioSource, MixNode

    pipeline = Pipeline().add_node("a", AudioSource()).add_node("b", AudioSource())
    pipeline.add_node("mix", MixNode()).connect("a", "mix").connect("b", "mix")
    audio = noise(1.5)
    result = pipeline.run({"a": audio, "b": audio[:8000]})
    expected = audio.copy()
    expected[:8000] *= 2
    np.testing.assert_allclose(result.audio, expected, atol=1e-6)
    with pytest.raises(ParameterError, match="sources a, b"):
        pipeline.run(audio)
    with pytest.raises(ParameterError, match="nothing was given for the source b"):
        pipeline.run({"a": audio})


def test_data(tmp_path):
    from remotemedia.nodes import CalculatorNode, TextNode

    upper = Pipeline(TextNode(operation="uppercase"))
    assert upper.run("talk").values == ["TALK"]
    assert upper.run(iter(["a", "b"])).values == ["A", "B"]
    (tmp_path / "lines.jsonl").write_text('"x"\n\n{"text": "y"}\n')
    assert upper.run(tmp_path / "lines.jsonl").values == ["X", "Y"]
    divide = Pipeline(CalculatorNode(operation="divide", operand=0))
    assert divide.run(1).errors[0].node == "calculator-1"
    with pytest.raises(ParameterError, match="takes data, not audio"):
        upper.run(np.zeros(10, np.float32))


def test_a_node_result_is_an_event(noise):
    (event,) = Pipeline(peak).run(noise(0.02)).events
    assert isinstance(event, NodeResult)
    assert (event.session, event.participant, event.pts_ms) == ("offline", "p1", 0.0)


def test_written_files_are_as_long_as_what_was_run(tmp_path, noise):
    from remotemedia.nodes.files import FileWriterNode

    path = tmp_path / "out.wav"
    result = Pipeline(FileWriterNode(path=str(path))).run((noise(1.0, 22050), 22050))
    assert result.values == [{"path": str(path), "duration_ms": 1000.0}]
    with AudioReader(path) as reader:
        assert (reader.rate, sum(len(block) for block in reader.blocks())) == (22050, 22050)


def test_other_machines_are_for_a_later_version(noise):
    with pytest.raises(NotInThisVersion):
        Pipeline(PassThroughNode()).run(noise(0.1), remote="webrtc://host:1")


def test_a_python_node_takes_what_there_is(tmp_path, noise):
    @node
    def kind(data):
        return {"kind": type(data).__name__}

    pipeline = Pipeline(kind)
    assert pipeline.run("some text").values == [{"kind": "str"}]
    assert pipeline.run({"a": 1}).values == [{"kind": "dict"}]
    assert pipeline.run(object()).values == [{"kind": "object"}]
    path = tmp_path / "a.wav"
    with AudioWriter(path, 16000) as writer:
        writer.write(noise(0.02))
    assert pipeline.run(str(path)).values == [{"kind": "ndarray"}]
    assert pipeline.run(iter(["a", noise(0.02)])).values == [{"kind": "str"}, {"kind": "ndarray"}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "a.json is not JSON"),
        ("a.jsonl", '1\n{"a":\n', "a.jsonl, line 2"),
        ("none.json", None, "No such file"),
    ],
)
def test_values_that_cannot_be_read(tmp_path, name, content, words):
    from remotemedia.nodes import TextNode

    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(MediaFileError, match=words):
        Pipeline(TextNode(operation="strip")).run(tmp_path / name)


def test_a_file_of_values(tmp_path):
    from remotemedia.nodes import CalculatorNode, TextNode

    (tmp_path / "a.json").write_text("[1, 2, 3]")
    add = Pipeline(CalculatorNode(operation="add"))
    assert add.run(tmp_path / "a.json").values == [6]
    with pytest.raises(ParameterError, match="not an audio file"):
        Pipeline(TextNode(operation="strip")).run(tmp_path / "a.wav")


def test_audio_of_a_source_must_not_change(noise):
    pieces = iter([(noise(0.1, 8000), 8000), (noise(0.1, 16000), 16000)])
    with pytest.raises(ParameterError, match="changed from 8000 Hz, mono to 16000 Hz, mono"):
        Pipeline(PassThroughNode()).run(pieces)
    assert Pipeline(PassThroughNode()).run(iter(())).events == []


class Untidy(Node):
    def process(self, audio):
        return {"n": len(audio)}

    def cleanup(self):
        raise OSError("the disk is full")


class UntidyAsync(Node):
    async def process(self, audio):
        return {"n": len(audio)}

    async def cleanup(self):
        raise OSError("the disk is full")


@pytest.mark.parametrize("made", [Untidy, UntidyAsync])
def test_a_cleanup_that_fails_is_only_logged(noise, caplog, made):
    assert len(Pipeline(made()).run(noise(0.1)).values) == 5
    assert "cleanup of untidy" in caplog.text
    assert "the disk is full" in caplog.text


def test_a_flush_that_fails_is_an_error(noise):
    class Last(Node):
        def process(self, audio):
            """Keep quiet."""

        def flush(self):
            raise ValueError("nothing to give")

    (error,) = Pipeline(Last()).run(noise(0.1)).errors
    assert error.message == "ValueError: nothing to give"


def test_flush_may_be_of_another_kind_than_process(noise):
    class Plain(Node):
        def process(self, audio):
            """Keep quiet."""

        async def flush(self):
            yield {"n": 1}
            yield {"n": 2}

    class Loop(Node):
        async def process(self, audio):
            """Keep quiet."""

        def flush(self):
            yield {"n": 3}

        def initialize(self):
            self.ready = True

    assert Pipeline(Plain()).run(noise(0.1)).values == [{"n": 1}, {"n": 2}]
    assert Pipeline(Loop()).run(noise(0.1)).values == [{"n": 3}]


async def test_a_node_that_blocks_does_not_hold_a_cancelled_run(noise):
    begun, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Stuck(Node):
        def process(self, audio):
            loop.call_soon_threadsafe(begun.set)
            release.wait(30)

    task = asyncio.ensure_future(Pipeline(Stuck()).run(noise(1.0)))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    release.set()


def test_outputs_read_like_lists_and_arrays(noise):
    result = Pipeline().add_node("half", half).add_node("peak", peak).run(noise(0.04))
    output = result.outputs["peak"]
    assert (len(output), output[-1], output[:1]) == (2, output.values[1], output.values[:1])
    assert output == output.values
    assert output != [1]
    assert np.asarray(output).shape == (0,)
    assert "values [{'peak'" in repr(output)
    assert "outputs of peak" in repr(result)
    loud = Pipeline(half).run(noise(0.04))
    assert "audio (640,) at 16000 Hz" in repr(loud.outputs["half-1"])
    assert np.array(loud, copy=True) is not loud.audio
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(loud, np.int16, copy=False)
