"""Graphs in live sessions: outputs by name, channels apart and together, generators, old nodes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.api import Api, Message, calling, until
from tests.support.peer import FRAME_SAMPLES, Peer, Tone
from tests.support.server import Server, manifests, serving_files

NODES = """
import numpy as np
from remotemedia import AudioFrame, Node, Out


class Sort(Node):
    outputs = ("loud", "quiet")

    def process(self, audio, session):
        name = "loud" if np.abs(audio).max() > 0.1 else "quiet"
        return [Out(name, audio), Out(name, {"seq": session.seq})]


async def name(data, session):
    # What comes here from an output is what was put out there, audio as well as values.
    kind = "value" if isinstance(data, dict) else "audio"
    return {"kind": kind, "seq": session.seq, "peak": None if kind == "value" else float(
        np.abs(data).max())}


def halves(frame: AudioFrame):
    middle = frame.samples.size // 2
    for number, half in enumerate((frame.samples[:middle], frame.samples[middle:])):
        yield {"seq": frame.seq, "half": number, "samples": half.size}


async def later(audio, session):
    for number in range(2):
        yield {"seq": session.seq, "number": number}
"""

OLD_NODES = '''
import json
from pathlib import Path
from typing import Any, Optional, Tuple

import numpy as np

from remotemedia.core.node import Node


class Doubler(Node):
    """Takes and gives tuples, as nodes of version 0.1 do."""

    def __init__(self, factor: float = 2.0, name: Optional[str] = None, **kwargs: Any):
        super().__init__(name=name or "Doubler", **kwargs)
        self.factor = factor
        self.called = []

    async def initialize(self) -> None:
        await super().initialize()
        self.called.append("initialize")

    async def process(self, data: Tuple[np.ndarray, int]) -> Tuple[np.ndarray, int]:
        audio, rate = data
        self.called.append("process")
        return audio * self.factor, rate

    async def flush(self) -> None:
        self.called.append("flush")

    async def cleanup(self) -> None:
        await super().cleanup()
        self.called.append("cleanup")
        order = list(dict.fromkeys(self.called))
        (Path(__file__).parent / "called.json").write_text(json.dumps(order))


class Peak(Node):
    """Takes arrays and gives values."""

    def process(self, data):
        return {"peak": float(np.abs(data).max())}
'''

MANIFESTS = {
    "branch": """
  - {id: sort, node_type: PythonNode, params: {entry: "nodes.py:Sort"}}
  - {id: loud, node_type: PythonNode, params: {entry: "nodes.py:name"}}
  - {id: quiet, node_type: PythonNode, params: {entry: "nodes.py:name"}}
connections:
  - {from: sort.loud, to: loud}
  - {from: sort.quiet, to: quiet}
""",
    "channels": """
  - {id: mic, node_type: AudioSource, params: {channels: 2}}
  - {id: split, node_type: ChannelSplitNode}
  - {id: left, node_type: LevelMeterNode}
  - {id: right, node_type: LevelMeterNode}
  - {id: down, node_type: GainNode, params: {gain_db: -20}}
  - {id: mix, node_type: MixNode}
  - {id: both, node_type: LevelMeterNode}
connections:
  - {from: mic, to: split}
  - {from: split.left, to: left}
  - {from: split.right, to: right}
  - {from: left, to: down}
  - {from: down, to: mix}
  - {from: right, to: mix}
  - {from: mix, to: both}
""",
    "generators": """
  - {id: halves, node_type: PythonNode, params: {entry: "nodes.py:halves"}}
  - {id: later, node_type: PythonNode, params: {entry: "nodes.py:later"}}
connections: []
""",
    "old": """
  - id: double
    node_type: PythonNode
    params: {entry: "old_nodes.py:Doubler", params: {factor: 3.0}}
    runtime_hint: cpython
    is_streaming: false
    capabilities: {cpu: {cores: 1}, memory_gb: 0.1}
    execution: {placement: auto}
  - {id: peak, node_type: PythonNode, params: {entry: "old_nodes.py:Peak"}}
connections:
  - {from: double, to: peak}
""",
}


class Stereo(Tone):
    """A tone, on the left as loud as it is and on the right quieter."""

    def __init__(self, rms_dbfs: float, right_db: float) -> None:
        super().__init__(rms_dbfs)
        self._right = 10.0 ** (right_db / 20.0)

    def _both(self) -> NDArray[np.int16]:
        left = self._samples()
        return np.stack([left, (left * self._right).astype(np.int16)], axis=1).reshape(1, -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the nodes and manifests will be."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def graph_server(folder: Path) -> Iterator[Server]:
    """Serves them."""
    pipelines = {name: "nodes:\n" + nodes.lstrip("\n") for name, nodes in MANIFESTS.items()}
    files = {"nodes.py": NODES, "old_nodes.py": OLD_NODES, **manifests(pipelines)}
    with serving_files(folder, files) as server:
        yield server


@pytest.fixture
async def graph_api(graph_server: Server) -> AsyncIterator[Api]:
    """Calls to it; nothing may be left on it."""
    async with calling(graph_server.url) as made:
        yield made
        await made.assert_nothing_left()


def of_node(peer: Peer, node: str) -> list[Message]:
    """What a node has answered so far."""
    return [message for message in peer.messages if message["node"] == node]


async def test_a_branch_with_two_outputs(graph_api: Api) -> None:
    async with Peer(graph_api, audio=Tone(-12.0, frames_on_off=(10, 10))) as peer:
        await peer.open(pipeline="branch")
        await peer.wait_until(lambda: min(len(of_node(peer, n)) for n in ("loud", "quiet")) > 30)
        seen: dict[str, set[int]] = {}
        for node in ("loud", "quiet"):
            told = [message["data"] for message in of_node(peer, node)]
            audio = [each for each in told if each["kind"] == "audio"]
            values = [each for each in told if each["kind"] == "value"]
            assert abs(len(audio) - len(values)) <= 1
            assert all((each["peak"] > 0.1) is (node == "loud") for each in audio)
            seen[node] = {each["seq"] for each in told}
        assert not seen["loud"] & seen["quiet"]
        together = sorted(seen["loud"] | seen["quiet"])
        assert together == list(range(together[0], together[0] + len(together)))
        assert of_node(peer, "sort") == []
        assert peer.of_type("error") == []


async def test_channels_apart_and_together(graph_api: Api) -> None:
    async with Peer(graph_api, audio=Stereo(-20.0, right_db=-12.0)) as peer:
        await peer.open(pipeline="channels")
        await peer.wait_until(
            lambda: min(len(of_node(peer, node)) for node in ("left", "right", "both")) > 20
        )

        def level(node: str) -> float:
            return float(median(m["data"]["rms_dbfs"] for m in of_node(peer, node)))

        assert level("left") == pytest.approx(-20.0, abs=1.0)
        assert level("right") == pytest.approx(-32.0, abs=1.0)
        # The left one 20 dB down, and the right one, of the same tone: amplitudes add up.
        amplitude = 10 ** (-40.0 / 20) + 10 ** (-32.0 / 20)
        assert level("both") == pytest.approx(20 * np.log10(amplitude), abs=1.0)


async def test_generators_give_as_much_as_they_like(graph_api: Api) -> None:
    async with Peer(graph_api, audio=Tone()) as peer:
        await peer.open(pipeline="generators")
        await peer.wait_until(lambda: len(of_node(peer, "later")) >= 40)
        await peer.wait_until(lambda: len(of_node(peer, "halves")) >= 40)
        halves = [message["data"] for message in of_node(peer, "halves")][:40]
        assert [(each["seq"], each["half"]) for each in halves] == [
            (halves[0]["seq"] + number // 2, number % 2) for number in range(40)
        ]
        assert {each["samples"] for each in halves} == {FRAME_SAMPLES // 3 // 2}  # at 16 kHz
        later = [message["data"] for message in of_node(peer, "later")][:40]
        assert [each["number"] for each in later] == [0, 1] * 20
        assert peer.of_type("error") == []


async def test_nodes_of_version_0_1(graph_api: Api, folder: Path) -> None:
    async with Peer(graph_api, audio=Tone(-20.0)) as peer:
        await peer.open(pipeline="old")
        await peer.wait_until(lambda: len(of_node(peer, "peak")) >= 25)
        peak = median(message["data"]["peak"] for message in of_node(peer, "peak"))
        assert peak == pytest.approx(3.0 * 0.1 * 2**0.5, rel=0.12)
        assert of_node(peer, "double") == []
        assert peer.of_type("error") == []

    async def ended() -> list[str]:
        told = folder / "called.json"
        return json.loads(told.read_text()) if told.exists() and told.read_text() else []

    assert await until(ended) == ["initialize", "process", "flush", "cleanup"]
