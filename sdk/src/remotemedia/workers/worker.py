"""The parent's side: a worker that is watched, and replaced when it dies."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from remotemedia.errors import RemoteMediaError
from remotemedia.frames import Item
from remotemedia.workers import child
from remotemedia.workers.ledger import Done, Ledger, Stream
from remotemedia.workers.limits import Limits
from remotemedia.workers.messages import Head, Kind, ProtocolError, message, read_failure
from remotemedia.workers.process import Process
from remotemedia.workers.shipping import ship
from remotemedia.workers.watch import Watch
from remotemedia.workers.work import Work

_log = logging.getLogger("remotemedia.workers")


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
        self._ledger = Ledger(work.id)
        self._process: Process | None = None
        self._serving = False
        self._resting: str | None = None
        self._broken: str | None = None
        self._deaths: deque[float] = deque()
        self._restarts = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one that has loaded the node."""
        process = self._process
        return process.pid if process is not None and self._serving else None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many restarts there were, and frames that were lost or dropped."""
        return {"restarts": self._restarts, **self._ledger.counts}

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
        self,
        session: str,
        participant: str,
        stream: str,
        on_end: Callable[[], None],
        epoch: int = 0,
    ) -> Stream:
        """Make a stream; `on_end` is called once when it has ended and is cleaned up.

        Nobody wants what comes of frames of an earlier `epoch`.
        """
        with self._lock:
            return self._ledger.open((session, participant, stream), on_end, epoch)

    def put(self, stream: Stream, item: Item) -> None:
        """Add a frame; `flush` sends it."""
        with self._lock:
            dropped = self._ledger.put(stream, item)
        if dropped:
            self._complete(dropped)

    def flush(self) -> None:
        """Send what may be sent now."""
        with self._lock:
            failed = self._send()
        if failed:
            self._complete(failed)

    def interrupt(self, stream: Stream, epoch: int) -> None:
        """Tell the node of a stream that a client interrupts; `epoch` is that of what comes now."""
        with self._lock:
            stream.epoch = epoch
            if stream.opened and not stream.ended and self._process is not None:
                about = Head(Kind.INTERRUPT, stream=stream.number, epoch=epoch)
                self._process.send(message(about))

    def end(self, stream: Stream) -> None:
        """End a stream: frames that wait are answered with nothing, and the node cleans up."""
        with self._lock:
            abandoned = self._ledger.end(stream)
            if stream.opened and self._process is not None:
                self._process.send(message(Head(Kind.END, stream=stream.number)))
                gone = False
            else:
                gone = self._ledger.streams.pop(stream.number, None) is not None
        if abandoned:
            self._complete(abandoned)
        if gone:
            stream.on_end()

    def close(self, wait: bool = True) -> None:
        """End all streams and the process; what is left of frames is answered."""
        for stream in list(self._ledger.streams.values()):
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

    def _send(self) -> list[Done]:
        if self._resting is not None:
            return self._ledger.give_up(self._resting, self._broken)
        if self._process is None or not self._serving:
            return []
        return self._ledger.send(self._process)

    # On the worker's thread.

    def _run(self) -> None:
        while not self._closing.is_set():
            reason = self._live()
            _log.debug("the process of %s %s", self.name, reason)
            self._bury(reason)
            if not self._closing.is_set():
                self._pause(reason)
        with self._lock:
            failed = self._ledger.give_up("was closed")
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
        watch = Watch(process.memory, limits, began)
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
                reason = watch.look(now, self._serving, self._ledger.streams.values())
            if reason is not None:
                return reason
            if self._closing.is_set():
                closing = closing or now
                if now - closing > limits.close:
                    return "did not end"

    def _take(self, process: Process, messages: Iterable[tuple[Head, bytes]]) -> str | None:
        """Do what the process says; gives why it must go, if it must."""
        done: list[Done] = []
        gone: list[Stream] = []
        try:
            with self._lock:
                now = time.monotonic()
                for head, tail in messages:
                    if head.kind in (Kind.DONE, Kind.FAILED, Kind.PART):
                        done.append(self._ledger.answer(process.memory, head, tail, now))
                    elif head.kind == Kind.ENDED:
                        gone.append(self._ledger.ended(head.stream))
                    elif head.kind == Kind.READY and not self._serving:
                        self._ledger.serve()
                        self._serving = True
                        self._resting = self._broken = None
                    elif head.kind == Kind.BROKEN:
                        return self._cannot_load(tail)
                    else:
                        raise ProtocolError(f"a message of kind {head.kind}")
                done += self._send()
        finally:
            if done:
                self._complete(done)
            for stream in gone:
                stream.on_end()
        return None

    def _cannot_load(self, tail: bytes) -> str:
        text, self._broken, *_ = read_failure(tail)
        _log.error("%s cannot be loaded in its process:\n%s", self.name, self._broken)
        return f"could not load it: {text}"

    def _bury(self, reason: str) -> None:
        """Answer what the process held, and let its streams begin anew."""
        with self._lock:
            done, gone = self._ledger.bury(reason)
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
        self._restarts += 1
        count = len(self._deaths)
        # A node that cannot be loaded will not be the next time either.
        if count >= limits.deaths or self._broken is not None:
            self._deaths.clear()
            often = "" if self._broken is not None else f", {count} times in a row"
            rest = f"{reason}{often}, and rests"
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
