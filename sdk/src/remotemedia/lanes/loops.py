"""``async def`` nodes at work on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from remotemedia.base import FunctionNode, Node
from remotemedia.frames import Item
from remotemedia.lanes.answers import Answers, log
from remotemedia.lanes.calling import Call, begin_interrupt, is_default
from remotemedia.lanes.mailbox import Mailbox
from remotemedia.lanes.pool import ThreadPool
from remotemedia.lanes.runners import Runners

if TYPE_CHECKING:
    from remotemedia._native import LaneDone, LaneResult

SEND_ITEMS = 16
"""Results that are handed back at once, or as many as a turn of the loop gave."""
END_GRACE_SECONDS = 1.0
"""How long an ``async def`` may go on when its session has ended; then it is cancelled."""


class LoopLane:
    """An event loop on a thread of its own, with the streams whose nodes run there.

    `streams` belongs to `Lanes`; what else is public may be called from any thread.
    """

    def __init__(
        self, name: str, answers: Answers, pool: ThreadPool, forget: Callable[[Mailbox], None]
    ) -> None:
        """Make a loop, to be started.

        Args:
            name: of the thread.
            answers: takes what nodes return.
            pool: runs what may block.
            forget: is told when a stream has ended.
        """
        self.loop = asyncio.new_event_loop()
        self.streams: set[Mailbox] = set()
        self.turned = True
        """The loop has had a turn since somebody made this false."""
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._answers = answers
        self._pool = pool
        self._forget = forget
        self._runners = Runners(self.loop, self._work, self._waits)
        self.submit = self._runners.submit_all
        """Works on streams. To be called on the loop's thread."""
        self._outbox: deque[LaneDone] = deque()
        self._refused: set[int] = set()
        self._lock = threading.Lock()
        self._calls: set[Future[None]] = set()
        self._interrupts: set[asyncio.Task[None]] = set()
        self._left = False

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is left to do
            self.loop.call_soon_threadsafe(function)

    def submit_soon(self, mailbox: Mailbox) -> None:
        """Work on a stream."""
        self.call_soon(partial(self.submit, (mailbox,)))

    def cancel(self, mailbox: Mailbox, after: float = 0.0) -> None:
        """Cancel what a stream waits for, in `after` seconds."""
        self.call_soon(partial(self.loop.call_later, after, self._runners.cancel, mailbox))

    def interrupt(self, mailbox: Mailbox) -> None:
        """Tell a stream's node that a client interrupts."""
        self.call_soon(partial(self._interrupt, mailbox))

    def wait_for(self, value: Awaitable[object]) -> None:
        """Wait on another thread until the loop has run `value`, or is left."""
        future = asyncio.run_coroutine_threadsafe(_await(value), self.loop)
        self._calls.add(future)
        try:
            if self._left:
                future.cancel()
            future.result()
        finally:
            self._calls.discard(future)

    def stop(self) -> None:
        """End the thread as soon as the loop turns."""
        self.call_soon(self.loop.stop)

    # On the loop's thread.

    def give(self, mailbox: Mailbox, item: Item, results: list[LaneResult]) -> bool:
        """Hand on what a node yielded for a frame; False when nobody wants more."""
        if not mailbox.wants(item) or item.token in self._refused:
            return False
        if results:
            if not self._outbox:
                self.loop.call_soon(self._send)
            self._outbox.append((item.token, results, True))
            if len(self._outbox) >= SEND_ITEMS:
                self._send()
        return True

    # For the watch.

    def ask(self) -> None:
        """Ask for a turn, which sets `turned`."""
        self.call_soon(self._answer)

    def at_work(self) -> Mailbox | None:
        """Say whose node the loop is busy with, if it is one."""
        return self._runners.at_work()

    def give_up(self) -> tuple[list[LaneDone], dict[Mailbox, int], list[Mailbox]]:
        """Take what a blocked loop holds; it may wake up at any moment.

        Returns:
            The results that it has; the tokens of the frames that nodes are working on, which it
            will not answer any more; and the streams that wait for it.
        """
        with self._lock:
            working = [(each, each.item) for each in list(self.streams)]
            done: list[LaneDone] = []
            while self._outbox:
                done.append(self._outbox.popleft())
            answered = _tokens(done)
            held = {
                mailbox: item.token
                for mailbox, item in working
                if item is not None and item.token not in answered
            }
            self._refused.update(held.values())
        return done, held, self._runners.take_ready()

    def leave(self) -> None:
        """Let nobody wait for it any more."""
        self._left = True
        for call in list(self._calls):
            call.cancel()

    # On the loop's thread.

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self._send()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def _answer(self) -> None:
        self.turned = True

    def _waits(self, mailbox: Mailbox) -> None:
        if mailbox.call is not None:
            mailbox.bound = True

    def _interrupt(self, mailbox: Mailbox) -> None:
        node = begin_interrupt(mailbox)
        if node is not None:
            task = self.loop.create_task(self._tell(mailbox, node))
            self._interrupts.add(task)
            task.add_done_callback(self._interrupts.discard)

    async def _tell(self, mailbox: Mailbox, node: Node) -> None:
        try:
            mailbox.bound |= await self._step(node.on_interrupt)
        except (Exception, SystemExit, asyncio.CancelledError):
            log.warning("on_interrupt of %s failed", mailbox.key[3], exc_info=True)
        finally:
            mailbox.interrupting = False

    async def _work(self, mailbox: Mailbox) -> None:
        waiting, outbox = mailbox.waiting, self._outbox
        call = mailbox.call
        if call is None and waiting:
            if not isinstance(mailbox.recipe.node, FunctionNode):
                await self._prepare(mailbox)
                # As a new job: it is seen whether it waits for something once it is prepared.
                self._runners.submit(mailbox)
                return
            call = mailbox.call = _called(mailbox, mailbox.recipe.node)
        while waiting and call is not None:
            try:
                item = mailbox.item = waiting.popleft()
            except IndexError:
                break  # another loop goes on with them
            done: LaneDone
            try:
                done = (item.token, call.results(await call.begin(item)))
                mailbox.failing = False
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                done = (item.token, self._answers.failed(mailbox, error))
            if not outbox:
                self.loop.call_soon(self._send)
            outbox.append(done)
            mailbox.item = None
            if len(outbox) >= SEND_ITEMS:
                self._send()
        if mailbox.pause():
            return
        if not mailbox.ended:
            self._runners.submit(mailbox)
            return
        if call is not None:
            await self._finish(mailbox, call.node)
        self._forget(mailbox)

    def _send(self) -> None:
        with self._lock:
            done = list(self._outbox)
            self._outbox.clear()
            if self._refused:
                refused = [each for each in done if each[0] in self._refused]
                done = [each for each in done if each[0] not in self._refused]
                late = _tokens(refused)
                self._refused -= late
                self._answers.counts["late"] += len(late)
        self._answers.complete(done)

    async def _prepare(self, mailbox: Mailbox) -> None:
        try:
            # Making it and a plain `def initialize` may load a model: not on the loop.
            node = await asyncio.wrap_future(self._pool.call(mailbox.recipe.node.fresh))
            mailbox.bound = await self._step(node.initialize)
            mailbox.call = _called(mailbox, node)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            with contextlib.suppress(IndexError):  # nobody waits for it any more
                item = mailbox.waiting.popleft()
                self._answers.complete([(item.token, self._answers.failed(mailbox, error))])

    async def _finish(self, mailbox: Mailbox, node: Node) -> None:
        for step in (node.flush, node.cleanup):
            try:
                await self._step(step)
            except (Exception, SystemExit, asyncio.CancelledError):
                log.warning("%s of %s failed", step.__name__, mailbox.key[3], exc_info=True)

    async def _step(self, step: Callable[[], object]) -> bool:
        """Call a method of a node; True when the loop had to run it."""
        if is_default(step):
            return False
        if not inspect.iscoroutinefunction(step):
            value = await asyncio.wrap_future(self._pool.call(step))
        else:
            value = step()
        if not isinstance(value, Awaitable):
            return False
        await value
        return True


def _tokens(done: Iterable[LaneDone]) -> set[int]:
    """Give the tokens of the frames that are done with it; of others there is more to come."""
    return {token for token, _, *more in done if not more}


def _called(mailbox: Mailbox, node: Node) -> Call[LaneResult]:
    recipe, give = mailbox.recipe, partial(_give, mailbox)
    return Call(node, recipe.calling, mailbox.session, recipe.results, give)


def _give(mailbox: Mailbox, item: Item, results: list[LaneResult]) -> bool:
    lane = mailbox.lane  # it may be another than at first
    return lane is not None and lane.give(mailbox, item, results)


async def _await(value: Awaitable[object]) -> None:
    await value
