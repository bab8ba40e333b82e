"""The twin's graph at work on one stream of a session."""

from __future__ import annotations

from collections.abc import Callable

from remotemedia.errors import NODE_FAILED
from remotemedia.twin.chunks import Audio, Signal, Stamp, Value
from remotemedia.twin.graph import Entry, Graph
from remotemedia.twin.kinds import SINK
from remotemedia.twin.kinds.base import State
from remotemedia.twin.mailbox import Mailbox
from remotemedia.twin.plan import Feed, Plan

Post = Callable[[int, int, Signal], None]
"""Takes a frame for a Python node: the node's place, the number of its input, the frame."""


class StreamGraph(Graph):
    """A graph whose Python nodes have their mailboxes elsewhere: its streams share them."""

    def __init__(self, plan: Plan, post: Post) -> None:
        """Make the nodes' states; `post` takes frames for Python nodes."""
        super().__init__(plan, metrics=False)
        for index in self.mailboxes:
            self.mailboxes[index] = _Inlet(post)

    def push_audio(self, source: int, audio: Audio) -> None:
        """Run every node that a frame reaches."""
        self.push(Entry(Feed(None, source), audio))
        self.run_jobs()

    def push_value(self, source: int, value: Value) -> None:
        """Run every node that a value reaches."""
        self.push(Entry(Feed(None, source), value))
        self.run_jobs()

    def flush(self) -> None:
        """Bring out what the nodes hold back; audio that comes later begins anew."""
        self._written.clear()
        for index in range(len(self.plan.nodes)):
            self._feed(index)
            state = self._states.get(index)
            if state is not None:
                state.drain(self._contexts[index])
            self._put_out(index)
        self.run_jobs()
        for index, state in self._states.items():
            state.finish(self._contexts[index])

    def adopt(self, index: int, fresh: State) -> None:
        """Let a node go on with the parameters of a new state."""
        self._states[index].adopt(fresh)

    def error(
        self, index: int, stamp: Stamp, code: str, text: str, traceback: str | None = None
    ) -> None:
        """Put an error out."""
        if code == NODE_FAILED:
            self.fail(index, stamp, text, traceback)
        else:
            self.event(index, "error", stamp, {"code": code, "message": text})

    def result(self, index: int, port: str, signal: Signal) -> None:
        """Put out what no node takes: values are messages, and the audio of sinks is heard."""
        if isinstance(signal, Audio):
            if self.plan.nodes[index].kind == SINK:
                super().result(index, port, signal)
            return
        if signal.opaque:
            node = self.plan.nodes[index].id
            text = f'what "{node}" returned is not JSON, and no node takes it'
            self.fail(index, signal.stamp, text)
            return
        super().result(index, port, signal)


class _Inlet(Mailbox):
    """Stands in a graph for a mailbox of the session."""

    def __init__(self, post: Post) -> None:
        super().__init__(0)
        self._post = post

    def post(self, node: int, port: int, signal: Signal, epoch: int) -> None:
        self._post(node, port, signal)

    def has_work(self) -> bool:
        return False
