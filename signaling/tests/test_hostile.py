"""Whatever is sent, every answer is an answer or an error in our form, and the server lives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from remotemedia_signaling import ApiError, ErrorCode, ServerConfig
from remotemedia_signaling.errors import STATUS
from remotemedia_signaling.http import error_response, parse_number, write_json
from remotemedia_signaling.messages import OfferBody, TrickleBody, parse_json, validate
from remotemedia_signaling.metrics import HttpMetrics
from remotemedia_signaling.pages import find_file
from remotemedia_signaling.security import Guard, _host_name
from remotemedia_signaling.service import Service
from remotemedia_signaling.testing import FakeHost
from remotemedia_signaling.websocket import Connection

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
NAMES = st.sampled_from(
    [
        "sdp",
        "type",
        "pipeline",
        "join",
        "pc_id",
        "restart_pc",
        "request_data",
        "requestData",
        "candidates",
        "candidate",
        "sdp_mid",
        "sdpMid",
        "sdpMLineIndex",
        "id",
        "jsonrpc",
        "method",
        "params",
        "from",
        "reason",
    ]
)
VALUES = JSON | st.sampled_from(
    [
        *("v=0", "offer", "answer", "ice-candidate", "close", "error", "2.0", "peer.offer"),
        *("peer.announce", "peer.answer", "peer.ice_candidate", "peer.disconnect", "peer.list"),
        "pc-1",
    ]
)
MESSAGES = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES)) | JSON


def as_error(error: ApiError, statuses: Collection[int] = range(400, 600)) -> None:
    """It can be answered with."""
    response = error_response(error)
    assert response.status in statuses
    assert isinstance(response.body, bytes)
    described = json.loads(response.body)["error"]
    assert {"code", "message"} <= set(described)
    assert len(response.body) < 2_000, "nothing of the input is repeated"


@given(MESSAGES, st.sampled_from([OfferBody, TrickleBody]))
@settings(max_examples=150, deadline=None)
def test_any_body_is_a_message_or_an_error(value: Any, model: type[BaseModel]) -> None:
    try:
        validate(model, value)
    except ApiError as error:
        as_error(error, {400})


@given(st.binary(max_size=200) | MESSAGES.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_json_or_an_error(data: bytes) -> None:
    try:
        value = parse_json(data)
    except ApiError as error:
        as_error(error)
    else:
        assert json.loads(write_json(value)) is not ...


@pytest.mark.parametrize(
    "data",
    [
        b'{"sdp":"v=0","request_data":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"sdp":"v=0","request_data":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
        b'{"sdp":"v=0","request_data":' + b"9" * 6_000 + b"}",
        b'{"sdp":"v=0","request_data":1e999}',
        b'{"sdp":"v=0","request_data":NaN}',
        b'{"sdp":"v=0","request_data":"\\ud800"}',
        b'{"sdp":"\\ud800"}',
        b'{"\\ud800":1}',
        b'{"sdp":"v=0"} x',
        b"\xef\xbb\xbf{}",
    ],
)
def test_json_that_breaks_parsers_is_refused(data: bytes) -> None:
    with pytest.raises(ApiError) as error:
        validate(OfferBody, parse_json(data))
    as_error(error.value, {400})


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@given(
    st.lists(st.text(max_size=50) | st.binary(max_size=20) | MESSAGES.map(json.dumps), max_size=5)
)
@settings(max_examples=100, deadline=None)
def test_any_messages_get_replies_that_are_json(
    loop: asyncio.AbstractEventLoop, messages: list[str | bytes]
) -> None:
    async def converse() -> None:
        host = FakeHost()
        connection = Connection(Service(host, ServerConfig()))
        for message in messages:
            reply = await connection.handle(message)
            text = write_json(reply)
            assert "RM-6999" not in text.decode()
            assert json.loads(text) is None or isinstance(json.loads(text), (dict, list))

    loop.run_until_complete(converse())


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_any_host_header_is_read_or_empty(text: str) -> None:
    assert isinstance(_host_name(text), str)


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_no_text_is_taken_for_a_listed_origin(text: str) -> None:
    guard = Guard(ServerConfig(allowed_origins=["https://page.example"]))
    assert not guard._is_listed(text)


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_path_leads_out_of_the_root(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    root = tmp_path_factory.getbasetemp()
    found = find_file(root, path)
    assert found is None or found.is_relative_to(root.resolve())


@given(st.text(max_size=40), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_number_from_0_or_an_error(text: str, whole: bool) -> None:
    try:
        value = parse_number(text, "n", whole=whole)
    except ApiError as error:
        as_error(error)
    else:
        assert value is not None
        assert 0 <= value < 2**53
        assert not whole or isinstance(value, int)


@given(st.dictionaries(st.text(max_size=40), st.floats()))
@settings(max_examples=100, deadline=None)
def test_any_counters_of_a_host_are_rendered(figures: dict[str, float]) -> None:
    assert HttpMetrics(lambda: figures).render().endswith(b"\n")


def test_every_code_has_a_status() -> None:
    assert set(STATUS) == set(ErrorCode)
    assert all(400 <= status <= 599 for status in STATUS.values())


def test_a_status_that_is_no_error_becomes_500() -> None:
    assert ApiError("RM-2001", "x", status=200).http_status == 500


def test_codes_agree_with_the_runtime() -> None:
    import re
    from pathlib import Path

    source = Path(__file__).parents[2] / "runtime" / "crates" / "core" / "src" / "code.rs"
    runtime = dict(re.findall(r'(\w+) = "(RM-\d{4})"', source.read_text()))
    ours = {code.name.title().replace("_", ""): code.value for code in ErrorCode}
    shared = {name: code for name, code in ours.items() if not code.startswith("RM-61")}
    assert shared.items() <= runtime.items()
    assert not any(code.startswith("RM-61") for code in runtime.values())
