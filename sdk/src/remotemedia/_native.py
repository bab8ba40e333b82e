"""The native module as types: what this package needs of ``remotemedia_runtime``.

Stated as protocols, so that everything type-checks without the module and tests can stand in for
it.
"""

from __future__ import annotations

from typing import Protocol

from remotemedia.frames import Samples


class LaneItem(Protocol):
    """One frame for a Python node."""

    @property
    def token(self) -> int: ...
    @property
    def session(self) -> str: ...
    @property
    def participant(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def pts_us(self) -> int: ...
    @property
    def rate(self) -> int: ...
    @property
    def samples(self) -> Samples: ...


class LaneFailure(Protocol):
    """A node's failure on one frame."""


class FailureType(Protocol):
    """Makes a `LaneFailure`."""

    def __call__(self, message: str, traceback: str | None = None) -> LaneFailure: ...


LaneResult = str | Samples
LaneDone = tuple[int, list[LaneResult] | LaneFailure]


class LaneEngine(Protocol):
    """The attached side of the lanes: what hands frames out and takes results back."""

    def lane_fd(self) -> int: ...
    def poll_lane(self, max: int) -> list[LaneItem]: ...  # noqa: A002 - the module's name
    def complete_lane(self, done: list[LaneDone]) -> None: ...


class Engine(LaneEngine, Protocol):
    """Reactors with their sockets, sessions and peers."""

    def add_pipeline(self, name: str, resolved_json: str) -> None: ...
    def offer(self, request_json: str) -> str: ...
    def add_candidates(self, pc_id: str, candidates: list[str]) -> None: ...
    def close_peer(self, pc_id: str) -> None: ...
    def close_session(self, session_id: str, reason: str) -> None: ...
    def sessions(self) -> str: ...
    def session(self, session_id: str) -> str: ...
    def observe(self, session_id: str, on: bool) -> None: ...
    def notification_fd(self) -> int: ...
    def poll_notifications(self, max: int) -> list[str]: ...  # noqa: A002 - the module's name
    def drain(self, timeout_ms: int) -> bool: ...
    def close(self) -> None: ...
    def counters(self) -> str: ...
    def live_objects(self) -> str: ...


class EngineType(Protocol):
    """Makes an `Engine`."""

    def __call__(self, config_json: str) -> Engine: ...


class NativeRuntime(Protocol):
    """The module."""

    @property
    def __version__(self) -> str: ...
    @property
    def Engine(self) -> EngineType: ...  # noqa: N802 - the module's name
    @property
    def LaneFailure(self) -> FailureType: ...  # noqa: N802 - the module's name
    @property
    def RuntimeFault(self) -> type[Exception]: ...  # noqa: N802 - the module's name

    def check_manifest(self, resolved_json: str) -> None: ...
    def run_offline(
        self, resolved_json: str, samples: Samples, frame_ms: int = 20
    ) -> list[str]: ...
