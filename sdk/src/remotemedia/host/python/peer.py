"""One WebRTC connection, by aiortc."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame as DecodedFrame

from remotemedia.formats import AudioFormat
from remotemedia.host.python import hooks
from remotemedia.host.python.candidates import advertised, parse_candidate
from remotemedia.host.python.faults import (
    CONFLICT,
    CONSENT_LOST,
    DTLS_FAILED,
    FINGERPRINT_MISMATCH,
    ICE_TIMEOUT,
    INTERNAL,
    SERVER_FULL,
    TOO_MANY_CANDIDATES,
    RuntimeFault,
    fault,
)
from remotemedia.host.python.negotiation import Agreed, Local, write_answer, write_inner
from remotemedia.host.python.offers import MAX_CANDIDATES, Setup, invalid
from remotemedia.host.python.paths import Paths
from remotemedia.host.python.tracks import Converter, Piece
from remotemedia.host.python.voice import Voice

SETUP_SECONDS = 30.0
"""How long a connection may take until media and channels can pass."""

_log = logging.getLogger("remotemedia.host")


@dataclass(frozen=True)
class Network:
    """Where connections listen and what they tell of it.

    Attributes:
        bind: the only address to listen at; None for all.
        loopback: whether 127.0.0.1 is told, for clients on this machine.
        advertised: further addresses that are told: the public ones of a machine behind NAT.
    """

    bind: str | None = None
    loopback: bool = True
    advertised: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """Why something ends."""

    reason: str
    code: str | None = None


class Events(Protocol):
    """What a connection tells."""

    def connected(self) -> None:
        """Learn that it can carry media and messages."""

    def format_of(self, mid: str) -> AudioFormat | None:
        """Give what a track is brought to; None where it is not received."""

    def audio(self, track: Track, piece: Piece, rtp_ts: int, arrival_us: int) -> None:
        """Take audio of a track."""

    def track_ended(self, track: Track) -> None:
        """Learn that a track gives no more."""

    def channel_opened(self, channel: Line) -> None:
        """Learn of a channel that the other side opened."""

    def channel_closed(self, channel: Line) -> None:
        """Learn that a channel has closed."""

    def message(self, channel: Line, data: str | bytes) -> None:
        """Take a message of a channel."""

    def ended(self, end: End) -> None:
        """Learn that it cannot go on."""


class Line:
    """A data channel as an outbox sees it."""

    def __init__(self, channel: RTCDataChannel) -> None:
        """Wrap a channel that is open."""
        self._channel = channel
        self.label = str(channel.label)

    @property
    def is_open(self) -> bool:
        """Whether it takes messages."""
        return self._channel.readyState == "open"

    @property
    def buffered(self) -> int:
        """Bytes that have not gone out."""
        return int(self._channel.bufferedAmount)

    def send(self, text: str) -> None:
        """Hand a message to it."""
        self._channel.send(text)


@dataclass(eq=False)
class Track:
    """A track that comes in."""

    mid: str
    converter: Converter
    arrivals: hooks.Arrivals
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Listen no more."""
        if self.task is not None:
            self.task.cancel()


class Peer:
    """A connection that answers: `answer` first and for each further offer, `close` at the end."""

    def __init__(
        self,
        network: Network,
        receive: AudioFormat,
        clock: hooks.Clock,
        events: Events,
        voice: Voice | None = None,
    ) -> None:
        """Make one; nothing listens yet. With a `voice` audio is sent to who wants it."""
        configuration = RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self._peer = RTCPeerConnection(configuration)
        self._network = network
        self._receive = receive
        self._clock = clock
        self._events = events
        self._voice = voice
        self._paths: Paths | None = None
        self._session, self._version = secrets.randbits(62), 0
        self._order: dict[str, str] = {}
        """The mids that aiortc knows and what they are, in the order of their coming."""
        self._agreed: Agreed | None = None
        self._setup: Setup = "actpass"
        self._tracks: dict[str, Track] = {}
        self._candidates = 0
        self._closed = False
        self._connected = False
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._peer.on("track", self._on_track)
        self._peer.on("datachannel", self._on_channel)
        self._peer.on("connectionstatechange", self._on_state)

    @property
    def agreed(self) -> Agreed | None:
        """What was negotiated last."""
        return self._agreed

    @property
    def tracks(self) -> list[Track]:
        """The tracks that come in."""
        return list(self._tracks.values())

    @property
    def unsent(self) -> int:
        """Pieces of messages that the other side has not acknowledged."""
        return hooks.unsent(self._peer)

    async def answer(self, agreed: Agreed) -> str:
        """Answer an offer.

        Raises:
            RuntimeFault: it does not go with what was negotiated before; the connection then goes
                on as it was.
        """
        async with self._lock:
            order = self._check(agreed)
            first = self._agreed is None
            await self._restart(agreed)
            if first:
                # This side begins the handshake where it may choose (RFC 8842, section 5.3).
                self._setup = "active" if agreed.transport.setup == "active" else "actpass"
            inner = write_inner(agreed, list(order), self._setup)
            await self._peer.setRemoteDescription(RTCSessionDescription(inner, "offer"))
            if self._voice is not None:
                self._voice.negotiate(self._peer.getTransceivers(), agreed)
            if first:
                bind, loopback = self._network.bind, self._network.loopback
                self._paths = hooks.take_paths(self._peer, bind, loopback)
            await self._peer.setLocalDescription(await self._peer.createAnswer())
            self._agreed, self._order = agreed, order
            if first:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(SETUP_SECONDS, self._too_late)
            self._version += 1
            answer = write_answer(
                agreed, self._local(), self._receive, self._session, self._version
            )
        for line in agreed.candidates:
            try:
                await self._add(line)
            except RuntimeFault as refused:
                _log.debug("a candidate of an offer: %s", refused)
        return answer

    async def add_candidates(self, lines: Sequence[str]) -> None:
        """Add remote candidates; an empty one says that there are no more.

        Raises:
            RuntimeFault: what is wrong with the first that is refused; those before it stay.
        """
        for line in lines:
            if line:
                await self._add(line)

    async def stats(self, track: Track) -> tuple[int, int, int]:
        """Give packets received, packets lost, and jitter in microseconds."""
        for transceiver in self._peer.getTransceivers():
            if transceiver.mid != track.mid:
                continue
            report = await transceiver.receiver.getStats()
            for each in report.values():
                if each.type == "inbound-rtp":
                    jitter_us = int(each.jitter * 1_000_000 / 48_000)
                    return each.packetsReceived, each.packetsLost, jitter_us
        return track.arrivals.packets, 0, 0

    async def close(self) -> None:
        """End the connection and free all of it."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._voice is not None:
            self._voice.close()
        for track in self._tracks.values():
            track.stop()
        tasks = [track.task for track in self._tracks.values() if track.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._peer.close()

    def drop(self, mid: str) -> Track | None:
        """Forget a track that is not sent any more."""
        track = self._tracks.pop(mid, None)
        if track is not None:
            track.stop()
        return track

    def _check(self, agreed: Agreed) -> dict[str, str]:
        """Give the order of sections for aiortc, if the offer goes with what it knows."""
        if self._closed:
            raise fault(CONFLICT, "the connection is closing")
        before = self._agreed
        if before is not None and agreed.transport.fingerprints != before.transport.fingerprints:
            text = "the certificate has changed: make a new connection"
            raise fault(CONFLICT, text, "fingerprint")
        kinds = {media.mid: media.kind for media in agreed.offer.media}
        order = dict(self._order)
        for mid, kind in order.items():
            if kinds.get(mid) != kind:
                raise invalid(
                    "media", f'the media section "{mid[:48]}" of before is not there any more'
                )
        for media, use in zip(agreed.offer.media, agreed.uses, strict=True):
            if use in {"audio", "voice", "data"} and media.mid is not None:
                order.setdefault(media.mid, media.kind)
        return order

    async def _restart(self, agreed: Agreed) -> None:
        """Look for a new path where an offer asks for that (RFC 8839, section 4.4.3)."""
        now = agreed.transport
        before = now if self._agreed is None else self._agreed.transport
        if (before.ufrag, before.pwd) == (now.ufrag, now.pwd):
            return
        if self._paths is None or now.ufrag is None or now.pwd is None:
            text = "without its native module the server cannot restart ICE"
            raise fault(CONFLICT, text, "ice-ufrag", "offer a new connection with restart_pc")
        if not await self._paths.restart(now.ufrag, now.pwd, agreed.offer.ice_lite):
            raise fault(SERVER_FULL, "no media port is free", hint="try again later")
        self._candidates = 0

    async def _add(self, line: str) -> None:
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            text = f"more than {MAX_CANDIDATES} candidates: the others are enough"
            raise fault(TOO_MANY_CANDIDATES, text, "candidates")
        candidate = parse_candidate(line)
        if candidate is None or self._closed:
            return
        candidate.sdpMid = next(iter(self._order))
        await self._peer.addIceCandidate(candidate)

    def _local(self) -> Local:
        text = self._peer.localDescription.sdp
        lines = text.splitlines()

        def first(name: str) -> str:
            found = next((each for each in lines if each.startswith(f"a={name}")), None)
            if found is None:
                raise fault(INTERNAL, f"aiortc's answer has no {name}")
            return found.removeprefix(f"a={name}")

        candidates = [each[2:] for each in lines if each.startswith("a=candidate:")]
        candidates = list(dict.fromkeys(candidates))
        if not candidates:
            raise fault(SERVER_FULL, "no media port is free", hint="try again later")
        return Local(
            ufrag=first("ice-ufrag:"),
            pwd=first("ice-pwd:"),
            fingerprint=first("fingerprint:sha-256 "),
            candidates=candidates + advertised(candidates, self._network.advertised),
            active=first("setup:") == "active",
            source=None if self._voice is None else self._voice.source(text),
        )

    def _on_track(self, track: MediaStreamTrack) -> None:
        for transceiver in self._peer.getTransceivers():
            if transceiver.receiver.track is not track or track.kind != "audio":
                continue
            hooks.hold_less(transceiver.receiver)
            arrivals = hooks.Arrivals(transceiver.receiver, self._clock)
            made = Track(str(transceiver.mid), Converter(self._receive), arrivals)
            self._tracks[made.mid] = made
            made.task = asyncio.get_running_loop().create_task(self._listen(made, track))

    async def _listen(self, made: Track, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                self._events.track_ended(made)
                return
            wanted = self._events.format_of(made.mid)
            if self._closed or wanted is None or not isinstance(frame, DecodedFrame):
                continue
            if wanted != made.converter.wanted:
                made.converter = Converter(wanted)
            try:
                rtp_ts = made.arrivals.rtp_timestamp(frame.pts or 0)
                arrival_us = made.arrivals.of(rtp_ts) or self._clock()
                for piece in made.converter.push(frame):
                    self._events.audio(made, piece, rtp_ts, arrival_us)
            except Exception:
                _log.exception("a frame could not be processed")
                self._events.ended(End("a track could not be processed", INTERNAL))
                return

    def _on_channel(self, channel: RTCDataChannel) -> None:
        line = Line(channel)
        channel.on("message", lambda data: self._events.message(line, data))
        channel.on("close", lambda: self._events.channel_closed(line))
        self._events.channel_opened(line)

    def _on_state(self) -> None:
        if self._closed:
            return
        state = self._peer.connectionState
        if state == "connected" and not self._connected:
            self._connected = True
            if self._timer is not None:
                self._timer.cancel()
            self._events.connected()
        elif state == "closed":
            self._events.ended(End("the participant left"))
        elif state == "failed":
            self._events.ended(self._why_failed())

    def _why_failed(self) -> End:
        if self._connected:
            return End("the other side stopped answering", CONSENT_LOST)
        transport = hooks.transport_of(self._peer)
        if transport is None or transport.state != "failed":
            return End("ICE found no path", ICE_TIMEOUT)
        wanted = [] if self._agreed is None else self._agreed.transport.fingerprints
        if not hooks.fingerprint_matches(self._peer, wanted):
            text = "the certificate does not match the fingerprint of the SDP"
            return End(text, FINGERPRINT_MISMATCH)
        return End("DTLS failed", DTLS_FAILED)

    def _too_late(self) -> None:
        if self._closed or self._connected:
            return
        transport = hooks.transport_of(self._peer)
        if transport is not None and transport.transport.state == "completed":
            self._events.ended(End("DTLS did not finish in time", DTLS_FAILED))
        else:
            self._events.ended(End("ICE found no path in time", ICE_TIMEOUT))


__all__ = ["End", "Events", "Line", "Network", "Peer", "Track"]
