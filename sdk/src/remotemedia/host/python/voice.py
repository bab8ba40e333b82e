"""A participant's outgoing audio: mixed and paced by `Mixer`, encoded here, sent by aiortc."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from aiortc import RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet

from remotemedia.host.python.hearing import Sink
from remotemedia.host.python.mixing import FRAME_US, RATE
from remotemedia.host.python.opus import Encoder, Encoding
from remotemedia.host.python.pacing import Mixer, SourceId

if TYPE_CHECKING:
    from pydantic import JsonValue

    from remotemedia.frames import Samples
    from remotemedia.host.python.negotiation import Agreed

_MICROS = 1_000_000
_SOURCE = re.compile(r"^a=ssrc:(\d+) cname:(\S+)", re.MULTILINE)


class VoiceTrack(MediaStreamTrack):
    """What aiortc pulls packets from, for one section. It waits while the section does not send."""

    kind = "audio"

    def __init__(self, voice: Voice) -> None:
        """Make the track of a section."""
        super().__init__()
        self._voice = voice
        self._waking: asyncio.Future[None] | None = None

    async def recv(self) -> Packet[Any]:
        """Give the next packet, when it is due."""
        while self.readyState == "live":
            packet = self._voice.packet(self)
            if packet is not None:
                return packet
            await self._sleep(self._voice.due_us(self))
        raise MediaStreamError

    def wake(self) -> None:
        """Look again whether a packet is due."""
        if self._waking is not None and not self._waking.done():
            self._waking.set_result(None)

    def stop(self) -> None:
        """Give no more."""
        super().stop()
        self.wake()

    async def _sleep(self, until_us: int | None) -> None:
        loop = asyncio.get_running_loop()
        waking = self._waking = loop.create_future()
        timer = None
        if until_us is not None:
            timer = loop.call_later(max(self._voice.until(until_us), 0), self.wake)
        try:
            await waking
        finally:
            if timer is not None:
                timer.cancel()


class Voice:
    """See the module. Calls come from the sessions' loop; it is a `Hearer`."""

    def __init__(
        self, sinks: Sequence[Sink], clock: Callable[[], int], played: Callable[[], None]
    ) -> None:
        """Make one that sends nothing yet.

        Args:
            sinks: of the session's plan; there is one at least.
            clock: gives microseconds.
            played: is told when there is room again.
        """
        self._rate = max(each.rate for each in sinks)
        self._clock = clock
        self._played = played
        self._mixer = Mixer(1)
        self._encoder: Encoder | None = None
        self._encoding: Encoding | None = None
        self._transceiver: RTCRtpTransceiver | None = None
        self._tracks: dict[str, VoiceTrack] = {}
        self._current: VoiceTrack | None = None
        self._counted = 0

    @property
    def sends(self) -> bool:
        """Whether a section was negotiated in which it is sent."""
        return self._current is not None

    def negotiate(self, transceivers: Iterable[RTCRtpTransceiver], agreed: Agreed) -> None:
        """Learn in which section to send: before aiortc answers, but once it knows the offer."""
        mid = agreed.voice_mid
        current: VoiceTrack | None = None
        self._transceiver = None
        for each in transceivers:
            if each.kind != "audio":
                continue
            each.direction = "recvonly"
            if mid is not None and each.mid == mid:
                current, self._transceiver = self._track(each, mid), each
                each.direction = "sendrecv"
        if current is not self._current:
            self._mixer.stop()
        self._current = current
        if current is not None:
            current.wake()
            self._encoding = Encoding.of(self._rate, 1 + agreed.stereo, agreed.wishes)
            self._mixer.channels = self._encoding.channels

    def push(self, now_us: int, source: SourceId, samples: Samples) -> None:
        """Take audio ``(channels, n)`` at 48 kHz."""
        before = self._mixer.poll_timeout()
        self._mixer.push(now_us, source, samples)
        if self._current is not None and self._mixer.poll_timeout() != before:
            self._current.wake()

    def room(self, source: SourceId) -> int:
        """Give the samples of a channel that may still wait."""
        return self._mixer.room(source)

    def interrupt(self, which: Callable[[SourceId], bool]) -> None:
        """Drop the audio of sources; what is under way fades out."""
        self._mixer.interrupt(which)

    def take_lost(self) -> int:
        """Count the packets' worth of audio that was lost here since the last call."""
        stats = self._mixer.stats
        lost = (stats.overrun_us + stats.skipped_us) // FRAME_US
        since, self._counted = lost - self._counted, lost
        return since

    def close(self) -> None:
        """Send nothing any more."""
        self._current = self._encoder = None
        self._mixer.stop()
        for track in self._tracks.values():
            track.stop()

    async def figures(self, waiting_us: int) -> dict[str, JsonValue] | None:
        """Give what was sent and what its receiver reports, while it is sent."""
        if self._transceiver is None:
            return None
        sent: dict[str, JsonValue] = {"packets_sent": 0, "bytes_sent": 0}
        heard: dict[str, JsonValue] = {
            "packets_lost": 0,
            "loss": 0.0,
            "jitter_ms": 0.0,
            "round_trip_ms": None,
        }
        for each in (await self._transceiver.sender.getStats()).values():
            if each.type == "outbound-rtp":
                sent = {"packets_sent": each.packetsSent, "bytes_sent": each.bytesSent}
            elif each.type == "remote-inbound-rtp":
                trip = each.roundTripTime
                heard = {
                    "packets_lost": each.packetsLost,
                    "loss": each.fractionLost / 256,
                    "jitter_ms": each.jitter * 1_000 / RATE,
                    "round_trip_ms": None if trip is None else trip * 1_000,
                }
        stats = self._mixer.stats
        return {
            **sent,
            "queued_ms": self._mixer.queued_us / 1_000,
            "waiting_ms": waiting_us / 1_000,
            "underruns": stats.underruns,
            "concealed_ms": stats.concealed_us / 1_000,
            "overrun_ms": stats.overrun_us / 1_000,
            "interrupted_ms": stats.interrupted_us / 1_000,
            "skipped_ms": stats.skipped_us / 1_000,
            **heard,
        }

    # What its tracks ask.

    def packet(self, track: VoiceTrack) -> Packet[Any] | None:
        """Give the packet that is due on a track."""
        frame = self._mixer.poll(self._clock()) if track is self._current else None
        if frame is None or self._encoding is None:
            return None
        if self._encoder is None or self._encoder.encoding != self._encoding:
            self._encoder = Encoder(self._encoding)
        samples, encoder = frame.samples, self._encoder
        packet = Packet(encoder.silence() if samples is None else encoder.encode(samples))
        packet.pts, packet.time_base = frame.ticks, Fraction(1, RATE)
        self._played()
        return packet

    def due_us(self, track: VoiceTrack) -> int | None:
        """Say when a track may have a packet; None until it is woken."""
        return self._mixer.poll_timeout() if track is self._current else None

    def until(self, at_us: int) -> float:
        """Say how many seconds are left."""
        return (at_us - self._clock()) / _MICROS

    def source(self, local: str) -> tuple[int, str] | None:
        """Find the SSRC and the name of the audio that is sent in aiortc's description."""
        mid = None if self._transceiver is None else self._transceiver.mid
        for section in local.split("\r\nm="):
            if f"\r\na=mid:{mid}\r\n" in section:
                found = _SOURCE.search(section)
                return None if found is None else (int(found[1]), found[2])
        return None

    def _track(self, transceiver: RTCRtpTransceiver, mid: str) -> VoiceTrack:
        track = self._tracks.get(mid)
        if track is None:
            track = self._tracks[mid] = VoiceTrack(self)
            transceiver.sender.replaceTrack(track)
        return track
