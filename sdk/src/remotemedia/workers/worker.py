"""The parent's side: a worker that is watched, and replaced when it dies."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from remotemedia.errors import RemoteMediaError
from remotemedia.frames import Item
from remotemedia.workers import child
from remotemedia.workers.limits import Limits
from remotemedia.workers.memory import SLOT_SAMPLES, SLOTS
from remotemedia.workers.messages import (
    FLAG_INLINE,
    FLAG_LAST,
    FLAG_VALUE,
    HEADER,
    MAX_TAIL,
    Head,
    Kind,
    ProtocolError,
    TooLarge,
    message,
    read_failure,
    read_results,
)
from remotemedia.workers.process import Process
from remotemedia.workers.shipping import ship
from remotemedia.workers.work import IN_PORT, Work

STREAM_FRAMES = 8
"""Frames of one stream that are in the worker at once; the next waits, so that a stream that
blocks leaves room for the others."""
MAX_WAITING = 4_096
"""Frames that wait for the worker; when there are more, the oldest of the longest queue fails."""
MAX_UNSENT = 1024 * 1024
"""Bytes that may wait for the socket before frames wait instead."""
ASLEEP_SECONDS = 2.0
"""When the watch itself comes so much too late, what it watches is given that time, too."""

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


Done = tuple[int, "list[object] | Failed"]
"""A frame's token and what became of it."""


@dataclass(eq=False, slots=True)
class Stream:
    """A stream of frames for a worker. Everything in it belongs to the `Worker`."""

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

    @property
    def idle(self) -> bool:
        """True while it has no frames."""
        return not self.held and not self.waiting


class Worker:
    """Runs one node of a pipeline in a process.

    Call `start`; make a `stream` for each stream, `put` its frames and `flush`; `end` it. Results
    come through `complete`, on a thread of the worker, in the order of each stream. Every frame
    that was put is completed exactly once, whatever happens to the process.
    """

    def __init__(
        self, work: Work, complete: Callable[[list[Done]], None], limits: Limits | None = None
    ) -> None:
        """Prepare to run `work`.

        Raises:
            ParameterError: the node cannot be taken to another process.
        """
        self.name = work.id
        self._luggage = ship(work)
        self._complete = complete
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._ready: deque[Stream] = deque()
        self._waiting = 0
        self._free: list[int] = []
        self._held: dict[int, tuple[int, Stream]] = {}
        self._number = 0
        self._process: Process | None = None
        self._serving = False
        self._resting: str | None = None
        self._broken: str | None = None
        self._deaths: deque[float] = deque()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts = dict.fromkeys(("restarts", "lost", "dropped"), 0)

    @property
    def pid(self) -> int | None:
        """The process, while there is one that has loaded the node."""
        process = self._process
        return process.pid if process is not None and self._serving else None

    def start(self) -> None:
        """Start the process; frames may be put at once.

        Raises:
            RemoteMediaError: a worker is importing the main program, which starts workers.
        """
        if child.starting:
            raise RemoteMediaError(
                "a worker process imports the main program, which must not start anything then.",
                hint='Put what it does behind `if __name__ == "__main__":`.',
            )
        self._thread = threading.Thread(
            target=self._run, name=f"remotemedia-worker-{self.name}", daemon=True
        )
        self._thread.start()

    def stream(
        self, session: str, participant: str, stream: str, on_end: Callable[[], None]
    ) -> Stream:
        """Make a stream; `on_end` is called once when it has ended and is cleaned up."""
        with self._lock:
            self._number += 1
            made = Stream(self._number, (session, participant, stream), on_end)
            self._streams[made.number] = made
            return made

    def put(self, stream: Stream, item: Item) -> None:
        """Add a frame; `flush` sends it."""
        dropped = None
        with self._lock:
            stream.waiting.append(item)
            self._waiting += 1
            self._list(stream)
            if self._waiting > MAX_WAITING:
                longest = max(self._streams.values(), key=lambda each: len(each.waiting))
                dropped = longest.waiting.popleft()
                self._waiting -= 1
                self.counts["dropped"] += 1
        if dropped is not None:
            text = f"{self.name} is too slow: {MAX_WAITING} frames wait for its process."
            self._complete([(dropped.token, Failed(text, lost=True))])

    def flush(self) -> None:
        """Send what may be sent now."""
        with self._lock:
            failed = self._send()
        if failed:
            self._complete(failed)

    def end(self, stream: Stream) -> None:
        """End a stream: frames that wait are answered with nothing, and the node cleans up."""
        with self._lock:
            abandoned: list[Done] = [(item.token, []) for item in stream.waiting]
            self._waiting -= len(stream.waiting)
            stream.waiting.clear()
            stream.ended = True
            if stream.opened and self._process is not None:
                self._process.send(message(Head(Kind.END, stream=stream.number)))
                gone = False
            else:
                gone = self._streams.pop(stream.number, None) is not None
        if abandoned:
            self._complete(abandoned)
        if gone:
            stream.on_end()

    def close(self, wait: bool = True) -> None:
        """End all streams and the process; what is left of frames is answered."""
        for stream in list(self._streams.values()):
            if not stream.ended:
                self.end(stream)
        self._closing.set()
        with self._lock:
            if self._process is not None:
                self._process.send(message(Head(Kind.QUIT)))
                self._process.wake()
        if wait and self._thread is not None:
            self._thread.join()

    # With the lock.

    def _list(self, stream: Stream) -> None:
        if not stream.listed and stream.waiting and stream.held < STREAM_FRAMES:
            stream.listed = True
            self._ready.append(stream)

    def _send(self) -> list[Done]:
        process = self._process
        failed: list[Done] = []
        if self._resting is not None:
            failed = self._give_up(self._resting)
        elif process is not None and self._serving:
            parts: list[bytes] = []
            while self._ready and self._free and process.unsent < MAX_UNSENT:
                stream = self._ready.popleft()
                stream.listed = False
                while stream.waiting and stream.held < STREAM_FRAMES and self._free:
                    item = stream.waiting.popleft()
                    self._waiting -= 1
                    self._send_one(process, stream, item, parts, failed)
                self._list(stream)
            if parts:
                process.send(b"".join(parts))
        return failed

    def _send_one(
        self, process: Process, stream: Stream, item: Item, parts: list[bytes], failed: list[Done]
    ) -> None:
        slot = self._free[-1]
        try:
            data = self._frame(process, stream, item, slot)
        except Exception as error:
            text = f"the frame cannot be taken to the process of {self.name}: {error}"
            failed.append((item.token, Failed(text)))
            return
        self._free.pop()
        if not stream.opened:
            stream.opened, stream.fresh = True, True
            parts.append(
                message(Head(Kind.OPEN, stream=stream.number), json.dumps(stream.names).encode())
            )
        if not stream.held:
            stream.since = time.monotonic()
        stream.held += 1
        self._held[slot] = (item.token, stream)
        parts.append(data)

    def _frame(self, process: Process, stream: Stream, item: Item, slot: int) -> bytes:
        name = item.port
        port = b"" if name == IN_PORT else name.encode()
        flags, channels, count, tail = 0, 0, 0, port
        samples = item.samples
        if not name:
            flags = FLAG_LAST
        elif samples is None:
            flags = FLAG_VALUE
            tail = port + pickle.dumps(item.value, 5)
        else:
            count = samples.size
            channels = 0 if samples.ndim == 1 else samples.shape[0]
            if count <= SLOT_SAMPLES:
                process.memory.write(slot, 0, samples)
            else:
                flags = FLAG_INLINE
                tail = port + np.ascontiguousarray(samples, np.float32).tobytes()
        if len(tail) > MAX_TAIL:
            raise TooLarge(f"{len(tail)} bytes; at most {MAX_TAIL} pass between processes.")
        numbers = (channels, slot, stream.number, item.rate, count, len(tail))
        return HEADER.pack(Kind.FRAME, flags, len(port), *numbers, item.seq, item.pts_us) + tail

    def _give_up(self, reason: str) -> list[Done]:
        """Fail everything that waits."""
        failed: list[Done] = []
        for stream in self._streams.values():
            failed += self._lose(stream, [item.token for item in stream.waiting], reason)
            stream.waiting.clear()
            stream.listed = False
        self._ready.clear()
        self._waiting = 0
        return failed

    def _lose(self, stream: Stream, tokens: list[int], reason: str) -> list[Done]:
        """Fail frames of a stream: one of them says it for all."""
        self.counts["lost"] += len(tokens)
        if not tokens:
            return []
        frames = "a frame is" if len(tokens) == 1 else f"{len(tokens)} frames are"
        text = f"the process of {self.name} {reason}; {frames} lost."
        failed = Failed(text, self._broken, beginning=self._broken is not None, lost=True)
        return [(tokens[0], failed), *((token, []) for token in tokens[1:])]

    # On the worker's thread.

    def _run(self) -> None:
        while not self._closing.is_set():
            reason = self._live()
            _log.debug("the process of %s %s", self.name, reason)
            self._bury(reason)
            if not self._closing.is_set():
                self._pause(reason)
        with self._lock:
            failed = self._give_up("was closed")
        if failed:
            self._complete(failed)

    def _live(self) -> str:
        """Run one process until it ends, and say how it ended."""
        try:
            process = Process(self.name)
        except OSError as error:
            return f"could not be started: {error}"
        with self._lock:
            self._process = process
        process.send(message(Head(Kind.HELLO), self._luggage))
        if self._closing.is_set():
            process.send(message(Head(Kind.QUIT)))
        reason, grace = None, 0.0
        try:
            reason = self._serve(process)
            grace = self._limits.close if reason is None else 0.0
        except ProtocolError as error:
            reason = f"answered with garbage ({error})"
        except Exception as error:
            _log.exception("worker %s", self.name)
            reason = f"was given up: {error}"
        finally:
            with self._lock:
                self._serving = False
                self._process = None
            how = process.close(grace)
        return reason or how

    def _serve(self, process: Process) -> str | None:
        """Take what the process says; None when it is gone, else why it must go."""
        limits = self._limits
        began = time.monotonic()
        watch = _Watch(process, limits, began)
        next_tick = began + limits.tick
        closing = None
        while True:
            messages = process.receive(limits.tick)
            if messages is None:
                return None
            if messages:
                reason = self._take(process, messages)
                if reason is not None:
                    return reason
            elif process.unsent:
                with self._lock:
                    process.flush()
            now = time.monotonic()
            if now < next_tick:
                continue
            next_tick = now + limits.tick
            process.look()
            with self._lock:
                reason = watch.look(now, self._serving, self._streams.values())
            if reason is not None:
                return reason
            if self._closing.is_set():
                closing = closing or now
                if now - closing > limits.close:
                    return "did not end"

    def _take(self, process: Process, messages: Iterable[tuple[Head, bytes]]) -> str | None:
        done: list[Done] = []
        gone: list[Stream] = []
        try:
            with self._lock:
                now = time.monotonic()
                for head, tail in messages:
                    reason = self._take_one(process, head, tail, now, done, gone)
                    if reason is not None:
                        return reason
                done += self._send()
        finally:
            if done:
                self._complete(done)
            for stream in gone:
                stream.on_end()
        return None

    def _take_one(
        self,
        process: Process,
        head: Head,
        tail: bytes,
        now: float,
        done: list[Done],
        gone: list[Stream],
    ) -> str | None:
        if head.kind in (Kind.DONE, Kind.FAILED):
            held = self._held.get(head.slot)
            if held is None:
                raise ProtocolError(f"an answer to frame {head.slot}, which it does not have")
            result: list[object] | Failed
            if head.kind == Kind.DONE:
                result = read_results(process.memory, head, tail)
                held[1].failing = False
            else:
                result = Failed(*read_failure(tail))
                self._say(held[1], result)
            token, stream = held
            del self._held[head.slot]
            self._free.append(head.slot)
            stream.held -= 1
            stream.since, stream.fresh = now, False
            self._list(stream)
            done.append((token, result))
        elif head.kind == Kind.ENDED:
            stream_ended = self._streams.get(head.stream)
            if stream_ended is None or not stream_ended.ended or stream_ended.held:
                raise ProtocolError(f"the end of stream {head.stream}, which goes on")
            del self._streams[head.stream]
            gone.append(stream_ended)
        elif head.kind == Kind.READY:
            self._free = list(range(SLOTS - 1, -1, -1))
            self._serving = True
            self._resting = self._broken = None
        elif head.kind == Kind.BROKEN:
            text, self._broken, *_ = read_failure(tail)
            _log.error("%s cannot be loaded in its process:\n%s", self.name, self._broken)
            return f"could not load it: {text}"
        else:
            raise ProtocolError(f"a message of kind {head.kind}")
        return None

    def _say(self, stream: Stream, failed: Failed) -> None:
        """Log a node's failure, and none of those that follow on it."""
        if not stream.failing:
            stream.failing = True
            _log.warning("node %s failed: %s", self.name, failed.traceback or failed.message)

    def _bury(self, reason: str) -> None:
        """Answer what the process held, and let its streams begin anew."""
        done: list[Done] = []
        gone: list[Stream] = []
        with self._lock:
            tokens: dict[Stream, list[int]] = {}
            for token, stream in self._held.values():
                tokens.setdefault(stream, []).append(token)
            self._held.clear()
            for stream, each in tokens.items():
                done += self._lose(stream, each, reason)
            for stream in list(self._streams.values()):
                stream.held, stream.opened, stream.fresh = 0, False, True
                if stream.ended:
                    del self._streams[stream.number]
                    gone.append(stream)
                else:
                    self._list(stream)
        if done:
            self._complete(done)
        for stream in gone:
            stream.on_end()

    def _pause(self, reason: str) -> None:
        """Wait before the next process is started."""
        limits, now = self._limits, time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - limits.window:
            self._deaths.popleft()
        self.counts["restarts"] += 1
        count = len(self._deaths)
        if count >= limits.deaths:
            self._deaths.clear()
            rest = f"{reason}, {count} times in a row, and rests"
            _log.error("the process of %s %s for %g s", self.name, rest, limits.rest)
            with self._lock:
                self._resting = rest
                failed = self._send()
            if failed:
                self._complete(failed)
            self._closing.wait(limits.rest)
            return
        _log.warning("the process of %s %s; it is started again", self.name, reason)
        if count > 1:
            self._closing.wait(min(limits.backoff * 2 ** (count - 2), limits.longest_backoff))


class _Watch:
    """Notices that a process does not come, hangs or stands still."""

    def __init__(self, process: Process, limits: Limits, now: float) -> None:
        self._process = process
        self._limits = limits
        self._began = now
        self._beats = -1
        self._moved = now
        self._looked = now

    def look(self, now: float, serving: bool, streams: Collection[Stream]) -> str | None:
        """Say why the process must go, if it must."""
        limits, gap = self._limits, now - self._looked
        self._looked = now
        if gap > ASLEEP_SECONDS + limits.tick:
            # This process was stopped or the machine slept: that time is nobody's fault.
            self._began += gap
            self._moved += gap
            for stream in streams:
                stream.since += gap
        if not serving:
            late = now - self._began > limits.start
            return f"did not load it within {limits.start:g} s" if late else None
        busy = False
        for stream in streams:
            if not stream.held:
                continue
            busy = True
            limit = limits.initialize if stream.fresh else limits.frame
            if now - stream.since > limit:
                return f"took more than {limit:g} s for a frame"
        beats = self._process.memory.beats
        if not busy or beats != self._beats:
            self._beats, self._moved = beats, now
        elif now - self._moved > limits.frozen:
            return f"showed no sign of life for {limits.frozen:g} s"
        return None


__all__ = ["Done", "Failed", "Stream", "Worker"]
