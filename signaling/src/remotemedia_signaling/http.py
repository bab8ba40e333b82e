"""JSON in, JSON out: reading bodies, writing answers, turning whatever is raised into an answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic import JsonValue
from pydantic_core import to_json

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.messages import ModelT, parse_json, validate
from remotemedia_signaling.service import SERVICE, logger

SERVER_NAME: Final = "RemoteMedia"
"""The Server header: not which versions."""
STREAMED: Final = frozenset({"/ws", "/api/sessions/{id}/events"})
"""Routes whose duration says nothing about speed."""


def write_json(value: object) -> bytes:
    """JSON bytes; NaN and infinity, which JSON lacks, become null."""
    return to_json(value, inf_nan_mode="null", fallback=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Make an answer with a JSON body."""
    return web.Response(
        body=write_json(value), status=status, content_type="application/json", headers=headers
    )


def error_response(error: ApiError) -> web.Response:
    """Make the answer that an error becomes."""
    headers = {hdrs.SERVER: SERVER_NAME, **error.headers}
    if error.retry_after is not None:
        headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(error.retry_after)))
    return json_response({"error": error.describe()}, status=error.http_status, headers=headers)


async def read_body(request: web.Request, model: type[ModelT]) -> ModelT:
    """Read the JSON body as a `model`.

    Raises:
        ApiError: 415 for another content type, 413 beyond the limit, 408 when it does not come,
            400 when it breaks off, is not JSON or not the model.

    """
    _check_content_type(request)
    service = request.app[SERVICE]
    limit = service.config.limits.body_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    seconds = service.config.timeouts.body_s
    try:
        data = await asyncio.wait_for(request.read(), seconds)
    except asyncio.TimeoutError as error:
        raise ApiError(
            ErrorCode.TIMED_OUT, f"the body did not come within {seconds:g} s", status=408
        ) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large(limit) from error
    except ConnectionError as error:
        # Nobody reads the answer: a page that was left. It is no fault of ours to be logged.
        raise ApiError(ErrorCode.BAD_REQUEST, "the body broke off") from error
    if len(data) > limit:
        raise _too_large(limit)
    return validate(model, parse_json(data))


def _check_content_type(request: web.Request) -> None:
    charset = (request.charset or "utf-8").lower()
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
    if (
        request.content_type != "application/json"
        or charset not in {"utf-8", "utf8"}
        or encoding != "identity"
    ):
        raise ApiError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            "expected application/json in UTF-8, not compressed",
            field="Content-Type",
        )


def _too_large(limit: int) -> ApiError:
    return ApiError(ErrorCode.TOO_LARGE, f"the body is larger than {limit} bytes")


_BY_STATUS: Final = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
}


def from_http_exception(exception: web.HTTPException) -> ApiError:
    """Put the framework's own errors in our words; headers such as Allow are kept."""
    status = exception.status
    headers = {
        name: value
        for name, value in exception.headers.items()
        if name not in {hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH}
    }
    message = {404: "no such path", 405: "that method does nothing here"}.get(
        status, (exception.text or exception.reason)[:200]
    )
    hint = None
    if isinstance(exception, web.HTTPMethodNotAllowed):
        allowed = sorted(exception.allowed_methods)
        headers[hdrs.ALLOW] = ", ".join(allowed)
        hint = f"allowed: {', '.join(allowed)}"
    code = _BY_STATUS.get(status, ErrorCode.BAD_REQUEST)
    return ApiError(code, message, status=status, hint=hint, headers=headers)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever is raised with `{"error": {...}}`."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error)
    except web.HTTPException as exception:
        if exception.status < 400:  # noqa: PLR2004 (redirects and the like are no errors)
            raise
        return error_response(from_http_exception(exception))
    except ConnectionError:
        raise  # the client went away: nothing to answer
    except Exception:  # noqa: BLE001 (logged; the client must get an answer)
        logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
        return error_response(ApiError.internal())


@web.middleware
async def count_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count answers by route and status."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    seconds = None if route in STREAMED else loop.time() - began
    request.app[SERVICE].metrics.request(request.method, route, response.status, seconds)
    return response


def path_id(request: web.Request) -> str:
    """Return the `{id}` of the path."""
    return request.match_info["id"]


def number(request: web.Request, name: str, *, whole: bool) -> float | None:
    """Read a non-negative number of the query.

    Raises:
        ApiError: 400 naming the parameter.

    """
    return parse_number(request.query.get(name), name, whole=whole)


def parse_number(text: str | None, name: str, *, whole: bool) -> float | None:
    """`text` as a non-negative number below 2^53; none stays none."""
    if text is None:
        return None
    try:
        value = int(text) if whole and len(text) <= len("9007199254740992") else float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**53 or (whole and not isinstance(value, int)):
        kind = "whole number" if whole else "number"
        raise ApiError(ErrorCode.INVALID_MESSAGE, f"expected a {kind} from 0", field=name)
    return value


def listed(key: str, values: list[JsonValue]) -> web.Response:
    """`{key: [...]}`."""
    return json_response({key: values})
