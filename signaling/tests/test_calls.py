"""Sessions, pipelines, peers, configuration, health, metrics, and what no route answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from remotemedia_signaling import ErrorCode, HostError
from remotemedia_signaling.testing import Client, FakeHost

Serve = Callable[..., Awaitable[Client]]


async def test_sessions_are_listed_and_shown(client: Client) -> None:
    assert (await client.call("GET", "/api/sessions")).json == {"sessions": []}
    session_id = (await client.offer()).json["session_id"]
    shown = (await client.call("GET", f"/api/sessions/{session_id}")).json
    assert shown == {"id": session_id, "participants": 1}
    assert (await client.call("GET", "/api/sessions")).json == {"sessions": [shown]}


async def test_a_session_can_be_ended_once(client: Client, host: FakeHost) -> None:
    session_id = (await client.offer()).json["session_id"]
    ended = await client.call("DELETE", f"/api/sessions/{session_id}")
    assert (ended.status, ended.body) == (204, b"")
    assert not host.running
    assert not host.candidates
    again = await client.call("DELETE", f"/api/sessions/{session_id}")
    assert again.status == 404
    assert again.error["code"] == ErrorCode.UNKNOWN_ID


@pytest.mark.parametrize("path", ["nobody", "a%20b", "x" * 200, "..%2f"])
async def test_an_unknown_session_is_404(client: Client, path: str) -> None:
    reply = await client.call("GET", f"/api/sessions/{path}")
    assert reply.status == 404
    assert reply.error["code"] in {ErrorCode.UNKNOWN_ID, ErrorCode.NOT_FOUND}


async def test_figures_that_json_lacks_become_null(
    client: Client, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import MappingProxyType

    async def session(_id: str) -> object:
        return MappingProxyType({"jitter_ms": float("nan"), "more": MappingProxyType({"a": 1})})

    monkeypatch.setattr(host, "session", session)
    reply = await client.call("GET", "/api/sessions/any")
    assert reply.json == {"jitter_ms": None, "more": {"a": 1}}


async def test_figures_that_are_no_json_are_a_bug(
    client: Client, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def session(_id: str) -> object:
        return {"socket": object()}

    monkeypatch.setattr(host, "session", session)
    assert (await client.call("GET", "/api/sessions/any")).status == 500


async def test_pipelines_are_listed_and_shown(client: Client) -> None:
    listed = (await client.call("GET", "/api/pipelines")).json["pipelines"]
    assert [each["name"] for each in listed] == ["mic-vad", "mic-energy"]
    shown = (await client.call("GET", "/api/pipelines/mic-vad")).json
    assert shown == listed[0]
    assert shown["ports"][0] == {
        "id": "input",
        "direction": "in",
        "kind": "audio",
        "format": {"rate": 16000, "channels": 1},
    }
    assert shown["manifest"]["version"] == "v1"
    assert shown["resolved"]["version"] == "resolved/1"
    assert shown["description"] == "for tests"


async def test_a_pipeline_without_description_shows_none(client: Client, host: FakeHost) -> None:
    import dataclasses

    host.infos[0] = dataclasses.replace(host.infos[0], description=None)
    assert "description" not in (await client.call("GET", "/api/pipelines/mic-vad")).json


async def test_an_unknown_pipeline_gets_the_nearest_name(client: Client) -> None:
    reply = await client.call("GET", "/api/pipelines/mic-vat")
    assert reply.status == 404
    assert reply.error["code"] == ErrorCode.UNKNOWN_PIPELINE
    assert reply.error["hint"] == "did you mean mic-vad?"


async def test_no_other_machine_has_announced_itself(client: Client) -> None:
    assert (await client.call("GET", "/api/peers")).json == {"peers": []}


async def test_clients_are_told_the_ice_servers(serve: Serve) -> None:
    server = {"urls": ["turn:t.example:3478"], "username": "u", "credential": "c"}
    client = await serve({"ice_servers": [{"urls": ["stun:s.example"]}, server]})
    assert (await client.call("GET", "/api/config")).json == {
        "ice_servers": [{"urls": ["stun:s.example"]}, server]
    }


async def test_the_process_is_healthy(client: Client) -> None:
    assert (await client.call("GET", "/healthz")).json == {"status": "ok"}
    assert (await client.call("HEAD", "/healthz")).status == 200


async def test_readiness_pushes_a_frame_for_all_who_ask(client: Client, host: FakeHost) -> None:
    replies = await asyncio.gather(*(client.call("GET", "/readyz") for _ in range(5)))
    assert [reply.json for reply in replies] == [{"status": "ready"}] * 5
    assert host.ready_checks == 1


async def test_readiness_is_checked_again_after_a_while(
    client: Client, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remotemedia_signaling.service.READY_CACHE_S", -1.0)
    await client.call("GET", "/readyz")
    await client.call("GET", "/readyz")
    assert host.ready_checks == 2


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (HostError("RM-5001", "the node failed", hint="look"), "RM-5001: the node failed"),
        (RuntimeError("secret"), "a frame did not come through"),
    ],
)
async def test_a_frame_that_does_not_come_through_is_not_ready(
    client: Client, host: FakeHost, failure: Exception, says: str
) -> None:
    host.failures["check_ready"] = failure
    reply = await client.call("GET", "/readyz")
    assert reply.status == 503
    assert reply.error["code"] == ErrorCode.NOT_READY
    assert reply.error["message"] == says


async def test_a_frame_that_takes_too_long_is_not_ready(
    serve: Serve, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(host, "check_ready", never)
    client = await serve({"timeouts": {"ready_s": 0.02}})
    reply = await client.call("GET", "/readyz")
    assert reply.status == 503
    assert "0.02 s" in reply.error["message"]


async def test_a_failed_check_that_nobody_awaits_is_no_trouble(
    client: Client, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        entered.set()
        await go_on.wait()
        raise RuntimeError("late")

    monkeypatch.setattr(host, "check_ready", fail)
    asking = asyncio.create_task(client.call("GET", "/readyz"))
    await entered.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    go_on.set()
    assert (await client.call("GET", "/readyz")).status == 503


async def test_metrics_hold_the_hosts_counters_and_ours(client: Client, host: FakeHost) -> None:
    host.figures |= {
        'remotemedia_dropped_total{cause="late",text="a\\"b\\n"}': 2,
        'remotemedia_dropped_total{cause="full"}': 1,
        "remotemedia_sessions": 4,
        "not a name": 9,
    }
    await client.offer()
    await client.offer(sdp="x")
    await client.call("GET", "/api/sessions/nobody")
    await client.call("PROPFIND", "/healthz")
    await client.call("GET", "/api/nothing")
    reply = await client.call("GET", "/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }
    assert samples["remotemedia_frames_total", ()] == 3
    assert samples["remotemedia_sessions", ()] == 4
    assert samples["remotemedia_dropped_total", (("cause", "full"),)] == 1
    assert samples["remotemedia_dropped_total", (("cause", "late"), ("text", 'a"b\n'))] == 2
    assert samples["remotemedia_offers_total", (("outcome", "answered"),)] == 1
    assert samples["remotemedia_offers_total", (("outcome", "RM-2001"),)] == 1
    assert samples["remotemedia_offers_in_flight", ()] == 0

    def requests(method: str, route: str, status: str) -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return samples["remotemedia_http_requests_total", labels]

    assert requests("POST", "/api/offer", "200") == 1
    assert requests("GET", "/api/sessions/{id}", "404") == 1
    assert requests("other", "none", "405") == 1
    assert requests("GET", "none", "404") == 1


async def test_metrics_survive_a_broken_host(client: Client, host: FakeHost) -> None:
    host.figures = {"bad": "value"}  # type: ignore[dict-item]
    assert (await client.call("GET", "/metrics")).status == 500


@pytest.mark.parametrize("path", ["/api/nothing", "/api", "/api/sessions/", "/ws/x", "/metrics/x"])
async def test_an_unknown_path_is_404_in_json(client: Client, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        reply = await client.call(method, path)
        assert reply.status == 404
        assert reply.error["code"] == ErrorCode.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/offer", "PATCH, POST"),
        ("GET", "/offer", "PATCH, POST"),
        ("POST", "/api/sessions", "GET, HEAD"),
        ("PUT", "/api/sessions/x", "DELETE, GET, HEAD"),
        ("POST", "/ws", "GET"),
        ("POST", "/mic-vad", "GET, HEAD"),
    ],
)
async def test_another_method_is_405_and_says_which(
    client: Client, method: str, path: str, allow: str
) -> None:
    reply = await client.call(method, path)
    assert reply.status == 405
    assert reply.headers["Allow"] == allow
    assert reply.error["code"] == ErrorCode.METHOD_NOT_ALLOWED


async def test_a_redirect_is_no_error(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web

    async def moved(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/healthz")

    monkeypatch.setattr("remotemedia_signaling.routes.get_peers", moved)
    client = await serve()
    assert (await client.call("GET", "/api/peers", allow_redirects=False)).status == 302


async def test_a_refused_expectation_is_json(client: Client) -> None:
    reply = await client.call("GET", "/healthz", headers={"Expect": "a miracle"})
    assert reply.status == 417
    assert reply.error["code"] == ErrorCode.BAD_REQUEST
