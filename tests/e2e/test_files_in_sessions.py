"""Files that sessions read and write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from remotemedia.client import Event, Level, NodeResult, connect
from remotemedia.client.session import Session
from remotemedia.files import AudioReader, AudioWriter

from tests.support.api import until
from tests.support.server import Server, manifests, serving_files

RATE = 16_000
MANIFESTS = {
    "reader": """
nodes:
  - {id: talk, node_type: FileReader, params: {path: talk.wav}}
  - {id: level, node_type: LevelMeter, params: {interval_ms: 100}}
""",
    "mixer": """
nodes:
  - {id: mic, node_type: AudioSource}
  - {id: music, node_type: AudioSource, params: {path: talk.wav}}
  - {id: both, node_type: Mix}
  - {id: level, node_type: LevelMeter, params: {interval_ms: 100}}
connections:
  - {from: mic, to: both}
  - {from: music, to: both}
  - {from: both, to: level}
""",
    "writer": """
nodes:
  - {id: louder, node_type: Gain, params: {gain_db: 6.0206}}
  - {id: write, node_type: FileWriter, params: {path: "{session}-{participant}.wav"}}
""",
}


def tone(seconds: float, amplitude: float, frequency: float = 440.0) -> NDArray[np.float32]:
    at = np.arange(int(RATE * seconds)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * at)).astype(np.float32)


def dbfs(amplitude: float) -> float:
    return float(20 * np.log10(amplitude / np.sqrt(2)))


@pytest.fixture(scope="module")
def files_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the pipelines above; the file has a second."""
    folder = tmp_path_factory.mktemp("files")
    with AudioWriter(folder / "talk.wav", RATE) as writer:
        writer.write(tone(1.0, 0.5))
    with serving_files(folder, manifests(MANIFESTS)) as server:
        yield server


async def events_of(session: Session) -> list[Event]:
    return [event async for event in session]


async def levels(server: Server, pipeline: str, audio: NDArray[np.float32]) -> dict[float, float]:
    """Send audio; gives the loudness by media time."""
    async with connect(f"{server.url}/{pipeline}") as session:
        await session.send((audio, RATE))
        await session.finish()
        events = await events_of(session)
    return {event.pts_ms: event.rms_dbfs for event in events if isinstance(event, Level)}


async def test_each_session_hears_the_file_from_its_start(files_server: Server) -> None:
    for _ in range(2):
        found = await levels(files_server, "reader", np.zeros(2 * RATE, np.float32))
        sounding = [level for pts, level in found.items() if pts < 900]
        silent = [level for pts, level in found.items() if pts >= 1000]
        assert len(sounding) == 9
        assert np.allclose(sounding, dbfs(0.5), atol=0.3)
        assert len(silent) >= 9
        assert max(silent) < -90


async def test_a_file_is_mixed_with_what_is_said(files_server: Server) -> None:
    found = await levels(files_server, "mixer", tone(2.0, 0.5, 1000.0))
    both = [level for pts, level in found.items() if 200 <= pts < 900]
    alone = [level for pts, level in found.items() if 1100 <= pts < 1900]
    assert np.allclose(both, dbfs(0.5) + 3.01, atol=0.5)
    assert np.allclose(alone, dbfs(0.5), atol=0.5)


async def test_each_session_writes_a_file_of_its_own(files_server: Server) -> None:
    folder = files_server.log.parent
    names = set()
    for amplitude in (0.1, 0.3):
        async with connect(f"{files_server.url}/writer") as session:
            await session.send((tone(1.0, amplitude), RATE))
            await session.finish()
            events = await events_of(session)
            path = folder / f"{session.id}-{session.participant}.wav"
        assert not [event for event in events if isinstance(event, NodeResult)]
        names.add(path.name)
        samples = await _written(path)
        assert 1.0 <= len(samples) / RATE <= 1.4
        assert np.abs(samples[2000:14000]).max() == pytest.approx(2 * amplitude, rel=0.1)
    assert {each.name for each in folder.glob("*.wav")} == names | {"talk.wav"}


async def _written(path: Path) -> NDArray[np.float32]:
    """Read a file when its session has completed it."""

    async def complete() -> bool:
        return _is_complete(path)

    await until(complete)
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks()))


def _is_complete(path: Path) -> bool:
    """Whether the header says how long the file is: it is written last."""
    content = path.read_bytes() if path.exists() else b""
    at = content.find(b"data") + 4
    return at > 4 and int.from_bytes(content[at : at + 4], "little") == len(content) - at - 4
