"""The HTTP calls: each parses, asks the host, answers."""

from __future__ import annotations

import dataclasses
from typing import cast

from aiohttp import web
from pydantic import JsonValue

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.host import Answer, PipelineInfo
from remotemedia_signaling.http import json_response, listed, path_id, read_body
from remotemedia_signaling.messages import ID, PIPELINE_NAME, OfferBody, TrickleBody, nearest
from remotemedia_signaling.metrics import CONTENT_TYPE
from remotemedia_signaling.service import SERVICE


def add_routes(app: web.Application) -> None:
    """Add every call that is a request and an answer."""
    router = app.router
    for path in ("/api/offer", "/offer"):
        router.add_post(path, post_offer)
        router.add_patch(path, patch_offer)
    router.add_get("/api/sessions", get_sessions)
    router.add_get(f"/api/sessions/{{id:{ID}}}", get_session)
    router.add_delete(f"/api/sessions/{{id:{ID}}}", delete_session)
    router.add_get("/api/pipelines", get_pipelines)
    router.add_get(f"/api/pipelines/{{name:{PIPELINE_NAME}}}", get_pipeline)
    router.add_get("/api/peers", get_peers)
    router.add_get("/api/config", get_config)
    router.add_get("/healthz", get_healthz)
    router.add_get("/readyz", get_readyz)
    router.add_get("/metrics", get_metrics)


def answer_json(answer: Answer) -> dict[str, JsonValue]:
    """Write an answer as clients see it."""
    message: dict[str, JsonValue] = {
        "sdp": answer.sdp,
        "type": "answer",
        "pc_id": answer.pc_id,
        "session_id": answer.session_id,
    }
    if answer.participant is not None:
        message["participant"] = answer.participant
    return message


async def post_offer(request: web.Request) -> web.Response:
    """Answer an SDP offer."""
    body = await read_body(request, OfferBody)
    return json_response(answer_json(await request.app[SERVICE].offer(body.to_offer())))


async def patch_offer(request: web.Request) -> web.Response:
    """Take trickled candidates."""
    body = await read_body(request, TrickleBody)
    await request.app[SERVICE].trickle(body)
    return json_response({"status": "success"})


async def get_sessions(request: web.Request) -> web.Response:
    """List the running sessions."""
    service = request.app[SERVICE]
    sessions = await service.ask(service.host.sessions())
    return json_response({"sessions": list(sessions)})


async def get_session(request: web.Request) -> web.Response:
    """Report state and figures of one session."""
    service = request.app[SERVICE]
    return json_response(await service.ask(service.host.session(path_id(request))))


async def delete_session(request: web.Request) -> web.Response:
    """End a session."""
    service = request.app[SERVICE]
    await service.ask(service.host.close_session(path_id(request)))
    return web.Response(status=204)


def pipeline_json(info: PipelineInfo) -> dict[str, JsonValue]:
    """Write a pipeline as clients see it."""
    ports = [
        {name: value for name, value in dataclasses.asdict(port).items() if value is not None}
        for port in info.ports
    ]
    shown: dict[str, JsonValue] = {
        "name": info.name,
        "ports": cast("JsonValue", ports),
        "manifest": dict(info.manifest),
        "resolved": dict(info.resolved),
    }
    if info.description is not None:
        shown["description"] = info.description
    return shown


async def get_pipelines(request: web.Request) -> web.Response:
    """List what is served."""
    pipelines = request.app[SERVICE].host.pipelines()
    return listed("pipelines", [pipeline_json(info) for info in pipelines])


async def get_pipeline(request: web.Request) -> web.Response:
    """Show one pipeline by name."""
    name = request.match_info["name"]
    pipelines = {info.name: info for info in request.app[SERVICE].host.pipelines()}
    if name not in pipelines:
        raise ApiError(
            ErrorCode.UNKNOWN_PIPELINE,
            "no pipeline has that name",
            field="pipeline",
            hint=nearest(name, list(pipelines)),
        )
    return json_response(pipeline_json(pipelines[name]))


async def get_peers(_request: web.Request) -> web.Response:
    """List pipelines announced by other machines: none, they do not find each other yet."""
    return listed("peers", [])


async def get_config(request: web.Request) -> web.Response:
    """Tell a client what it needs before it connects."""
    servers = request.app[SERVICE].config.ice_servers
    return listed("ice_servers", [each.model_dump(exclude_none=True) for each in servers])


async def get_healthz(_request: web.Request) -> web.Response:
    """Say that the process answers."""
    return json_response({"status": "ok"})


async def get_readyz(request: web.Request) -> web.Response:
    """Say whether a frame comes through."""
    await request.app[SERVICE].check_ready()
    return json_response({"status": "ready"})


async def get_metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    body = request.app[SERVICE].metrics.render()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
