"""Audio that pipelines send back, as a Python peer hears it, with the native module and without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from remotemedia import AudioEvent
from remotemedia.client import connect
from remotemedia.client.session import Session
from remotemedia.files import AudioReader, AudioWriter

from tests.support.server import Server, manifests, serving_files

RATE = 48_000
NODES = """
import numpy as np
from remotemedia import Node


class Answer(Node):
    \"\"\"Says three seconds of 880 Hz at once, when it has heard a second.\"\"\"

    def process(self, frame, session):
        if session.seq != 49:
            return None
        at = np.arange(3 * session.rate) / session.rate
        return (0.25 * np.sin(2 * np.pi * 880 * at)).astype(np.float32)
"""
MANIFESTS = {
    "echo": """
nodes:
  - {id: mic, node_type: AudioSource, params: {rate: 48000}}
  - {id: gain, node_type: Gain, params: {gain_db: -6.0206}}
  - {id: out, node_type: AudioSink}
""",
    "answer": """
nodes:
  - {id: mic, node_type: AudioSource, params: {rate: 16000}}
  - {id: answer, node_type: PythonNode, params: {entry: "nodes.py:Answer"}}
  - {id: out, node_type: AudioSink}
""",
    "wide": """
nodes:
  - {id: music, node_type: FileReader, params: {path: wide.wav}}
  - {id: out, node_type: AudioSink, params: {channels: 2}}
""",
}


def tone(seconds: float, amplitude: float = 0.5, frequency: float = 440.0) -> NDArray[np.float32]:
    at = np.arange(int(RATE * seconds)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * at)).astype(np.float32)


@pytest.fixture(scope="module", params=["native", "python"])
def sounding(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves the pipelines above; the file has 440 Hz on its left and 880 Hz on its right."""
    native = request.param == "native"
    folder = tmp_path_factory.mktemp("sound")
    with AudioWriter(folder / "wide.wav", RATE, 2) as writer:
        writer.write(np.stack([tone(3.0), tone(3.0, frequency=880.0)]))
    with serving_files(folder, {"nodes.py": NODES, **manifests(MANIFESTS)}, native=native) as made:
        yield made


async def heard(session: Session) -> NDArray[np.float32]:
    """What comes until the end of the session, in one piece; silence where nothing came."""
    events = [event async for event in session if isinstance(event, AudioEvent)]
    pieces: list[NDArray[np.float32]] = []
    at = 0
    for event in events:
        missing = max(0, round(event.pts_ms * event.rate / 1000) - at)
        pieces += [np.zeros_like(event.samples, shape=(*event.samples.shape[:-1], missing))]
        pieces += [event.samples]
        at += missing + int(event.samples.shape[-1])
    return np.concatenate(pieces, axis=-1) if pieces else np.zeros(0, np.float32)


def loud(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part from the first to the last loud sample."""
    found = np.flatnonzero(np.abs(samples) > 0.05)
    return samples[found[0] : found[-1] + 1] if len(found) else samples[:0]


def pitch(samples: NDArray[np.float32]) -> float:
    """The strongest frequency in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))


def rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(samples**2)))


async def test_what_was_said_comes_back(sounding: Server) -> None:
    async with connect(f"{sounding.url}/echo") as session:
        assert session.audio_format is not None
        assert (session.audio_format.rate, session.audio_format.channels) == (RATE, 1)
        await session.send((tone(2.0), RATE))
        await session.finish()
        said = loud(await heard(session))
    assert len(said) / RATE == pytest.approx(2.0, abs=0.3)
    assert pitch(said) == pytest.approx(440, abs=3)
    assert rms(said[RATE // 2 : -RATE // 2]) == pytest.approx(0.25 / np.sqrt(2), rel=0.1)


async def test_a_long_answer_is_waited_for(sounding: Server) -> None:
    async with connect(f"{sounding.url}/answer") as session:
        await session.send((np.zeros(RATE, np.float32), RATE))
        await session.finish()
        said = loud(await heard(session))
    assert len(said) / RATE == pytest.approx(3.0, abs=0.3)
    assert pitch(said) == pytest.approx(880, abs=3)


async def test_stereo_stays_stereo(sounding: Server) -> None:
    async with connect(f"{sounding.url}/wide") as session:
        assert session.audio_format is not None
        assert session.audio_format.channels == 2
        await session.send((np.zeros(2 * RATE, np.float32), RATE))
        await session.finish()
        left, right = await heard(session)
    assert pitch(loud(left)) == pytest.approx(440, abs=3)
    assert pitch(loud(right)) == pytest.approx(880, abs=3)


async def test_a_listener_hears_the_others(sounding: Server) -> None:
    echo = f"{sounding.url}/echo"
    samples: list[NDArray[np.float32]] = []
    async with (
        connect(echo) as speaker,
        connect(echo, join=speaker.id, listen_only=True) as listener,
    ):
        saying = asyncio.create_task(speaker.send((tone(4.0), RATE)))
        async for event in listener:
            if isinstance(event, AudioEvent):
                samples.append(event.samples)
                if len(samples) == 75:
                    break
        saying.cancel()
    said = loud(np.concatenate(samples))
    assert pitch(said) == pytest.approx(440, abs=3)


async def test_nobody_hears_who_does_not_want_to(sounding: Server) -> None:
    async with connect(f"{sounding.url}/echo", hear=False) as session:
        assert session.audio_format is None
        await session.send((tone(0.5), RATE))
        await session.finish()
        assert not (await heard(session)).size


def test_call_writes_it(sounding: Server, tmp_path: Path) -> None:
    from remotemedia.cli.app import app
    from typer.testing import CliRunner

    with AudioWriter(tmp_path / "said.wav", RATE) as writer:
        writer.write(tone(2.0))
    output = tmp_path / "back.flac"
    command = ["call", f"{sounding.url}/echo", str(tmp_path / "said.wav"), "-o", str(output)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "of audio came back" in result.output
    with AudioReader(output) as reader:
        said = loud(np.concatenate(list(reader.blocks())))
    assert len(said) / RATE == pytest.approx(2.0, abs=0.3)
    assert pitch(said) == pytest.approx(440, abs=3)
