"""The audio that a peer sends."""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

RATE = 48_000
"""The RTP clock of Opus (RFC 7587, section 4.1)."""
FRAME_SAMPLES = 960
"""20 ms."""
FRAME_SECONDS = FRAME_SAMPLES / RATE
MAX_WAITING = 50
"""Frames that wait to be sent; `AudioTrack.put` waits when there are more: one second."""
FAST = 20.0
"""How many times faster than real time `--fast` sends. RTP timestamps go on by 20 ms a packet, as
the RTP clock wants, so a receiver that takes media time from them gives the same results; packets
come every millisecond, which a socket's buffer holds even when the receiver sleeps a while."""
MAX_LAG = 0.2
"""When sending is later than this, in seconds, it does not hurry to catch up."""

Pcm = NDArray[np.int16]


class AudioTrack(MediaStreamTrack):
    """Sends what it is given in frames of 20 ms, paced.

    Its RTP clock counts the audio that was given: where nothing is given, nothing is sent, and
    media time stands still.
    """

    kind = "audio"

    def __init__(self, speed: float = 1.0) -> None:
        """Make a track that sends `speed` times faster than real time."""
        super().__init__()
        self._step = FRAME_SECONDS / speed
        self._frames: deque[Pcm] = deque()
        self._rest: Pcm = np.zeros(0, np.int16)
        self._changed = asyncio.Event()
        self._due: float | None = None
        self.sent = 0
        """Samples handed to the encoder."""

    async def put(self, samples: Pcm) -> None:
        """Add mono samples at 48 kHz; waits while a second of them waits."""
        self._check()
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = joined[whole:]
        for frame in joined[:whole].reshape(-1, FRAME_SAMPLES):
            while len(self._frames) >= MAX_WAITING:
                await self._wait()
            self._frames.append(frame)
            self._changed.set()

    async def drain(self) -> None:
        """Send what is left, filled up with silence, and wait until all has gone."""
        if len(self._rest):
            await self.put(np.zeros(FRAME_SAMPLES - len(self._rest), np.int16))
        while self._frames:
            await self._wait()

    async def recv(self) -> av.AudioFrame:
        """Give the next frame when it is due."""
        while not self._frames:
            await self._wait()
        now = asyncio.get_running_loop().time()
        due = now if self._due is None else max(self._due, now - MAX_LAG)
        self._due = due + self._step
        if due > now:
            await asyncio.sleep(due - now)
        self._check()
        samples = self._frames.popleft()
        self._changed.set()
        # aiortc encodes stereo, and what it makes of mono is 3 dB quieter.
        both = np.repeat(samples, 2).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts = self.sent
        frame.time_base = Fraction(1, RATE)
        self.sent += FRAME_SAMPLES
        return frame

    def stop(self) -> None:
        """End: whoever waits is told by `MediaStreamError`."""
        super().stop()
        self._changed.set()

    async def _wait(self) -> None:
        self._check()
        self._changed.clear()
        await self._changed.wait()
        self._check()

    def _check(self) -> None:
        if self.readyState != "live":
            raise MediaStreamError
