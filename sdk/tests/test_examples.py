"""Each example does what it says."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from remotemedia.cli.pipelines import load_pipeline
from remotemedia.files import AudioReader, AudioWriter

from .fakes import FakeFailure, frame

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PIPELINES = EXAMPLES.parents[1] / "configs" / "pipelines"
SPEECH = EXAMPLES.parents[1] / "tests" / "data" / "speech" / "jfk.flac"


def names():
    return sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_each_is_listed_and_documented():
    listed = (EXAMPLES / "README.md").read_text()
    for name in names():
        assert f"[{name}]({name})" in listed
        assert ast.get_docstring(ast.parse((EXAMPLES / name).read_text()))


def test_first_pipeline(capsys):
    runpy.run_path(str(EXAMPLES / "first_pipeline.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "input\n└─ 48000 Hz, mono -> level-1  [LevelMeterNode" in said
    assert "└─ 16000 Hz, mono -> speech  [VADNode" in said


def test_graph(tmp_path, capsys, monkeypatch):
    from remotemedia.files import AudioWriter

    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    wave = 0.3 * np.sin(np.arange(16000 * 3) / 10, dtype=np.float32)
    left, right = wave.copy(), wave.copy()
    left[:16000] = 0
    left[32000:] = 0
    right[16000:] = 0
    with AudioWriter(tmp_path / "call.wav", 16000, 2) as file:
        file.write(np.stack([left, right]))
    monkeypatch.setattr(sys, "argv", ["graph.py", str(tmp_path / "call.wav")])
    runpy.run_path(str(EXAMPLES / "graph.py"), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "two-speakers"
    assert "   ├─ left: 16000 Hz, mono -> agent  [VADNode, python]" in said
    assert said[-3:] == [
        "customer spoke from 0 to 1030 ms",
        "agent spoke from 970 to 2030 ms",
        "3.0 s of audio in the mix",
    ]


def test_own_nodes(engine, lanes):
    lanes(load_pipeline(str(EXAMPLES / "own_nodes.py")))
    told = {"pipeline": "own-nodes"}
    engine.push(
        frame(50, 1.0, node="clipping", **told),
        frame(1, 0.1, node="clipping", **told),
        frame(2, 0.1, node="loudest", **told),
        frame(3, 0.1, node="loudest", **told),
        frame(100, node="crossings", **told),
        frame(101, node="crossings", **told),
    )
    found = {token: [json.loads(each) for each in engine.result(token)] for token in (50, 1, 2, 3)}
    assert found == {
        50: [{"clipped": 320}],
        1: [],
        2: [{"dbfs": -20.0, "at_ms": 40.0}],
        3: [],
    }
    assert json.loads(engine.result(100)[0]) == {"crossings_per_second": 0.0}
    assert engine.result(101) == []


def test_own_nodes_over_audio():
    pipeline = load_pipeline(str(EXAMPLES / "own_nodes.py"))
    quiet, limit = np.full(16000, 0.1, np.float32), np.ones(16000, np.float32)
    result = pipeline.run((np.concatenate([quiet, limit]), 16000))
    assert result.errors == []
    told = result.outputs
    assert list(told["clipping"]) == [{"clipped": 320}] * 50
    assert [each["dbfs"] for each in told["loudest"]] == [-20.0, 0.0]
    assert [each["crossings_per_second"] for each in told["crossings"]] == [0.0, 0.0]


def test_the_nodes_of_the_readme(tmp_path, monkeypatch):
    text = (EXAMPLES.parent / "README.md").read_text()
    (code,) = re.findall(r"## Nodes of your own\n\n```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "nodes_of_the_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    pipeline = importlib.import_module("nodes_of_the_readme").pipeline
    parts = [np.full(320, level, np.float32) for level in (0.1, 0.9, 0.3, 0.1)]
    result = pipeline.run((np.concatenate(parts), 16_000))
    assert result.errors == []
    assert list(result.outputs["judge"]) == [
        {"loud": True, "at_ms": 20.0},
        {"loud": False, "at_ms": 40.0},
    ]
    assert result.outputs["halves"].audio.tolist() == [np.float32(0.1)] * 640
    monkeypatch.delitem(sys.modules, "nodes_of_the_readme")


def test_robot(engine, lanes):
    lanes(load_pipeline(str(EXAMPLES / "robot.py")))
    told = {"node": "robot-1", "pipeline": "robot", "rate": 48000}
    engine.push(frame(0, 0.5, **told), frame(1, 0.5, **told))
    for token in (0, 1):
        (said,) = engine.result(token)
        at = token * 0.02 + np.arange(320) / 48000
        assert said.dtype == np.float32
        assert np.allclose(said, 0.5 * np.sin(2 * np.pi * 60 * at), atol=1e-5)


async def test_robot_is_written(server, tone, short, tmp_path, monkeypatch):
    from remotemedia.client.track import AudioTrack

    with pytest.raises(SystemExit, match="sends no audio"):
        await load("robot.py")(server.url, str(tone), str(tmp_path / "none.wav"))
    server.voice = AudioTrack()
    saying = asyncio.create_task(server.voice.put(np.full(48000, 8000, np.int16)))
    await load("robot.py")(server.url, str(tone), str(tmp_path / "back.wav"))
    await saying
    with AudioReader(tmp_path / "back.wav") as reader:
        assert (reader.rate, reader.channels) == (48000, 1)
        assert 0.85 <= sum(map(len, reader.blocks())) / 48000 <= 1.0


def test_the_node_of_the_pipelines(engine, lanes):
    lanes(load_pipeline(str(PIPELINES / "mic-python.yaml")))
    levels = [0.0, 0.5, 0.02, 0.5, *[0.001] * 60]
    told = {"pipeline": "mic-python", "node": "loudness"}
    for token, level in enumerate(levels):
        engine.push(frame(token, level, **told))
    found = [engine.result(token) for token in range(len(levels))]
    assert not any(isinstance(each, FakeFailure) for each in found)
    said = [json.loads(value)["loud"] for each in found for value in each]
    assert said == [True, False]
    assert found[1]
    assert not found[4]


def test_run_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "speech.wav"
    with AudioReader(SPEECH) as reader, AudioWriter(path, reader.rate) as writer:
        for block in reader.blocks():
            writer.write(block if block.ndim == 1 else block[0])
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    monkeypatch.setattr(sys, "argv", ["run_file.py", str(path)])
    runpy.run_path(str(EXAMPLES / "run_file.py"), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+ events; loudness: {'peak': 0\.\d+}", said[0])
    assert all(re.fullmatch(r"speech from \d+ to \d+ ms", line) for line in said[2:])
    assert len(said) > 3


async def test_serve_pipeline(runtime, monkeypatch, capsys):
    from remotemedia import server

    served = {}

    async def run_server(host, config, **rest):
        served.update(port=config.port, names=[each.name for each in host.pipelines()])
        rest["on_started"](SimpleNamespace(urls=[f"http://127.0.0.1:{config.port}"]))

    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", runtime)
    monkeypatch.setattr(server, "run_server", run_server)
    path = str(EXAMPLES / "serve_pipeline.py")
    await asyncio.to_thread(runpy.run_path, path, run_name="__main__")
    assert served == {"port": 8080, "names": ["speech"]}
    assert capsys.readouterr().err.splitlines() == [
        "speech: http://127.0.0.1:8080/speech",
        "Ctrl-C ends it",
    ]


def load(name):
    return runpy.run_path(str(EXAMPLES / name))["main"]


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr("remotemedia.client.session.QUIET_SECONDS", 0.05)


async def test_call_file(server, tone, short, capsys):
    stopped = {"start_ms": 100.0, "duration_ms": 800.0}
    server.on_open = [
        ("results", server.result("speech_stopped", 900.0, stopped)),
        ("results", server.result("node", 40.0, {"loud": True}, node="loudness")),
    ]
    await load("call_file.py")(f"{server.url}/mic", str(tone))
    assert capsys.readouterr().out.splitlines() == [
        "speech from 100 to 900 ms",
        "loudness at 40 ms: {'loud': True}",
    ]


async def test_listen(server, capsys):
    server.on_open = [
        ("results", server.result("speech_started", 120.0, {"probability": 0.9})),
        ("results", server.result("bye", data={"reason": "the server stops"})),
    ]
    await load("listen.py")(f"{server.url}/mic", "s_4")
    assert server.offers[0]["join"] == "s_4"
    assert capsys.readouterr().out.splitlines() == [
        "p_1 speaks at 120 ms",
        "the session ends: the server stops",
    ]
