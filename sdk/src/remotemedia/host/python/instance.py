"""One session's graph: parameters, mailboxes, and the state of each stream.

It reads no clock and does nothing by itself: call `push`, `take_work`, `complete`, `flush`, then
`poll` for what came out. Times are microseconds, given by the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from remotemedia.errors import INVALID_PARAMETER, NODE_FAILED, ManifestError
from remotemedia.host.python.faults import NODE_OVERRUN, RuntimeFault, fault
from remotemedia.host.python.graph import StreamGraph
from remotemedia.host.python.hearing import Sink, sinks_of, voices_of
from remotemedia.host.python.mailbox import BREAKER_PAUSE_US, Letter, LiveMailbox
from remotemedia.host.python.sources import Sources
from remotemedia.twin.chunks import Audio, Signal, Stamp, Value
from remotemedia.twin.graph import shaped
from remotemedia.twin.kinds import LIVE, PythonNode, compile_node
from remotemedia.twin.mailbox import BREAKER_FAILURES
from remotemedia.twin.manifest import ResolvedManifest, ResolvedNode
from remotemedia.twin.plan import Plan, compile_plan
from remotemedia.twin.results import Results
from remotemedia.twin.values import LaneFailure, RunOutput, Unfit, json_copy

if TYPE_CHECKING:
    from pydantic import JsonValue

    from remotemedia.frames import Samples

MAX_STREAMS = 64
"""Open streams of a session; further tracks are ignored, counted."""
_TOO_SLOW = (
    "the node is too slow for live audio: {frames} dropped; make it faster, or enlarge its mailbox "
    "if it is slow only now and then"
)
_NOT_LIVE = "this node has no parameters that can change while it runs"


@dataclass(frozen=True)
class Program:
    """A pipeline that is served, compiled."""

    manifest: ResolvedManifest
    plan: Plan

    @classmethod
    def compile(cls, resolved_json: str) -> Program:
        """Check a resolved manifest.

        Raises:
            ManifestError: with the path of the first field that is wrong.
            RuntimeMissing: a kind needs a package that is not installed.
        """
        manifest = ResolvedManifest.from_json(resolved_json)
        return cls(manifest, compile_plan(manifest))

    @property
    def sources(self) -> Sources:
        """What tracks and messages feed."""
        return Sources.of(self.manifest)

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Where audio leaves the graph."""
        return sinks_of(self.plan)

    def node(self, name: str) -> ResolvedNode:
        """Give a node as the manifest has it."""
        return next(node for node in self.manifest.nodes if node.id == name)


@dataclass
class InstanceStats:
    """What an instance has done since it was made."""

    frames: int = 0
    python_frames: int = 0
    failures: int = 0
    overrun: int = 0
    skipped: int = 0
    interrupted: int = 0


@dataclass
class Losses:
    """What was lost since the start, by cause."""

    results_too_large: int = 0
    audio_packets: int = 0
    """Audio on its way to participants: too much waited, or the loop came too late."""
    node_failed: int = 0
    node_overrun: int = 0
    node_skipped: int = 0
    node_interrupted: int = 0


@dataclass(frozen=True)
class PythonWork:
    """A frame for a Python node."""

    token: int
    stream: int
    node: str
    entry: str
    port: str
    epoch: int
    stamp: Stamp
    rate: int = 0
    channels: int = 0
    samples: Samples | None = None
    value: object = None


@dataclass(eq=False)
class _Stream:
    graph: StreamGraph
    results: Results
    seq: int = 0


class Instance:
    """A program at work in one session."""

    def __init__(self, program: Program, tokens: Iterator[int]) -> None:
        """Make the mailboxes; `tokens` names frames and is shared by all instances."""
        self._program = program
        self._plan = program.plan
        self._tokens = tokens
        self._streams: dict[int, _Stream] = {}
        self._mailboxes: dict[int, LiveMailbox] = {}
        self._ready: deque[int] = deque()
        self._works: dict[int, tuple[int, Letter]] = {}
        self._ending: set[int] = set()
        self._epoch = 0
        self._now_us = 0
        self.stats = InstanceStats()
        self._counted = InstanceStats()
        for index, node in enumerate(self._plan.nodes):
            if isinstance(node.action, PythonNode):
                params = program.node(node.id).params
                time_ms = params["mailbox_ms"] if isinstance(params, dict) else 0
                self._mailboxes[index] = LiveMailbox(node.action.frames, time_ms * 1_000)

    @property
    def pending(self) -> int:
        """Frames that Python holds or that wait for it."""
        return sum(map(len, self._mailboxes.values()))

    @property
    def in_flight(self) -> int:
        """Frames that Python holds."""
        return len(self._works)

    def figures(self) -> dict[str, int]:
        """Give what it has done."""
        return asdict(self.stats)

    def tally(self, losses: Losses) -> None:
        """Add what it lost since it was asked last."""
        now, before = self.stats, self._counted
        losses.node_failed += now.failures - before.failures
        losses.node_overrun += now.overrun - before.overrun
        losses.node_skipped += now.skipped - before.skipped
        losses.node_interrupted += now.interrupted - before.interrupted
        self._counted = replace(now)

    def open_stream(self, stream: int) -> None:
        """Begin a stream."""

        def post(index: int, port: int, signal: Signal) -> None:
            self._post(stream, index, port, signal)

        self._streams[stream] = _Stream(StreamGraph(self._plan, post), Results(self._plan))

    def close_stream(self, now_us: int, stream: int) -> list[RunOutput]:
        """End a stream: what its nodes hold back comes out.

        What Python nodes still make of its frames comes out, too; then it is forgotten.
        """
        found = self.flush(now_us, stream)
        self._ending.add(stream)
        self._forget()
        return found

    def push(
        self, now_us: int, stream: int, pts_us: int, rtp_ts: int, samples: Samples, source: int = 0
    ) -> None:
        """Take audio ``(channels, n)`` for a source, in its format."""
        self._now_us = now_us
        entry = self._streams[stream]
        stamp = Stamp(entry.seq, pts_us, rtp_ts)
        entry.seq += 1
        self.stats.frames += 1
        rate = self._program.manifest.sources[source].format.rate
        entry.graph.push_audio(source, Audio(stamp, rate, samples))

    def push_data(
        self, now_us: int, stream: int, source: int, pts_us: int, value: JsonValue
    ) -> None:
        """Take a value for a source."""
        self._now_us = now_us
        entry = self._streams[stream]
        stamp = Stamp(entry.seq, pts_us, 0)
        entry.seq += 1
        self.stats.frames += 1
        entry.graph.push_value(source, Value(stamp, value))

    def end_source(self, now_us: int, stream: int, source: int) -> None:
        """End a source of a stream until it begins anew: no node waits for it."""
        self._now_us = now_us
        self._streams[stream].graph.end_source(source)

    def flush(self, now_us: int, stream: int) -> list[RunOutput]:
        """Bring out what a stream's nodes hold back, and give all that waits of it."""
        self._now_us = now_us
        entry = self._streams.get(stream)
        if entry is None:
            return []
        entry.graph.flush()
        found, entry.graph.outputs = entry.graph.outputs, []
        return found

    def poll(self) -> Iterator[tuple[int, RunOutput]]:
        """Give what came out since, with its stream."""
        for stream, entry in self._streams.items():
            if entry.graph.outputs:
                found, entry.graph.outputs = entry.graph.outputs, []
                for each in found:
                    yield stream, each

    def take_work(self, now_us: int) -> Iterator[PythonWork]:
        """Give the frames that Python may work on now, mailboxes in turn."""
        while self._ready:
            index = self._ready.popleft()
            mailbox = self._mailboxes[index]
            mailbox.listed = False
            letter, lost = mailbox.take(now_us)
            self.stats.overrun += lost
            self._list(index)
            if letter is not None:
                self.stats.python_frames += 1
                yield self._work(index, letter)
        self._forget()

    def give(self, now_us: int, token: int, results: Sequence[object]) -> None:
        """Take some of what a node makes of a frame, which stays under way.

        What cannot be sent on fails the frame; tokens that are not under way are ignored.
        """
        self._now_us = now_us
        index, letter = self._works.get(token, (0, None))
        stream = self._streams.get(letter.stream) if letter is not None else None
        # An interrupted frame is counted when it is completed.
        if letter is None or stream is None or not results or letter.epoch != self._epoch:
            return
        try:
            given = stream.results.read(index, letter.signal.stamp, results)
        except Unfit as error:
            self.complete(now_us, token, LaneFailure(str(error)))
            return
        for output, signal in given:
            stream.graph.give(index, output, signal)
        stream.graph.run_jobs()

    def complete(self, now_us: int, token: int, result: LaneFailure | Sequence[object]) -> None:
        """Take what a node made of a frame; tokens that are not under way are ignored."""
        self._now_us = now_us
        found = self._works.pop(token, None)
        if found is None:
            return
        index, letter = found
        mailbox = self._mailboxes[index]
        mailbox.landed()
        self._list(index)
        stream = self._streams.get(letter.stream)
        if letter.epoch != self._epoch:
            self.stats.interrupted += 1
        elif stream is not None:
            self._finish(index, letter, stream, result)

    def lose(self, now_us: int, token: int) -> None:
        """Take back a frame that was handed out and never reached its node.

        It is lost like one that the mailbox had no room for, and is no failure of the node. Who
        tells it counts it: it is not part of what `tally` adds.
        """
        found = self._works.pop(token, None)
        if found is None:
            return
        index, letter = found
        mailbox = self._mailboxes[index]
        mailbox.landed()
        if letter.epoch != self._epoch:
            self.stats.interrupted += 1
        else:
            mailbox.lose()
            self.stats.overrun += 1
            self._counted.overrun += 1
            why = "too many frames wait for the server's Python nodes: {frames} dropped"
            self._report(now_us, index, letter.stream, letter.signal.stamp, why)
        self._list(index)

    def configure(self, name: str, params: Mapping[str, object]) -> None:
        """Change live parameters of a node, at once and on all streams.

        Raises:
            RuntimeFault: RM-1003 with the field ``node`` or ``params.x``; nothing is changed then.
        """
        names = [node.id for node in self._plan.nodes]
        if name not in names:
            raise _wrong("node", f"no such node: there are {', '.join(names)}")
        index = names.index(name)
        if index in self._mailboxes:
            raise _wrong("node", _NOT_LIVE)
        given = self._program.node(name)
        before = given.params if isinstance(given.params, dict) else {}
        live = [each for each in LIVE.get(given.kind, ()) if each in before]
        for each in params:
            if each not in live:
                there = f"there are {', '.join(live)}" if live else "there are no parameters here"
                raise _wrong(f"params.{each[:48]}", f"is not known: {there}")
        if not live:
            raise _wrong("params", _NOT_LIVE)
        changed = replace(given, params={**before, **params})
        try:
            action = compile_node(changed, 0)
        except ManifestError as error:
            field = (error.field or "params").removeprefix("nodes[0].")
            raise fault(error.code, error.message, field) from None
        if isinstance(action, PythonNode):
            return
        for stream in self._streams.values():
            stream.graph.adopt(index, action())
        nodes = list(self._plan.nodes)
        nodes[index] = replace(nodes[index], action=action)
        self._plan = replace(self._plan, nodes=tuple(nodes))
        others = tuple(
            changed if each.id == name else each for each in self._program.manifest.nodes
        )
        self._program = replace(
            self._program, manifest=replace(self._program.manifest, nodes=others)
        )

    def hold(self, on: bool) -> None:
        """Hand out no more frames of the Python nodes that make audio for sinks, or do again."""
        for index in voices_of(self._plan):
            self._mailboxes[index].held = on
            self._list(index)

    def interrupt(self) -> int:
        """Make what is under way worthless: results of frames of before, and audio held back.

        Returns:
            The epoch that begins: frames of earlier ones are worthless.
        """
        self._epoch += 1
        for mailbox in self._mailboxes.values():
            self.stats.interrupted += mailbox.clear()
        for stream in self._streams.values():
            self.stats.interrupted += stream.graph.interrupt()
        return self._epoch

    def _forget(self) -> None:
        """Forget the streams that have ended and of which Python has no frames."""
        if not self._ending:
            return
        waiting = (letter for mailbox in self._mailboxes.values() for letter in mailbox.waiting)
        held = {letter.stream for letter in waiting}
        held |= {letter.stream for _, letter in self._works.values()}
        for stream in self._ending - held:
            if not self._streams[stream].graph.outputs:
                del self._streams[stream]
                self._ending.discard(stream)

    def _post(self, stream: int, index: int, port: int, signal: Signal) -> None:
        mailbox, now_us = self._mailboxes[index], self._now_us
        if not mailbox.admits(now_us):
            self.stats.skipped += 1
            return
        lost = mailbox.post(Letter(stream, port, signal, self._epoch, now_us))
        self.stats.overrun += lost
        if lost:
            self._report(now_us, index, stream, signal.stamp, _TOO_SLOW)
        self._list(index)

    def _report(self, now_us: int, index: int, stream: int, stamp: Stamp, why: str) -> None:
        """Tell that a mailbox lost frames, once a second at most."""
        told = self._mailboxes[index].report(now_us)
        if not told or stream not in self._streams:
            return
        frames = "a frame was" if told == 1 else f"{told} frames were"
        text = why.format(frames=frames)
        self._streams[stream].graph.error(index, stamp, NODE_OVERRUN, text)

    def _list(self, index: int) -> None:
        mailbox = self._mailboxes[index]
        if mailbox.has_work and not mailbox.listed:
            mailbox.listed = True
            self._ready.append(index)

    def _work(self, index: int, letter: Letter) -> PythonWork:
        node, signal = self._plan.nodes[index], letter.signal
        token = next(self._tokens)
        self._works[token] = (index, letter)
        made = PythonWork(
            token=token,
            stream=letter.stream,
            node=node.id,
            entry=node.action.entry if isinstance(node.action, PythonNode) else "",
            port=node.inputs[letter.port][0],
            epoch=letter.epoch,
            stamp=signal.stamp,
        )
        if isinstance(signal, Audio):
            samples = shaped(signal.samples).copy()  # nodes may change what they are given
            channels = len(signal.samples)
            return replace(made, rate=signal.rate, channels=channels, samples=samples)
        return replace(made, value=signal.value if signal.opaque else json_copy(signal.value))

    def _finish(
        self, index: int, letter: Letter, stream: _Stream, result: LaneFailure | Sequence[object]
    ) -> None:
        mailbox, stamp = self._mailboxes[index], letter.signal.stamp
        if not isinstance(result, LaneFailure):
            try:
                given = stream.results.read(index, stamp, result)
            except Unfit as error:
                result = LaneFailure(str(error))
            else:
                mailbox.succeeded()
                for output, signal in given:
                    stream.graph.give(index, output, signal)
                stream.graph.run_jobs()
                return
        self.stats.failures += 1
        opened, skipped = mailbox.failed(self._now_us)
        self.stats.skipped += skipped
        text = result.message
        if opened:
            pause = BREAKER_PAUSE_US // 1_000_000
            text += f" ({BREAKER_FAILURES} failures in a row: the node is skipped for {pause} s)"
        stream.graph.error(index, stamp, NODE_FAILED, text, result.traceback)


def _wrong(field: str, message: str) -> RuntimeFault:
    return fault(INVALID_PARAMETER, message, field)
