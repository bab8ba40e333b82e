"""The aiohttp application: routes, middlewares and what happens at start and shutdown."""

from __future__ import annotations

from aiohttp import web

from remotemedia_signaling import events, pages, routes, websocket
from remotemedia_signaling.config import ServerConfig
from remotemedia_signaling.host import PipelineHost
from remotemedia_signaling.http import count_requests, errors_as_json
from remotemedia_signaling.security import Guard
from remotemedia_signaling.service import SERVICE, Service, ShutdownHook


def create_app(
    host: PipelineHost,
    config: ServerConfig | None = None,
    *,
    on_shutdown: ShutdownHook | None = None,
) -> web.Application:
    """Build the application that serves `host`.

    `on_shutdown` runs once at shutdown, while events still flow: the host drains in it.
    `SignalingServer` runs the application; any other aiohttp runner works too.

    Raises:
        ValueError: a pipeline's name is one of `pages.RESERVED_NAMES`.

    """
    config = config or ServerConfig()
    pages.check_names([info.name for info in host.pipelines()])
    guard = Guard(config)
    app = web.Application(
        middlewares=[count_requests, errors_as_json, guard.middleware],
        client_max_size=config.limits.body_bytes + 1,  # whether the bound is allowed varies
    )
    service = Service(host, config, on_shutdown)
    app[SERVICE] = service
    app.on_response_prepare.append(guard.on_response_prepare)
    for part in (routes, events, websocket, pages):
        part.add_routes(app)

    async def shut_down(_app: web.Application) -> None:
        await service.shut_down()

    app.on_shutdown.append(shut_down)
    return app
