"""How a node wants to be called, and the calls."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, cast

import numpy as np

from remotemedia.base import Node, positional, process_of
from remotemedia.errors import NodeError
from remotemedia.frames import AudioFrame, Item, NodeSession
from remotemedia.lanes.results import MAX_RESULTS

R = TypeVar("R")
_PLAIN = frozenset({dict, list, np.ndarray, type(None)})
"""What nodes mostly return: there is nothing to wait for in it."""
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


class Call(Generic[R]):
    """A node at work on one stream."""

    __slots__ = ("_calling", "_plain", "_process", "_session", "begin", "node", "results")

    def __init__(
        self,
        node: Node,
        calling: Calling,
        session: NodeSession,
        results: Callable[[object], list[R]],
    ) -> None:
        """Prepare to call `node`; `results` converts what it returns."""
        self.node = node
        self._process = process_of(node)
        self._calling = calling
        self._plain = calling.payload == "array" and not calling.takes_session
        self._session = session
        self.results = results
        """Converts what the node returned."""
        self.begin = cast(
            "Callable[[Item], Awaitable[object]]",
            self._begin_generator if calling.generator else self._call,
        )
        """Begins to process a frame by an ``async def`` or an async generator."""

    def on_thread(self, item: Item) -> list[R]:
        """Process a frame by a ``def`` or a generator."""
        value = self._call(item)
        if self._calling.generator:
            value = _all(cast("Iterable[object]", value))
        if type(value) in _PLAIN:
            return self.results(value)
        return self.results_on_thread(value)

    def results_on_thread(self, value: object) -> list[R]:
        """Convert what a ``def`` or a generator returned."""
        if inspect.isgenerator(value):
            value = _all(value)
        elif inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise NodeError("the node returned a coroutine: make it `async def`.")
        return self.results(value)

    async def on_loop(self, item: Item) -> list[R]:
        """Process a frame by an ``async def`` or an async generator."""
        return self.results(await self.begin(item))

    async def results_on_loop(self, value: object) -> list[R]:
        """Convert what any kind of method returned."""
        if inspect.isasyncgen(value):
            value = await _all_async(value)
        elif inspect.isgenerator(value):
            value = _all(value)
        elif inspect.isawaitable(value):
            value = await cast("Awaitable[object]", value)
        return self.results(value)

    def _begin_generator(self, item: Item) -> Awaitable[object]:
        return _all_async(cast("AsyncIterator[object]", self._call(item)))

    def _call(self, item: Item) -> object:
        calling, samples = self._calling, item.samples
        data: object = item.value if samples is None else samples
        if self._plain:
            return self._process(data)
        if samples is not None and calling.payload == "pair":
            data = (samples, item.rate)
        elif samples is not None and calling.payload == "frame":
            data = AudioFrame(samples, item.rate, item.pts_us / 1000.0, item.seq)
        if not calling.takes_session:
            return self._process(data)
        session = self._session
        session.rate, session.seq, session.port = item.rate, item.seq, item.port
        session.pts_ms = item.pts_us / 1000.0
        return self._process(data, session)


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
