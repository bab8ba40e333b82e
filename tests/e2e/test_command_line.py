"""Pipelines that cannot run, and servers that cannot start: the exit code and the words."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from remotemedia.cli.app import app
from typer.testing import CliRunner

from tests.support.server import PIPELINES

INVALID = 3
USAGE = 2
COMMAND_TIMEOUT_S = 60


@dataclass(frozen=True)
class Case:
    """A manifest, and what is said about it."""

    manifest: str
    says: tuple[str, ...]
    code: str


HEAD = "version: v1\nmetadata: {name: x}\n"
CASES = {
    "no YAML": Case("version: v1\nnodes: [\n  {id: a\n", ("is not YAML", "line 4"), "RM-1001"),
    "no mapping": Case("- 1\n", ("must be an object",), "RM-1001"),
    "unknown field": Case(HEAD + "nodse: []\n", ('"nodse"', 'Did you mean "nodes"?'), "RM-1001"),
    "unknown node": Case(
        HEAD + "nodes:\n  - {id: vad, node_type: VADNod}\n",
        ("nodes[0].node_type", '"VADNod"', 'Did you mean "VADNode"?'),
        "RM-1002",
    ),
    "unknown parameter": Case(
        HEAD + "nodes:\n  - {id: vad, node_type: VADNode, params: {treshold: 0.5}}\n",
        ("nodes[0].params.treshold", 'Did you mean "threshold"?'),
        "RM-1003",
    ),
    "parameters out of range": Case(
        HEAD
        + "nodes:\n"
        + "  - {id: level, node_type: LevelMeterNode}\n"
        + "  - {id: vad, node_type: VADNode, params: {threshold: 1.5, engine: silro}}\n",
        ("nodes[1].params.threshold", "1.5", "nodes[1].params.engine", '"silero"'),
        "RM-1003",
    ),
    "unknown node in a connection": Case(
        HEAD
        + "nodes:\n  - {id: vad, node_type: VADNode}\nconnections:\n  - {from: vda, to: vad}\n",
        ("connections[0].from", '"vda"', 'Did you mean "vad"?'),
        "RM-1001",
    ),
    "circle": Case(
        HEAD
        + "nodes:\n  - {id: a, node_type: PassThroughNode}\n"
        + "  - {id: b, node_type: PassThroughNode}\n"
        + "connections:\n  - {from: a, to: b}\n  - {from: b, to: a}\n",
        ("connections[0]", "a -> b -> a"),
        "RM-1004",
    ),
    "Python node that is not there": Case(
        HEAD + "nodes:\n  - {id: mine, node_type: PythonNode, params: {entry: gone.py:mine}}\n",
        ("nodes[0].params.entry", "gone.py"),
        "RM-1003",
    ),
}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "remotemedia", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def assert_refused(
    done: subprocess.CompletedProcess[str], exit_code: int, says: Sequence[str]
) -> None:
    assert done.returncode == exit_code, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for words in says:
        assert words in done.stderr


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def wrong(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[str]]:
    """A manifest, and what is said about it."""
    case: Case = request.param
    manifest = tmp_path / "mine.yaml"
    manifest.write_text(case.manifest)
    return manifest, ["mine.yaml", *case.says, f"[{case.code}]"]


def test_a_pipeline_that_cannot_run_is_not_served(wrong: tuple[Path, list[str]]) -> None:
    manifest, says = wrong
    assert_refused(run("serve", manifest), INVALID, says)


def test_a_pipeline_that_cannot_run_is_not_valid(wrong: tuple[Path, list[str]]) -> None:
    manifest, says = wrong
    result = CliRunner().invoke(app, ["validate", str(manifest)])
    assert (result.exit_code, result.stdout) == (INVALID, "")
    for words in says:
        assert words in result.stderr


def test_a_valid_pipeline_says_what_runs() -> None:
    done = run("validate", PIPELINES / "mic-level.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("mic-level is valid", "48000", "resample", "16000", "VADNode, native"):
        assert words in done.stdout


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", PIPELINES / "mic-energy.yaml", "--port", port)
    assert_refused(done, INVALID, ["port", str(port), "in use"])


def test_a_media_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::", 0))
        port = taken.getsockname()[1]
        config = tmp_path / "server.yaml"
        config.write_text(f"port: 0\nmedia: {{media_ports: [{port}, {port}]}}\n")
        done = run("serve", PIPELINES / "mic-energy.yaml", "--config", config)
    assert done.returncode not in (0, USAGE)
    assert "Traceback" not in done.stderr
    assert f"UDP port {port}" in done.stderr


def test_a_configuration_that_is_not_valid(tmp_path: Path) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("media: {max_session: 1}\n")
    done = run("serve", PIPELINES / "mic-energy.yaml", "--config", config)
    assert_refused(done, INVALID, ["server.yaml", "media.max_session", "unknown option"])


def test_two_pipelines_of_one_name() -> None:
    done = run("serve", PIPELINES / "mic-energy.yaml", PIPELINES / "mic-energy.yaml")
    assert_refused(done, INVALID, ['"mic-energy"'])
