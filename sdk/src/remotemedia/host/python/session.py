"""One running instance of a pipeline and who takes part in it.

Everything that a session holds is freed in `Session.remove`, with its last participant.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remotemedia.host.python import messages
from remotemedia.host.python.data import checked, find_source
from remotemedia.host.python.faults import RESULT_TOO_LARGE, SERVER_FULL, fault
from remotemedia.host.python.hearing import Hearing
from remotemedia.host.python.instance import MAX_STREAMS, Instance, Losses, Program
from remotemedia.host.python.peer import End
from remotemedia.host.python.streams import QUIET_US, Heard, Stream
from remotemedia.host.python.tracks import Piece
from remotemedia.host.python.wake import WakeQueue
from remotemedia.twin.values import LaneItem, RunOutput

if TYPE_CHECKING:
    from pydantic import JsonValue

    from remotemedia.host.python.participant import Participant
    from remotemedia.host.python.voice import Voice

MAX_KEPT_EVENTS = 128
"""Events of a session that are kept for observers who come later; then the oldest goes."""
MAX_KEPT_BYTES = 256 * 1024
"""The same in bytes."""
MAX_ENDED_STREAMS = 16
"""Streams that have ended and whose names are kept for results that come late."""


@dataclass(frozen=True)
class Notification:
    """What the control side is told without asking: JSON text."""

    text: str
    may_go: bool = False
    """It may be dropped when nobody reads; beginnings and ends may not."""


@dataclass(frozen=True)
class Shared:
    """What all sessions of an engine share."""

    clock: Callable[[], int]
    tokens: Iterator[int]
    lane: WakeQueue[LaneItem]
    notifications: WakeQueue[Notification]
    holders: dict[int, Session]
    """The sessions that wait for Python nodes, by token."""
    losses: Losses


class Session:
    """See the module. All of it lives on one event loop."""

    def __init__(self, name: str, pipeline: str, program: Program, shared: Shared) -> None:
        """Begin a session, without participants."""
        self.id = name
        self.pipeline = pipeline
        self.program = program
        self.sources = program.sources
        self.instance = Instance(program, shared.tokens)
        self.hearing: Hearing[Participant] = Hearing(program.sinks, self._hearers, self._hold)
        self.participants: list[Participant] = []
        self.closing: str | None = None
        self.observed = False
        self.seq = 0
        self.started_us = shared.clock()
        self._shared = shared
        self._streams: dict[int, Stream] = {}
        self._numbers = itertools.count()
        self._names = itertools.count(1)
        self._kept: deque[tuple[int, str]] = deque()
        self._kept_bytes = 0
        self._calm = asyncio.Event()

    def begin(self) -> None:
        """Tell that it has begun."""
        self.notify("session_started", pipeline=self.pipeline)

    @property
    def open_streams(self) -> int:
        """Streams that are open."""
        return sum(each.open for each in self._streams.values())

    def name_participant(self) -> str:
        """Give a name for one more participant."""
        return f"p{next(self._names)}"

    def stream_name(self, stream: int) -> str:
        """Give the name of a stream."""
        return self._streams[stream].name

    def open_stream(self, owner: Participant, number: int) -> int | None:
        """Give the stream of a participant with this number, which begins now where it has not yet.

        Number 0 is their main stream, which tracks and messages feed together.

        Returns:
            The stream; None where the session has too many.
        """
        for stream in self.streams_of(owner):
            if self._streams[stream].number == number:
                return stream
        if self.open_streams >= MAX_STREAMS:
            return None
        stream = next(self._numbers)
        kind = "audio" if self.sources.audio else "data"
        name = kind if number == 0 else f"{kind}-{number + 1}"
        zero_us, ended = self._shared.clock(), [False] * len(self.sources.audio)
        entry = Stream(name, owner, owner.name, number, zero_us, ended)
        self._streams[stream] = entry
        self.instance.open_stream(stream)
        for source in range(len(ended)):
            if not entry.awaits(owner, source):
                self._end_part(stream, source)
        return stream

    def streams_of(self, owner: Participant) -> list[int]:
        """Give what a participant feeds, in the order in which it began."""
        return [key for key, each in self._streams.items() if each.open and each.owner is owner]

    def close_stream(self, stream: int) -> None:
        """End a stream: what was still open in it is told."""
        for output in self.instance.close_stream(self._shared.clock(), stream):
            self._publish_output(stream, output)
        self._settle()
        self._streams[stream].open = False
        ended = [number for number, each in self._streams.items() if not each.open]
        for number in ended[:-MAX_ENDED_STREAMS]:
            del self._streams[number]
            self.hearing.forget(number)

    def push(self, heard: Heard, piece: Piece, rtp_ts: int, arrival_us: int) -> None:
        """Take audio of a track."""
        entry, source = self._streams[heard.stream], self.sources.audio[heard.source]
        entry.arrived(rtp_ts, arrival_us)
        now_us = self._shared.clock()
        pts_us = entry.place(heard, piece, source.format, arrival_us, now_us)
        self.instance.push(now_us, heard.stream, pts_us, rtp_ts, piece.samples, source.index)
        self._settle()

    def end_quiet(self, owner: Participant, tracks: Iterable[Heard]) -> None:
        """End the parts of a participant's streams that have been quiet."""
        now_us = self._shared.clock()
        heard_us = {(each.stream, each.source): each.at_us for each in tracks}
        for stream in self.streams_of(owner):
            entry = self._streams[stream]
            for source in range(len(entry.ended)):
                if now_us - heard_us.get((stream, source), entry.zero_us) >= QUIET_US:
                    self._end_part(stream, source)

    def end_unused(self, owner: Participant, tracks: Iterable[Heard], gone: list[Heard]) -> None:
        """End what was fed by tracks that a negotiation took away: `gone` of the participant's.

        A stream that has none left is closed, but for one that messages feed too.
        """
        fed = {each.stream for each in tracks}
        for each in gone:
            self._end_part(each.stream, each.source)
        for stream in {each.stream for each in gone} - fed:
            if self._streams[stream].number or not self.sources.takes_data:
                self.close_stream(stream)
        for stream in self.streams_of(owner):
            entry = self._streams[stream]
            for source in range(len(entry.ended)):
                if not entry.awaits(owner, source):
                    self._end_part(stream, source)

    def end_track(self, heard: Heard) -> None:
        """Learn that a track gives no more: nobody waits for it."""
        self._end_part(heard.stream, heard.source)

    def take_data(self, owner: Participant, node: str, data: JsonValue) -> str:
        """Hand data to a source, as the next frame of who sent it. Gives the name of who took it.

        Raises:
            RuntimeFault: nobody of that name takes data, it is too long, or the session has too
                many streams.
        """
        source, name = find_source(self.program.plan, node)
        value = checked(data)
        now_us = self._shared.clock()
        stream = self.open_stream(owner, 0)
        if stream is None:
            text = f"the session has {MAX_STREAMS} streams, which is the most that it may have"
            raise fault(SERVER_FULL, text)
        # A stream that begins with it begins at zero.
        pts_us = max(now_us - self._streams[stream].zero_us, 0)
        self.instance.push_data(now_us, stream, source, pts_us, value)
        self._settle()
        return name

    def flush(self, stream: int) -> None:
        """Bring out what a stream's nodes hold back."""
        for output in self.instance.flush(self._shared.clock(), stream):
            self._publish_output(stream, output)
        self._settle()

    def give(self, token: int, results: Sequence[object]) -> None:
        """Take some of what a Python node makes of a frame."""
        self.instance.give(self._shared.clock(), token, results)
        self._settle()

    def complete(self, token: int, result: object) -> None:
        """Take what a Python node made of a frame."""
        self.instance.complete(self._shared.clock(), token, result)  # type: ignore[arg-type]
        self._settle()

    def publish(
        self, kind: str, data: JsonValue, to: Participant | None = None, **about: JsonValue
    ) -> None:
        """Write a message once and hand it to its readers: all participants, or one."""
        self.seq += 1
        text = messages.result(kind, self.id, data, seq=self.seq, **about)  # type: ignore[arg-type]
        live = kind in messages.LIVE_TYPES
        size = len(text.encode())
        key = (kind, str(about.get("node", "")), str(about.get("participant", "")))
        missed: list[Participant] = []
        for each in list(self.participants):
            if to is not None and to is not each:
                continue
            # `bye` is the last thing that anyone hears.
            if each.told_bye and kind != "bye":
                continue
            if size > each.max_message_size:
                self._shared.losses.results_too_large += 1
                each.outbox.too_large()
                missed.append(each)
            elif live:
                each.send_live((*key, str(about.get("stream", ""))), text)
            else:
                each.send_event(text)
        if not live:
            self._keep(text)
        if self.observed:
            self._tell(self.seq, text)
        for each in missed:
            self._tell_too_large(each, kind, size, about)

    def observe(self, on: bool) -> None:
        """Switch on or off that messages come as notifications; those kept come first."""
        if on and not self.observed:
            for seq, text in self._kept:
                self._tell(seq, text)
        self.observed = on

    def played(self) -> None:
        """Learn that a participant has heard something: there is room for more."""
        self.hearing.feed(self._shared.clock())

    def count_lost(self, participant: Participant) -> None:
        """Count the audio that did not reach somebody since the last call."""
        if participant.voice is not None:
            lost = participant.voice.take_lost() + self.hearing.take_lost()
            self._shared.losses.audio_packets += lost

    def interrupt(self, by: Participant) -> None:
        """Drop what is under way, and let the Python nodes know.

        Of the audio that waits to be heard, what was made of the streams of who interrupts; all,
        where they have none.
        """
        epoch = self.instance.interrupt()
        self.instance.tally(self._shared.losses)
        own = {number for number, each in self._streams.items() if each.open and each.owner is by}
        voices = [each.voice for each in self.participants if each.voice is not None]
        self.hearing.interrupt(
            self._shared.clock(), voices, lambda stream: not own or stream in own
        )
        told = {"kind": "interrupted", "session": self.id, "epoch": epoch}
        self._shared.notifications.put([Notification(json.dumps(told), may_go=True)])

    def notify(self, kind: str, **rest: JsonValue) -> None:
        """Tell the control side of the session itself."""
        text = json.dumps({"kind": kind, "session": self.id, **rest})
        self._shared.notifications.put([Notification(text)])

    async def calm(self, seconds: float) -> None:
        """Wait until Python nodes have no frames any more, or for so long."""
        if self.instance.pending:
            self._calm.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._calm.wait(), seconds)

    def begin_close(self, end: End) -> None:
        """Let every participant leave; nobody may enter."""
        if self.closing is None:
            self.closing = end.reason
            for participant in list(self.participants):
                participant.leave(end)

    def remove(self, participant: Participant, end: End) -> bool:
        """Forget a participant; True when it was the last, and the session has ended with it."""
        if participant not in self.participants:
            return False
        self.participants.remove(participant)
        if self.participants:
            self.played()  # nobody waits for who has gone
            return False
        holders = self._shared.holders
        for token in [token for token, session in holders.items() if session is self]:
            del holders[token]
        self.notify("session_ended", reason=self.closing or end.reason)
        return True

    def _end_part(self, stream: int, source: int) -> None:
        """End a part of a stream: no node waits for it."""
        entry = self._streams[stream]
        if not entry.open or entry.ended[source]:
            return
        entry.ended[source] = True
        # A source that has nobody beside it is flushed, with all that is behind it.
        if len(entry.ended) > 1:
            index = self.sources.audio[source].index
            self.instance.end_source(self._shared.clock(), stream, index)
        if all(entry.ended):
            self.flush(stream)
        else:
            self._settle()

    def _settle(self) -> None:
        """Hand on what came out of the graph, and what Python nodes may work on."""
        for stream, output in self.instance.poll():
            self._publish_output(stream, output)
        items: list[LaneItem] = []
        for work in self.instance.take_work(self._shared.clock()):
            entry = self._streams[work.stream]
            self._shared.holders[work.token] = self
            items.append(
                LaneItem(
                    token=work.token,
                    session=self.id,
                    participant=entry.participant,
                    stream=entry.name,
                    pipeline=self.pipeline,
                    node=work.node,
                    entry=work.entry,
                    port=work.port,
                    seq=work.stamp.seq,
                    pts_us=work.stamp.pts_us,
                    epoch=work.epoch,
                    rate=work.rate,
                    channels=work.channels,
                    samples=work.samples,
                    value=work.value,
                )
            )
        for lost in self._shared.lane.put(items) if items else ():
            asyncio.get_running_loop().call_soon(self._lost, lost.token)
        self.instance.tally(self._shared.losses)
        if not self.instance.pending:
            self._calm.set()

    def _lost(self, token: int) -> None:
        """Tell a session that a frame never reached its Python node."""
        holder = self._shared.holders.pop(token, None)
        if holder is not None:
            holder.instance.lose(self._shared.clock(), token)
            holder._settle()

    def _hearers(self, owner: Participant) -> list[Voice]:
        voices = (each.voice for each in self.participants if each.hears(owner))
        return [each for each in voices if each is not None]

    def _hold(self, on: bool) -> None:
        self.instance.hold(on)
        if not on:
            asyncio.get_running_loop().call_soon(self._settle)

    def _publish_output(self, stream: int, output: RunOutput) -> None:
        made, entry = output.message, self._streams.get(stream)
        if entry is None:
            return
        now_us = self._shared.clock()
        if output.samples is not None:
            self.hearing.take(now_us, stream, entry.owner, output.node, output.samples)
        if made is None:
            return
        rtp_ts = made["rtp_ts"]
        arrived = entry.arrivals.get(rtp_ts) if isinstance(rtp_ts, int) else None
        if arrived is None:
            # No packet brings data: its media time is when it came.
            arrived = now_us if rtp_ts else entry.zero_us + output.pts_us
        self.publish(
            str(made["type"]),
            made["data"],
            participant=entry.participant,
            stream=entry.name,
            node=output.node,
            pts_ms=made["pts_ms"],
            rtp_ts=rtp_ts,
            latency_ms=max(now_us - arrived, 0) / 1_000,
        )

    def _tell_too_large(
        self, participant: Participant, kind: str, size: int, about: dict[str, JsonValue]
    ) -> None:
        """Tell a client what it missed, once a second for each node."""
        node = str(about.get("node", ""))
        if kind == "error" or not participant.may_be_told(node):
            return
        what = f'a result of node "{node}"' if node else f'a message of type "{kind}"'
        most = participant.max_message_size
        data = messages.error(
            RESULT_TOO_LARGE,
            f"{what} was left out: it has {size} bytes, you take {most} at most",
            "max-message-size",
            "return less from the node, or offer a larger a=max-message-size",
        )
        self.publish("error", data, participant, **about)

    def _keep(self, text: str) -> None:
        self._kept.append((self.seq, text))
        self._kept_bytes += len(text)
        while len(self._kept) > MAX_KEPT_EVENTS or self._kept_bytes > MAX_KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1])

    def _tell(self, seq: int, text: str) -> None:
        told = {"kind": "event", "session": self.id, "seq": seq, "message": text}
        self._shared.notifications.put([Notification(json.dumps(told), may_go=True)])
