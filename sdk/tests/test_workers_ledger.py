"""What the parent knows of frames that a worker has, without a worker."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remotemedia.lanes.calling import Calling
from remotemedia.workers import Work, Worker
from remotemedia.workers import ledger as module
from remotemedia.workers.ledger import STREAM_FRAMES, Failed, Ledger
from remotemedia.workers.memory import Memory
from remotemedia.workers.messages import (
    Head,
    Inbox,
    Kind,
    ProtocolError,
    message,
    write_failure,
    write_results,
)

from . import worker_nodes as nodes
from .fakes import frame


class Process:
    """Remembers the slots of frames that it has."""

    def __init__(self):
        fd = Memory.create()
        self.memory = Memory(fd)
        os.close(fd)
        self.unsent = 0
        self.slots = []
        self._inbox = Inbox()

    def send(self, data):
        for head, _ in self._inbox.feed(data):
            if head.kind == Kind.FRAME:
                self.slots.append(head.slot)


@pytest.fixture(scope="module")
def process():
    return Process()


@pytest.fixture
def ledger(process):
    process.slots.clear()
    made = Ledger("a")
    made.serve()
    return made


def answer(ledger, process, slot, results=()):
    ((head, tail),) = Inbox().feed(write_results(process.memory, slot, list(results)))
    return ledger.answer(process.memory, head, tail, 0.0)


def stream_of(ledger, name="s"):
    return ledger.open((name, "p1", "audio"), lambda: None)


def test_a_stream_has_few_frames_in_the_process_at_once(ledger, process):
    stream = stream_of(ledger)
    for token in range(STREAM_FRAMES + 2):
        assert ledger.put(stream, frame(token)) == []
    assert ledger.send(process) == []
    assert len(process.slots) == STREAM_FRAMES
    assert answer(ledger, process, process.slots[0], ["one"]) == (0, ["one"])
    ledger.send(process)
    assert len(process.slots) == STREAM_FRAMES + 1


def test_an_answer_comes_once(ledger, process):
    ledger.put(stream_of(ledger), frame(1))
    ledger.send(process)
    answer(ledger, process, process.slots[0])
    with pytest.raises(ProtocolError, match="which it does not have"):
        answer(ledger, process, process.slots[0])


def test_a_stream_ends_when_the_parent_said_so_and_has_every_answer(ledger, process):
    stream = stream_of(ledger)
    ledger.put(stream, frame(1))
    ledger.send(process)
    for step in (lambda: None, lambda: ledger.end(stream)):
        step()
        with pytest.raises(ProtocolError, match="which goes on"):
            ledger.ended(stream.number)
    answer(ledger, process, process.slots[0])
    assert ledger.ended(stream.number) is stream
    with pytest.raises(ProtocolError, match="which goes on"):
        ledger.ended(stream.number)


def test_a_failure_keeps_its_stream_going(ledger, process):
    ledger.put(stream_of(ledger), frame(1))
    ledger.send(process)
    ((head, tail),) = Inbox().feed(write_failure(process.slots[0], "no", "where", transient=True))
    done = ledger.answer(process.memory, head, tail, 0.0)
    assert done == (1, Failed("no", "where", transient=True))


@given(st.lists(st.tuples(st.sampled_from("ppppssaaagebr"), st.integers(0, 30)), max_size=60))
@settings(max_examples=60)
def test_every_frame_is_completed_once(process, steps):
    ledger, streams, done, put = Ledger("a"), [], Counter(), 0
    ledger.serve()
    process.slots.clear()
    room, module.MAX_WAITING = module.MAX_WAITING, 12
    try:
        for step, number in steps:
            came = []
            if step == "p":
                if number < 5 or not streams:
                    streams.append(stream_of(ledger, str(number)))
                stream = streams[number % len(streams)]
                came = ledger.put(stream, frame(put))
                put += 1
            elif step == "s":
                came = ledger.send(process)
            elif step == "a" and process.slots:
                came = [answer(ledger, process, process.slots.pop(number % len(process.slots)))]
            elif step == "g":
                came = ledger.give_up("rests")
            elif step == "e" and streams:
                came = ledger.end(streams.pop(number % len(streams)))
            elif step in "br":
                came, _ = ledger.bury("died")
                process.slots.clear()
                ledger.serve()
            done.update(token for token, _ in came)
        done.update(token for token, _ in ledger.bury("died")[0])
        done.update(token for token, _ in ledger.give_up("was closed"))
    finally:
        module.MAX_WAITING = room
    assert done == Counter(range(put))


@pytest.mark.parametrize("kind", [Kind.READY, Kind.HELLO, 99])
def test_a_process_may_not_say_what_makes_no_sense(process, kind):
    work = Work("pipeline", "a", nodes.where, Calling.of(nodes.where), list)
    worker = Worker(work, lambda done: None)
    ready = Inbox().feed(message(Head(Kind.READY)))
    assert worker._take(process, ready) is None
    with pytest.raises(ProtocolError, match=f"kind {kind}"):
        worker._take(process, Inbox().feed(message(Head(kind))))
