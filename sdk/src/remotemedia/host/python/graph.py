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

    live = True

    def __init__(self, plan: Plan, post: Post) -> None:
        """Make the nodes' states; `post` takes frames for Python nodes."""
        super().__init__(plan, metrics=False)
        for index in self.mailboxes:
            self.mailboxes[index] = _Inlet(post, self.end_python)

    def push_audio(self, source: int, audio: Audio) -> None:
        """Run every node that a frame reaches; a source that has ended begins anew."""
        self.begin_source(source)
        self.push(Entry(Feed(None, source), audio))
        self.run_jobs()

    def push_value(self, source: int, value: Value) -> None:
        """Run every node that a value reaches."""
        self.begin_source(source)
        self.push(Entry(Feed(None, source), value))
        self.run_jobs()

    def end_source(self, source: int) -> None:
        """Let nobody wait for a source, until it begins anew with its next frame."""
        self.end(source)
        self.settle()

    def begin_source(self, source: int) -> None:
        """Take back that a source has ended, and all that followed from it."""
        if Feed(None, source) not in self._ended:
            return
        self._ended.discard(Feed(None, source))
        for index, node in enumerate(self.plan.nodes):
            ended = self._inputs_ended[index]
            begun = {port for port in ended if node.feeds[port] not in self._ended}
            if not begun:
                continue
            ended -= begun
            self._ended -= {Feed(index, port) for port in range(len(node.outputs))}
            if index in self._states:
                for port in sorted(begun):
                    self._states[index].begin_input(port)

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

    def __init__(self, post: Post, ended: Callable[[int], None]) -> None:
        super().__init__(0)
        self._post = post
        self._ended = ended

    def post(self, node: int, port: int, signal: Signal, epoch: int) -> None:
        self._post(node, port, signal)

    def post_end(self, node: int, epoch: int) -> None:
        # A node is not told; what stands behind it does not wait for what it still makes.
        self._ended(node)

    def has_work(self) -> bool:
        return False
