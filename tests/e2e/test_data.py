"""Data that clients send by messages, natively and by aiortc: the same comes back."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import remotemedia
from remotemedia import RemoteMediaError
from remotemedia.client import ErrorEvent, Event, NodeResult, Session

from tests.support.api import Api, Message, calling
from tests.support.peer import Peer, Tone
from tests.support.server import PIPELINES, ROOT, Server, serving

NODES = """
import asyncio
from remotemedia import Node, node


@node
async def greet(data, session):
    await asyncio.sleep(0.01)
    return {"hello": data, "who": session.participant} if isinstance(data, str) else None


@node
def count(data):
    for number in range(min(data, 9) if isinstance(data, int) else 0):
        yield number


class Both(Node):
    inputs = ("audio", "words")

    def initialize(self):
        self.heard = False

    def process(self, data, session):
        if session.port == "words":
            return {"read": data, "heard": self.heard, "stream": session.stream}
        if self.heard or abs(data).max() < 0.01:
            return None
        self.heard = True
        return "it is loud"
"""

ALONE = """
version: v1
metadata: {{name: {name}}}
nodes:
  - {{id: mine, node_type: PythonNode, params: {{entry: "nodes.py:{name}"}}}}
"""

BOTH = """
version: v1
metadata: {name: both}
nodes:
  - {id: mic, node_type: AudioSource}
  - {id: words, node_type: TextNode, params: {operation: words}}
  - {id: mine, node_type: PythonNode, params: {entry: "nodes.py:Both"}}
connections:
  - {from: mic, to: mine.audio}
  - {from: words, to: mine.words}
"""

COMMAND_TIMEOUT_S = 60


@pytest.fixture(scope="module", params=["1", "0"], ids=["native", "python"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves the examples that take data, and nodes of Python."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "nodes.py").write_text(NODES)
    manifests = [PIPELINES / "text.yaml", PIPELINES / "calculator.yaml", folder / "both.yaml"]
    manifests[-1].write_text(BOTH)
    for name in ("greet", "count"):
        manifests.append(folder / f"{name}.yaml")
        manifests[-1].write_text(ALONE.format(name=name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REMOTEMEDIA_USE_RUST", request.param)
        with serving(manifests, folder / "server.log") as made:
            yield made
    assert "Traceback" not in (folder / "server.log").read_text()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    """Calls to it; nothing may be left on it."""
    async with calling(server.url) as made:
        yield made
        await made.assert_nothing_left()


async def results_of(session: Session) -> list[Any]:
    """What nodes gave until the session has finished: their ids and values.

    Events come by two channels, one of which is in no order: their numbers are.
    """
    await session.finish()
    told: list[Event] = [event async for event in session]
    told.sort(key=lambda event: event.seq)
    errors = [event for event in told if isinstance(event, ErrorEvent)]
    assert errors == []
    return [(event.node, event.data) for event in told if isinstance(event, NodeResult)]


async def test_text_comes_back_in_order_by_the_time_it_was_sent(api: Api) -> None:
    async with remotemedia.connect(f"{api.url}/text") as session:
        for word in ("hello", {"text": "grüße"}, ""):
            assert await session.input(word) == "input"
        assert session.audio_format is None
        assert await results_of(session) == [
            ("capitals", "HELLO"),
            ("length", 5),
            ("capitals", "GRÜSSE"),
            ("length", 5),
            ("capitals", ""),
            ("length", 0),
        ]


async def test_what_a_node_cannot_use_is_its_error(api: Api) -> None:
    async with remotemedia.connect(f"{api.url}/calculator", listen_only=True, hear=False) as peer:
        assert await peer.input([1, 0], "calculator") == "calculator"
        await peer.input(21)
        await peer.input({"operation": "divide", "operands": [1, 0]})
        await peer.input("x")
        await peer.input([2, 3, 7])
        await peer.finish()
        told = sorted([event async for event in peer], key=lambda event: event.seq)
    values = [event.data for event in told if isinstance(event, NodeResult)]
    errors = [event for event in told if isinstance(event, ErrorEvent)]
    assert values == [0, 42, 42]
    assert [(error.node, error.code) for error in errors] == [("calculator", "RM-5001")] * 2


async def test_async_nodes_and_generators_answer(api: Api) -> None:
    async with (
        remotemedia.connect(f"{api.url}/greet", listen_only=True) as first,
        remotemedia.connect(f"{api.url}/count", listen_only=True) as other,
    ):
        for word in ("a", "b", "c"):
            await first.input(word)
        await other.input(4)
        greeted = [("mine", {"hello": word, "who": "p1"}) for word in "abc"]
        assert await results_of(first) == greeted
        assert await results_of(other) == [("mine", number) for number in range(4)]


async def test_audio_and_data_meet_in_one_node(api: Api) -> None:
    tone = 0.5 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000).astype(np.float32)
    async with remotemedia.connect(f"{api.url}/both") as session:
        await session.send(tone)
        async for event in session:
            if isinstance(event, NodeResult):
                assert event.data == "it is loud"
                break
        assert await session.input("how are you", "words") == "words"
        answer = {"read": ["how", "are", "you"], "heard": True, "stream": "audio"}
        assert await results_of(session) == [("mine", answer)]


async def test_participants_are_not_mixed(api: Api) -> None:
    async with remotemedia.connect(f"{api.url}/greet", listen_only=True) as first:
        url = f"{api.url}/greet"
        async with remotemedia.connect(url, join=first.id, listen_only=True) as second:
            for turn in range(20):
                await asyncio.gather(first.input(f"1:{turn}"), second.input(f"2:{turn}"))
            results = [data for _, data in await results_of(first)]
            await second.finish()
    for number, who in (("1", "p1"), ("2", "p2")):
        said = [each["hello"] for each in results if each["who"] == who]
        assert said == [f"{number}:{turn}" for turn in range(20)]


async def test_refusals_name_the_field_and_who_takes_data(api: Api) -> None:
    async with remotemedia.connect(f"{api.url}/both") as session:
        for node, code, words in (
            ("mine", "RM-1003", "no data goes in there: data goes into input, words"),
            ("mic", "RM-1003", "no data goes in there"),
            ("wrods", "RM-1003", "no such node: data goes into input, words"),
        ):
            with pytest.raises(RemoteMediaError, match=words) as caught:
                await session.input(1, node)
            assert (caught.value.code, caught.value.field) == (code, "node")
        with pytest.raises(RemoteMediaError, match='"data" is missing') as caught:
            await session.control("input", node="words")
        assert (caught.value.code, caught.value.field) == ("RM-4001", "data")
        with pytest.raises(RemoteMediaError, match="more than 61440 bytes") as caught:
            await session.input("x" * 61_500)
        assert (caught.value.code, caught.value.field) == ("RM-4001", "data")


async def test_an_offer_without_audio_is_enough(api: Api) -> None:
    async with Peer(api) as peer:
        await peer.open(pipeline="text")
        await peer.wait_for("ready")
        peer.say({"type": "input", "id": 1, "data": "hi"})
        (accepted,) = await peer.wait_for("accepted")
        assert accepted == {"v": 1, "type": "accepted", "id": 1, "node": "input"}
        capitals, length = peer.of_type("node")  # one channel alone: all is in order
        assert peer.messages.index(length) < peer.messages.index(accepted)
        assert (capitals["stream"], capitals["rtp_ts"], capitals["pts_ms"]) == ("data", 0, 0.0)
        assert capitals["latency_ms"] >= 0
        peer.say({"type": "flush"})
        await peer.wait_for("flushed")


async def test_audio_that_nobody_wants_is_left_out(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="text")
        await peer.wait_for("ready")
        peer.say({"type": "input", "data": "still there"})
        assert (await peer.wait_for("node", 2))[0]["data"] == "STILL THERE"


def a_value(chance: random.Random, depth: int = 0) -> Any:
    """JSON of any shape."""
    kind = chance.randrange(8 if depth < 4 else 6)
    if kind == 6:
        return [a_value(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind == 7:
        keys = ("text", "operation", "operands", "args", "", "\n")
        return {chance.choice(keys): a_value(chance, depth + 1) for _ in range(chance.randrange(4))}
    words = ("", "add", "\0\ud7ff\U0001f600", "x" * chance.randrange(3000))
    return (None, True, chance.randint(-(2**70), 2**70), chance.gauss(0, 1e300), *words)[kind]


@pytest.mark.parametrize("pipeline", ["text", "calculator", "greet", "count", "both"])
async def test_whatever_is_sent_is_answered_and_harms_nobody(api: Api, pipeline: str) -> None:
    chance = random.Random(pipeline)
    async with Peer(api, audio=Tone()) as hostile, Peer(api) as other:
        await hostile.open(pipeline=pipeline)
        await other.open(pipeline="text")
        await hostile.wait_for("ready")
        await other.wait_for("ready")
        for number in range(200):
            message: Message = {"type": "input", "id": number, "data": a_value(chance)}
            if chance.random() < 0.3:
                message["node"] = chance.choice(["input", "words", "mine", "", 7, None])
            text = json.dumps(message)
            if chance.random() < 0.2:
                at = chance.randrange(len(text))
                text = text[:at] + chance.choice('"{}[],0\\ ') + text[at + 1 :]
            hostile.say(text)

        def answers() -> int:
            return sum("seq" not in message for message in hostile.messages)

        await hostile.wait_until(lambda: answers() == 200)
        other.say({"type": "input", "data": "fine"})
        assert (await other.wait_for("node", 2))[0]["data"] == "FINE"


def test_the_command_line_sends_data(server: Server) -> None:
    def call(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "remotemedia", "call", f"{server.url}/{name}", *options]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            cwd=ROOT,
            check=False,
        )

    done = call("text", "--input", "hello", "--input", '{"text": "you"}', "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    said = [each["data"] for each in told if each["type"] == "node"]
    assert said == ["HELLO", 5, "YOU", 3]
    done = call("calculator")
    assert done.returncode == 2
    assert '"calculator" takes data. Give it some: --input' in done.stderr
    wav = Path(ROOT / "none.wav")
    done = call("calculator", str(wav))
    assert '"calculator" takes data and no audio.' in done.stderr
