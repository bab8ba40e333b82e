"""Audio of a session's graph on its way to who hears it.

What a native kind of node makes comes as fast as it is heard: it goes to the mixers at once, which
lose the oldest of too much. What Python nodes make may be made much faster: it waits here, and the
mixers get no more of it than all who hear it have room for. When more than `MAX_WAITING_US` waits,
the nodes that made it are held: frames for them stay in their mailboxes. What they are working on
is taken still, so that a long answer is not cut, until `MAX_ANSWER_US` waits: the newest goes then,
counted. Audio that nobody hears is gone at once.

It reads no clock and does nothing by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

from remotemedia.frames import Samples
from remotemedia.host.python.mixing import FRAME_US, RATE
from remotemedia.host.python.pacing import SourceId
from remotemedia.host.python.resampling import Resampler
from remotemedia.twin.kinds import SINK, PythonNode
from remotemedia.twin.plan import Plan

MAX_WAITING_US = 10_000_000
"""Finished audio of Python nodes that waits to be heard; when there is more, they are held."""
MAX_ANSWER_US = 300_000_000
"""The most of it that waits of one source, whatever a node that is held yields on: further audio is
lost."""
MOST_CHANNELS = 2
"""Of what is sent; audio of more is mixed down to one."""

Owner = TypeVar("Owner")


class Hearer(Protocol):
    """Who hears: a participant's outgoing stream."""

    def push(self, now_us: int, source: SourceId, samples: Samples) -> None:
        """Take audio ``(channels, n)`` at 48 kHz."""

    def room(self, source: SourceId) -> int:
        """Give the samples of a channel that may still wait there."""

    def interrupt(self, which: Callable[[SourceId], bool]) -> None:
        """Drop the audio of sources."""


@dataclass(frozen=True)
class Sink:
    """Where audio leaves a graph.

    Attributes:
        id: the node's.
        rate: of its audio, in hertz.
        channels: of its audio.
        ahead: it is made in Python: there may be more of it than time passes.
    """

    id: str
    rate: int
    channels: int
    ahead: bool


def sinks_of(plan: Plan) -> tuple[Sink, ...]:
    """Give the sinks in the order in which they run."""
    found = []
    for index, node in enumerate(plan.nodes):
        if node.kind == SINK:
            given = node.inputs[0][1]
            found.append(Sink(node.id, given.rate, given.channels, bool(_makers(plan, index))))
    return tuple(found)


def sent_channels(sinks: Sequence[Sink]) -> int:
    """Say how many channels are sent to who takes them; 0 where there is no sink."""
    return min(max((each.channels for each in sinks), default=0), MOST_CHANNELS)


def voices_of(plan: Plan) -> set[int]:
    """Give the places of the Python nodes that feed sinks, with no other one between."""
    sinks = (index for index, node in enumerate(plan.nodes) if node.kind == SINK)
    return {maker for sink in sinks for maker in _makers(plan, sink)}


def _makers(plan: Plan, index: int) -> set[int]:
    found: set[int] = set()
    reached = {index}
    # What feeds a node comes before it.
    for at in range(index, -1, -1):
        if at not in reached:
            continue
        if isinstance(plan.nodes[at].action, PythonNode):
            found.add(at)
        else:
            reached |= {feed.node for feed in plan.nodes[at].feeds if feed.node is not None}
    return found


@dataclass(eq=False)
class _Outlet(Generic[Owner]):
    """A sink's audio of one stream."""

    owner: Owner
    sink: Sink
    waiting: deque[Samples] = field(default_factory=deque)
    gone: int = 0
    """Samples of the first piece that have gone."""
    count: int = 0
    """Samples of a channel that wait."""
    _resampler: Resampler | None = None

    @property
    def waiting_us(self) -> int:
        return self.count * 1_000_000 // self.sink.rate

    def give(self, now_us: int, name: SourceId, samples: Samples, to: Iterable[Hearer]) -> None:
        if len(samples) > MOST_CHANNELS:
            samples = samples.mean(axis=0, dtype=np.float32)[None, :]
        if self.sink.rate != RATE:
            if self._resampler is None:
                self._resampler = Resampler(self.sink.rate, RATE, len(samples))
            samples = self._resampler.push(samples)
        for hearer in to:
            hearer.push(now_us, name, samples)

    def drop(self) -> None:
        self.waiting.clear()
        self.gone = self.count = 0
        self._resampler = None


class Hearing(Generic[Owner]):
    """See the module."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        hearers: Callable[[Owner], Sequence[Hearer]],
        hold: Callable[[bool], None],
    ) -> None:
        """Begin with silence.

        Args:
            sinks: of the plan.
            hearers: gives who hears, now, what was made of the streams of somebody.
            hold: is told when the nodes that make audio are to wait, and when they may go on.
        """
        self._sinks: Mapping[str, Sink] = {each.id: each for each in sinks}
        self._hearers = hearers
        self._hold = hold
        self._held = False
        self._lost_us = self._counted = 0
        self._outlets: dict[SourceId, _Outlet[Owner]] = {}

    @property
    def waiting_us(self) -> int:
        """Audio of Python nodes that waits to be heard, of the source with the most."""
        return max((each.waiting_us for each in self._outlets.values()), default=0)

    def take(self, now_us: int, stream: int, owner: Owner, node: str, samples: Samples) -> None:
        """Take audio that a sink gave: ``(n,)`` or ``(channels, n)``, as its format says."""
        sink = self._sinks.get(node)
        if sink is None:
            return
        planar = samples.reshape(sink.channels, -1)
        name = stream, node
        outlet = self._outlets.get(name)
        if outlet is None:
            outlet = self._outlets[name] = _Outlet(owner, sink)
        if not sink.ahead:
            hearers = self._hearers(owner)
            if hearers:
                outlet.give(now_us, name, planar, hearers)
            return
        if outlet.waiting_us >= MAX_ANSWER_US:
            self._lost_us += planar.shape[1] * 1_000_000 // sink.rate
            return
        outlet.waiting.append(planar)
        outlet.count += planar.shape[1]
        self.feed(now_us)

    def take_lost(self) -> int:
        """Count the packets' worth of audio that was lost here since the last call."""
        lost = self._lost_us // FRAME_US
        since, self._counted = lost - self._counted, lost
        return since

    def feed(self, now_us: int) -> None:
        """Hand on what waits, as far as all who hear it have room: call it as audio is played."""
        for name, outlet in self._outlets.items():
            if outlet.waiting:
                self._feed(now_us, name, outlet)
        full = self.waiting_us > MAX_WAITING_US
        if full != self._held:
            self._held = full
            self._hold(full)

    def interrupt(
        self, now_us: int, hearers: Iterable[Hearer], concerned: Callable[[int], bool]
    ) -> None:
        """Make what was made of some streams worthless: here and with all that may hear it."""
        for (stream, _), outlet in self._outlets.items():
            if concerned(stream):
                outlet.drop()
        for hearer in hearers:
            hearer.interrupt(lambda source: concerned(source[0]))
        self.feed(now_us)

    def forget(self, stream: int) -> None:
        """Forget a stream of which nothing more can come."""
        for name in [name for name in self._outlets if name[0] == stream]:
            del self._outlets[name]

    def _feed(self, now_us: int, name: SourceId, outlet: _Outlet[Owner]) -> None:
        hearers = self._hearers(outlet.owner)
        if not hearers:
            outlet.drop()
            return
        while outlet.waiting:
            first = outlet.waiting[0]
            room = min(each.room(name) for each in hearers) * outlet.sink.rate // RATE
            count = min(room, first.shape[1] - outlet.gone)
            if count:
                piece = first[:, outlet.gone : outlet.gone + count]
                outlet.give(now_us, name, piece, hearers)
                outlet.gone += count
                outlet.count -= count
            if outlet.gone < first.shape[1]:
                return
            outlet.waiting.popleft()
            outlet.gone = 0
