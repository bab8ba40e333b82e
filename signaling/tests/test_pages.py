"""The built page and its files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from remotemedia_signaling import create_app
from remotemedia_signaling.pages import RESERVED_NAMES, find_file
from remotemedia_signaling.testing import Client, FakeHost
from yarl import URL

Serve = Callable[..., Awaitable[Client]]
HTML = {"Accept": "text/html,*/*"}


@pytest.fixture
def web(tmp_path: Path) -> Path:
    root = tmp_path / "web"
    for name, text in {
        "index.html": "<!doctype html>",
        "favicon.svg": "<svg/>",
        "app.webmanifest": "{}",
        "apple-touch-icon.png": "png",
        "assets/index-AbC_123-.js": "js",
        "assets/index-BbCc1234.css": "css",
        "assets/plain.js": "js",
        "data.unknown": "?",
        ".secret": "no",
        "assets/.env": "no",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "outside.txt").write_text("no")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    return root


@pytest.fixture
async def pages(serve: Serve, web: Path) -> Client:
    return await serve({"web_root": str(web)})


@pytest.mark.parametrize("path", ["/", "/mic-vad", "/mic-vad/", "/index.html", "/mic%2Dvad?x=1"])
async def test_the_page_opens(pages: Client, path: str) -> None:
    reply = await pages.call("GET", path)
    assert (reply.status, reply.body) == (200, b"<!doctype html>")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-cache"
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert reply.headers["Permissions-Policy"] == "microphone=(self), camera=()"


async def test_a_name_with_other_letters_has_a_page(
    serve: Serve, web: Path, host: FakeHost
) -> None:
    from remotemedia_signaling.testing import fake_pipeline

    host.infos.append(fake_pipeline("Stimme 1 für dich"))
    client = await serve({"web_root": str(web)})
    assert (await client.call("GET", "/Stimme 1 für dich")).status == 200
    reply = await client.call("GET", "/api/pipelines/Stimme 1 für dich")
    assert reply.json["name"] == "Stimme 1 für dich"


async def test_an_unknown_pipeline_opens_the_page_as_404(pages: Client) -> None:
    page = await pages.call("GET", "/nobody", headers=HTML)
    assert (page.status, page.body) == (404, b"<!doctype html>")
    reply = await pages.call("GET", "/mic-vat")
    assert reply.status == 404
    assert reply.error["hint"] == "did you mean mic-vad?"


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        ("/assets/index-AbC_123-.js", "text/javascript; charset=utf-8", "immutable"),
        ("/assets/index-BbCc1234.css", "text/css; charset=utf-8", "immutable"),
        ("/assets/plain.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/favicon.svg", "image/svg+xml", "no-cache"),
        ("/apple-touch-icon.png", "image/png", "no-cache"),
        ("/app.webmanifest", "application/manifest+json", "no-cache"),
        ("/data.unknown", "application/octet-stream", "no-cache"),
    ],
)
async def test_files_have_their_type_and_life(
    pages: Client, path: str, kind: str, cache: str
) -> None:
    reply = await pages.call("GET", path)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == kind
    assert cache in reply.headers["Cache-Control"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unchanged_file_is_not_sent_again(pages: Client) -> None:
    tag = (await pages.call("GET", "/")).headers["ETag"]
    reply = await pages.call("GET", "/", headers={"If-None-Match": tag})
    assert (reply.status, reply.body) == (304, b"")


async def test_head_sends_no_body(pages: Client) -> None:
    reply = await pages.call("HEAD", "/mic-vad")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/.secret",
        "/assets/.env",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/assets/%2e%2e/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/..%5coutside.txt",
        "/link.txt",
        "/index.html%00",
        "/assets",
        "/assets/",
        "/assets//plain.js",
        "/" + "x" * 300,
        "/" + "x/" * 50,
    ],
)
async def test_nothing_else_is_served(pages: Client, path: str) -> None:
    reply = await pages.call("GET", URL(path, encoded=True))
    assert reply.status in {400, 404}
    assert reply.error


def test_a_loop_of_links_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert find_file(tmp_path, "loop") is None
    assert find_file(tmp_path / "nowhere", "x") is None


async def test_without_a_page_the_answer_says_why(serve: Serve, tmp_path: Path) -> None:
    nothing = await serve()
    assert (await nothing.call("GET", "/")).error["hint"] == "set web_root"
    assert (await nothing.call("GET", "/mic-vad", headers=HTML)).status == 404
    assert (await nothing.call("GET", "/nobody")).error["message"] == "no such path or pipeline"
    empty = await serve({"web_root": str(tmp_path)})
    assert "make setup" in (await empty.call("GET", "/")).error["hint"]


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
async def test_a_pipeline_cannot_take_the_path_of_a_call(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        create_app(FakeHost([name]))
