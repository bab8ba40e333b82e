"""A scripted server: real negotiation, real media and channels by aiortc, no pipeline."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError


class ScriptedServer:
    """Answers offers; says on its channels what the test tells it to."""

    def __init__(self):
        self.offers = []
        self.refusal = None
        self.samples = 0
        self.timestamps = []
        self.levels = []
        """The root mean square of each frame."""
        self.controls = []
        self.channels = {}
        self.peers = []
        self.on_open = []
        """Messages for a channel when it opens: (label, message)."""
        self.replies = {"flush": {"type": "flushed"}, "ping": {"type": "pong"}}
        self.voice = None
        """A track that each peer is sent, where it takes one."""
        self.takes_audio = True
        self.pipelines = None
        """What it says that it serves; None where it does not say."""
        self.seq = 0
        self.url = ""
        self._tasks = set()

    def result(self, type_, pts_ms=0.0, data=None, seq=None, **rest):
        """Make a result message."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        head = {"v": 1, "type": type_, "node": "vad", "session": "s_1", "participant": "p_1"}
        head |= {"stream": "audio", "seq": seq, "pts_ms": pts_ms, "rtp_ts": 0, "latency_ms": 1.5}
        return json.dumps(head | rest | {"data": {} if data is None else data})

    async def offer(self, request):
        body = await request.json()
        self.offers.append(body)
        if self.refusal is not None:
            status, answer = self.refusal
            return web.Response(
                status=status, text=answer if isinstance(answer, str) else json.dumps(answer)
            )
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)
        peer.add_listener("track", self._on_track)
        peer.add_listener("datachannel", self._on_channel)
        await peer.setRemoteDescription(RTCSessionDescription(body["sdp"], "offer"))
        if self.voice is not None:
            peer.addTrack(self.voice)
        for transceiver in peer.getTransceivers() if not self.takes_audio else ():
            transceiver.direction = "inactive"
        await peer.setLocalDescription(await peer.createAnswer())
        answer = {"type": "answer", "pc_id": "pc_1", "session_id": "s_1", "participant": "p_1"}
        return web.json_response(answer | {"sdp": peer.localDescription.sdp})

    async def listed(self, _request):
        if self.pipelines is None:
            raise web.HTTPNotFound
        return web.json_response({"pipelines": self.pipelines})

    def send(self, label, message):
        """Say something on a channel."""
        self.channels[label].send(message)

    def _on_track(self, track):
        task = asyncio.ensure_future(self._listen(track))
        self._tasks.add(task)

    async def _listen(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.samples += frame.samples
            self.timestamps.append(frame.pts)
            samples = frame.to_ndarray().astype(float) / 32768
            self.levels.append(float((samples**2).mean() ** 0.5))

    def _on_channel(self, channel):
        self.channels[channel.label] = channel
        channel.add_listener("message", lambda message: self._on_control(channel, message))
        for label, message in self.on_open:
            if label == channel.label:
                channel.send(message)

    def _on_control(self, channel, message):
        control = json.loads(message)
        self.controls.append(control)
        reply = self.replies.get(control["type"])
        if callable(reply):
            reply(channel, control)
        elif reply is not None:
            channel.send(json.dumps({"v": 1, "id": control["id"], **reply}))

    async def close(self):
        for peer in self.peers:
            await peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
