"""Who may call: Host header (DNS rebinding), Origin (other pages), and headers of every answer.

Without these a page on the internet could reach a server on this machine through its visitor's
browser. A request without Origin comes from no page (curl, a Python peer) and passes.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

from remotemedia_signaling.config import ServerConfig, is_loopback
from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.http import SERVER_NAME

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""`blob:` is for files that a user chose and for audio worklets."""

_PREFLIGHT_SECONDS: Final = 600
_ALLOWED_HEADERS: Final = "content-type, last-event-id"
_EXPOSED_HEADERS: Final = "Retry-After, Allow"


class Guard:
    """Checks requests against the configuration and writes the headers of answers."""

    def __init__(self, config: ServerConfig) -> None:
        self._origins = frozenset(config.allowed_origins)
        self._hosts = frozenset(config.allowed_hosts)
        self._loopback = config.is_loopback

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what may not call, and answer preflights."""
        self._check_host(request)
        self._check_origin(request)
        if request.method == hdrs.METH_OPTIONS:
            return _options(request)
        return await handler(request)

    async def on_response_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that every answer carries."""
        headers = response.headers
        headers.setdefault("Content-Security-Policy", API_POLICY)
        headers[hdrs.SERVER] = SERVER_NAME
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        headers[hdrs.VARY] = hdrs.ORIGIN
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and self._is_listed(origin):
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED_HEADERS

    def _check_host(self, request: web.Request) -> None:
        if not (self._loopback or self._hosts):
            return
        name = _host_name(request.headers.get(hdrs.HOST, ""))
        if name in self._hosts or is_loopback(name):
            return
        if not self._loopback and _is_address(name):
            return  # an address cannot be rebound
        raise ApiError(
            ErrorCode.WRONG_HOST,
            "this server is not known by that name",
            field="Host",
            hint="add the name to allowed_hosts",
        )

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or self._is_listed(origin):
            return
        own = f"{request.scheme}://{request.headers.get(hdrs.HOST, '')}"
        if _normal(origin) is not None and _normal(origin) == _normal(own):
            return
        raise ApiError(
            ErrorCode.FORBIDDEN_ORIGIN,
            "pages of that origin may not call this server",
            field="Origin",
            hint="add the origin to allowed_origins",
        )

    def _is_listed(self, origin: str) -> bool:
        return "*" in self._origins or _normal(origin) in self._origins


def _options(request: web.Request) -> web.Response:
    """Answer a preflight, or a plain OPTIONS, for a path that exists."""
    refused = request.match_info.http_exception
    if not isinstance(refused, web.HTTPMethodNotAllowed):
        raise ApiError(ErrorCode.NOT_FOUND, "no such path")
    methods = ", ".join(sorted({*refused.allowed_methods, hdrs.METH_OPTIONS}))
    headers = {hdrs.ALLOW: methods}
    if hdrs.ORIGIN in request.headers:
        headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = methods
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _ALLOWED_HEADERS
        headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(_PREFLIGHT_SECONDS)
    return web.Response(status=204, headers=headers)


def _host_name(host: str) -> str:
    """Extract the name or address of a Host header, without port and brackets; empty if broken."""
    try:
        return (URL(f"http://{host}").host or "").lower().rstrip(".")
    except ValueError:
        return ""


def _normal(origin: str) -> str | None:
    """Leave an origin's default port out; none for `null` and for what is no origin."""
    try:
        url = URL(origin)
        return str(url.origin()).lower() if url.host else None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
