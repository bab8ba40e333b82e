"""The audio that a pipeline sends back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from remotemedia.client.track import RATE
from remotemedia.formats import AudioFormat
from remotemedia.frames import Samples
from remotemedia.running.events import AudioEvent

AUDIBLE = 1e-3
"""What is louder is no silence: -60 dBFS."""
FULL_SCALE = 32_768.0
_STEREO = re.compile(r"^a=fmtp:.*\bsprop-stereo=1\b", re.MULTILINE)
_OPUS = re.compile(r"^a=rtpmap:(\d+) opus/48000/2\r\n", re.MULTILINE | re.IGNORECASE)


def welcome_stereo(offer: str) -> str:
    """Say that two channels are welcome (RFC 7587, section 6.1), of which aiortc says nothing."""
    return _OPUS.sub(r"\g<0>a=fmtp:\1 stereo=1\r\n", offer)


class Hearing:
    """Turns a track that comes in into events, one for each packet of 20 ms."""

    def __init__(
        self,
        track: MediaStreamTrack,
        description: str,
        session: str,
        put: Callable[[AudioEvent], None],
    ) -> None:
        """Begin to hear.

        Args:
            track: where the audio comes from.
            description: the server's, which says whether the audio is stereo.
            session: the session's id.
            put: takes the events.
        """
        # Both ways of Opus are decoded to two channels (RFC 7587, section 6.1: mono unless said).
        self.format = AudioFormat(RATE, 2 if _STEREO.search(description) else 1)
        self._track = track
        self._heard = 0.0  # when something audible came last
        self._session = session
        self._put = put
        self._task = asyncio.create_task(self._listen())

    async def silence(self, seconds: float) -> None:
        """Wait until nothing audible has come for so long from now, or the track has ended."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        while not self._task.done() and (left := self._heard + seconds - loop.time()) > 0:
            await asyncio.wait({self._task}, timeout=left)

    async def stop(self) -> None:
        """Hear no more."""
        self._track.stop()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        seq = 0
        while True:
            try:
                frame = cast("AudioFrame", await self._track.recv())
            except MediaStreamError:
                return
            samples = self._samples(frame)
            if samples.size and float(np.abs(samples).max()) >= AUDIBLE:
                self._heard = asyncio.get_running_loop().time()
            event = AudioEvent(
                type="audio",
                session=self._session,
                stream="audio",
                seq=seq,
                pts_ms=(frame.pts or 0) * 1000.0 / RATE,
                samples=samples,
                rate=RATE,
            )
            seq += 1
            self._put(event)

    def _samples(self, frame: AudioFrame) -> Samples:
        """Give ``(n,)`` or ``(2, n)`` of what aiortc decodes: interleaved stereo of 16 bits."""
        both = frame.to_ndarray().reshape(-1, 2)
        if self.format.channels == 1:
            return (both[:, 0] / FULL_SCALE).astype(np.float32)
        return np.ascontiguousarray((both.T / FULL_SCALE).astype(np.float32))
