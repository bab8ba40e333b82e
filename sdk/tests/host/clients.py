"""A client's peer by aiortc: it offers to a host without HTTP between, and keeps what it hears."""

from __future__ import annotations

import asyncio
import fractions
import json
import time

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from remotemedia_signaling import IceCandidate, Offer

PATIENCE = 20.0
"""How long anything may take before a test gives up, in seconds."""


class Tone(MediaStreamTrack):
    """Half a second of 440 Hz, then half a second of silence, and again; ten times as fast."""

    kind = "audio"

    def __init__(self, speed=10.0):
        super().__init__()
        self._index = 0
        self._speed = speed
        self._began = None

    async def recv(self):
        self._began = self._began or time.monotonic()
        due = self._began + self._index * 0.02 / self._speed
        await asyncio.sleep(max(due - time.monotonic(), 0))
        loud = self._index % 50 < 25
        phase = np.arange(960) + self._index * 960
        samples = np.sin(2 * np.pi * 440 * phase / 48000) * (9000 if loud else 0)
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None, :], "s16", "mono")
        frame.sample_rate, frame.pts = 48000, self._index * 960
        frame.time_base = fractions.Fraction(1, 48000)
        self._index += 1
        return frame


class Client:
    """Opens a session, joins one, negotiates again; `messages` are those of all its channels."""

    def __init__(self, host, *, tracks=1, channels=("results",), video=False, codec=None):
        self.host = host
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.messages = []
        self.answer = None
        self.channels = {}
        self._changed = asyncio.Condition()
        self._tasks = set()
        for _ in range(tracks):
            self.peer.addTrack(Tone())
        if video:
            self.peer.addTransceiver("video", direction="sendrecv")
        if codec is not None:
            codecs = RTCRtpSender.getCapabilities("audio").codecs
            wanted = [each for each in codecs if each.mimeType == codec]
            self.peer.getTransceivers()[0].setCodecPreferences(wanted)
        for label in channels:
            if label == "live":
                made = self.peer.createDataChannel(label, ordered=False, maxPacketLifeTime=250)
            else:
                made = self.peer.createDataChannel(label)
            self.channels[label] = made
            made.on("message", self._heard(label))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.peer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def session(self):
        return self.answer.session_id

    async def sdp(self):
        """Make an offer with all its candidates."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def ask(self, change=lambda text: text, **rest):
        """Offer, and keep the answer without acting on it."""
        self.answer = await self.host.offer(Offer(change(await self.sdp()), **rest))
        return self.answer

    async def open(self, change=lambda text: text, **rest):
        """Offer, and accept the answer."""
        await self.ask(change, **rest)
        await self.accept()
        return self.answer

    async def accept(self):
        """Connect."""
        await self.peer.setRemoteDescription(RTCSessionDescription(self.answer.sdp, "answer"))

    async def trickle(self, *lines):
        """Add candidates."""
        await self.host.add_candidates(self.answer.pc_id, [IceCandidate(line) for line in lines])

    async def wait(self, matches, count=1):
        """Wait for messages: of a type, or that a function says yes to."""
        wanted = matches if callable(matches) else lambda each: each["type"] == matches

        def found():
            return [each for each in self.messages if wanted(each)]

        async with self._changed:
            enough = self._changed.wait_for(lambda: len(found()) >= count)
            await asyncio.wait_for(enough, PATIENCE)
        return found()

    async def more(self, kind, count=1):
        """Wait for further messages of a type."""
        return await self.wait(kind, sum(each["type"] == kind for each in self.messages) + count)

    async def control(self, message, label="results"):
        """Send a control message and give the answer."""
        before = len(await self.wait(_is_reply, 0))
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        self.channels[label].send(text)
        return (await self.wait(_is_reply, before + 1))[before]

    def of(self, kind):
        """Give the messages of a type so far."""
        return [each for each in self.messages if each["type"] == kind]

    def _heard(self, label):
        def heard(text):
            self.messages.append({**json.loads(text), "channel": label})
            task = asyncio.ensure_future(self._tell())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return heard

    async def _tell(self):
        async with self._changed:
            self._changed.notify_all()


def _is_reply(message):
    return "seq" not in message


def without_candidates(text):
    """Leave the candidates to be trickled."""
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if not line.startswith(("a=candidate", "a=end-of-candidates"))
    )


def candidates_of(text):
    """Give the candidates of a description."""
    return [line[2:] for line in text.splitlines() if line.startswith("a=candidate")]


def with_other_fingerprints(text):
    """Let the certificate be somebody else's."""
    lines = [
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
        if line.startswith("a=fingerprint:sha-256")
        else line
        for line in text.splitlines()
        if not line.startswith(("a=fingerprint:sha-384", "a=fingerprint:sha-512"))
    ]
    return "".join(f"{line}\r\n" for line in lines)
