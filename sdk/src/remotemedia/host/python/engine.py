"""`Engine`: the sessions on a thread of their own, behind the calls of the native engine."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict
from typing import ParamSpec, TypeVar

from remotemedia.errors import (
    INTERNAL,
    INVALID_PARAMETER,
    ManifestError,
    NotInThisVersion,
    RemoteMediaError,
    RuntimeMissing,
)
from remotemedia.host.python import hooks
from remotemedia.host.python.faults import RuntimeFault, fault
from remotemedia.host.python.instance import Losses, Program
from remotemedia.host.python.loop import MediaLoop
from remotemedia.host.python.peer import Network
from remotemedia.host.python.session import Notification, Shared
from remotemedia.host.python.sessions import Limits, Request, Sessions
from remotemedia.host.python.wake import WakeQueue
from remotemedia.twin.results import Done, check
from remotemedia.twin.values import LaneFailure, LaneItem

MAX_WAITING_LANE_ITEMS = 16_384
"""Frames that wait for Python nodes over all sessions; mailboxes bound each node, this their sum:
the oldest goes, a frame that its node's mailbox has lost."""
MAX_WAITING_NOTIFICATIONS = 16_384
"""Notifications that wait; then the oldest event of an observed session goes, counted."""
REPLY_SECONDS = 10.0
"""How long a caller waits before it is told that something is wrong."""

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger("remotemedia.host")


class Engine:
    """Sessions by aiortc and the twin. Calls may come from any thread and wait for the answer."""

    def __init__(self, config_json: str) -> None:
        """Start the thread.

        Args:
            config_json: as the native engine takes it. `reactors` means nothing here; of
                `media_ports` each connection takes one at each address.

        Raises:
            RuntimeFault: the configuration is not valid, or none of the ports is free.
        """
        config = json.loads(config_json)
        limits, network = _limits(config), _network(config)
        self._loop = MediaLoop(_ports(config))
        self._lane: WakeQueue[LaneItem] = WakeQueue(MAX_WAITING_LANE_ITEMS)
        self._notifications: WakeQueue[Notification] = WakeQueue(
            MAX_WAITING_NOTIFICATIONS, lambda each: each.may_go
        )
        self._shared = Shared(
            clock=lambda: time.monotonic_ns() // 1_000,
            tokens=itertools.count(1),
            lane=self._lane,
            notifications=self._notifications,
            holders={},
            losses=Losses(),
        )
        self._closed = False
        self._loop.set_exception_handler(_unhandled)
        self._thread = threading.Thread(target=self._run, name="remotemedia-media", daemon=True)
        self._thread.start()
        self._sessions = self._ask(_made(self._shared, network, limits))

    def add_pipeline(self, name: str, resolved_json: str) -> None:
        """Compile a pipeline and serve it under `name`.

        Raises:
            RuntimeFault: the manifest is not valid, with the path of the field.
            RuntimeMissing: a node needs a package that is not installed.
        """
        program = _compiled(resolved_json)
        self._loop.call_soon_threadsafe(self._sessions.programs.__setitem__, name, program)

    def offer(self, request_json: str) -> str:
        """Answer an offer; see the native engine."""
        reply = self._ask(self._sessions.offer(Request(**json.loads(request_json))))
        return json.dumps({"type": "answer", **asdict(reply)})

    def add_candidates(self, pc_id: str, candidates: Sequence[str]) -> None:
        """Add trickled candidate lines; an empty one says that there are no more."""
        self._ask(self._sessions.add_candidates(pc_id, list(candidates)))

    def close_peer(self, pc_id: str) -> None:
        """End a connection, and its session with the last one."""
        self._ask(_called(self._sessions.close_peer, pc_id))

    def close_session(self, session_id: str, reason: str) -> None:
        """End a session with all its connections."""
        self._ask(_called(self._sessions.close_session, session_id, reason))

    def sessions(self) -> str:
        """Give the state of every session, as a JSON array."""
        return json.dumps(self._ask(self._sessions.stats()))

    def session(self, session_id: str) -> str:
        """Give the state of one session, as a JSON object."""

        async def find() -> object:
            return await self._sessions.session_stats(self._sessions.session(session_id))

        return json.dumps(self._ask(find()))

    def observe(self, session_id: str, on: bool) -> None:
        """Have a session's results announced as notifications of kind ``event``, or no more."""
        self._ask(_called(self._sessions.observe, session_id, on))

    def notification_fd(self) -> int:
        """Readable while notifications wait."""
        return self._notifications.fileno()

    def poll_notifications(self, most: int) -> list[str]:
        """Take up to `most` notifications."""
        return [each.text for each in self._notifications.drain(most)]

    def lane_fd(self) -> int:
        """Readable while frames for Python nodes wait."""
        return self._lane.fileno()

    def poll_lane(self, most: int) -> list[LaneItem]:
        """Take up to `most` frames; those of one session and node come in order."""
        return self._lane.drain(most)

    def complete_lane(self, done: Sequence[Done]) -> None:
        """Hand back what nodes made of frames, by token. Stale tokens are ignored."""
        checked = [(token, _checked(result), bool(more)) for token, result, *more in done]
        if not self._closed:
            self._loop.call_soon_threadsafe(self._complete, checked)

    def drain(self, timeout_ms: int) -> bool:
        """Admit nobody, tell every peer ``bye`` and wait; True when every session has closed."""
        seconds = timeout_ms / 1_000
        return self._ask(self._sessions.drain(seconds), seconds + REPLY_SECONDS)

    def close(self) -> None:
        """Stop the thread and free the sockets. Idempotent."""
        if self._closed:
            return
        try:
            self._ask(self._sessions.close())
        except RuntimeFault:
            _log.warning("connections did not close in time")
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(REPLY_SECONDS)
        self._lane.close()
        self._notifications.close()

    def counters(self) -> str:
        """Give figures for metrics, as JSON ``{"live": {...}, "dropped": {...}}``."""
        dropped = {
            **asdict(self._shared.losses),
            "notifications": self._notifications.dropped,
            "lane_items": self._lane.dropped,
        }
        return json.dumps({"live": self._sessions.live(), "dropped": dropped})

    def live_objects(self) -> str:
        """Count sessions, peers, instances and streams, as a JSON object."""
        return json.dumps(self._ask(_called(self._sessions.live)))

    def _complete(self, done: Sequence[tuple[int, Sequence[object] | LaneFailure, bool]]) -> None:
        for token, result, more in done:
            try:
                if more and not isinstance(result, LaneFailure):
                    self._sessions.give(token, result)
                else:
                    self._sessions.complete(token, result)
            except Exception:
                _log.exception("a result could not be processed")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _ask(self, coroutine: Coroutine[object, object, T], timeout: float = REPLY_SECONDS) -> T:
        """Run on the sessions' thread and wait."""
        if self._closed:
            coroutine.close()
            raise fault("RM-6002", "the server is shutting down")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except FutureTimeout:
            future.cancel()
            raise fault(INTERNAL, f"no answer within {timeout:g} s") from None


async def _made(shared: Shared, network: Network, limits: Limits) -> Sessions:
    return Sessions(shared, network, limits)


async def _called(function: Callable[P, T], *args: P.args, **rest: P.kwargs) -> T:
    return function(*args, **rest)


def _compiled(resolved_json: str) -> Program:
    try:
        return Program.compile(resolved_json)
    except (RuntimeMissing, NotInThisVersion):
        raise
    except ManifestError as error:
        raise fault(error.code, error.message, error.field, error.hint) from error


def _checked(result: Sequence[object] | LaneFailure) -> Sequence[object] | LaneFailure:
    try:
        return check(result)
    except RemoteMediaError as error:
        return LaneFailure(error.message)


def _limits(config: Mapping[str, object]) -> Limits:
    given = config.get("limits")
    bounds = given if isinstance(given, dict) else {}
    try:
        return Limits(**bounds)
    except TypeError as error:
        raise fault(INVALID_PARAMETER, str(error), "limits") from None


def _ports(config: Mapping[str, object]) -> tuple[int, int]:
    given = config.get("media_ports")
    if not isinstance(given, list) or len(given) != len(("first", "last")):
        return 0, 0
    return int(given[0]), int(given[1])


def _network(config: Mapping[str, object]) -> Network:
    bind, advertised = config.get("bind"), config.get("advertised_addresses") or ()
    addresses = tuple(map(str, advertised)) if isinstance(advertised, list | tuple) else ()
    if bind is not None and not hooks.is_address(str(bind)):
        raise fault(INVALID_PARAMETER, f'"{bind}" is not an address', "bind")
    return Network(
        bind=None if bind is None else str(bind),
        loopback=config.get("loopback") is not False,
        advertised=addresses,
    )


def _unhandled(loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
    """Log what aiortc's own tasks raise: a connection that goes away beside them is no error."""
    _log.debug("in the media loop: %s", context.get("message"), exc_info=context.get("exception"))  # type: ignore[arg-type]
