"""What nodes yield is heard while they go on, until somebody interrupts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.api import Api, calling
from tests.support.peer import Peer, Tone
from tests.support.server import Server, serving

TIMEOUT_S = 20
NODES = '''
import asyncio
import socket
from pathlib import Path

from remotemedia import Node

PATH = str(Path(__file__).parent / "{name}")


class Says(Node):
    """Asks a socket for one word after the other, until there is none, and tells how it ends."""

    def initialize(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(PATH)

    def process(self, audio, session):
        ending = "closed"
        try:
            yield {{"seq": session.seq}}
            while word := self.read():
                yield {{"seq": session.seq, "word": word}}
            ending = "at its end"
        finally:
            self.tell(ending)

    def read(self):
        self.tell("waits")
        word = self.socket.recv(100).decode().strip()
        if word == "fail":
            raise ValueError("lost for words")
        return word

    def tell(self, text):
        self.socket.send(text.encode())

    def on_interrupt(self):
        self.tell("interrupted")


class SaysLater(Says):
    async def process(self, audio, session):
        ending = "closed"
        try:
            yield {{"seq": session.seq}}
            while word := await asyncio.to_thread(self.read):
                yield {{"seq": session.seq, "word": word}}
            ending = "at its end"
        finally:
            self.tell(ending)
'''
MANIFEST = """
version: v1
metadata: {{name: {name}}}
nodes:
  - {{id: says, node_type: PythonNode, isolation: {isolation},
      params: {{entry: "{name}.py:{entry}"}}}}
"""
KINDS = {
    "thread": ("thread", "Says"),
    "loop": ("thread", "SaysLater"),
    "worker": ("process", "Says"),
    "worker-loop": ("process", "SaysLater"),
}


class Script:
    """What a node says next, and what it tells."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        self._node: socket.socket | None = None

    async def meet(self) -> None:
        """Wait for the node."""
        loop = asyncio.get_running_loop()
        self._node, _ = await asyncio.wait_for(loop.sock_accept(self._listener), TIMEOUT_S)

    def say(self, word: str) -> None:
        """Let it say a word, or end."""
        assert self._node is not None
        self._node.send(word.encode() or b" ")

    async def told(self) -> str:
        """Wait for what it tells."""
        assert self._node is not None
        receive = asyncio.get_running_loop().sock_recv(self._node, 100)
        heard = (await asyncio.wait_for(receive, TIMEOUT_S)).decode()
        assert heard, "it is gone"
        return heard

    async def hear(self, wanted: str) -> None:
        """Wait until it tells this."""
        while await self.told() != wanted:
            pass

    def close(self) -> None:
        """Part."""
        for each in (self._node, self._listener):
            if each is not None:
                each.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the nodes."""
    made = tmp_path_factory.mktemp("says")
    for name, (isolation, entry) in KINDS.items():
        (made / f"{name}.py").write_text(NODES.format(name=name))
        manifest = MANIFEST.format(name=name, isolation=isolation, entry=entry)
        (made / f"{name}.yaml").write_text(manifest)
    return made


@pytest.fixture(scope="module", params=["native", "python"])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[Server]:
    """Serves them, natively and not."""
    manifests = [folder / f"{name}.yaml" for name in KINDS]
    log = folder / f"{request.param}.log"
    with serving(manifests, log, native=request.param == "native") as made:
        yield made


@pytest.fixture
async def speaking(server: Server) -> AsyncIterator[Api]:
    """Calls to it; nothing may be left on it."""
    async with calling(server.url) as made:
        yield made
        await made.assert_nothing_left()


@pytest.fixture
def script(folder: Path, kind: str) -> Iterator[Script]:
    """Speaks with the node."""
    with contextlib.closing(Script(folder / kind)) as made:
        yield made


@contextlib.asynccontextmanager
async def meeting(speaking: Api, script: Script, kind: str) -> AsyncIterator[Peer]:
    """A peer whose node waits for its first word."""
    async with Peer(speaking, audio=Tone()) as peer:
        await peer.open(pipeline=kind)
        await script.meet()
        await script.hear("waits")
        yield peer


def words(peer: Peer) -> list[str]:
    return [each["data"]["word"] for each in peer.of_type("node") if "word" in each["data"]]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_first_is_heard_while_it_goes_on(
    speaking: Api, script: Script, kind: str
) -> None:
    async with meeting(speaking, script, kind) as peer:
        (first,) = await peer.wait_for("node")
        assert set(first["data"]) == {"seq"}
        script.say("hello")
        await peer.wait_until(lambda: words(peer) == ["hello"])
        script.say("world")
        await peer.wait_until(lambda: words(peer) == ["hello", "world"])
        frames = {each["data"]["seq"] for each in peer.of_type("node")}
        assert len(frames) == 1, "it was one frame all the time"
        script.say("")
        await script.hear("at its end")
        await peer.wait_until(
            lambda: {each["data"]["seq"] for each in peer.of_type("node")} > frames
        )


@pytest.mark.parametrize("kind", KINDS)
async def test_an_interrupt_stops_it(speaking: Api, script: Script, kind: str) -> None:
    async with meeting(speaking, script, kind) as peer:
        await peer.wait_for("node")
        peer.say({"type": "interrupt", "id": 1})
        await peer.wait_for("interrupted")
        await script.hear("interrupted")
        script.say("for nobody")
        await script.hear("closed")
        # A frame of after it is worked on as ever.
        await script.hear("waits")
        script.say("hello")
        await peer.wait_until(lambda: words(peer) == ["hello"])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_midway_is_told_and_what_went_stays(
    speaking: Api, script: Script, kind: str
) -> None:
    async with meeting(speaking, script, kind) as peer:
        script.say("hello")
        await script.hear("waits")
        script.say("fail")
        await peer.wait_until(lambda: "lost for words" in str(peer.of_type("error")))
        assert words(peer) == ["hello"]
        await script.hear("waits")
        script.say("again")
        await peer.wait_until(lambda: words(peer) == ["hello", "again"])


@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_of_its_session_stops_it(speaking: Api, script: Script, kind: str) -> None:
    async with meeting(speaking, script, kind) as peer:
        await peer.wait_for("node")
    script.say("for nobody")
    while (told := await script.told()) == "waits":
        script.say("its session has not ended yet")
    assert told == "closed"
