"""Several tracks of one participant, natively and by aiortc: each feeds a source, and they meet."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import remotemedia
from numpy.typing import NDArray
from remotemedia.client import ErrorEvent, Event, Level, NodeResult
from remotemedia.errors import ConnectionLost, RemoteMediaError
from remotemedia.running.events import AudioEvent

from tests.support import speech
from tests.support.api import Api, calling
from tests.support.peers import call_with_aiortc
from tests.support.server import Server, serving_files

RATE = 48_000
SECONDS = 3.0
HERTZ = (440.0, 1_250.0)
AMPLITUDES = (0.5, 0.2)

NODES = """
from remotemedia import Node


class Pair(Node):
    inputs = ("near", "far")

    def process(self, data, session):
        return {"port": session.port, "peak": float(abs(data).max()), "seq": session.seq}
"""
PAIR = """
version: v1
metadata: {name: pair}
nodes:
  - {id: near, node_type: AudioSource, params: {rate: 16000}}
  - {id: far, node_type: AudioSource, params: {rate: 48000, channels: 2}}
  - {id: pair, node_type: PythonNode, params: {entry: "nodes.py:Pair"}}
connections:
  - {from: near, to: pair.near}
  - {from: far, to: pair.far}
"""


def tone(number: int, seconds: float = SECONDS) -> NDArray[np.float32]:
    """What a track carries."""
    wave = np.sin(2 * np.pi * HERTZ[number] * np.arange(int(RATE * seconds)) / RATE)
    made: NDArray[np.float32] = (AMPLITUDES[number] * wave).astype(np.float32)
    return made


def amplitude(samples: NDArray[np.float32], hertz: float) -> float:
    """How much of a frequency there is, in most tenths of a second.

    On a busy machine a packet may come too late, which turns the phase of all that comes behind.
    """
    length = RATE // 10
    blocks = samples[: len(samples) // length * length].reshape(-1, length)
    wave = np.exp(-2j * np.pi * hertz * np.arange(length) / RATE)
    return float(np.median(2 * abs((blocks * wave).mean(axis=1))))


@pytest.fixture(scope="module", params=["native", "python"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves pipelines with two sources: with the native module, and without."""
    folder = tmp_path_factory.mktemp("sources")
    files = {"nodes.py": NODES, "pair.yaml": PAIR}
    with serving_files(folder, files, "two-tracks", native=request.param == "native") as made:
        yield made


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    """Calls to it; nothing may be left on it."""
    async with calling(server.url) as made:
        yield made
        await made.assert_nothing_left()


async def heard(url: str, *tracks: NDArray[np.float32], offered: int = 2) -> list[Event]:
    """Send these side by side and give everything that came."""
    async with remotemedia.connect(url, tracks=offered) as session:

        async def speak() -> None:
            sending = [
                session.send((samples, RATE), track=track) for track, samples in enumerate(tracks)
            ]
            await asyncio.gather(*sending)
            await session.finish()

        speaking = asyncio.create_task(speak())
        told = [event async for event in session]
        await speaking
    assert [event for event in told if isinstance(event, ErrorEvent)] == []
    return told


def levels(told: list[Event], node: str) -> list[Level]:
    """What a level meter found."""
    return [event for event in told if isinstance(event, Level) and event.node == node]


def sound(told: list[Event]) -> NDArray[np.float32]:
    """A second from the middle of what came back."""
    joined = np.concatenate([each.samples for each in told if isinstance(each, AudioEvent)])
    return joined[RATE : 2 * RATE]


async def test_each_track_feeds_its_source_and_the_mix_has_both(api: Api) -> None:
    told = await heard(f"{api.url}/two-tracks", tone(0), tone(1))
    for number, node in enumerate(("first-level", "second-level")):
        found = levels(told, node)
        wanted = 20 * np.log10(AMPLITUDES[number] / np.sqrt(2))
        assert len(found) > 40
        assert abs(np.median([each.rms_dbfs for each in found]) - wanted) < 0.5
        assert {each.stream for each in found} == {"audio"}
    # They began together: the same place in each is as far in both, but for the first packets' way.
    first, second = levels(told, "first-level")[10], levels(told, "second-level")[10]
    assert abs(first.pts_ms - second.pts_ms) < 100
    both = [amplitude(sound(told), hertz) for hertz in HERTZ]
    assert both == pytest.approx(AMPLITUDES, rel=0.15)


async def test_a_track_alone_is_not_kept_waiting(api: Api) -> None:
    told = await heard(f"{api.url}/two-tracks", tone(0), offered=1)
    assert levels(told, "second-level") == []
    assert len(levels(told, "first-level")) > 40
    alone = [amplitude(sound(told), hertz) for hertz in HERTZ]
    assert alone == pytest.approx((AMPLITUDES[0], 0.0), rel=0.15, abs=0.01)


async def test_a_python_node_sees_both_in_their_formats(api: Api) -> None:
    told = await heard(f"{api.url}/pair", tone(0, 1.5), tone(1, 1.5))
    seen: list[Any] = [event.data for event in told if isinstance(event, NodeResult)]
    for port, wanted in zip(("near", "far"), AMPLITUDES, strict=True):
        peaks = [each["peak"] for each in seen if each["port"] == port]
        assert len(peaks) > 40
        assert np.median(peaks) == pytest.approx(wanted, rel=0.1)
    numbers = [each["seq"] for each in seen]
    assert all(after > before for before, after in itertools.pairwise(numbers))


async def test_a_third_track_is_a_stream_of_its_own(api: Api) -> None:
    told = await heard(f"{api.url}/two-tracks", tone(0, 2), tone(1, 2), tone(1, 2), offered=3)
    streams = {
        node: {each.stream for each in levels(told, node)}
        for node in ("first-level", "second-level")
    }
    assert streams == {"first-level": {"audio", "audio-2"}, "second-level": {"audio"}}
    third = [each for each in levels(told, "first-level") if each.stream == "audio-2"]
    wanted = 20 * np.log10(AMPLITUDES[1] / np.sqrt(2))
    assert abs(np.median([each.rms_dbfs for each in third]) - wanted) < 0.5


async def test_audio_is_needed_where_a_source_takes_nothing_else(api: Api) -> None:
    with pytest.raises(RemoteMediaError) as caught:
        async with remotemedia.connect(f"{api.url}/pair", listen_only=True):
            pass
    assert not isinstance(caught.value, ConnectionLost)
    assert caught.value.code == "RM-2002"


async def test_the_command_line_sends_a_file_to_each(api: Api, tmp_path: Path) -> None:
    files = [speech.write_wav(tmp_path / f"{number}.wav", tone(number), RATE) for number in (0, 1)]
    told = await asyncio.to_thread(call_with_aiortc, f"{api.url}/two-tracks", *files)
    for number, node in enumerate(("first-level", "second-level")):
        found = [each["data"]["rms_dbfs"] for each in told if each["node"] == node]
        wanted = 20 * np.log10(AMPLITUDES[number] / np.sqrt(2))
        assert abs(np.median(found) - wanted) < 0.5
