from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import HealthCheck, settings

from .fakes import FakeEngine, FakeFailure, FakeRuntime

# The same cases every time, and no limit that a busy machine could break.
settings.register_profile(
    "sdk",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sdk")


@pytest.fixture
def engine():
    made = FakeEngine()
    yield made
    made.free()


@pytest.fixture
def runtime():
    made = FakeRuntime()
    yield made
    for each in made.engines:
        each.free()


@pytest.fixture
def lanes(engine):
    """Make lanes that run a pipeline's Python nodes; they are stopped at the end."""
    from remotemedia.lanes import Lanes

    started = []

    def start(pipeline):
        made = Lanes(engine, FakeFailure)
        made.add(pipeline.plan())
        made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        assert each.stop(), "a node is still busy"


@pytest.fixture
def loopback(monkeypatch):
    """Keep aiortc's packets on this machine."""
    import aioice.ice

    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture
async def server(loopback):
    """Serve sessions that are scripted."""
    from aiohttp import web

    from .peers import ScriptedServer

    made = ScriptedServer()
    app = web.Application()
    app.router.add_post("/api/offer", made.offer)
    app.router.add_get("/api/pipelines", made.listed)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await made.close()
    await runner.cleanup()


@pytest.fixture
def tone(tmp_path):
    """Write a WAV file: one second of 440 Hz at 44.1 kHz in stereo."""
    import wave

    import numpy as np

    path = tmp_path / "tone.wav"
    samples = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100) * 8000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(np.repeat(samples.astype("<i2"), 2).tobytes())
    return path


@pytest.fixture
def script(tmp_path):
    """What `worker_nodes.Says` says next, and what it tells."""

    class Script:
        path = str(tmp_path / "script")

        def meet(self):
            self.socket = stack.enter_context(listener.accept()[0])
            self.socket.settimeout(10)

        def say(self, word):
            self.socket.send(word.encode() or b" ")

        def hear(self):
            return self.socket.recv(100).decode()

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.settimeout(60)
        listener.bind(Script.path)
        listener.listen()
        yield Script()
