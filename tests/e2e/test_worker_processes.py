"""Nodes in worker processes, in sessions beside others: workers that are killed, and a server."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.api import Api, Message, calling, until
from tests.support.peer import Peer, Tone
from tests.support.server import Server, serving, serving_files

NODES = """
import os, time


def tell(audio, session):
    return {"pid": os.getpid(), "seq": session.seq, "session": session.id}


def sleep(audio):
    time.sleep(0.5)
"""

BESIDE = """
import os, signal
from pathlib import Path

KILLED = Path(__file__).parent / "killed"


def deadly(audio, session):
    count = session.state["count"] = session.state.get("count", 0) + 1
    if count == 20 and not KILLED.exists():
        KILLED.write_text(str(session.seq))
        os.kill(os.getpid(), signal.SIGKILL)
    return {"seq": session.seq}


def broken(audio, session):
    if session.seq % 10 == 5:
        raise ValueError("not this one")
    return {"seq": session.seq}


def here(audio, session):
    return {"seq": session.seq}
"""

BESIDE_MANIFEST = """
version: v1
metadata: {{name: {name}}}
nodes:
  - id: mine
    node_type: PythonNode
    isolation: {isolation}
    params: {{entry: "nodes.py:{name}"}}
"""

OTHERS = 10
LOSSES = ("overrun", "skipped")

PASSING = """
from remotemedia import Node, Out


class Cut(Node):
    outputs = ("out", "words")

    def process(self, audio):
        return [{"samples": len(audio)}, Out("words", {"a", "b"})]


async def count(words):
    return {"kind": type(words).__name__, "count": len(words)}
"""

PASSING_MANIFEST = """
version: v1
metadata: {{name: passing}}
nodes:
  - {{id: cut, node_type: PythonNode, isolation: {first}, params: {{entry: "nodes.py:Cut"}}}}
  - {{id: count, node_type: PythonNode, isolation: {second}, params: {{entry: "nodes.py:count"}}}}
connections:
  - {{from: cut.words, to: count}}
"""

MANIFEST = """
version: v1
metadata: {name: apart}
nodes:
  - {id: vad, node_type: VADNode, params: {engine: energy}}
  - {id: tell, node_type: PythonNode, isolation: process, params: {entry: "nodes.py:tell"}}
  - {id: sleep, node_type: PythonNode, isolation: process, params: {entry: "nodes.py:sleep"}}
connections:
  - {from: vad, to: tell}
  - {from: vad, to: sleep}
"""


@pytest.fixture
def apart_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the nodes above."""
    files = {"nodes.py": NODES, "apart.yaml": MANIFEST}
    with serving_files(tmp_path_factory.mktemp("apart"), files, failing=True) as server:
        yield server


@pytest.fixture
async def apart_api(apart_server: Server) -> AsyncIterator[Api]:
    """Calls to it; nothing may be left on it."""
    async with calling(apart_server.url) as made:
        yield made
        if apart_server.process.poll() is None:
            await made.assert_nothing_left()


async def test_a_killed_worker_is_told_of_and_replaced(
    apart_server: Server, apart_api: Api
) -> None:
    async with Peer(apart_api, audio=Tone()) as one, Peer(apart_api, audio=Tone()) as two:
        for peer in (one, two):
            await peer.open(pipeline="apart")
            await peer.wait_for("node", 5)
        pids = {message["data"]["pid"] for peer in (one, two) for message in peer.of_type("node")}
        assert len(pids) == 1
        (worker,) = pids
        assert worker != apart_server.process.pid
        os.kill(worker, signal.SIGKILL)
        for peer in (one, two):

            def replaced(peer: Peer = peer) -> bool:
                return any(m["data"]["pid"] != worker for m in peer.of_type("node"))

            await peer.wait_until(replaced)
            sessions = {message["data"]["session"] for message in peer.of_type("node")}
            assert sessions == {peer.session}
            failures = [e for e in peer.of_type("error") if e["data"]["code"] == "RM-5001"]
            assert all("was killed by SIGKILL" in e["data"]["message"] for e in failures)
        figures = await apart_api.figures()
        assert figures["remotemedia_worker_restarts_total"] == 1.0
        # The slow node beside it drops frames; native results and the other worker go on.
        await one.more("vad", 50)


async def test_workers_die_with_a_killed_server(apart_server: Server, apart_api: Api) -> None:
    async def workers() -> list[psutil.Process]:
        found = psutil.Process(apart_server.process.pid).children()
        return found if len(found) == 2 else []

    pids = [each.pid for each in await until(workers)]
    apart_server.process.kill()

    async def gone() -> bool:
        return not any(psutil.pid_exists(pid) for pid in pids)

    assert await until(gone)


@pytest.mark.parametrize(("first", "second"), [("thread", "process"), ("process", "thread")])
async def test_values_pass_from_process_to_process(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / "nodes.py").write_text(PASSING)
    manifest = tmp_path / "passing.yaml"
    manifest.write_text(PASSING_MANIFEST.format(first=first, second=second))
    with serving([manifest], tmp_path / "server.log") as server:
        async with calling(server.url) as api, Peer(api, audio=Tone()) as peer:
            await peer.open(pipeline="passing")

            def both() -> bool:
                return {message["node"] for message in peer.of_type("node")} == {"cut", "count"}

            await peer.wait_until(both)
            for message in peer.of_type("node"):
                if message["node"] == "count":
                    assert message["data"] == {"kind": "set", "count": 2}
                else:
                    assert message["data"]["samples"] > 0


@pytest.fixture
def beside_server(tmp_path: Path) -> Iterator[Server]:
    """Serves the nodes that harm themselves, and one that does not."""
    files = {"nodes.py": BESIDE}
    for name, isolation in (("deadly", "process"), ("broken", "process"), ("here", "thread")):
        files[f"{name}.yaml"] = BESIDE_MANIFEST.format(name=name, isolation=isolation)
    with serving_files(tmp_path, files, failing=True) as server:
        yield server


async def settled(api: Api, peer: Peer, *, killed: bool = False) -> dict[str, int]:
    """What a session's graph counts once the peer is silent, and each frame answered or counted.

    Frames that died with the session's worker are counted by the server.
    """
    for sender in peer.connection.getSenders():
        sender.replaceTrack(None)
    last: list[dict[str, int]] = [{}]

    async def unchanged() -> bool:
        last.append((await api.session(peer.session))["graph"])
        results = len(peer.of_type("node"))
        figures = await api.figures()
        lost = figures["remotemedia_worker_lost_total"] if killed else last[-1]["failures"]
        counted = sum(last[-1][name] for name in LOSSES) + lost
        return last[-1] == last[-2] and results + counted == last[-1]["frames"]

    await until(unchanged)
    return last[-1]


def failures(peer: Peer) -> list[Message]:
    """Errors about frames on which a node failed."""
    return [each for each in peer.of_type("error") if each["data"]["code"] == "RM-5001"]


async def test_a_worker_that_dies_harms_no_other_session(beside_server: Server) -> None:
    folder = beside_server.log.parent
    async with calling(beside_server.url) as api, AsyncExitStack() as stack:
        entered = [Peer(api, audio=Tone()) for _ in range(OTHERS + 1)]
        victim, *others = [await stack.enter_async_context(peer) for peer in entered]
        for peer in others:
            await peer.open(pipeline="here")
        await victim.open(pipeline="deadly")
        await victim.wait_for("node", 100)
        await settled(api, victim, killed=True)
        (error,) = failures(victim)
        assert error["node"] == "mine"
        assert "was killed by SIGKILL" in error["data"]["message"]
        told = [message["data"]["seq"] for message in victim.of_type("node")]
        assert int((folder / "killed").read_text()) not in told
        assert told == sorted(set(told))
        for peer in others:
            counted = await settled(api, peer)
            seqs = [message["data"]["seq"] for message in peer.of_type("node")]
            assert seqs == list(range(counted["frames"]))
            assert peer.of_type("error") == []


async def test_what_raises_in_a_worker_is_told_with_its_traceback(beside_server: Server) -> None:
    async with calling(beside_server.url) as api, Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="broken")
        await peer.wait_until(lambda: len(failures(peer)) >= 3)
        graph = await settled(api, peer)
        assert graph["failures"] == len(failures(peer))
        for error in failures(peer):
            assert error["node"] == "mine"
            assert "not this one" in error["data"]["message"]
            assert "nodes.py" in error["data"]["traceback"]
            assert "raise ValueError" in error["data"]["traceback"]
        told = {message["data"]["seq"] for message in peer.of_type("node")}
        assert not any(seq % 10 == 5 for seq in told)
