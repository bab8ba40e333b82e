"""Audio back as a raw aiortc peer gets it: every packet, the level, the server's figures.

Without the native module aiortc hands a packet on when the next one has come, by a loop that does
everything: a few packets may come too late to be sent on in time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from tests.support.api import Api, calling
from tests.support.peer import FRAME_SAMPLES, RATE, Peer, Tone
from tests.support.server import Server, serving_files

SECONDS = 5
TALK = """
import numpy as np
from remotemedia import Node


class Talk(Node):
    \"\"\"Says ten seconds at once, when it has heard half a second.\"\"\"

    def process(self, frame, session):
        if session.seq != 25:
            return None
        at = np.arange(10 * session.rate) / session.rate
        return (0.3 * np.sin(2 * np.pi * 600 * at)).astype(np.float32)
"""
MANIFEST = """
version: v1
metadata: {name: talk}
nodes:
  - {id: mic, node_type: AudioSource, params: {rate: 16000}}
  - {id: talk, node_type: PythonNode, params: {entry: "talk.py:Talk"}}
  - {id: out, node_type: AudioSink}
"""


@pytest.fixture(scope="module", params=["native", "python"])
def sending(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves an echo, and a node that says much at once: with the native module, and without."""
    native = request.param == "native"
    files = {"talk.py": TALK, "talk.yaml": MANIFEST}
    folder = tmp_path_factory.mktemp("echo")
    with serving_files(folder, files, "mic-echo", native=native) as server:
        yield server


@pytest.fixture
async def api(sending: Server) -> AsyncIterator[Api]:
    """Calls to that server, on which nothing may be left afterwards."""
    async with calling(sending.url) as made:
        yield made
        await made.assert_nothing_left()


class Ear:
    """What comes on a peer's track: media time and samples of each frame."""

    def __init__(self, peer: Peer) -> None:
        self.frames: list[tuple[int, NDArray[np.float32]]] = []
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        peer.connection.add_listener("track", self._begin)

    def _begin(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.ensure_future(self._listen(track)))

    async def _listen(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                samples = frame.to_ndarray().reshape(-1, 2)[:, 0].astype(np.float32)
                self.frames.append((frame.pts or 0, samples / np.float32(32768)))
                self._changed.set()
        except MediaStreamError:
            return

    async def wait(self, count: int) -> None:
        """Wait until so many frames have come."""
        while len(self.frames) < count:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 20)


def known_flaws(participant: Mapping[str, Any]) -> int:
    """Count the frames that a server knows to be flawed: a busy machine lets packets come late."""
    voice = participant["voice"]
    cut_ms = voice["concealed_ms"] + voice["overrun_ms"] + voice["skipped_ms"]
    made_up = sum(int(stream["concealed"]) for stream in participant["streams"])
    # Each gap fades out before and in behind.
    return math.ceil(float(cut_ms) / 20) + 2 * int(voice["underruns"]) + made_up


def rms_dbfs(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


def pitch(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))


async def test_a_tone_comes_back_without_gaps(api: Api) -> None:
    async with Peer(api) as peer:
        ear = Ear(peer)
        peer.connection.addTransceiver(Tone(-20.0), direction="sendrecv")
        reply = await peer.open(pipeline="mic-echo")
        assert "a=sendrecv" in reply.body["sdp"]
        await ear.wait(SECONDS * 50)
        told = await api.session(peer.session)
    flaws = known_flaws(told["participants"][0])
    # The first second is the talk spurt's beginning and the jitter buffer's.
    frames = ear.frames[50:]
    steps = [after - before for (before, _), (after, _) in pairwise(frames)]
    assert sum(step != FRAME_SAMPLES for step in steps) <= flaws
    assert sum(abs(rms_dbfs(samples) + 26.0) > 1.0 for _, samples in frames) <= flaws
    whole = np.concatenate([samples for _, samples in frames])
    assert pitch(whole) == pytest.approx(440.0, abs=1.0)
    voice = told["participants"][0]["voice"]
    assert voice["packets_sent"] >= SECONDS * 50
    assert voice["packets_lost"] == 0
    assert voice["round_trip_ms"] is not None


async def test_a_listener_needs_no_microphone(api: Api) -> None:
    async with Peer(api, audio=Tone(-20.0)) as speaker:
        await speaker.open(pipeline="mic-echo")
        async with Peer(api) as listener:
            ear = Ear(listener)
            listener.connection.addTransceiver("audio", direction="recvonly")
            reply = await listener.open(join=speaker.session)
            assert "a=sendonly" in reply.body["sdp"]
            await ear.wait(100)
    assert pitch(np.concatenate([samples for _, samples in ear.frames[50:]])) == pytest.approx(
        440.0, abs=2.0
    )


async def test_an_interrupt_ends_a_long_answer(api: Api) -> None:
    async with Peer(api) as peer:
        ear = Ear(peer)
        peer.connection.addTransceiver(Tone(-20.0), direction="sendrecv")
        await peer.open(pipeline="talk")
        await ear.wait(100)
        peer.say({"type": "interrupt", "id": 1})
        await peer.wait_for("interrupted")
        (before,) = (await api.session(peer.session))["participants"]
        await peer.more("metrics", 2)  # one each second
        (after,) = (await api.session(peer.session))["participants"]
    assert before["voice"]["waiting_ms"] == 0.0
    # The silence by which libopus ends a talk spurt.
    assert after["voice"]["packets_sent"] - before["voice"]["packets_sent"] < 50
