"""The command line: what it prints, and with which exit code it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from remotemedia import Pipeline
from remotemedia.cli import exits
from remotemedia.cli.app import LATER, app
from remotemedia.cli.call import Summary, describe
from remotemedia.client import session as session_module
from remotemedia.client.events import parse
from remotemedia.errors import RemoteMediaError
from remotemedia.nodes.audio import VADNode
from remotemedia.nodes.registry import NODE_TYPES

from .fakes import FakeFault


@pytest.fixture
def run(monkeypatch):
    """Run a command; gives its exit code and what it printed on both outputs."""
    monkeypatch.setattr(session_module, "QUIET_SECONDS", 0.05)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(exits.errors, "_width", 200, raising=False)

    def command(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return command


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "mic.yaml"
    path.write_text(
        "metadata: {name: mic, description: says when}\n"
        "nodes:\n"
        "  - {id: level, node_type: LevelMeterNode, params: {input_rate: 48000}}\n"
        "  - {id: vad, node_type: VADNode}\n"
    )
    return path


@pytest.fixture
def native(monkeypatch, runtime):
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", runtime)
    return runtime


def test_help_explains_the_exit_codes(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ("serve", "call", "nodes", "validate", "inspect"):
        assert command in out
    for meaning in exits.EXIT_CODES.values():
        assert meaning in out
    for later in LATER:
        assert f"\n│ {later} " not in out


@pytest.mark.parametrize("command", LATER)
def test_commands_of_later_versions_say_so(run, command):
    code, out, err = run(command, "--some", "thing")
    assert (code, out) == (exits.USAGE, "")
    assert f"`remotemedia {command}` is not in this version. [RM-4003]" in err


def test_wrong_use(run):
    assert run("serve")[0] == exits.USAGE
    assert run("nope")[0] == exits.USAGE
    assert run("call", "http://127.0.0.1:9/x")[0] == exits.USAGE
    assert run("serve", "x.yaml", "--port", "70000")[0] == exits.USAGE


def test_nodes_lists_every_type(run):
    code, out, _ = run("nodes")
    assert code == 0
    assert re.search(r"VADNode +Find speech", out)
    assert re.search(r"PythonNode +A node of one's own", out)
    for name in NODE_TYPES:
        assert f"\n{name} " in out


def test_nodes_says_everything_about_one(run):
    code, out, _ = run("nodes", "VAD")
    assert code == 0
    assert re.search(r'engine +"silero" \| "energy" +\'silero\'', out)
    assert re.search(r"threshold +number 0.0..1.0 +0.5 +yes +probability from which", out)
    code, out, _ = run("nodes", "PythonNode")
    assert re.search(r"entry +string +required", out)
    assert re.search(r"path +string +None +a file", run("nodes", "AudioSource")[1])
    assert re.search(r"gains_db +list of number -120.0..60.0 +None", run("nodes", "Mix")[1])


def test_nodes_knows_the_nearest(run):
    code, _, err = run("nodes", "VDNode")
    assert code == exits.INVALID
    assert 'Did you mean "VADNode"?' in err


def test_validate_shows_what_would_run(run, manifest, native):
    code, out, err = run("validate", str(manifest))
    assert (code, err) == (0, "")
    assert "mic is valid; audio comes in at 48000 Hz, mono." in out
    assert "└─ 48000 Hz, mono -> level  [LevelMeterNode, " in out
    assert "-> resample.1  [resample, " in out
    assert ", put in]" in out


def test_validate_says_when_the_runtime_is_not_there(run, manifest, monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    code, out, err = run("validate", str(manifest))
    assert code == 0
    assert "mic is valid" in out
    assert "not checked natively" in err


def test_validate_shows_what_the_runtime_says(run, manifest, native):
    native.refuse = FakeFault("RM-1003", "too loud", "nodes[0].params.x")
    code, _, err = run("validate", str(manifest))
    assert code == exits.INVALID
    assert "too loud" in err


def test_inspect_draws(run, manifest, native):
    code, out, _ = run("inspect", str(manifest))
    assert code == 0
    assert out.startswith("mic\n\ninput\n└─ 48000 Hz, mono -> level")
    code, out, _ = run("inspect", str(manifest), "--mermaid")
    assert code == 0
    assert out.startswith("flowchart LR\n")
    code, out, _ = run("inspect", str(manifest), "--json")
    assert code == 0
    (line,) = out.splitlines()
    assert [each["id"] for each in json.loads(line)["nodes"]] == [
        "$input",
        "level",
        "resample.1",
        "vad",
    ]
    assert run("inspect", str(manifest), "--json", "--mermaid")[0] == exits.USAGE


def test_validate_shows_every_problem(run, tmp_path):
    path = tmp_path / "bad.json"
    nodes = [{"id": "a", "node_type": "Vat"}, {"id": "b", "node_type": "VAD", "params": {"x": 1}}]
    path.write_text(json.dumps({"nodes": nodes}))
    code, _, err = run("validate", str(path))
    assert code == exits.INVALID
    assert f"error: {path}: 2 problems:" in err
    assert "nodes[0].node_type: there is no node type" in err
    assert 'nodes[1].params.x: VADNode has no parameter "x".' in err


APP = """
from remotemedia import Pipeline, node
from remotemedia.nodes.audio import VADNode
first = Pipeline("first", VADNode())
"""


@pytest.mark.parametrize(
    ("code", "named", "words"),
    [
        (APP, "app.py", "first is valid"),
        (APP, "app.py:first", "first is valid"),
        (APP, "app.py:node", "is a function, not a Pipeline"),
        (APP, "app.py:frist", 'Did you mean "first"?'),
        (APP + "second = Pipeline(VADNode())\n", "app.py", "several pipelines: first, second."),
        ("", "app.py", "has no Pipeline"),
        ("", "mic", '"mic" is no pipeline'),
        ("", "other.yaml", "No such file"),
    ],
)
def test_pipelines_can_be_named_in_several_ways(run, native, tmp_path, code, named, words):
    (tmp_path / "app.py").write_text(code)
    target = named if named == "mic" else str(tmp_path / named)
    _, out, err = run("validate", target)
    assert words in out + err


async def test_call_shows_segments(run, server, tone):
    stopped = {"start_ms": 100.0, "duration_ms": 800.0}
    server.on_open = [
        ("results", server.result("ready", data={"pipeline": "mic", "participant": "p_1"})),
        ("results", server.result("vad", data={"speech": True, "probability": 0.9})),
        ("results", server.result("speech_stopped", 900.0, stopped)),
        ("results", server.result("node", 40.0, {"loud": True}, node="loudness")),
        ("results", server.result("node", 50.0, {"loud": True}, participant="p_2")),
        ("results", server.result("error", 60.0, {"code": "RM-5001", "message": "it broke"})),
    ]
    code, out, err = await asyncio.to_thread(run, "call", f"{server.url}/mic", str(tone), "--fast")
    shown = out.splitlines()
    assert (code, err) == (0, "")
    assert "0.10 - 0.90 s  speech, 0.80 s" in shown[0]
    assert '0.04 s  loudness: {"loud": true}' in shown[1]
    assert shown[2].startswith("p_2 ")
    assert "it broke [RM-5001]" in shown[3]
    assert shown[4] == "1 segment, 0.80 s of speech; server latency 1.5 ms; 1 errors"


async def test_call_prints_messages_as_they_are(run, server, tone):
    messages = [
        server.result("ready", data={"pipeline": "mic", "participant": "p_1"}),
        server.result("vad", data={"speech": False, "probability": 0.1}),
    ]
    server.on_open = [("results", message) for message in messages]
    code, out, err = await asyncio.to_thread(
        run, "call", f"{server.url}/mic", str(tone), "--fast", "--json", "--join", "s_7"
    )
    assert (code, err) == (0, "")
    assert out.splitlines() == messages
    assert server.offers[0]["join"] == "s_7"


def taking(name, **ports):
    """Make what a server says that it serves."""
    told = [{"id": id_, "direction": "in", "kind": kind} for id_, kind in ports.items()]
    told.append({"id": "results", "direction": "out", "kind": "results"})
    return {"name": name, "ports": told}


def taken(server):
    """Let the server take data and give it back; what came is noted."""
    came = []

    def take(channel, control):
        came.append((control.get("node"), control["data"]))
        channel.send(server.result("node", data=control["data"], node="text-1", stream="data"))
        channel.send(json.dumps({"v": 1, "type": "accepted", "id": control["id"], "node": "x"}))

    server.replies["input"] = take
    return came


async def test_call_sends_data_and_no_audio(run, server, monkeypatch):
    monkeypatch.setattr(session_module, "QUIET_DATA_SECONDS", 0.1)
    server.pipelines = [taking("text", input="data")]
    came = taken(server)
    given = ['{"text": "hi"}', "plain words", "NaN", "a=b", "3"]
    options = [each for text in given for each in ("--input", text)]
    code, out, err = await asyncio.to_thread(run, "call", f"{server.url}/text", *options)
    assert (code, err) == (0, "")
    assert came == [(None, {"text": "hi"}), *((None, text) for text in given[1:4]), (None, 3)]
    assert "a=sendrecv" not in server.offers[0]["sdp"]
    assert 'text-1: "plain words"' in out


async def test_call_names_who_takes_data_where_there_are_several(run, server, tone, monkeypatch):
    monkeypatch.setattr(session_module, "QUIET_DATA_SECONDS", 0.1)
    server.pipelines = [taking("p", mic="audio", left="data", right="any")]
    came = taken(server)
    data = ["-i", "left=1", "-i", 'right={"a": 2}', "-i", "other=3"]
    code, _, err = await asyncio.to_thread(run, "call", server.url, str(tone), *data, "--fast")
    assert (code, err) == (0, "")
    assert came == [("left", 1), ("right", {"a": 2}), (None, "other=3")]
    assert server.samples > 0


@pytest.mark.parametrize(
    ("ports", "given", "words"),
    [
        ({"input": "data"}, [], '"p" takes data. Give it some: --input'),
        ({"input": "data"}, ["tone"], '"p" takes data and no audio. Give it some: --input'),
        ({"input": "audio"}, ["-i", "1"], '"p" takes no data. Give an audio file'),
        ({"mic": "audio", "input": "data"}, ["-i", "1"], '"p" takes audio, too. Give an audio'),
        ({"input": "any"}, [], 'nothing to send to "p". Give an audio file, or `mic`. Data'),
        ({"input": "audio"}, [], 'nothing to send to "p". Give an audio file, or `mic`.'),
    ],
)
async def test_call_says_what_a_pipeline_takes(run, server, tone, ports, given, words):
    server.pipelines = [taking("p", **ports), taking("q", input="audio")]
    given = [str(tone) if each == "tone" else each for each in given]
    code, _, err = await asyncio.to_thread(run, "call", f"{server.url}/p", *given)
    assert code == exits.USAGE
    assert words in err
    assert server.offers == []


async def test_call_ends_when_data_is_refused(run, server):
    server.pipelines = [taking("p", left="data", right="data")]
    data = {"code": "RM-1003", "message": "say which node", "field": "node"}
    server.replies["input"] = {"type": "error", "data": data}
    code, _, err = await asyncio.to_thread(run, "call", server.url, "--input", "x")
    assert code == exits.FAILED
    assert "say which node" in err


async def test_call_leaves_audio_to_others_where_it_joins(run, server, monkeypatch):
    monkeypatch.setattr(session_module, "QUIET_DATA_SECONDS", 0.1)
    server.pipelines = [taking("p", mic="audio", words="data")]
    came = taken(server)
    code, _, _ = await asyncio.to_thread(run, "call", f"{server.url}/p", "-i", "1", "--join", "s_1")
    assert (code, came) == (0, [(None, 1)])


@pytest.mark.parametrize("list_", [None, [], [{"name": "p"}], 7, [taking("p"), taking("q")]])
async def test_call_goes_on_where_the_server_does_not_say(run, server, tone, list_):
    server.pipelines = list_
    code, _, _ = await asyncio.to_thread(run, "call", server.url, str(tone), "--fast")
    assert code == 0


async def test_call_ends_with_the_servers_error(run, server, tone):
    bye = {"reason": "too slow", "code": "RM-3005"}
    server.on_open = [("results", server.result("bye", data=bye))]
    code, out, err = await asyncio.to_thread(run, "call", server.url, str(tone))
    assert (code, out) == (exits.LOST, "")
    assert "the server ended the session: too slow [RM-3005]" in err


async def test_call_says_why_it_was_refused(run, server, tone):
    server.refusal = (404, {"error": {"code": "RM-2003", "message": "no pipeline", "hint": "mic?"}})
    code, out, err = await asyncio.to_thread(run, "call", f"{server.url}/mik", str(tone))
    assert (code, out) == (exits.REFUSED, "")
    assert "error: no pipeline mic? [RM-2003]" in err


@pytest.fixture
async def voice(server, monkeypatch):
    """Let the server say a second of 440 Hz when it is asked to finish."""
    import numpy as np

    from remotemedia.client.track import AudioTrack

    server.voice = AudioTrack()
    tone = np.round(np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000) * 16000).astype(np.int16)
    saying = []

    def flush(channel, control):
        channel.send(json.dumps({"v": 1, "type": "flushed", "id": control["id"]}))
        saying.append(asyncio.ensure_future(server.voice.put(tone)))

    server.replies["flush"] = flush
    yield server.voice
    await asyncio.gather(*saying)


@pytest.mark.parametrize("ending", ["wav", "opus"])
async def test_call_writes_what_comes_back(run, server, voice, tone, tmp_path, ending):
    import numpy as np

    from remotemedia.files import AudioReader

    path = tmp_path / f"out.{ending}"
    code, out, err = await asyncio.to_thread(run, "call", server.url, str(tone), "-o", str(path))
    assert (code, err) == (0, "")
    assert re.search(r"0\.9\d s of audio came back", out)
    with AudioReader(path) as reader:
        samples = np.concatenate(list(reader.blocks()))
        assert (reader.rate, reader.channels) == (48000, 1)
    assert 0.9 <= len(samples) / 48000 <= 1.01
    assert np.sqrt(np.mean(samples[9600:38400] ** 2)) == pytest.approx(0.345, rel=0.05)


async def test_call_as_json_prints_no_audio(run, server, voice, tone):
    code, out, _ = await asyncio.to_thread(run, "call", server.url, str(tone), "--fast", "--json")
    assert (code, out) == (0, "")


async def test_call_cannot_write_audio_that_does_not_come(run, server, tone, tmp_path):
    path = tmp_path / "out.wav"
    code, _, err = await asyncio.to_thread(run, "call", server.url, str(tone), "-o", str(path))
    assert code == exits.INVALID
    assert "-o: the pipeline sends no audio" in err
    assert not path.exists()


def test_call_knows_what_it_can_write(run, tone, tmp_path):
    code, _, err = run("call", "http://127.0.0.1:9/x", str(tone), "-o", str(tmp_path / "out.jsonl"))
    assert code == exits.INVALID
    assert ".flac" in err
    output = str(tmp_path / "out.wav")
    code, _, err = run("call", "http://127.0.0.1:9/x", str(tone), "-o", output, "--fast")
    assert code == exits.INVALID
    assert "-o: audio comes back in real time" in err


def test_call_without_a_server_or_a_file(run, tone, tmp_path, monkeypatch):
    code, _, err = run("call", "http://127.0.0.1:9/x", str(tone))
    assert code == exits.UNREACHABLE
    assert "remotemedia serve" in err
    code, _, err = run("call", "http://127.0.0.1:9/x", str(tmp_path / "none.wav"))
    assert code == exits.UNREADABLE
    code, _, err = run("call", "nowhere", str(tone))
    assert code == exits.INVALID
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = run("call", "http://127.0.0.1:9/x", "mic")
    assert code == exits.UNREADABLE
    assert "remotemedia[mic]" in err


def test_lines_and_summary():
    def event(type_, data, **rest):
        head = {"seq": 1, "type": type_, "node": "asr", "pts_ms": 1000, **rest}
        return parse(json.dumps({**head, "data": data}))

    assert str(describe(event("transcript", {"text": "hi", "final": True}))).strip() == "1.00 s  hi"
    assert describe(event("vad", {})) is None
    goodbye = describe(event("bye", {"reason": "the end"}))
    assert str(goodbye) == "the server says goodbye: the end"
    assert str(Summary()) == "0 segments, 0.00 s of speech"


def test_other_errors_end_with_one(capsys):
    assert exits.exit_code(RemoteMediaError("odd")) == exits.FAILED


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", "{folder}/none.yaml"], "none.yaml: cannot be read"),
        (["--config", "{folder}/bad.yaml"], "bad.yaml: prot: unknown option"),
        (["--host", "192.0.2.99", "--port", "0"], "not an address of this machine"),
    ],
)
def test_serve_refuses_a_wrong_configuration(run, native, manifest, tmp_path, options, words):
    (tmp_path / "bad.yaml").write_text("prot: 3\n")
    told = [option.format(folder=tmp_path) for option in options]
    code, _, err = run("serve", str(manifest), *told)
    assert code == exits.INVALID
    assert words in err


def test_serve_what_must_run_natively_without_the_runtime(run, tmp_path, monkeypatch):
    path = tmp_path / "mic.yaml"
    path.write_text("nodes: [{id: vad, node_type: VADNode, runtime_hint: rust}]")
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    code, _, err = run("serve", str(path))
    assert code == exits.NO_RUNTIME
    assert '"vad" must run natively: REMOTEMEDIA_USE_RUST=0' in err


SERVE = """
import sys
sys.path.insert(0, {folder!r})
from fakes import FakeRuntime
sys.modules["remotemedia_runtime"] = FakeRuntime()
from remotemedia.cli import main
main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("page", [True, False])
def test_serve_says_where_and_ends_cleanly(manifest, tmp_path, how, page):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<p>hello")
    config = tmp_path / "server.yaml"
    config.write_text("port: 1\n" + (f"web_root: {folder}\n" if page else "web_root: nowhere\n"))
    script = tmp_path / "serve.py"
    script.write_text(SERVE.format(folder=os.path.dirname(__file__)))
    command = [sys.executable, "-u", script, "serve", manifest, "--config", config, "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REMOTEMEDIA_USE_RUST": "1"},
    )
    lines = [process.stdout.readline() for _ in range(3)]
    assert re.match(r"open http://127\.0\.0\.1:\d+/$", lines[0])
    assert re.match(r"  http://127\.0\.0\.1:\d+/mic  says when$", lines[1])
    assert lines[2] == "Ctrl-C ends it\n"
    process.send_signal(how)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_serve_without_the_runtime_warns_once_and_ends_cleanly(manifest):
    command = [sys.executable, "-um", "remotemedia", "serve", manifest, "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REMOTEMEDIA_USE_RUST": "0", "COLUMNS": "1000"},
    )
    while process.stdout.readline() != "Ctrl-C ends it\n":
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    (warning,) = err.splitlines()
    assert "REMOTEMEDIA_USE_RUST=0 switches it off" in warning


def test_every_address_is_shown(capsys, monkeypatch):
    from types import SimpleNamespace

    from remotemedia.cli.app import _announce

    server = SimpleNamespace(
        url="http://127.0.0.1:1",
        urls=["http://127.0.0.1:1", "http://192.0.2.2:1"],
        config=SimpleNamespace(web_root=None),
    )
    _announce(server, [Pipeline("mic", VADNode())])
    assert capsys.readouterr().out.splitlines() == [
        "listening at http://127.0.0.1:1/",
        "listening at http://192.0.2.2:1/",
        "  http://127.0.0.1:1/mic",
        "  there is no page: build it with `make setup`",
        "Ctrl-C ends it",
    ]


def test_the_page_is_found(monkeypatch, tmp_path):
    from remotemedia import server

    monkeypatch.setenv("REMOTEMEDIA_PAGE", "/somewhere")
    assert str(server.find_page()) == "/somewhere"
    monkeypatch.delenv("REMOTEMEDIA_PAGE")
    monkeypatch.setattr(server, "__file__", str(tmp_path / "a" / "b" / "server.py"))
    assert server.find_page() is None
    page = tmp_path / "web" / "demo" / "dist"
    page.mkdir(parents=True)
    (page / "index.html").write_text("")
    assert server.find_page() == page


def test_interrupted():
    with pytest.raises(typer.Exit) as caught, exits.as_exit_code():
        raise KeyboardInterrupt
    assert caught.value.exit_code == exits.INTERRUPTED


def test_the_module_is_the_command():
    said = subprocess.run(
        [sys.executable, "-m", "remotemedia", "--help"], capture_output=True, text=True, check=True
    )
    assert "Exit codes" in said.stdout
