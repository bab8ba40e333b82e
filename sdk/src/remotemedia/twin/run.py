"""One run of a pipeline, driven from outside: the twin of the native `Run`."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from remotemedia.errors import INVALID_PARAMETER, NODE_FAILED, UNKNOWN_ID
from remotemedia.frames import Samples
from remotemedia.twin.chunks import Audio, Signal, Value
from remotemedia.twin.framing import Framer
from remotemedia.twin.graph import Entry, Graph, shaped
from remotemedia.twin.kinds import PythonNode
from remotemedia.twin.mailbox import BREAKER_FAILURES, Mailbox, Work
from remotemedia.twin.manifest import ResolvedManifest
from remotemedia.twin.messages import PARTICIPANT, SESSION, STREAM
from remotemedia.twin.metrics import now_ns
from remotemedia.twin.plan import Feed, compile_plan
from remotemedia.twin.results import Results, check_done
from remotemedia.twin.values import (
    LaneFailure,
    LaneItem,
    RunOutput,
    RuntimeFault,
    Unfit,
    checked_copy,
    json_copy,
)

if TYPE_CHECKING:
    from remotemedia.running.backend import LaneDone

MAX_FRAME_MS = 1_000
"""The longest frame that audio is cut into."""
_SEED = 0


class Run:
    """A resolved manifest at work; see `remotemedia.running.backend.Run` for what the calls do."""

    def __init__(self, resolved_json: str, *, metrics: bool = False, frame_ms: int = 20) -> None:
        """Check the manifest and make the nodes' state.

        Args:
            resolved_json: the resolved manifest.
            metrics: whether to time the nodes.
            frame_ms: the length of the frames that audio is cut into.

        Raises:
            ManifestError: with the path of the first field that is wrong.
            RuntimeMissing: a kind needs a package that is not installed.
        """
        if not 1 <= frame_ms <= MAX_FRAME_MS:
            text = f"must be 1 to {MAX_FRAME_MS}, is {frame_ms}"
            raise RuntimeFault(text, code=INVALID_PARAMETER, field="frame_ms")
        plan = compile_plan(ResolvedManifest.from_json(resolved_json))
        self._graph = Graph(plan, metrics)
        self._sources = {source.id: index for index, source in enumerate(plan.sources)}
        self._framers = [Framer(source.format, frame_ms) for source in plan.sources]
        self._results = Results(plan)
        self._entries = {
            index: node.action.entry
            for index, node in enumerate(plan.nodes)
            if isinstance(node.action, PythonNode)
        }
        self._works: dict[int, Work] = {}
        self._token = 0
        self._metrics = metrics
        self._chance = random.Random(_SEED)  # noqa: S311 - spreads retries, guards nothing
        self._broken: RuntimeFault | None = None

    def push_audio(self, source: str, samples: Samples, pts_us: int | None = None) -> None:
        """Take audio of any length in the source's format; without `pts_us` it follows on."""
        index = self._open(source)
        for audio in self._framers[index].push(samples, pts_us):
            self._push(index, audio)

    def push_data(self, source: str, value: object) -> None:
        """Take a JSON value or an opaque object."""
        index = self._open(source)
        framer = self._framers[index]
        if not framer.format.takes_data:
            raise _fault("value", f'"{source}" takes {framer.format}, no values')
        stamp = framer.stamp()
        try:
            signal = Value(stamp, checked_copy(value, arrays=framer.format.type == "data"))
        except Unfit as error:
            if framer.format.type != "any":
                raise _fault("value", error.of("the value")) from None
            signal = Value(stamp, value, opaque=True)
        self._push(index, signal)

    def end(self, source: str | None = None) -> None:
        """End a source, or all: what nodes hold back comes out."""
        indices = range(len(self._framers)) if source is None else [self._index(source)]
        self._check()
        for index in indices:
            framer = self._framers[index]
            if framer.ended:
                continue
            for audio in framer.end():
                self._push(index, audio)
            self._graph.end(index)
        self._graph.settle()

    def take_work(self, max_items: int) -> list[LaneItem]:
        """Give frames for Python nodes, those of a node in order, the nodes in turn."""
        items: list[LaneItem] = []
        if self._broken is not None:
            return items
        graph = self._graph
        self._wake(now_us())
        while graph.ready and len(items) < max_items:
            index = graph.ready.popleft()
            mailbox = graph.mailboxes[index]
            if not mailbox.has_work():
                continue
            work = mailbox.take()
            graph.enlist(index)
            items.append(self._hand_out(work))
        return items

    def complete(self, done: Sequence[LaneDone]) -> None:
        """Take what Python nodes made of frames; tokens that are not under way are ignored."""
        for token, result, more in check_done(done):
            self._check()
            work = self._works.get(token)
            if work is None:
                continue
            if more and not isinstance(result, LaneFailure):
                self._take_part(token, work, result)
            else:
                self._complete(token, work, result)
            self._graph.run_jobs()
        self._check()

    def poll(self) -> list[RunOutput]:
        """Give everything put out since the last call, in order."""
        outputs, self._graph.outputs = self._graph.outputs, []
        return outputs

    def retry_in_us(self) -> int | None:
        """Say how long until a failed frame is tried again; None when none waits for that."""
        due = [mailbox.retry_us() for mailbox in self._graph.mailboxes.values()]
        first = min((each for each in due if each is not None), default=None)
        return None if first is None else max(first - now_us(), 0)

    def pending(self) -> int:
        """Count the frames that Python holds or that wait for it, retries too."""
        return sum(len(mailbox) for mailbox in self._graph.mailboxes.values())

    def interrupt(self) -> None:
        """Drop what waits for Python, the results of what it holds, and audio held back."""
        self._graph.interrupt()

    def metrics(self) -> dict[str, object]:
        """Give what each node took, by its id; nothing where nodes are not timed."""
        if not self._metrics:
            return {}
        return {each.node_id: each.to_dict() for each in self._graph.metrics}

    def _push(self, source: int, signal: Signal) -> None:
        self._graph.push(Entry(Feed(None, source), signal))
        self._graph.run_jobs()

    def _index(self, source: str) -> int:
        if source not in self._sources:
            there = ", ".join(self._sources)
            raise _fault("source", f'no source "{source}": there is {there}', UNKNOWN_ID)
        return self._sources[source]

    def _open(self, source: str) -> int:
        index = self._index(source)
        self._check()
        if self._framers[index].ended:
            raise _fault("source", f'"{source}" has ended')
        return index

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _wake(self, now: int) -> None:
        """Let frames be tried again whose pause is over, the first first."""
        due = {index: mailbox.retry_us() for index, mailbox in self._graph.mailboxes.items()}
        waiting = [(at, index) for index, at in due.items() if at is not None and at <= now]
        for _, index in sorted(waiting):
            self._graph.mailboxes[index].wake(now)
            self._graph.enlist(index)

    def _hand_out(self, work: Work) -> LaneItem:
        self._token += 1
        self._works[self._token] = work
        work.since_ns = now_ns()
        plan = self._graph.plan
        node = plan.nodes[work.node]
        signal = work.signal
        samples, rate, channels, value = None, 0, 0, None
        if isinstance(signal, Audio):
            rate, channels = signal.rate, len(signal.samples)
            samples = shaped(signal.samples).copy()  # nodes may change what they are given
        elif signal is not None:
            value = signal.value if signal.opaque else json_copy(signal.value)
        return LaneItem(
            token=self._token,
            session=SESSION,
            participant=PARTICIPANT,
            stream=STREAM,
            pipeline=plan.name,
            node=node.id,
            entry=self._entries[work.node],
            port="" if signal is None else node.inputs[work.port][0],
            seq=work.stamp.seq,
            pts_us=work.stamp.pts_us,
            epoch=work.epoch,
            rate=rate,
            channels=channels,
            samples=samples,
            value=value,
        )

    def _complete(self, token: int, work: Work, result: LaneFailure | Sequence[object]) -> None:
        del self._works[token]
        graph = self._graph
        mailbox = graph.mailboxes[work.node]
        graph.metrics[work.node].took(now_ns() - work.since_ns)
        transient = isinstance(result, LaneFailure) and result.transient and not work.begun
        current = work.epoch == graph.epoch
        if transient and current and mailbox.again(work, now_us(), self._chance):
            return
        work.state, work.result = "done", result
        while (done := mailbox.next_done()) is not None:
            if done.epoch == graph.epoch:
                self._finish(done, mailbox)
            if done.signal is None:
                graph.end_python(done.node)
                graph.settle()
        self._give_parts(mailbox.first())
        graph.enlist(work.node)

    def _take_part(self, token: int, work: Work, results: Sequence[object]) -> None:
        """Take some of what a node makes of a frame; what cannot be sent on fails it."""
        if not results or work.epoch != self._graph.epoch:
            return
        try:
            work.parts += self._results.fitting(work.node, work.stamp, results)
        except Unfit as error:
            self._complete(token, work, LaneFailure(str(error)))
            return
        work.begun = True
        if work is self._graph.mailboxes[work.node].first():
            self._give_parts(work)

    def _give_parts(self, work: Work | None) -> None:
        """Put out what came of a frame so far."""
        if work is None or not work.parts:
            return
        parts, work.parts = work.parts, []
        for output, signal in self._results.dated(work.node, parts):
            self._graph.give(work.node, output, signal)

    def _finish(self, work: Work, mailbox: Mailbox) -> None:
        graph, result = self._graph, work.result
        self._give_parts(work)
        if not isinstance(result, LaneFailure):
            try:
                given = self._results.read(work.node, work.stamp, result)
            except Unfit as error:
                result = LaneFailure(str(error))
            else:
                mailbox.failures = 0
                graph.metrics[work.node].success_count += 1
                for output, signal in given:
                    graph.give(work.node, output, signal)
                return
        mailbox.failures += 1
        graph.fail(work.node, work.stamp, result.message, result.traceback)
        if mailbox.failures == BREAKER_FAILURES:
            self._broken = RuntimeFault(
                f"{result.message} ({BREAKER_FAILURES} failures in a row end the run)",
                code=NODE_FAILED,
                field=graph.plan.nodes[work.node].id,
            )


def now_us() -> int:
    """Read the clock that retries wait by."""
    return time.monotonic_ns() // 1_000


def _fault(field: str, message: str, code: str = INVALID_PARAMETER) -> RuntimeFault:
    return RuntimeFault(message, code=code, field=field)
