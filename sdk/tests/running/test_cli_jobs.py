"""Several inputs at once: each in a process, of which any may die."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest

from remotemedia.cli import exits
from remotemedia.files import AudioWriter

PROGRAM = """
import os, signal, threading
from remotemedia import Node, Pipeline, node

@node
def fatal(audio):
    if abs(audio).max() > 0.9:
        os.kill(os.getpid(), signal.SIGKILL)
    return audio

@node
def leaves(audio):
    if abs(audio).max() > 0.9:
        os._exit(3)
    return audio

class Waits(Node):
    def process(self, audio):
        with open("fifo", "w") as fifo:
            fifo.write("here\\n")
            fifo.flush()
            threading.Event().wait()

class Prints(Node):
    def process(self, audio):
        return {"pid": os.getpid()}

kill = Pipeline("kill", fatal)
leave = Pipeline("leave", leaves)
wait = Pipeline("wait", Waits())
tell = Pipeline("tell", Prints())
"""


@pytest.fixture
def folder(tmp_path):
    """Write a program, and files of which ``loud.wav`` is louder than the others."""
    (tmp_path / "app.py").write_text(PROGRAM)
    for name, level in (("a", 0.1), ("b", 0.2), ("loud", 0.95), ("c", 0.3)):
        with AudioWriter(tmp_path / f"{name}.wav", 16000) as writer:
            writer.write(np.full(8000, level, np.float32))
    return tmp_path


def command(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "remotemedia", "run", *arguments],
        cwd=folder,
        env={**os.environ, "REMOTEMEDIA_USE_RUST": "0", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("name", "words", "jobs"),
    [("kill", "was killed by SIGKILL", "2"), ("leave", "exited with 3", "4")],
)
def test_a_process_that_dies_fails_its_file_alone(folder, name, words, jobs):
    files = ["loud.wav", "a.wav", "b.wav", "c.wav"]
    running = command(folder, f"app.py:{name}", *files, "--jobs", jobs, "-o", "out/{stem}.wav")
    _, errors = running.communicate(timeout=100)
    assert running.returncode == exits.SOME_FAILED
    assert f"loud.wav: its process {words}" in errors
    assert "1 of 4 inputs failed" in errors
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.wav", "b.wav", "c.wav"]


def test_each_process_runs_several_files(folder):
    running = command(folder, "app.py:tell", *["a.wav", "b.wav", "c.wav"] * 2, "--jobs", "2")
    output, _ = running.communicate(timeout=100)
    assert running.returncode == 0
    pids = {line.split('"pid": ')[1] for line in output.splitlines() if "pid" in line}
    assert 1 <= len(pids) <= 2
    assert f"{running.pid}}}" not in pids


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, exits.INTERRUPTED), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_all_end_with_the_command(folder, how, code):
    os.mkfifo(folder / "fifo")
    running = command(folder, "app.py:wait", "a.wav", "b.wav", "--jobs", "2", "-o", "{stem}.jsonl")
    fifo = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    heard = b""
    while len(heard) < len(b"here\n" * 2):
        assert select.select([fifo], [], [], 100)[0]
        heard += os.read(fifo, 100)
    running.send_signal(how)
    assert select.select([fifo], [], [], 100)[0]
    assert os.read(fifo, 100) == b""  # both processes have gone
    os.close(fifo)
    _, errors = running.communicate(timeout=100)
    assert running.returncode == code
    assert "Traceback" not in errors
    if how == signal.SIGINT:
        assert not list(folder.glob("*.jsonl"))


def test_one_input_needs_no_process(folder):
    running = command(folder, "app.py:tell", "a.wav")
    output, _ = running.communicate(timeout=100)
    assert f'"pid": {running.pid}' in output
