"""How a node wants to be called, and the calls."""

from __future__ import annotations

import asyncio
import inspect
import time
import typing
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

import numpy as np

from remotemedia.base import Node, positional, process_of
from remotemedia.errors import NodeError
from remotemedia.frames import AudioFrame, Item, NodeSession

R = TypeVar("R")
FREE_RESULTS = 256
"""So many results a generator may yield for a frame as fast as it can."""
PACE_SECONDS = 0.001
"""Live it waits so long after each further one: who reads them must keep up, or is cut off."""
MAX_YIELDED = 16_384
"""The most results that a generator may yield for one frame: with one more the frame fails, and the
generator is closed. What it yielded before stays."""
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


_DEFAULTS = frozenset({Node.initialize, Node.flush, Node.cleanup, Node.on_interrupt})


def is_default(step: Callable[[], object]) -> bool:
    """Say whether a method is the one of `Node`, which does nothing."""
    return getattr(step, "__func__", None) in _DEFAULTS


class _AtWork(Protocol):
    @property
    def node(self) -> Node: ...


class Interruptible(Protocol):
    """A stream whose node may be told that a client interrupts."""

    interrupting: bool

    @property
    def call(self) -> _AtWork | None:
        """The instance, once there is one."""


def begin_interrupt(stream: Interruptible) -> Node | None:
    """Give the node to tell of an interrupt; None where it does not ask, or is being told."""
    call = stream.call
    if call is None or stream.interrupting or is_default(call.node.on_interrupt):
        return None
    stream.interrupting = True
    return call.node


class Call(Generic[R]):
    """A node at work on one stream."""

    __slots__ = (
        "_calling", "_give", "_pace", "_plain", "_process", "_session", "begin", "node", "results",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        calling: Calling,
        session: NodeSession,
        results: Callable[[object], list[R]],
        give: Callable[[Item, list[R]], bool],
        *,
        paced: bool = True,
    ) -> None:
        """Prepare to call `node`.

        Args:
            node: the instance.
            calling: how it is called.
            session: what it is told about the stream.
            results: converts what it returns or yields.
            give: takes what it yields for a frame, as it comes; False when nobody wants more, so
                that the generator is closed.
            paced: whether somebody must keep up with what it yields.
        """
        self.node = node
        self._process = process_of(node)
        self._calling = calling
        self._plain = calling.payload == "array" and not calling.takes_session
        self._session = session
        self._give = give
        self._pace = PACE_SECONDS if paced else 0.0
        self.results = results
        """Converts what the node returned."""
        self.begin = cast(
            "Callable[[Item], Awaitable[object]]",
            self._begin_generator if calling.generator else self._call,
        )
        """Begins to process a frame by an ``async def`` or an async generator."""

    def on_thread(self, item: Item) -> list[R]:
        """Process a frame by a ``def`` or a generator; gives what is left of the results."""
        value = self._call(item)
        if type(value) in _PLAIN:
            return self.results(value)
        return self.results_on_thread(value, item)

    def results_on_thread(self, value: object, item: Item) -> list[R]:
        """Convert what a ``def`` or a generator returned."""
        if inspect.isgenerator(value):
            return self.results(self._give_all(value, item))
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise NodeError("the node returned a coroutine: make it `async def`.")
        return self.results(value)

    async def on_loop(self, item: Item) -> list[R]:
        """Process a frame by an ``async def`` or an async generator; gives what is left."""
        return self.results(await self.begin(item))

    async def results_on_loop(self, value: object, item: Item) -> list[R]:
        """Convert what any kind of method returned."""
        if inspect.isasyncgen(value):
            value = await self._give_all_later(value, item)
        elif inspect.isgenerator(value):
            value = self._give_all(value, item)
        elif inspect.isawaitable(value):
            value = await cast("Awaitable[object]", value)
        return self.results(value)

    def _begin_generator(self, item: Item) -> Awaitable[object]:
        return self._give_all_later(cast("AsyncGenerator[object, Any]", self._call(item)), item)

    def _give_all(self, values: Generator[object, Any, Any], item: Item) -> list[object]:
        count = 0
        try:
            for value in values:
                count = self._yielded(value, item, count)
                if count < 0:
                    break
                if count > FREE_RESULTS and self._pace:
                    time.sleep(self._pace)
        finally:
            values.close()
        return []

    async def _give_all_later(
        self, values: AsyncGenerator[object, Any], item: Item
    ) -> list[object]:
        count = 0
        try:
            async for value in values:
                count = self._yielded(value, item, count)
                if count < 0:
                    break
                if count > FREE_RESULTS and self._pace:
                    await asyncio.sleep(self._pace)
        finally:
            await values.aclose()
        return []

    def _yielded(self, value: object, item: Item, before: int) -> int:
        """Hand on what was yielded; gives how many results that makes, or -1 to stop."""
        results = self.results(value)
        count = before + len(results)
        if count > MAX_YIELDED:
            raise NodeError(f"a node may yield at most {MAX_YIELDED} results for a frame.")
        return count if self._give(item, results) else -1

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
