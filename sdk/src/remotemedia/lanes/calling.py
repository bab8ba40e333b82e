"""How a node wants to be called, and the calls."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from remotemedia.base import Node, positional, process_of
from remotemedia.errors import NodeError
from remotemedia.formats import AudioFormat
from remotemedia.frames import AudioFrame, NodeSession
from remotemedia.lanes.results import MAX_RESULTS, results_of

if TYPE_CHECKING:
    from remotemedia._native import LaneItem, LaneResult

Payload = Literal["array", "pair", "frame"]


@dataclass(frozen=True)
class Calling:
    """What a node's ``process`` looks like.

    Attributes:
        on_loop: it is ``async def``, so it runs on the event loop; else on a thread.
        generator: it yields its results.
        takes_session: its second argument is the `NodeSession`.
        payload: what its first argument is.
    """

    on_loop: bool
    generator: bool
    takes_session: bool
    payload: Payload

    @classmethod
    def of(cls, node: Node) -> Calling:
        """Look at a node."""
        process = process_of(node)
        asynchronous_generator = inspect.isasyncgenfunction(process)
        return cls(
            on_loop=asynchronous_generator or inspect.iscoroutinefunction(process),
            generator=asynchronous_generator or inspect.isgeneratorfunction(process),
            takes_session=positional(process) > 1,
            payload=_payload(process),
        )


class Call:
    """A node at work on one stream."""

    def __init__(
        self, node: Node, calling: Calling, session: NodeSession, output: AudioFormat
    ) -> None:
        """Prepare to call `node`, whose audio must have the format `output`."""
        self.node = node
        self._process = process_of(node)
        self._calling = calling
        self._session = session
        self._output = output

    def on_thread(self, item: LaneItem) -> list[LaneResult]:
        """Process a frame by a ``def`` or a generator."""
        value = self._call(item)
        if self._calling.generator:
            value = _all(cast("Iterable[object]", value))
        elif inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise NodeError("the node returned a coroutine: make it `async def`.")
        return results_of(value, self._output)

    async def on_loop(self, item: LaneItem) -> list[LaneResult]:
        """Process a frame by an ``async def`` or an async generator."""
        value = self._call(item)
        if self._calling.generator:
            value = await _all_async(cast("AsyncIterator[object]", value))
        else:
            value = await cast("Awaitable[object]", value)
        return results_of(value, self._output)

    def _call(self, item: LaneItem) -> object:
        session = self._session
        session.rate, session.seq, session.pts_ms = item.rate, item.seq, item.pts_us / 1000.0
        data: object = item.samples
        if self._calling.payload == "pair":
            data = (data, item.rate)
        elif self._calling.payload == "frame":
            data = AudioFrame(item.samples, item.rate, session.pts_ms, item.seq)
        if self._calling.takes_session:
            return self._process(data, session)
        return self._process(data)


def _all(values: Iterable[object]) -> list[object]:
    collected: list[object] = []
    for value in values:
        _collect(value, collected)
    return collected


async def _all_async(values: AsyncIterator[object]) -> list[object]:
    collected: list[object] = []
    async for value in values:
        _collect(value, collected)
    return collected


def _collect(value: object, collected: list[object]) -> None:
    if len(collected) >= MAX_RESULTS:
        raise NodeError(f"a node may yield at most {MAX_RESULTS} results for a frame.")
    collected.extend(value if isinstance(value, list) else [value])


def _payload(process: Callable[..., object]) -> Payload:
    name = next(iter(inspect.signature(process).parameters))
    try:
        annotation = typing.get_type_hints(process).get(name)
    except Exception:
        annotation = None
    if annotation is AudioFrame:
        return "frame"
    if annotation is tuple or typing.get_origin(annotation) is tuple:
        return "pair"
    return "array"
