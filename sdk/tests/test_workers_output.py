"""What workers print."""

from __future__ import annotations

import logging
import os

import pytest

from remotemedia.workers.output import MAX_BYTES, MAX_LINE, MAX_LINES, WINDOW_SECONDS, Output


class Pipe:
    """An output on a clock of its own."""

    def __init__(self):
        reader, self.fd = os.pipe()
        self.time = 0.0
        self.output = Output("a", reader, lambda: self.time)

    def print(self, data):
        os.write(self.fd, data)
        return self.output.read()


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    os.close(made.fd)
    made.output.close()


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING, "remotemedia.workers")

    def said():
        return [each.getMessage() for each in caplog.records]

    return said


def test_lines_are_logged_with_the_node(pipe, lines):
    assert pipe.print(b"one\ntwo\nthr")
    assert lines() == ["node a: one", "node a: two"]
    assert pipe.print(b"ee\r\n\n")
    assert lines()[2:] == ["node a: three", "node a: "]


def test_what_is_no_text_is_logged_all_the_same(pipe, lines):
    pipe.print(b"\xff\xfe\n")
    assert lines() == [r"node a: \xff\xfe"]


def test_a_line_without_an_end_is_broken(pipe, lines):
    pipe.print(b"x" * (MAX_LINE + 1))
    assert lines() == ["node a: " + "x" * MAX_LINE]


def test_the_last_line_needs_no_end(lines):
    pipe = Pipe()
    pipe.print(b"one\ntwo")
    os.close(pipe.fd)
    pipe.output.close()
    assert lines() == ["node a: one", "node a: two"]


def test_many_lines_are_counted(pipe, lines):
    pipe.print(b"x\n" * (MAX_LINES + 50))
    assert len(lines()) == MAX_LINES
    pipe.time += WINDOW_SECONDS
    pipe.print(b"later\n")
    assert lines()[MAX_LINES:] == ["node a: 50 more lines", "node a: later"]


def test_who_prints_too_much_waits(pipe):
    block = b"x" * 32 * 1024
    for _ in range(MAX_BYTES // len(block) - 1):
        assert pipe.print(block)
    assert not pipe.print(block)
    assert not pipe.print(block)
    pipe.time += WINDOW_SECONDS
    assert pipe.output.read()


def test_the_end_of_a_pipe_is_noticed():
    pipe = Pipe()
    os.close(pipe.fd)
    assert not pipe.output.read()
    pipe.output.close()
