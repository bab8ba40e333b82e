"""The built page: files of `web_root`, and the page itself at `/` and `/{pipeline}`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.messages import PIPELINE_NAME, nearest
from remotemedia_signaling.security import PAGE_POLICY
from remotemedia_signaling.service import SERVICE, Service

RESERVED_NAMES: Final = frozenset({"api", "ws", "offer", "healthz", "readyz", "metrics", "assets"})
"""First segments of paths that are never a pipeline's page."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""What a file is: the tables of operating systems differ, and `nosniff` makes them matter."""

_HASHED: Final = re.compile(r"assets/.+-[A-Za-z0-9_-]{8}\.[a-z0-9]+(\.map)?")
"""Names that change with the content, as the bundler writes them."""
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


def add_routes(app: web.Application) -> None:
    """Add the page, behind every other route."""
    reserved = "|".join(sorted(RESERVED_NAMES - {"assets"}))
    app.router.add_get(f"/{{path:(?!(?:{reserved})(?:/|$)).*}}", get_page)


def check_names(names: list[str]) -> None:
    """Refuse pipelines whose page could never be reached.

    Raises:
        ValueError: naming the pipeline.

    """
    for name in names:
        if name in RESERVED_NAMES:
            taken = ", ".join(sorted(RESERVED_NAMES))
            raise ValueError(f"a pipeline cannot be called {name!r}: {taken} are paths of calls")


async def get_page(request: web.Request) -> web.StreamResponse:
    """Serve a file, or the page for a pipeline's name."""
    service = request.app[SERVICE]
    path = request.match_info["path"]
    root = service.config.web_root
    if root is None:
        raise _no_page(service, path)
    file = find_file(root, path)
    if file is not None:
        return _file(file, for_ever=_HASHED.fullmatch(path) is not None)
    name = path.removesuffix("/")
    if name and not re.fullmatch(PIPELINE_NAME, name):
        raise ApiError(ErrorCode.NOT_FOUND, "no such path")
    known = not name or name in {info.name for info in service.host.pipelines()}
    if not known and "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        raise _no_page(service, name)
    index = find_file(root, "index.html")
    if index is None:
        raise ApiError(
            ErrorCode.NOT_FOUND, "the page is not built", hint="run `make setup`, or set web_root"
        )
    # The page itself says which pipelines there are when it finds its own unknown.
    return _file(index, status=200 if known else 404)


def _no_page(service: Service, path: str) -> ApiError:
    names = [info.name for info in service.host.pipelines()]
    if path and path not in names:
        hint = nearest(path, names)
        return ApiError(ErrorCode.NOT_FOUND, "no such path or pipeline", hint=hint)
    return ApiError(ErrorCode.NOT_FOUND, "this server serves no page", hint="set web_root")


def find_file(root: Path, path: str) -> Path | None:
    """Find the file of that path under `root`; never one outside of it, nor a hidden one."""
    segments = path.split("/")
    if any(
        not segment or segment.startswith(".") or "\\" in segment or "\0" in segment
        for segment in segments
    ):
        return None
    try:
        base = root.resolve()
        file = base.joinpath(*segments).resolve()
        inside = file.is_relative_to(base) and file.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a loop of links
        return None
    return file if inside else None


def _file(file: Path, *, status: int = 200, for_ever: bool = False) -> web.StreamResponse:
    is_page = file.suffix == ".html"
    headers: dict[str, str] = {
        hdrs.CACHE_CONTROL: _FOR_EVER if for_ever else _ASK_AGAIN,
        hdrs.CONTENT_TYPE: _TYPES.get(file.suffix.lower(), "application/octet-stream"),
    }
    if is_page:
        headers["Content-Security-Policy"] = PAGE_POLICY
        headers["Permissions-Policy"] = "microphone=(self), camera=()"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return web.FileResponse(file, status=status, headers=headers)
