"""What serves: the native engine, or aiortc and the twin, and how anybody learns of it."""

from __future__ import annotations

import asyncio
import logging
import sys

import aiohttp
import numpy as np
import pytest
from remotemedia_signaling import HostError, Offer
from remotemedia_signaling.config import ServerConfig

import remotemedia
from remotemedia import ParameterError, Pipeline, RuntimeMissing, server
from remotemedia.host import EngineHost, start_host
from remotemedia.host.choosing import stand_in
from remotemedia.host.split import SplitHost
from remotemedia.nodes import VADNode
from remotemedia.running import choice
from remotemedia.twin import silero

from .clients import PATIENCE, Client

SETTINGS = {"bind": "127.0.0.1", "limits": {"max_sessions": 2}}


def energy(name="energy", **rest):
    return Pipeline(name, VADNode(engine="energy", **rest))


@pytest.fixture
def off(monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")


@pytest.fixture
def native(monkeypatch, runtime):
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", runtime)
    runtime.Run = object  # it is not asked to run anything
    return runtime


async def test_without_the_native_module_one_warning_and_a_count(off, caplog):
    before = choice.fallbacks().get("switched_off", 0)
    with caplog.at_level(logging.WARNING, "remotemedia"):
        host = await start_host([energy()], SETTINGS)
    await host.close()
    (record,) = caplog.records
    assert "REMOTEMEDIA_USE_RUST=0 switches it off" in record.getMessage()
    assert "pip install remotemedia-runtime" in record.getMessage()
    name = 'remotemedia_fallback_total{reason="switched_off"}'
    assert host.counters()[name] == before + 1


async def test_an_absent_module_is_another_reason(monkeypatch, caplog):
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", None)
    with caplog.at_level(logging.WARNING, "remotemedia"):
        host = await start_host([energy()], SETTINGS)
    await host.close()
    assert "cannot be imported" in caplog.text
    assert 'remotemedia_fallback_total{reason="absent"}' in host.counters()


async def test_what_must_run_natively_is_not_served_without(off):
    with pytest.raises(RuntimeMissing, match='"vad-1" must run natively'):
        await start_host([energy(runtime_hint="rust")], SETTINGS)


async def test_a_package_that_is_missing_is_told_at_the_start(off, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    silero.session.cache_clear()
    with pytest.raises(RuntimeMissing, match=r"Install remotemedia\[python\]"):
        await start_host([Pipeline("p", VADNode(engine="silero"))], SETTINGS)


async def test_the_native_engine_serves_where_it_can(native, caplog):
    host = await start_host([energy()], SETTINGS)
    await host.close()
    assert isinstance(host, EngineHost)
    assert list(native.engines[0].pipelines) == ["energy"]
    assert caplog.records == []


async def test_pipelines_that_ask_for_python_get_it_beside_others(native, loopback):
    asked = energy("asked", runtime_hint="python")
    host = await start_host([asked, energy("other")], SETTINGS)
    try:
        assert isinstance(host, SplitHost)
        assert list(native.engines[0].pipelines) == ["other"]
        assert sorted(info.name for info in host.pipelines()) == ["asked", "other"]
        other = await host.offer(Offer("m=application", pipeline="other"))
        async with Client(host) as client:
            await client.open(pipeline="asked")
            await client.wait("vad")
            assert len(await host.sessions()) == 2
            assert (await host.session(client.session))["pipeline"] == "asked"
            assert await host.session(other.session_id) == {"id": other.session_id}
            assert host.counters()["remotemedia_live_sessions"] == 2
            with pytest.raises(HostError) as caught:
                await host.offer(Offer("m=application", pipeline="other"))
            assert caught.value.http_status == 429
            with pytest.raises(HostError, match="say which"):
                await host.offer(Offer("m=application"))
            await host.add_candidates(client.answer.pc_id, [])
            await host.add_candidates(other.pc_id, [])
            await host.close_peer(client.answer.pc_id)
            await client.wait("bye")
            await host.close_session(other.session_id)
            with pytest.raises(HostError):
                await anext(host.events("s_0", None))
        await host.check_ready()
        await host.drain()
    finally:
        await host.close()


async def test_a_server_whose_pipelines_all_ask_for_python(native):
    host = await start_host([energy(runtime_hint="python")], SETTINGS)
    await host.close()
    assert isinstance(host, EngineHost)
    assert native.engines == []


async def test_what_cannot_start_leaves_nothing(native):
    with pytest.raises(ParameterError, match="two pipelines"):
        await start_host([energy(), energy(runtime_hint="python")], SETTINGS)
    native.refuse = native.RuntimeFault("RM-6999", "port 1 is taken")
    with pytest.raises(remotemedia.RemoteMediaError, match="port 1 is taken"):
        await start_host([energy("a"), energy("b", runtime_hint="python")], SETTINGS)


async def test_served_by_signaling_to_a_python_peer(off, loopback, tmp_path):
    stop, started = asyncio.Event(), asyncio.Queue()
    pipeline = Pipeline("mic", VADNode(engine="energy", min_speech_ms=40, emit="events"))
    config = ServerConfig(port=0, web_root=tmp_path)
    serving = asyncio.create_task(
        server.serve_with([pipeline], config, on_started=started.put_nowait, stop=stop)
    )
    url = (await asyncio.wait_for(started.get(), PATIENCE)).url
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/readyz") as response:
            assert response.status == 200
        async with http.get(f"{url}/metrics") as response:
            assert 'remotemedia_fallback_total{reason="switched_off"}' in await response.text()
    tone = np.sin(np.arange(24_000) * 0.06).astype(np.float32) * 0.3
    async with remotemedia.connect(f"{url}/mic") as session:
        await session.send((np.concatenate([tone, np.zeros(24_000, np.float32)]), 48_000))
        await session.finish()
        async for event in session:
            if event.type == "speech_stopped":
                break
    assert abs(event.duration_ms - 500) <= 100
    stop.set()
    await asyncio.wait_for(serving, PATIENCE)


def test_the_stand_in_has_what_the_host_needs():
    module = stand_in()
    for name in ("Engine", "LaneData", "LaneFailure", "LaneOpaque", "RuntimeFault", "run_offline"):
        assert hasattr(module, name)
