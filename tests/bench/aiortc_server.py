"""The server to compare with: aiortc, aiohttp and the same job.

Decode, resample to 16 kHz, the same VAD (our energy formula, or Silero through onnxruntime on one
thread), one JSON message a result on the client's channel. Written as its documentation suggests,
without tricks and without handicaps: uvloop is not used by either side.

    python -m tests.bench.aiortc_server --vad energy --port 8090
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from contextlib import suppress

import av
import numpy as np
from aiohttp import web
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from tests.support.silero import WINDOW, ReferenceSilero, load_session
from tests.support.speech import samples_of

RATE = 16_000
ENERGY_THRESHOLD_DB = -45.0


def energy_probability(samples: NDArray[np.float32]) -> float:
    """The same ramp as the native energy VAD: 0.5 at the threshold, 20 dB wide."""
    mean_square = float(np.dot(samples, samples)) / max(len(samples), 1)
    if mean_square <= 0.0:
        return 0.0
    level_db = 10.0 * math.log10(mean_square)
    return min(max((level_db - (ENERGY_THRESHOLD_DB - 10.0)) / 20.0, 0.0), 1.0)


class Server:
    """Answers offers; each peer's track feeds a VAD whose results go to its channel."""

    def __init__(self, vad: str) -> None:
        self._vad = vad
        self._model = load_session() if vad == "silero" else None
        self._peers: set[RTCPeerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def offer(self, request: web.Request) -> web.Response:
        """POST /api/offer, as RemoteMedia answers it."""
        body = await request.json()
        peer = RTCPeerConnection()
        self._peers.add(peer)
        channel: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()

        @peer.on("datachannel")
        def opened(new: RTCDataChannel) -> None:
            if new.label == "results" and not channel.done():
                channel.set_result(new)

        @peer.on("track")
        def arrived(track: MediaStreamTrack) -> None:
            task = asyncio.create_task(self._analyse(track, channel))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        @peer.on("connectionstatechange")
        async def changed() -> None:
            if peer.connectionState in {"failed", "closed"}:
                await peer.close()
                self._peers.discard(peer)

        await peer.setRemoteDescription(RTCSessionDescription(body["sdp"], body["type"]))
        await peer.setLocalDescription(await peer.createAnswer())
        local = peer.localDescription
        return web.json_response(
            {"sdp": local.sdp, "type": local.type, "pc_id": str(id(peer)), "session_id": "bench"}
        )

    async def _analyse(
        self, track: MediaStreamTrack, opened: asyncio.Future[RTCDataChannel]
    ) -> None:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        silero = ReferenceSilero(self._model) if self._model is not None else None
        buffered = np.zeros(0, dtype=np.float32)
        seq = 0
        with suppress(MediaStreamError):
            channel = await opened
            while True:
                frame = await track.recv()
                received_s = time.perf_counter()
                assert isinstance(frame, av.AudioFrame)
                rtp_timestamp = frame.pts or 0
                found: list[float] = []
                for part in resampler.resample(frame):
                    samples = samples_of(part)
                    if silero is None:
                        found.append(energy_probability(samples))
                        continue
                    buffered = np.concatenate([buffered, samples])
                    while len(buffered) >= WINDOW:
                        found.append(silero.probability(buffered[:WINDOW]))
                        buffered = buffered[WINDOW:]
                for probability in found:
                    message = {
                        "v": 1,
                        "type": "vad",
                        "node": "vad",
                        "session": "bench",
                        "participant": "p1",
                        "stream": "audio",
                        "seq": seq,
                        "pts_ms": rtp_timestamp / 48.0,
                        "rtp_ts": rtp_timestamp,
                        "latency_ms": (time.perf_counter() - received_s) * 1e3,
                        "data": {"speech": probability >= 0.5, "probability": probability},
                    }
                    seq += 1
                    if channel.readyState == "open":
                        channel.send(json.dumps(message))

    async def close(self, _: web.Application) -> None:
        """End every peer."""
        await asyncio.gather(*(peer.close() for peer in self._peers))


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vad", choices=["energy", "silero"], default="energy")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    server = Server(arguments.vad)
    app = web.Application()
    app.router.add_post("/api/offer", server.offer)
    app.on_shutdown.append(server.close)
    web.run_app(app, host="127.0.0.1", port=arguments.port, print=None)


if __name__ == "__main__":
    main()
