"""Which frames wait for a worker, and which its process has."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remotemedia.frames import Item
from remotemedia.workers.memory import SLOTS, Memory
from remotemedia.workers.messages import (
    Head,
    Kind,
    ProtocolError,
    message,
    read_failure,
    read_results,
    write_frame,
)

if TYPE_CHECKING:
    from remotemedia.workers.process import Process

STREAM_FRAMES = 8
"""Frames of one stream that are in the worker at once; the next waits, so that a stream that
blocks leaves room for the others."""
MAX_WAITING = 4_096
"""Frames that wait for the worker; when there are more, the oldest of the longest queue fails."""
MAX_UNSENT = 1024 * 1024
"""Bytes that may wait for the socket before frames wait instead."""

_log = logging.getLogger("remotemedia.workers")


@dataclass(frozen=True)
class Failed:
    """Why there is no result for a frame."""

    message: str
    traceback: str | None = None
    transient: bool = False
    beginning: bool = False
    """It never came to the frame: the node could not be loaded, made or initialised."""
    lost: bool = False
    """The worker's end took it along, not the node's own code."""


Done = tuple[int, "list[object] | Failed"] | tuple[int, list[object], bool]
"""A frame's token and what became of it; then True where that is not all."""


@dataclass(eq=False, slots=True)
class Stream:
    """A stream of frames for a worker. Everything in it belongs to the `Ledger`."""

    number: int
    names: tuple[str, str, str]
    on_end: Callable[[], None] = lambda: None
    waiting: deque[Item] = field(default_factory=deque)
    held: int = 0
    since: float = 0.0
    fresh: bool = True
    opened: bool = False
    listed: bool = False
    ended: bool = False
    failing: bool = False
    epoch: int = 0

    @property
    def idle(self) -> bool:
        """True while it has no frames."""
        return not self.held and not self.waiting


class Ledger:
    """The streams of a worker and their frames.

    What a call gives back must be told to whoever waits for it. It belongs to one thread at a time.
    """

    def __init__(self, name: str) -> None:
        """Have no streams; `name` is the node's."""
        self.streams: dict[int, Stream] = {}
        self.counts = {"lost": 0, "dropped": 0}
        self._name = name
        self._ready: deque[Stream] = deque()
        self._waiting = 0
        self._free: list[int] = []
        self._held: dict[int, tuple[int, Stream]] = {}
        self._number = 0

    def open(
        self, names: tuple[str, str, str], on_end: Callable[[], None], epoch: int = 0
    ) -> Stream:
        """Add a stream."""
        self._number += 1
        made = self.streams[self._number] = Stream(self._number, names, on_end, epoch=epoch)
        return made

    def put(self, stream: Stream, item: Item) -> list[Done]:
        """Add a frame, and give those that there is no room for any more."""
        stream.waiting.append(item)
        self._waiting += 1
        self._list(stream)
        if self._waiting <= MAX_WAITING:
            return []
        longest = max(self.streams.values(), key=lambda each: len(each.waiting))
        dropped = longest.waiting.popleft()
        self._waiting -= 1
        self.counts["dropped"] += 1
        text = f"{self._name} is too slow: {MAX_WAITING} frames wait for its process."
        return [(dropped.token, Failed(text, lost=True))]

    def end(self, stream: Stream) -> list[Done]:
        """Let no frame of a stream wait any more."""
        abandoned: list[Done] = [(item.token, []) for item in stream.waiting]
        self._waiting -= len(stream.waiting)
        stream.waiting.clear()
        stream.ended = True
        return abandoned

    def serve(self) -> None:
        """Give frames to a process that has begun to work."""
        self._free = list(range(SLOTS - 1, -1, -1))

    def send(self, process: Process) -> list[Done]:
        """Send what the process may have now, and give what cannot be sent."""
        failed: list[Done] = []
        parts: list[bytes] = []
        while self._ready and self._free and process.unsent < MAX_UNSENT:
            stream = self._ready.popleft()
            stream.listed = False
            while stream.waiting and stream.held < STREAM_FRAMES and self._free:
                item = stream.waiting.popleft()
                self._waiting -= 1
                self._send(process.memory, stream, item, parts, failed)
            self._list(stream)
        if parts:
            process.send(b"".join(parts))
        return failed

    def answer(self, memory: Memory, head: Head, tail: bytes, now: float) -> Done:
        """Take an answer of the process at a time.

        Raises:
            ProtocolError: it cannot be one.
        """
        held = self._held.get(head.slot)
        if held is None:
            raise ProtocolError(f"an answer to frame {head.slot}, which it does not have")
        token, stream = held
        result: list[object] | Failed
        if head.kind == Kind.PART:
            results = read_results(memory, head, tail)
            stream.since, stream.fresh = now, False
            return token, results, True
        if head.kind == Kind.DONE:
            result = read_results(memory, head, tail)
            stream.failing = False
        else:
            result = Failed(*read_failure(tail))
            self._say(stream, result)
        del self._held[head.slot]
        self._free.append(head.slot)
        stream.held -= 1
        stream.since, stream.fresh = now, False
        self._list(stream)
        return token, result

    def ended(self, number: int) -> Stream:
        """Take the process's word that a stream is cleaned up.

        Raises:
            ProtocolError: it cannot be.
        """
        stream = self.streams.get(number)
        if stream is None or not stream.ended or stream.held:
            raise ProtocolError(f"the end of stream {number}, which goes on")
        del self.streams[number]
        return stream

    def give_up(self, reason: str, traceback: str | None = None) -> list[Done]:
        """Fail everything that waits; a `traceback` is of a node that cannot be loaded."""
        failed: list[Done] = []
        for stream in self.streams.values():
            tokens = [item.token for item in stream.waiting]
            failed += self._lose(tokens, reason, traceback)
            stream.waiting.clear()
            stream.listed = False
        self._ready.clear()
        self._waiting = 0
        return failed

    def bury(self, reason: str) -> tuple[list[Done], list[Stream]]:
        """Fail what the process held, let its streams begin anew, and give those that ended."""
        done: list[Done] = []
        tokens: dict[Stream, list[int]] = {}
        for token, stream in self._held.values():
            tokens.setdefault(stream, []).append(token)
        self._held.clear()
        for each in tokens.values():
            done += self._lose(each, reason)
        gone: list[Stream] = []
        for stream in list(self.streams.values()):
            stream.held, stream.opened, stream.fresh = 0, False, True
            if stream.ended:
                del self.streams[stream.number]
                gone.append(stream)
            else:
                self._list(stream)
        return done, gone

    def _list(self, stream: Stream) -> None:
        if not stream.listed and stream.waiting and stream.held < STREAM_FRAMES:
            stream.listed = True
            self._ready.append(stream)

    def _send(
        self, memory: Memory, stream: Stream, item: Item, parts: list[bytes], failed: list[Done]
    ) -> None:
        slot = self._free[-1]
        try:
            data = write_frame(memory, slot, stream.number, item)
        except Exception as error:
            text = f"the frame cannot be taken to the process of {self._name}: {error}"
            failed.append((item.token, Failed(text)))
            return
        self._free.pop()
        if not stream.opened:
            stream.opened, stream.fresh = True, True
            names = json.dumps(stream.names).encode()
            about = Head(Kind.OPEN, stream=stream.number, epoch=stream.epoch)
            parts.append(message(about, names))
        if not stream.held:
            stream.since = time.monotonic()
        stream.held += 1
        self._held[slot] = (item.token, stream)
        parts.append(data)

    def _lose(self, tokens: list[int], reason: str, traceback: str | None = None) -> list[Done]:
        """Fail frames of a stream: one of them says it for all."""
        self.counts["lost"] += len(tokens)
        if not tokens:
            return []
        frames = "a frame is" if len(tokens) == 1 else f"{len(tokens)} frames are"
        text = f"the process of {self._name} {reason}; {frames} lost."
        failed = Failed(text, traceback, beginning=traceback is not None, lost=True)
        return [(tokens[0], failed), *((token, []) for token in tokens[1:])]

    def _say(self, stream: Stream, failed: Failed) -> None:
        """Log a node's failure, and none of those that follow on it."""
        if not stream.failing:
            stream.failing = True
            _log.warning("node %s failed: %s", self._name, failed.traceback or failed.message)
