"""`remotemedia run`: what it prints and writes, and with which exit code it ends."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from remotemedia.cli import exits
from remotemedia.cli.app import app
from remotemedia.files import AudioReader, AudioWriter


@pytest.fixture
def run(monkeypatch, twin, tmp_path):
    """Run the command; gives its exit code and what it printed on both outputs."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exits.errors, "_width", 200, raising=False)

    def command(*arguments):
        result = CliRunner().invoke(app, ["run", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return command


@pytest.fixture
def talk(tmp_path):
    """Write half a second of silence, a second of noise, half a second of silence."""

    def make(name="talk.wav", seconds=1.0):
        noise = np.random.default_rng(7).uniform(-0.5, 0.5, int(22050 * seconds))
        silence = np.zeros(11025)
        with AudioWriter(tmp_path / name, 22050) as writer:
            writer.write(np.concatenate([silence, noise, silence]).astype(np.float32))
        return tmp_path / name

    return make


@pytest.fixture
def vad(tmp_path):
    path = tmp_path / "vad.yaml"
    path.write_text(
        "metadata: {name: vad}\n"
        "nodes:\n  - {id: vad, node_type: VADNode, params: {engine: energy, emit: events}}\n"
    )
    return path


@pytest.fixture
def program(tmp_path):
    """Write a program with pipelines."""
    path = tmp_path / "app.py"
    path.write_text(
        "from remotemedia import Pipeline, node\n"
        "from remotemedia.nodes.audio import GainNode, PassThroughNode\n"
        "from remotemedia.nodes.data import TextNode\n"
        "from remotemedia.nodes.routing import MixNode\n"
        "from remotemedia.nodes.endpoints import AudioSource\n"
        "@node\n"
        "def fails(audio):\n    raise ValueError('never')\n"
        "@node\n"
        "def half(audio):\n    return audio * 0.5\n"
        "@node\n"
        "def picky(audio, session):\n"
        "    if session.seq == 1: raise ValueError('not this one')\n"
        "broken = Pipeline('broken', fails)\n"
        "quiet = Pipeline('quiet', half)\n"
        "some = Pipeline('some', picky)\n"
        "upper = Pipeline('upper', TextNode(operation='uppercase'))\n"
        "mix = Pipeline('mix').add_node('a', AudioSource()).add_node('b', AudioSource())\n"
        "mix.add_node('m', MixNode()).connect('a', 'm').connect('b', 'm')\n"
    )
    return path


def test_it_prints_what_it_finds(run, vad, talk):
    code, out, _ = run(vad, talk())
    assert code == 0
    assert "speech" in out
    assert "1 segment, " in out
    assert "2.0 s of audio in" in out
    assert "times real time" in out


def test_json_is_one_event_a_line(run, vad, talk):
    code, out, _ = run(vad, talk(), "--json")
    assert code == 0
    messages = [json.loads(line) for line in out.splitlines()]
    assert [each["type"] for each in messages] == ["speech_started", "speech_stopped"]
    assert messages[0]["node"] == "vad"


def test_events_and_audio_go_to_files(run, program, talk, tmp_path):
    code, _, _ = run(f"{program}:quiet", talk(), "-o", "out.flac", "-o", "deep/out.jsonl")
    assert code == 0
    with AudioReader(tmp_path / "out.flac") as reader:
        audio = np.concatenate(list(reader.blocks()))
    assert (reader.rate, len(audio)) == (22050, 44100)
    assert 0.2 < np.abs(audio).max() <= 0.26
    assert (tmp_path / "deep" / "out.jsonl").read_text() == ""


def test_several_files_go_to_a_folder(run, vad, talk, tmp_path):
    files = [talk(f"{name}.wav") for name in "abc"]
    (tmp_path / "out").mkdir()
    code, out, _ = run(vad, *files, "-o", "out", "--jobs", "0")
    assert code == 0
    assert out.count("1 segment") == 3
    for name in "abc":
        assert len((tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()) == 2


def test_a_pattern_names_the_files(run, program, talk, tmp_path):
    code, _, _ = run(f"{program}:quiet", talk("a.wav"), talk("b.wav"), "-o", "x/{stem}.wav")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["a.wav", "b.wav"]


def test_a_file_that_fails_does_not_stop_the_rest(run, vad, talk, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    code, out, err = run(vad, talk("a.wav"), "bad.wav", "none.wav", talk("b.wav"), "--jobs", "2")
    assert code == exits.SOME_FAILED == 10
    assert out.count("1 segment") == 2
    assert "error: bad.wav is no media file." in err
    assert "error: none.wav: No such file" in err  # its name once
    assert "2 of 4 inputs failed" in err


def test_which_file_an_event_is_of(run, vad, talk):
    _, out, _ = run(vad, talk("a.wav"), talk("b.wav"), "--json")
    files = {json.loads(line)["file"].rpartition("/")[2] for line in out.splitlines()}
    assert files == {"a.wav", "b.wav"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("vad.yaml", "none.wav"), exits.UNREADABLE, "No such file"),
        (("none.yaml", "talk.wav"), exits.INVALID, "none.yaml"),
        (("talk.wav", "vad.yaml"), exits.INVALID, "The pipeline comes first"),
        (("folder", "talk.wav"), exits.INVALID, '"folder" is a folder, no pipeline'),
        (
            ("broken.py", "talk.wav"),
            exits.INVALID,
            'error: "broken.py" failed to import: NameError',
        ),
        (("vad.yaml", "folder"), exits.UNREADABLE, "folder is a folder. Name its files: folder/*"),
        (("vad.yaml", "empty.wav"), exits.UNREADABLE, "error: empty.wav is empty. ["),
        (("vad.yaml", "broken.py"), exits.UNREADABLE, "error: broken.py is no media file. ["),
        (("write.yaml", "talk.wav", "talk.wav"), exits.USAGE, "all inputs to one.wav"),
        (("write.yaml", "one.wav"), exits.INVALID, "would write over"),
        (("sink.yaml", "talk.wav"), exits.INVALID, "sink.yaml: nodes[0].params.path: "),
        (("file.yaml", "talk.wav"), exits.USAGE, "name the files that they read"),
        (("vad.yaml", "talk.wav", "-o", "talk.wav/x.jsonl"), exits.UNREADABLE, "File exists"),
        (("app.py:quiet", "talk.wav", "-o", "talk.wav/x.flac"), exits.UNREADABLE, "File exists"),
        (("vad.yaml", "talk.wav", "-o", "full.jsonl"), exits.UNREADABLE, "No space left"),
        (("vad.yaml",), exits.USAGE, "nothing was given"),
        (("vad.yaml", "talk.wav", "-o", "out.txt"), exits.USAGE, "no kind of file"),
        (("vad.yaml", "talk.wav", "-o", "talk.wav"), exits.USAGE, "over an input"),
        (("vad.yaml", "talk.wav", "talk.wav", "-o", "x.jsonl"), exits.USAGE, "Name a folder"),
        (("vad.yaml", "talk.wav", "talk.wav", "-o", "{stem}.jsonl"), exits.USAGE, "twice"),
        (("app.py:broken", "talk.wav"), exits.NODE_FAILED, "fails-1: ValueError: never"),
        (("app.py:some", "talk.wav", "-o", "x.wav"), exits.UNREADABLE, "gave no audio"),
    ],
)
def test_what_goes_wrong_has_an_exit_code(
    run, vad, program, talk, tmp_path, arguments, code, words
):
    talk()
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.wav").touch()
    (tmp_path / "broken.py").write_text("nothing")
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    talk("one.wav")
    for name, kind, path in (("write", "FileWriter", "one.wav"), ("sink", "AudioSink", "a.b")):
        spec = f"{{id: out, node_type: {kind}, params: {{path: {path}}}}}"
        (tmp_path / f"{name}.yaml").write_text(f"nodes:\n  - {spec}\n")
    (tmp_path / "file.yaml").write_text(
        "nodes:\n  - {id: file, node_type: FileReaderNode, params: {path: talk.wav}}\n"
        "  - {id: level, node_type: LevelMeterNode}\n"
    )
    got, _, err = run(*arguments)
    assert got == code
    assert words in err
    assert not (tmp_path / "x.wav").exists()


def test_frames_that_failed_are_counted(run, program, talk):
    code, out, _ = run(f"{program}:some", talk())
    assert code == 0
    assert "not this one" in out
    assert "1 error" in out


def test_metrics_are_a_table(run, vad, talk):
    code, out, _ = run(vad, talk(), "--metrics")
    assert code == 0
    assert "p99 us" in out
    row = next(line.split() for line in out.splitlines() if line.startswith("vad "))
    assert row[-6] == "100"


def test_data_is_run_too(run, program, tmp_path):
    code, out, _ = run(f"{program}:upper", "hello", "--json")
    assert (code, json.loads(out)["data"]) == (0, "HELLO")
    (tmp_path / "a.jsonl").write_text('"x"\n"y"\n')
    _, out, _ = run(f"{program}:upper", "a.jsonl", "--json")
    assert [json.loads(line)["data"] for line in out.splitlines()] == ["X", "Y"]


def test_several_sources(run, program, talk, tmp_path):
    code, _, _ = run(f"{program}:mix", f"a={talk('a.wav')}", f"b={talk('b.wav')}", "-o", "m.wav")
    assert code == 0
    with AudioReader(tmp_path / "m.wav") as reader:
        assert sum(map(len, reader.blocks())) == 2 * reader.rate
