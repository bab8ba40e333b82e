"""Two hundred sessions with Python nodes: no frame of one reaches another, none is lost unseen.

Each session sends a tone that no other has, whose loudness steps up ten times a second. Two nodes,
an `async def` and a `def`, say of each frame what they hear, and whose it is.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bench import harness
from tests.support import opus
from tests.support.api import Api, Message, calling, until
from tests.support.server import Server, serving_files

SESSIONS = 200
SECONDS = 6
PACKETS = 50 * SECONDS
FRAME_MS = 20
LOWEST_HZ, APART_HZ = 400, 32
"""The tone of track n is at LOWEST_HZ + n * APART_HZ."""
TOLERANCE_HZ = 12.0
STEPS, STEP_PACKETS, QUIETEST_DB, STEP_DB = 10, 5, -36.0, 3.0
TOLERANCE_DB = 1.0
SETTLED = 5
"""Packets after which a decoder has got used to its stream."""
BANDWIDTH = opus.Bandwidth("tones", 96_000, 20_000)
NODES = ("loop", "thread")
LOSSES = ("overrun", "skipped", "failures", "interrupted", "refused")
"""What a session counts that became of frames without a result."""

CODE = """
import numpy as np

WINDOW = np.hanning(320)
AT = 16000 / 320


def hear(audio, session):
    count = session.state["count"] = session.state.get("count", 0) + 1
    bins = np.abs(np.fft.rfft(audio * WINDOW))
    peak = int(bins[1:-1].argmax()) + 1
    low, top, high = np.log(bins[peak - 1 : peak + 2] + 1e-9)
    curve = low - 2 * top + high
    between = 0.5 * (low - high) / curve if curve else 0.0
    power = float(np.dot(audio, audio)) / len(audio)
    return {
        "session": session.id,
        "seq": session.seq,
        "pts": session.pts_ms,
        "count": count,
        "hz": (peak + float(between)) * AT,
        "db": 10 * float(np.log10(power + 1e-12)),
    }


async def loop(audio, session):
    return hear(audio, session)


def thread(audio, session):
    return hear(audio, session)
"""

MANIFEST = """
version: v1
metadata: {name: hear}
nodes:
  - {id: loop, node_type: PythonNode, params: {entry: "nodes.py:loop"}}
  - {id: thread, node_type: PythonNode, params: {entry: "nodes.py:thread"}}
connections: []
"""


def tone_hz(track: int) -> float:
    """How high the tone of a track is."""
    return float(LOWEST_HZ + track * APART_HZ)


def loudness(packet: int) -> float:
    """How loud a packet is, in dBFS."""
    return QUIETEST_DB + STEP_DB * (packet // STEP_PACKETS % STEPS)


def inside_a_step(packet: int) -> bool:
    """Whether a packet and those beside it are equally loud: an encoder looks ahead."""
    return 0 < packet % STEP_PACKETS < STEP_PACKETS - 1


def track(number: int) -> list[bytes]:
    """A second of a tone, which begins anew where it ends: frequencies are whole numbers."""
    time = np.arange(2 * opus.RATE) / opus.RATE
    levels = np.array([loudness(packet) for packet in range(100)])
    amplitude: NDArray[np.float64] = np.repeat(10 ** (levels / 20) * 2**0.5, opus.FRAME_SAMPLES)
    samples = np.sin(2 * np.pi * tone_hz(number) * time) * amplitude
    return opus.encode(samples.astype(np.float32), BANDWIDTH)[50:100]


@dataclass(frozen=True)
class Recorded:
    """What one stream of the load generator sent and got."""

    track: int
    session: str
    sent: int
    messages: list[Message]

    def results(self, node: str) -> list[Message]:
        """The results of a node, in the order in which they came."""
        found = (each for each in self.messages if each["type"] == "node" and each["node"] == node)
        return list(found)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the nodes above."""
    files = {"nodes.py": CODE, "hear.yaml": MANIFEST}
    with serving_files(tmp_path_factory.mktemp("hear"), files) as made:
        yield made


@pytest.fixture
async def calls(server: Server) -> AsyncIterator[Api]:
    """Calls to it; nothing may be left on it."""
    async with calling(server.url) as made:
        yield made
        await made.assert_nothing_left()


@contextmanager
def speaking(server: Server, folder: Path) -> Iterator[Path]:
    """Every session has sent all that it has to; their connections stay until the end."""
    tracks = (packet for number in range(SESSIONS) for packet in track(number))
    packets = harness.write_tracks(folder / "tones.opus", tracks)
    record = folder / "record.jsonl"
    command = [
        *(str(harness.build_loadgen("dev")), "--url", server.url, "--pipeline", "hear"),
        *("--streams", str(SESSIONS), "--seconds", str(SECONDS), "--pid", str(server.process.pid)),
        *("--packets", str(packets), "--tracks", str(SESSIONS), "--record", str(record)),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as loadgen:
        assert loadgen.stdin is not None
        assert loadgen.stdout is not None
        assert loadgen.stdout.readline() == "sent\n"
        yield record
        loadgen.stdin.close()
        assert loadgen.wait() == 0


async def at_rest(api: Api) -> list[dict[str, Any]]:
    """The sessions once nothing is on its way through them, and none before."""
    before = await api.sessions()
    figures = await api.figures()
    after = await api.sessions()
    idle = figures["remotemedia_live_in_flight"] == 0.0

    def told(sessions: list[dict[str, Any]]) -> list[object]:
        return [[each["graph"], each["messages"]] for each in sessions]

    return after if idle and told(before) == told(after) else []


def read(record: Path) -> list[Recorded]:
    """What the load generator kept."""
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert all(line["connected"] for line in lines)
    return [
        Recorded(
            line["track"], line["session"], line["sent"], [json.loads(m) for m in line["messages"]]
        )
        for line in lines
    ]


async def test_no_frame_is_mixed_and_none_is_lost_unseen(
    server: Server, calls: Api, tmp_path: Path
) -> None:
    with speaking(server, tmp_path) as record:
        sessions = {each["session"]: each for each in await until(lambda: at_rest(calls))}
        figures = await calls.figures()
    streams = read(record)
    assert len(sessions) == len({stream.session for stream in streams}) == SESSIONS
    unanswered = 0
    for stream in streams:
        assert {message["session"] for message in stream.messages} == {stream.session}
        (participant,) = sessions[stream.session]["participants"]
        (track,) = participant["streams"]
        assert stream.sent == PACKETS == track["packets_received"] + track["packets_lost"]
        for node in NODES:
            # What is made up for lost packets sounds like anything, and so may what follows it.
            assert_own(stream, stream.results(node), strangers=2 * track["concealed"])
        results = sum(len(stream.results(node)) for node in NODES)
        graph = sessions[stream.session]["graph"]
        counted = sum(graph[cause] for cause in LOSSES) + participant["dropped"]
        assert graph["frames"] == track["frames"]
        unanswered += len(NODES) * graph["frames"] - results - counted
    assert unanswered == 0
    told = ("node_overrun", "lane_items", "node_skipped", "node_failed", "node_interrupted")
    dropped = sum(figures[f'remotemedia_dropped_total{{cause="{cause}"}}'] for cause in told)
    graphs = [each["graph"] for each in sessions.values()]
    assert dropped == sum(graph[cause] for graph in graphs for cause in LOSSES) - sum(
        graph["refused"] for graph in graphs
    )
    assert "Traceback" not in server.log.read_text()


def assert_own(stream: Recorded, results: Sequence[Message], strangers: int) -> None:
    """Each result is about a frame of this stream, and each frame has one at most, in order.

    So many may sound like something else.
    """
    frames = [round(message["pts_ms"] / FRAME_MS) for message in results]
    assert frames == sorted(set(frames)), "frames came twice or out of order"
    heard = [message["data"] for message in results]
    assert [each["count"] for each in heard] == list(range(1, len(results) + 1))
    assert {each["session"] for each in heard} == {stream.session}
    assert [each["pts"] for each in heard] == [message["pts_ms"] for message in results]
    odd = [
        (frame, each)
        for frame, each in zip(frames, heard, strict=True)
        if frame >= SETTLED and not sounds_right(stream.track, frame, each)
    ]
    assert len(odd) <= strangers, f"{odd} in a stream of {tone_hz(stream.track)} Hz"


def sounds_right(track: int, frame: int, heard: dict[str, float]) -> bool:
    """Whether a frame is what a stream sent then."""
    if abs(heard["hz"] - tone_hz(track)) > TOLERANCE_HZ:
        return False
    return not inside_a_step(frame) or abs(heard["db"] - loudness(frame)) <= TOLERANCE_DB
