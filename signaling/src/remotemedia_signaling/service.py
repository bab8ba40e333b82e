"""What the handlers of one application share: host, configuration, admission, shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from aiohttp import web

from remotemedia_signaling.config import ServerConfig
from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.host import Answer, Offer, PipelineHost
from remotemedia_signaling.messages import TrickleBody
from remotemedia_signaling.metrics import HttpMetrics
from remotemedia_signaling.rate import TokenBucket

logger = logging.getLogger("remotemedia.signaling")

T = TypeVar("T")
ShutdownHook = Callable[[], Awaitable[None]]
COME_BACK: Final = frozenset({ErrorCode.SERVER_FULL, ErrorCode.TOO_MANY_OFFERS})
"""The host's refusals that a client is told when to come back after."""
READY_CACHE_S: Final = 1.0
"""How long a readiness result serves: checks push a frame through, so they must not add up."""


class Service:
    """One application's state. All of it lives on one event loop."""

    def __init__(
        self, host: PipelineHost, config: ServerConfig, on_shutdown: ShutdownHook | None = None
    ) -> None:
        self.host = host
        self.config = config
        self._on_shutdown = on_shutdown
        self.metrics = HttpMetrics(host.counters)
        self.websockets: set[web.WebSocketResponse] = set()
        self.stopping = asyncio.Event()
        self._draining = False
        self._offers = 0
        limits = config.limits
        self._new_sessions = TokenBucket(
            limits.new_sessions_per_second, limits.new_sessions_at_once
        )
        self._streams = 0
        self._ready: asyncio.Task[None] | None = None
        self._ready_at = 0.0

    @property
    def draining(self) -> bool:
        """Whether new sessions are refused."""
        return self._draining

    def drain(self) -> None:
        """Refuse new sessions from now on; what runs goes on."""
        self._draining = True

    def refuse_while_draining(self) -> None:
        """Raise 503 while the server shuts down."""
        if self._draining:
            raise ApiError(
                ErrorCode.DRAINING,
                "the server is shutting down",
                retry_after=self.config.timeouts.retry_after_s,
                hint="try again in a moment",
            )

    def full(self, what: str, retry_after: float | None = None) -> ApiError:
        """Make the error of a bound that is reached."""
        return ApiError(
            ErrorCode.SERVER_FULL,
            f"the server is full: {what}",
            retry_after=retry_after or self.config.timeouts.retry_after_s,
            hint="try again after the time in Retry-After",
        )

    async def ask(self, call: Awaitable[T]) -> T:
        """Await the host within the configured time, else 504; the call is then cancelled."""
        limit = self.config.timeouts.request_s
        try:
            return await asyncio.wait_for(call, limit)
        except asyncio.TimeoutError as error:
            raise ApiError(
                ErrorCode.TIMED_OUT, f"no answer from the pipelines within {limit:g} s"
            ) from error

    async def offer(self, offer: Offer) -> Answer:
        """Admit an offer and hand it to the host."""
        try:
            answer = await self._admit(offer)
        except ApiError as error:
            self.metrics.offers.labels(error.code).inc()
            if error.code in COME_BACK and error.retry_after is None:
                error.retry_after = self.config.timeouts.retry_after_s
            raise
        self.metrics.offers.labels("answered").inc()
        return answer

    async def _admit(self, offer: Offer) -> Answer:
        if offer.pc_id is None or offer.restart_pc:
            self.refuse_while_draining()
        limit = self.config.limits.concurrent_offers
        if self._offers >= limit:
            raise self.full(f"{limit} offers are being answered")
        if offer.pc_id is None:
            self._admit_new_session()
        self._offers += 1
        self.metrics.offers_in_flight.set(self._offers)
        try:
            return await self.ask(self.host.offer(offer))
        finally:
            self._offers -= 1
            self.metrics.offers_in_flight.set(self._offers)

    def _admit_new_session(self) -> None:
        # Those about a connection that is there are limited by the runtime, one by one.
        wait = self._new_sessions.take(asyncio.get_running_loop().time())
        if wait > 0.0:
            limit = self.config.limits.new_sessions_per_second
            raise self.full(f"more than {limit:g} new sessions a second", retry_after=wait)

    async def trickle(self, body: TrickleBody) -> None:
        """Hand candidates to the host."""
        candidates = [each.to_candidate() for each in body.candidates]
        await self.ask(self.host.add_candidates(body.pc_id, candidates))

    @contextmanager
    def event_stream(self) -> Iterator[None]:
        """Count an event stream or long poll while it is open."""
        limit = self.config.limits.event_streams
        if self._streams >= limit:
            raise self.full(f"{limit} event streams are open")
        self._streams += 1
        self.metrics.event_streams.set(self._streams)
        try:
            yield
        finally:
            self._streams -= 1
            self.metrics.event_streams.set(self._streams)

    @contextmanager
    def websocket(self, socket: web.WebSocketResponse) -> Iterator[None]:
        """Count a WebSocket while it is open, and remember it for the shutdown."""
        limit = self.config.limits.websockets
        if len(self.websockets) >= limit:
            raise self.full(f"{limit} WebSockets are open")
        self.websockets.add(socket)
        self.metrics.websockets.set(len(self.websockets))
        try:
            yield
        finally:
            self.websockets.discard(socket)
            self.metrics.websockets.set(len(self.websockets))

    async def check_ready(self) -> None:
        """Ask the host once for all who ask at the same time or within a second.

        Raises:
            ApiError: 503 when it fails, takes too long, or the server is shutting down.

        """
        self.refuse_while_draining()
        now = asyncio.get_running_loop().time()
        if self._ready is None or (self._ready.done() and now - self._ready_at > READY_CACHE_S):
            self._ready = asyncio.create_task(self._check_ready(), name="readiness check")
            # Who asked may have gone: its failure is then nobody's.
            self._ready.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._ready)

    async def _check_ready(self) -> None:
        limit = self.config.timeouts.ready_s
        try:
            await asyncio.wait_for(self.host.check_ready(), limit)
        except asyncio.TimeoutError as error:
            raise ApiError(
                ErrorCode.NOT_READY, f"no frame came through within {limit:g} s"
            ) from error
        except ApiError as error:
            raise ApiError(ErrorCode.NOT_READY, str(error), hint=error.hint) from error
        except Exception as error:
            logger.exception("readiness check failed")
            raise ApiError(
                ErrorCode.NOT_READY, "a frame did not come through", hint="see the server's log"
            ) from error
        finally:
            self._ready_at = asyncio.get_running_loop().time()

    async def shut_down(self) -> None:
        """Drain and end what waits; a second call does nothing.

        New sessions are refused, then the caller's hook runs while events still flow, then
        WebSockets get 1001 and event streams and polls end.
        """
        self.drain()
        hook, self._on_shutdown = self._on_shutdown, None
        if hook is not None:
            try:
                await hook()
            except Exception:
                logger.exception("the shutdown hook failed")
        self.stopping.set()
        closing = [
            socket.close(code=1001, message=b"the server is shutting down")
            for socket in list(self.websockets)
        ]
        await asyncio.gather(*closing, return_exceptions=True)
        if self._ready is not None:
            self._ready.cancel()
            await asyncio.gather(self._ready, return_exceptions=True)


SERVICE: Final = web.AppKey("remotemedia.service", Service)
