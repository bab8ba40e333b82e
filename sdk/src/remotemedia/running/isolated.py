"""A Python node of a run that is in a worker process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, cast

from remotemedia.errors import NodeError
from remotemedia.formats import AudioFormat
from remotemedia.lanes.calling import Calling
from remotemedia.lanes.results import Results, is_json, plain_of
from remotemedia.workers import Done, Failed, Limits, Work, Worker

if TYPE_CHECKING:
    from remotemedia.base import Node
    from remotemedia.frames import NodeSession, Samples
    from remotemedia.running.backend import LaneDone, LaneFailure, LaneItem, LaneResult, LaneValue
    from remotemedia.running.working import Workers
    from remotemedia.twin.metrics import NodeMetrics

LIMITS = Limits(frame=600.0, frozen=60.0)
"""Nobody waits for a frame offline, so a node may take its time."""


@dataclass(frozen=True)
class Carried:
    """What is no audio, on its way from a worker."""

    value: object
    opaque: bool


def carried(value: object, fed: bool) -> Carried:
    """Decide whether a value is JSON; to where another node is `fed` it goes as it is."""
    if is_json(value):
        return Carried(value, opaque=False)
    if fed:
        return Carried(value, opaque=True)
    try:
        return Carried(plain_of(value), opaque=False)
    except NodeError:
        return Carried(value, opaque=True)


@dataclass(frozen=True)
class Sorting:
    """Sorts what a node returns, in the worker."""

    outputs: Mapping[str, AudioFormat | None]
    fed: frozenset[str]

    def __call__(self, value: object) -> list[object]:
        """Give the results with their ports."""
        results: Results[Carried] = Results(
            self.outputs, lambda port, data: carried(data, port in self.fed)
        )
        return list(results.of(value))


class IsolatedInstance:
    """A node with its state, in a process of its own. It lives as long as the run."""

    def __init__(
        self,
        workers: Workers,
        node: Node,
        sorting: Sorting,
        session: NodeSession,
        metrics: NodeMetrics,
    ) -> None:
        """Start the process."""
        self._session = session
        self._workers = workers
        self._backend = workers.backend
        self._metrics = metrics
        self._lock = threading.Lock()
        self._ends: frozenset[int] = frozenset()
        self._left = 0
        self._done: list[LaneDone] = []
        self._yielded: dict[int, list[LaneResult]] = {}
        """By frame, what a generator yielded where that waits for its end."""
        self._began = 0
        self._working: Future[None] = Future()
        calling = Calling.of(node)
        work = Work(session.pipeline, session.node, node, calling, sorting, paced=False)
        self._worker = Worker(work, self._completed, LIMITS)
        self._worker.start()
        self._stream = self._worker.stream(
            session.id, session.participant, session.stream, on_end=lambda: None
        )

    def start(self, batch: Sequence[LaneItem]) -> Future[None]:
        """Work on frames."""
        working: Future[None] = Future()
        with self._lock:
            self._working, self._done, self._left = working, [], len(batch)
            self._ends = frozenset(item.token for item in batch if not item.port)
            self._began = perf_counter_ns()
        for item in batch:
            self._worker.put(self._stream, item)
        self._worker.flush()
        return working

    def abandon(self) -> None:
        """Let go of the frames."""
        self._worker.close(wait=False)

    def finish(self) -> Future[None]:
        """Clean up and end the process."""
        finished: Future[None] = Future()

        def close() -> None:
            self._worker.close()
            finished.set_result(None)

        threading.Thread(target=close, name="remotemedia-worker-close", daemon=True).start()
        return finished

    def _completed(self, done: list[Done]) -> None:
        with self._lock:
            working = self._working
            if working.done():
                return  # it could not begin
            failed = [each[1] for each in done if isinstance(each[1], Failed)]
            unable = next((each for each in failed if each.beginning), None)
            ready: list[LaneDone] = []
            if unable is None:
                self._count(done)
                if self._workers.flowing or not self._left:
                    ready, self._done = self._done, []
            left = self._left
        if unable is not None:
            working.set_exception(self._cannot_begin(unable))
            return
        if ready:
            self._workers.hand(ready)
        if not left:
            working.set_result(None)

    def _count(self, done: list[Done]) -> None:
        now = perf_counter_ns()
        frames = sum(not more for _, _, *more in done)
        for token, result, *more in done:
            if more and isinstance(result, list):
                self._take_part(token, self._values(result))
                continue
            if token not in self._ends:
                self._metrics.took((now - self._began) // frames)
            self._done.append((token, self._result(token, result)))
        if frames:
            self._began = now
        self._left -= frames

    def _take_part(self, token: int, results: list[LaneResult]) -> None:
        if self._workers.flowing:
            self._done.append((token, results, True))
        else:
            self._yielded.setdefault(token, []).extend(results)

    def _result(
        self, token: int, result: list[object] | Failed
    ) -> Sequence[LaneResult] | LaneFailure:
        yielded = self._yielded.pop(token, [])
        if isinstance(result, Failed):
            self._metrics.error_count += 1
            self._workers.failures[self._session.node] = self._error(result.message, result)
            return self._backend.LaneFailure(result.message, result.traceback, result.transient)
        self._metrics.success_count += token not in self._ends
        return yielded + self._values(result)

    def _values(self, results: list[object]) -> list[LaneResult]:
        pairs = cast("list[tuple[str, Samples | Carried]]", results)
        return [(port, self._value(value)) for port, value in pairs]

    def _cannot_begin(self, failed: Failed) -> NodeError:
        text = f"{self._session.node}: the node cannot begin: {failed.message}"
        return self._error(text, failed)

    def _error(self, text: str, failed: Failed) -> NodeError:
        error = NodeError(text)
        error.node, error.traceback = self._session.node, failed.traceback
        return error

    def _value(self, value: Samples | Carried) -> LaneValue:
        if not isinstance(value, Carried):
            return value
        make = self._backend.LaneOpaque if value.opaque else self._backend.LaneData
        return make(value.value)
