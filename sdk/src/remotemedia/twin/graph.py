"""The graph of one run: its nodes at work, and a frame's way through them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from remotemedia.errors import NODE_FAILED
from remotemedia.frames import Samples
from remotemedia.twin.chunks import Audio, Signal, Stamp
from remotemedia.twin.kinds import PythonNode
from remotemedia.twin.kinds.base import State
from remotemedia.twin.mailbox import Mailbox
from remotemedia.twin.messages import message
from remotemedia.twin.metrics import NodeMetrics, now_ns
from remotemedia.twin.plan import Feed, Output, Plan
from remotemedia.twin.values import RunOutput

if TYPE_CHECKING:
    from pydantic import JsonValue

MAX_ERROR_BYTES = 8 * 1024
"""The longest message and traceback of an error; the rest is cut off."""


@dataclass(frozen=True)
class Entry:
    """Frames that enter the graph, and where."""

    feed: Feed
    signal: Signal


class Graph:
    """A plan at work.

    Attributes of the class:
        live: whether audio cannot wait.

    Attributes:
        outputs: what was put out, to be taken away.
        mailboxes: of the Python nodes, by their place in the plan.
        ready: those of them that have frames to be taken, in the order of their turns.
        epoch: raised by an interrupt; frames of older ones are worthless.
        metrics: by the nodes' places.
    """

    live = False

    def __init__(self, plan: Plan, metrics: bool) -> None:
        self.plan = plan
        self.outputs: list[RunOutput] = []
        self.mailboxes: dict[int, Mailbox] = {}
        self.ready: deque[int] = deque()
        self.epoch = 0
        self.metrics = [NodeMetrics(node.id, metrics) for node in plan.nodes]
        self._states: dict[int, State] = {}
        self._contexts = [_Context(self, index) for index in range(len(plan.nodes))]
        self._written: dict[Feed, list[Signal]] = {}
        self._jobs: list[tuple[int, Callable[[], None]]] = []
        self._ended: set[Feed] = set()
        self._inputs_ended: list[set[int]] = [set() for _ in plan.nodes]
        self._messages = 0
        for index, node in enumerate(plan.nodes):
            if isinstance(node.action, PythonNode):
                self.mailboxes[index] = Mailbox.of(node.action.frames)
            else:
                self._states[index] = node.action()

    def push(self, entry: Entry) -> None:
        """Run every node that a frame reaches, each after what feeds it; then `run_jobs`."""
        self._written.clear()
        self._written[entry.feed] = [entry.signal]
        first = 0 if entry.feed.node is None else entry.feed.node + 1
        for index in range(first, len(self.plan.nodes)):
            self._feed(index)
            self._put_out(index)

    def run_jobs(self) -> None:
        """Do what nodes left for the end of a walk: inference."""
        jobs, self._jobs = self._jobs, []
        for index, job in jobs:
            since = now_ns()
            job()
            self.metrics[index].took(now_ns() - since)

    def give(self, index: int, output: Output | None, signal: Signal) -> None:
        """Put out what a Python node gave: to those that take it, or as a result."""
        if isinstance(signal, Audio) and not len(signal):
            return
        if output is None:
            self.result(index, "", signal)
        elif output.takes(signal):
            port = self.plan.nodes[index].outputs.index(output)
            self.push(Entry(Feed(index, port), signal))
        else:
            self.result(index, output.name, signal)

    def end(self, source: int) -> None:
        """Learn that a source has ended."""
        self._ended.add(Feed(None, source))

    def end_python(self, index: int) -> None:
        """Learn that a Python node has ended."""
        self._end_outputs(index)

    def settle(self) -> None:
        """Let end whatever can, node after node: each drains, then reports what is still open."""
        for index, node in enumerate(self.plan.nodes):
            new = {port for port, feed in enumerate(node.feeds) if feed in self._ended}
            new -= self._inputs_ended[index]
            if not new:
                continue
            self._inputs_ended[index] |= new
            every = len(self._inputs_ended[index]) == len(node.feeds)
            if index in self.mailboxes:
                if every:
                    self.mailboxes[index].post_end(index, self.epoch)
                    self.enlist(index)
                continue
            self._end_native(index, sorted(new), every)
            if every:
                self._end_outputs(index)

    def _end_native(self, index: int, ports: list[int], every: bool) -> None:
        state, cx = self._states[index], self._contexts[index]
        self._written.clear()
        for port in ports:
            state.end_input(port, cx)
        if every:
            state.drain(cx)
        self._put_out(index)
        for behind in range(index + 1, len(self.plan.nodes)):
            self._feed(behind)
            self._put_out(behind)
        if every:
            self.run_jobs()
            state.finish(cx)

    def interrupt(self) -> int:
        """Make what is under way worthless: in Python, and audio held back; count its pieces."""
        self.epoch += 1
        for index, mailbox in self.mailboxes.items():
            mailbox.clear(self.epoch)
            self.enlist(index)
        return sum(state.interrupt() for state in self._states.values())

    def enlist(self, index: int) -> None:
        """Put a Python node in the list of those with frames that may be taken."""
        if index not in self.ready and self.mailboxes[index].has_work():
            self.ready.append(index)

    def result(self, index: int, port: str, signal: Signal) -> None:
        """Put out what no node takes."""
        node = self.plan.nodes[index].id
        pts_us = signal.stamp.pts_us
        if isinstance(signal, Audio):
            samples = shaped(signal.samples)
            self.outputs.append(
                RunOutput(node, port, pts_us, "audio", samples=samples, rate=signal.rate)
            )
        elif signal.opaque:
            self.outputs.append(RunOutput(node, port, pts_us, "value", value=signal.value))
        else:
            self.event(index, "node", signal.stamp, _json(signal.value), port)

    def event(self, index: int, kind: str, stamp: Stamp, data: JsonValue, port: str = "") -> None:
        """Put out a message."""
        node = self.plan.nodes[index].id
        made = message(kind, node, stamp, self._messages, data)
        self._messages += 1
        self.outputs.append(RunOutput(node, port, stamp.pts_us, "event", message=made))

    def fail(self, index: int, stamp: Stamp, text: str, traceback: str | None = None) -> None:
        """Put out that a node failed on a frame."""
        self.metrics[index].error_count += 1
        data: dict[str, JsonValue] = {"code": NODE_FAILED, "message": _cut(text)}
        if traceback is not None:
            data["traceback"] = _cut(traceback)
        self.event(index, "error", stamp, data)

    def write(self, index: int, port: int, signal: Signal) -> None:
        """Keep what a node gave, for the nodes behind it."""
        if not isinstance(signal, Audio) or len(signal):
            self._written.setdefault(Feed(index, port), []).append(signal)

    def later(self, index: int, job: Callable[[], None]) -> None:
        """Keep a node's job for the end of the walk."""
        self._jobs.append((index, job))

    def _feed(self, index: int) -> None:
        """Give a node what its feeders wrote."""
        node = self.plan.nodes[index]
        state = self._states.get(index)
        for port, feed in enumerate(node.feeds):
            wanted = node.inputs[port][1]
            for signal in self._written.get(feed, ()):
                if isinstance(signal, Audio):
                    taken = wanted.takes_audio
                elif signal.opaque:
                    taken = wanted.type == "any"
                else:
                    taken = wanted.takes_data
                if not taken:
                    continue
                if state is None:
                    self.mailboxes[index].post(index, port, signal, self.epoch)
                    self.enlist(index)
                else:
                    self._take(index, state, port, signal)

    def _take(self, index: int, state: State, port: int, signal: Signal) -> None:
        figures = self.metrics[index]
        errors, since = figures.error_count, now_ns()
        state.take(port, signal, self._contexts[index])
        figures.took(now_ns() - since)
        if figures.error_count == errors:
            figures.success_count += 1

    def _put_out(self, index: int) -> None:
        """Make results of what a node gave and nobody takes."""
        for port, output in enumerate(self.plan.nodes[index].outputs):
            for signal in self._written.get(Feed(index, port), ()):
                if not output.takes(signal):
                    self.result(index, output.name, signal)

    def _end_outputs(self, index: int) -> None:
        outputs = self.plan.nodes[index].outputs
        self._ended.update(Feed(index, port) for port in range(len(outputs)))


class _Context:
    """See `remotemedia.twin.kinds.base.Context`."""

    def __init__(self, graph: Graph, index: int) -> None:
        self._graph = graph
        self._index = index

    @property
    def live(self) -> bool:
        return self._graph.live

    def event(self, kind: str, stamp: Stamp, data: JsonValue) -> None:
        self._graph.event(self._index, kind, stamp, data)

    def fail(self, stamp: Stamp, message: str) -> None:
        self._graph.fail(self._index, stamp, message)

    def give(self, signal: Signal, port: int = 0) -> None:
        self._graph.write(self._index, port, signal)

    def later(self, job: Callable[[], None]) -> None:
        self._graph.later(self._index, job)


def shaped(samples: Samples) -> Samples:
    """Give ``(n,)`` for one channel, ``(channels, n)`` for several, contiguous."""
    return np.ascontiguousarray(samples[0] if len(samples) == 1 else samples)


def _json(value: object) -> JsonValue:
    # Values are copied on their way in, so that this is one.
    return value  # type: ignore[return-value]


def _cut(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_ERROR_BYTES:
        return text
    return encoded[:MAX_ERROR_BYTES].decode("utf-8", "ignore")
