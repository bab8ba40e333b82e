"""An aiortc peer in the test's own process, for what `remotemedia.connect` never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from numpy.typing import NDArray
from remotemedia.client.loopback import use_loopback_where_nothing_else_is

from tests.support.api import PATIENCE_S, Api, Message, Reply

RATE = 48_000
FRAME_SAMPLES = 960

Change = Callable[[str], str]


def unchanged(sdp: str) -> str:
    """Leave a description as it is."""
    return sdp


class Tone(MediaStreamTrack):
    """A sine at a level, for ever: in real time, or faster; steady, or on and off in turn."""

    kind = "audio"

    def __init__(
        self,
        rms_dbfs: float = -20.0,
        hertz: float = 440.0,
        speed: float = 1.0,
        frames_on_off: tuple[int, int] = (1, 0),
    ) -> None:
        super().__init__()
        self._amplitude = 10.0 ** (rms_dbfs / 20.0) * 2.0**0.5
        self._step = 2.0 * np.pi * hertz / RATE
        self._on, self._off = frames_on_off
        self._pause = FRAME_SAMPLES / RATE / speed
        self._due: float | None = None
        self.sent = 0

    def _samples(self) -> NDArray[np.int16]:
        phase = (np.arange(FRAME_SAMPLES) + self.sent) * self._step
        sounds = self.sent // FRAME_SAMPLES % (self._on + self._off) < self._on
        amplitude = self._amplitude if sounds else 0.0
        made: NDArray[np.int16] = (np.sin(phase) * amplitude * 32767.0).astype(np.int16)
        return made

    def _both(self) -> NDArray[np.int16]:
        """Left and right in turn: aiortc encodes stereo, and makes mono 3 dB quieter."""
        return np.repeat(self._samples(), 2).reshape(1, -1)

    async def recv(self) -> av.AudioFrame:
        """The next frame, when it is due."""
        now = asyncio.get_running_loop().time()
        self._due = now if self._due is None else self._due + self._pause
        if self._due > now:
            await asyncio.sleep(self._due - now)
        frame = av.AudioFrame.from_ndarray(self._both(), format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts = self.sent
        frame.time_base = Fraction(1, RATE)
        self.sent += FRAME_SAMPLES
        return frame


class Peer:
    """One connection.

    What comes on its channels is in `messages`, each once, and for each channel in `heard`.
    """

    def __init__(
        self,
        api: Api,
        *,
        audio: MediaStreamTrack | None = None,
        codec: str | None = None,
        video: bool = False,
        channels: tuple[str, ...] = ("results",),
    ) -> None:
        use_loopback_where_nothing_else_is()
        self.api = api
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.messages: list[Message] = []
        self.heard: dict[str, list[Message]] = {label: [] for label in channels}
        self._seen: set[int] = set()
        self.session = ""
        self.pc_id = ""
        self.participant = ""
        self._changed = asyncio.Event()
        if audio is not None:
            sender = self.connection.addTransceiver(audio, direction="sendonly")
            if codec is not None:
                known = RTCRtpSender.getCapabilities("audio").codecs
                sender.setCodecPreferences([one for one in known if one.mimeType == codec])
        if video:
            self.connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
        self.channels = [self._channel(label) for label in channels]

    def _channel(self, label: str) -> RTCDataChannel:
        channel = (
            self.connection.createDataChannel(label, ordered=False, maxPacketLifeTime=250)
            if label == "live"
            else self.connection.createDataChannel(label)
        )
        channel.add_listener("message", lambda text: self._hear(label, text))
        return channel

    def _hear(self, label: str, text: str) -> None:
        message = json.loads(text)
        self.heard[label].append(message)
        # An event comes on both channels; an answer to a control message has no number.
        if message.get("seq") not in self._seen:
            self.messages.append(message)
        if "seq" in message:
            self._seen.add(message["seq"])
        self._changed.set()

    async def describe(self) -> str:
        """Make an offer and take it as the local description."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def ask(self, change: Change = unchanged, **body: Any) -> Reply:
        """Send an offer, changed as told; where it is answered, `accept` is what is left to do."""
        reply = await self.api.offer(change(await self.describe()), **body)
        if reply.status == 200:
            self.session, self.pc_id = reply.body["session_id"], reply.body["pc_id"]
            self.participant = reply.body["participant"]
        return reply

    async def accept(self, answer: str) -> None:
        """Take an answer: the connection comes about from now on."""
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def open(
        self, offer: Change = unchanged, answer: Change = unchanged, **body: Any
    ) -> Reply:
        """Negotiate; either description may be changed on its way."""
        reply = await self.ask(offer, **body)
        assert reply.status == 200, reply
        await self.accept(answer(reply.body["sdp"]))
        return reply

    def of_type(self, *types: str) -> list[Message]:
        """The messages of these types, in their order."""
        return [message for message in self.messages if message["type"] in types]

    async def wait_until(self, state: Callable[[], bool]) -> None:
        """Wait until messages have made something true."""

        async def reached() -> None:
            while not state():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(reached(), PATIENCE_S)

    async def wait_for(self, type_: str, count: int = 1) -> list[Message]:
        """Wait until so many messages of a type have come, and return them."""
        await self.wait_until(lambda: len(self.of_type(type_)) >= count)
        return self.of_type(type_)

    async def more(self, type_: str, count: int = 1) -> list[Message]:
        """Wait for so many further messages of a type."""
        had = len(self.of_type(type_))
        return (await self.wait_for(type_, had + count))[had:]

    def say(self, message: object) -> None:
        """Send a control message on the first channel."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.channels[0].send(text)

    async def close(self) -> None:
        """Leave, politely."""
        await self.connection.close()

    async def __aenter__(self) -> Peer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
