"""One connection of a session: what it sends, what it is told, and how it ends.

It ends in one place, `_free`. Before, input stops, its streams are closed (speech under way is
stopped and reported), results under way are waited for, and ``bye`` is said. One that is gone
already, or too slow to be told anything, is freed at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Literal

from remotemedia.host.python import messages
from remotemedia.host.python.allowance import Allowance
from remotemedia.host.python.control import Control, Refused, parse_control
from remotemedia.host.python.faults import CONFLICT, SLOW_READER, RuntimeFault, fault
from remotemedia.host.python.outbox import LiveKey, Outbox, SlowReader
from remotemedia.host.python.peer import End, Line, Track
from remotemedia.host.python.sources import Places
from remotemedia.host.python.streams import Heard

if TYPE_CHECKING:
    from pydantic import JsonValue

    from remotemedia.formats import AudioFormat
    from remotemedia.host.python.negotiation import Agreed
    from remotemedia.host.python.peer import Peer
    from remotemedia.host.python.session import Session
    from remotemedia.host.python.tracks import Piece
    from remotemedia.host.python.voice import Voice

CLOSE_US = 500_000
"""From the beginning of a close to its end, at most."""
FINISH_SECONDS = 0.25
"""Of that, how long frames that Python holds are waited for."""
TICK_SECONDS = 1.0
"""How often a participant gets figures."""
_LOOK_SECONDS = 0.005
_PUMP_SECONDS = 0.02
"""How often a channel is asked whether the other side has read, while something waits for that."""

_log = logging.getLogger("remotemedia.host")
Phase = Literal["active", "finishing", "saying", "gone"]


class Participant:
    """See the module. `remotemedia.host.python.peer.Events` are what its connection tells it."""

    def __init__(
        self,
        session: Session,
        pc_id: str,
        name: str,
        joined: bool,
        clock: Callable[[], int],
        freed: Callable[[Participant, End], None],
    ) -> None:
        """Make one; call `enter` once its connection has answered."""
        self.session = session
        self.pc_id = pc_id
        self.name = name
        self.joined = joined
        self.offers = Allowance()
        self.outbox = Outbox(expects_channel=False)
        self.max_message_size = messages.NO_LIMIT
        self.peer: Peer
        self.voice: Voice | None = None
        self.speaks = False
        self._clock = clock
        self._freed = freed
        self._phase: Phase = "active"
        self._connected = False
        self.places = Places()
        self._heard: dict[str, Heard] = {}
        self._told_too_large: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumping: asyncio.TimerHandle | None = None
        self.controls = 0
        self.ignored = 0

    @property
    def active(self) -> bool:
        """Whether it is not on its way out."""
        return self._phase == "active"

    @property
    def told_bye(self) -> bool:
        """Whether ``bye`` was said."""
        return self._phase in {"saying", "gone"}

    def enter(self, agreed: Agreed) -> None:
        """Take part."""
        self.negotiated(agreed)
        self._spawn(self._ticking())

    def negotiated(self, agreed: Agreed) -> None:
        """Learn what was negotiated, at first or again."""
        self.max_message_size = agreed.max_message_size if agreed.has_data else messages.NO_LIMIT
        self.outbox.expect_channel(agreed.has_data)
        self.speaks = bool(agreed.audio)
        self.places.agree(media.mid for media in agreed.audio if media.mid is not None)
        unused = [mid for mid in self._heard if self.places.of(mid) is None]
        gone = [self._heard.pop(mid) for mid in unused]
        self.session.end_unused(self, self._heard.values(), gone)

    def hears(self, owner: Participant) -> bool:
        """Whether it hears what was made of somebody's streams: its own, or all if it has none."""
        sends = self.voice is not None and self.voice.sends
        return sends and self.active and self._connected and (owner is self or not self.speaks)

    def send_live(self, key: LiveKey, text: str) -> None:
        """Send one of the results that come per window."""
        self.outbox.send_live(key, text)
        self._pump_later()

    def send_event(self, text: str) -> None:
        """Send what must not be lost."""
        try:
            self.outbox.event(self._clock(), text)
        except SlowReader as slow:
            self._too_slow(slow)
        self._pump_later()

    def may_be_told(self, node: str) -> bool:
        """Whether it is to be told that a node's result was too large for it: once a second."""
        now_us = self._clock()
        last = self._told_too_large.get(node)
        if last is not None and now_us - last < TICK_SECONDS * 1e6:
            return False
        self._told_too_large[node] = now_us
        return True

    def leave(self, end: End) -> None:
        """Begin to leave."""
        if self.active:
            self._phase = "finishing"
            self._stop_input()
            self._spawn(self._finish(end))

    def cut(self, end: End) -> None:
        """End at once; observers learn of it all the same."""
        if self.told_bye:
            return
        self._phase = "saying"
        self._stop_input()
        self._say_bye(end)
        self._spawn(self._free(end))

    def stats(self) -> dict[str, JsonValue]:
        """Give its state."""
        live = "results+live" if self.outbox.live else "results"
        figures = self.outbox.stats
        state = "connected" if self._connected else "connecting"
        return {
            "participant": self.name,
            "pc_id": self.pc_id,
            "state": state if self.active else "leaving",
            "joined": self.joined,
            "channels": live if self.outbox.results else "none",
            "messages": figures.messages,
            "coalesced": figures.coalesced,
            "dropped": figures.dropped,
            "too_large": figures.too_large,
            "controls": self.controls,
            "busy": 0,
            "ignored": self.ignored,
            "round_trip_ms": None,
        }

    async def stream_stats(self) -> list[JsonValue]:
        """Give what came of its tracks."""
        found: list[JsonValue] = []
        for track in self.peer.tracks:
            heard = self._heard.get(track.mid)
            if heard is None:
                continue
            received, lost, jitter_us = await self.peer.stats(track)
            figures = track.converter.stats
            found.append(
                {
                    "stream": self.session.stream_name(heard.stream),
                    "source": self.session.sources.audio[heard.source].id,
                    "packets_received": received,
                    "packets_lost": lost,
                    "frames": figures.frames,
                    "concealed": figures.concealed,
                    "jumps": figures.jumps,
                    "jitter_ms": jitter_us / 1_000,
                }
            )
        return found

    async def voice_stats(self) -> JsonValue:
        """Give what it hears, where it is sent audio."""
        if self.voice is None:
            return None
        return await self.voice.figures(self.session.hearing.waiting_us)

    # What its connection tells.

    def connected(self) -> None:
        """Learn that media and messages can pass."""
        self._connected = True

    def format_of(self, mid: str) -> AudioFormat | None:
        """Give what a track is brought to; None where it is not received."""
        place, sources = self.places.of(mid), self.session.sources.audio
        return None if place is None else sources[place % len(sources)].format

    def audio(self, track: Track, piece: Piece, rtp_ts: int, arrival_us: int) -> None:
        """Take audio of a track."""
        place = self.places.of(track.mid)
        if not self.active or place is None:
            return
        heard = self._heard.get(track.mid)
        if heard is None:
            number, source = divmod(place, len(self.session.sources.audio))
            stream = self.session.open_stream(self, number)
            if stream is None:
                self.ignored += 1
                return
            heard = self._heard[track.mid] = Heard(stream, source, self._clock())
        self.session.push(heard, piece, rtp_ts, arrival_us)

    def track_ended(self, track: Track) -> None:
        """Learn that a track gives no more: speech that was under way has ended."""
        heard = self._heard.get(track.mid)
        if heard is not None and self.active:
            self.session.end_track(heard)

    def channel_opened(self, channel: Line) -> None:
        """Learn of a channel: ``live``, else results."""
        if channel.label == "live":
            self.outbox.open_live(channel)
        elif self.outbox.results is None or channel.label == "results":
            self.outbox.open_results(channel)
            self._say_ready()

    def channel_closed(self, channel: Line) -> None:
        """Learn that a channel has closed."""
        self.outbox.close_channel(channel)

    def message(self, channel: Line, data: str | bytes) -> None:
        """Answer a control message."""
        if self.told_bye:
            return
        self.controls += 1
        text = self._answer(data)
        try:
            if self.outbox.results is not None:
                self.outbox.reply(self._clock(), text)
            elif channel.is_open:
                channel.send(text)
        except SlowReader as slow:
            self._too_slow(slow)
        self._pump_later()

    def ended(self, end: End) -> None:
        """Learn that the connection cannot go on."""
        asyncio.get_running_loop().call_soon(self.cut, end)

    # Inside.

    def _answer(self, data: str | bytes) -> str:
        try:
            control = parse_control(data)
        except Refused as refused:
            return messages.error_reply(refused.id, refused.code, refused.message, refused.field)
        try:
            return self._obey(control)
        except RuntimeFault as refused:
            return messages.error_reply(control.id, refused.code, refused.message, refused.field)

    def _obey(self, control: Control) -> str:
        name = control.id
        if not self.active:
            raise fault(CONFLICT, "the connection is closing")
        if control.kind == "ping":
            return messages.reply("pong", name, **({} if control.t is None else {"t": control.t}))
        if control.kind == "interrupt":
            self.session.interrupt(self)
            return messages.reply("interrupted", name)
        if control.kind == "flush":
            # Their own streams only: the others go on speaking.
            for stream in self.session.streams_of(self):
                self.session.flush(stream)
            return messages.reply("flushed", name)
        if control.kind == "configure":
            self.session.instance.configure(control.node, control.params)
            return messages.reply("configured", name, node=control.node)
        taken = self.session.take_data(self, control.node, control.data)
        return messages.reply("accepted", name, node=taken)

    def _say_ready(self) -> None:
        session = self.session
        nodes: list[JsonValue] = [
            {"id": node.id, "kind": node.kind} for node in session.program.plan.nodes
        ]
        data: Mapping[str, JsonValue] = {
            "pipeline": session.pipeline,
            "participant": self.name,
            "joined": self.joined,
            "participants": len(session.participants),
            "nodes": nodes,
        }
        session.publish("ready", dict(data), self, participant=self.name)
        try:
            self.outbox.release(self._clock())
        except SlowReader as slow:
            self._too_slow(slow)

    def _say_bye(self, end: End) -> None:
        self.session.publish("bye", messages.bye(end.reason, end.code), self, participant=self.name)

    def _too_slow(self, slow: SlowReader) -> None:
        self.ended(End(f"results were read too slowly: {slow}", SLOW_READER))

    def _stop_input(self) -> None:
        for track in self.peer.tracks:
            track.stop()
        for stream in self.session.streams_of(self):
            self.session.close_stream(stream)
        self._heard.clear()

    async def _finish(self, end: End) -> None:
        began = self._clock()
        await self.session.calm(FINISH_SECONDS)
        if self.told_bye:
            return  # it was cut off meanwhile
        self._phase = "saying"
        self._say_bye(end)
        while self._clock() - began < CLOSE_US:
            # A message is handed over in the loop's next turn.
            await asyncio.sleep(_LOOK_SECONDS)
            if self.outbox.drained and not self.peer.unsent:
                break
        await self._free(end)

    async def _free(self, end: End) -> None:
        if self._phase == "gone":
            return
        self._phase = "gone"
        if self._pumping is not None:
            self._pumping.cancel()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self.session.count_lost(self)
        try:
            await self.peer.close()
        except Exception:
            _log.exception("a connection did not close")
        self._freed(self, end)

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._connected and self.active:
                await self._tick()

    async def _tick(self) -> None:
        self.session.count_lost(self)
        received = lost = concealed = jitter_us = 0
        for track in self.peer.tracks:
            came, gone, jitter = await self.peer.stats(track)
            received, lost, jitter_us = received + came, lost + gone, max(jitter_us, jitter)
            concealed += track.converter.stats.concealed
        # Where nobody sends any more, speech that was under way has ended.
        self.session.end_quiet(self, self._heard.values())
        figures = self.outbox.stats
        data: dict[str, JsonValue] = {
            "jitter_ms": jitter_us / 1_000,
            "packets_received": received,
            "packets_lost": lost,
            "concealed": concealed,
            "coalesced": figures.coalesced,
            "dropped": figures.dropped + self.ignored,
        }
        self.session.publish("metrics", data, self, participant=self.name)

    def _pump_later(self) -> None:
        """Look again whether the other side has read, while something waits."""
        if self._pumping is None and self.outbox.waits and self._phase != "gone":
            self._pumping = asyncio.get_running_loop().call_later(_PUMP_SECONDS, self._pump)

    def _pump(self) -> None:
        self._pumping = None
        try:
            count = self.outbox.pump(self._clock())
        except SlowReader as slow:
            self._too_slow(slow)
            return
        if count:
            data: dict[str, JsonValue] = {"count": count, "total": self.outbox.stats.coalesced}
            self.session.publish("coalesced", data, self, participant=self.name)
        self._pump_later()

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
