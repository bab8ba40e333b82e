"""The token bucket, and new sessions that come too fast."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remotemedia_signaling import ErrorCode
from remotemedia_signaling.rate import TokenBucket
from remotemedia_signaling.testing import Client, FakeHost

Serve = Callable[..., Awaitable[Client]]
ONE = {"limits": {"new_sessions_per_second": 0.01, "new_sessions_at_once": 1}}


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    bucket = TokenBucket(2.0, 3)
    assert [bucket.take(10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(10.25) == 0.25
    assert bucket.take(10.5) == 0.0
    assert bucket.take(10.5) == 0.5


def test_a_quiet_time_fills_it_no_further_than_at_first() -> None:
    bucket = TokenBucket(1.0, 2)
    bucket.take(0.0)
    assert [bucket.take(1_000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1)
    assert bucket.take(10.0) == 0.0
    assert bucket.take(5.0) == 1.0
    assert bucket.take(10.5) == 0.5


@given(
    st.floats(0.01, 1_000.0),
    st.integers(1, 50),
    st.lists(st.floats(0.0, 10.0), min_size=1, max_size=100),
)
def test_never_more_than_that(per_second: float, at_once: int, pauses: list[float]) -> None:
    bucket = TokenBucket(per_second, at_once)
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        taken += wait == 0.0
        assert 0.0 <= wait <= 1.0 / per_second * (1 + 1e-9)
        assert taken <= at_once + now * per_second * (1 + 1e-9)


@pytest.mark.parametrize("path", ["/api/offer", "/offer"])
async def test_new_sessions_that_come_too_fast_are_told_when_to_come(
    serve: Serve, host: FakeHost, path: str
) -> None:
    client = await serve(ONE)
    first = await client.offer()
    assert first.status == 200
    body = {"sdp": "v=0", "type": "offer"}
    for extra in ({}, {"join": first.json["session_id"]}):
        refused = await client.call("POST", path, json={**body, **extra})
        assert refused.status == 429
        assert refused.error["code"] == ErrorCode.SERVER_FULL
        assert 90 <= int(refused.headers["Retry-After"]) <= 100
        assert "0.01 new sessions a second" in refused.error["message"]
    assert len(host.offers) == 1


async def test_connections_that_are_there_go_on(serve: Serve) -> None:
    client = await serve(ONE)
    pc_id = (await client.offer()).json["pc_id"]
    assert (await client.offer(pc_id=pc_id)).status == 200
    assert (await client.offer(pc_id=pc_id, restart_pc=True)).status == 200


async def test_a_refused_offer_costs_nobody_their_turn(serve: Serve, host: FakeHost) -> None:
    client = await serve({"limits": {**ONE["limits"], "concurrent_offers": 1}})
    pc_id = "taken"
    host.hold = asyncio.Event()
    first = asyncio.create_task(client.offer(pc_id=pc_id))
    await host.offer_waits.wait()
    assert (await client.offer()).status == 429  # because one is being answered
    host.hold.set()
    await first
    assert (await client.offer()).status == 200
