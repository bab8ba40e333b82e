"""Answers in JSON to what never becomes a request: broken HTTP, refused expectations.

aiohttp answers these below the application and its middlewares, in plain text.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.web_request import BaseRequest

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.http import error_response, from_http_exception
from remotemedia_signaling.service import logger


class JsonRequestHandler(web.RequestHandler):
    """The HTTP side of one connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what went wrong outside of the application; the connection is closed."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if status < 500:  # noqa: PLR2004 (the client's fault: no reason to fill the log)
            logger.debug("broken HTTP from %s", request.remote, exc_info=exc)
            detail = (message or "broken HTTP").splitlines()[0][:200]
            error = ApiError(ErrorCode.BAD_REQUEST, detail, status=status)
        else:
            logger.error("a request from %s failed", request.remote, exc_info=exc)
            error = ApiError.internal()
        response = error_response(error)
        response.force_close()
        return response

    def connection_lost(self, exc: BaseException | None) -> None:
        """End a wait for the rest of a body: the client is gone, nothing of it will come."""
        task = None if self._request_in_progress else self._task_handler
        super().connection_lost(exc)
        if task is not None:
            task.cancel()

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Put the framework's own errors into our words."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:  # noqa: PLR2004
            resp = error_response(from_http_exception(resp))
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


class JsonServer(web.Server):
    """Makes a `JsonRequestHandler` for each connection."""

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a new connection."""
        return JsonRequestHandler(self, loop=self._loop, **self._kwargs)


class JsonRunner(web.AppRunner):
    """Runs an application behind a `JsonServer`."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return JsonServer(
            made.request_handler, request_factory=made.request_factory, **made._kwargs
        )
