"""``def`` nodes at work on threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from remotemedia.base import Node
from remotemedia.frames import Item
from remotemedia.lanes.answers import Answers, log
from remotemedia.lanes.calling import Call, begin_interrupt, is_default
from remotemedia.lanes.mailbox import Mailbox
from remotemedia.lanes.pool import ThreadPool

if TYPE_CHECKING:
    from remotemedia._native import LaneDone, LaneResult

BURST_FRAMES = 16
"""Frames that a thread works on before others get their turn."""


class ThreadLane:
    """Works on streams on the threads of a pool."""

    def __init__(
        self,
        answers: Answers,
        pool: ThreadPool,
        wait_for: Callable[[Awaitable[object]], None],
        forget: Callable[[Mailbox], None],
    ) -> None:
        """Work on the threads of `pool`.

        Args:
            answers: takes what nodes return.
            pool: has the threads.
            wait_for: runs an ``async def initialize`` on a loop.
            forget: is told when a stream has ended.
        """
        self._answers = answers
        self._pool = pool
        self._wait_for = wait_for
        self._forget = forget

    def submit(self, mailboxes: Iterable[Mailbox]) -> None:
        """Work on streams."""
        self._pool.submit_all([partial(self._work, each) for each in mailboxes])

    def interrupt(self, mailbox: Mailbox) -> None:
        """Tell a stream's node that a client interrupts."""
        node = begin_interrupt(mailbox)
        if node is not None:
            self._pool.submit(partial(self._tell, mailbox, node))

    def _tell(self, mailbox: Mailbox, node: Node) -> None:
        try:
            self._step(node.on_interrupt)
        except (Exception, SystemExit):
            log.warning("on_interrupt of %s failed", mailbox.key[3], exc_info=True)
        finally:
            mailbox.interrupting = False

    def _work(self, mailbox: Mailbox) -> None:
        waiting = mailbox.waiting
        for _ in range(BURST_FRAMES):
            try:
                item = waiting.popleft()
            except IndexError:
                break  # the session has ended
            done: LaneDone
            try:
                call = mailbox.call or self._prepare(mailbox)
                done = (item.token, call.on_thread(item))
                mailbox.failing = False
            except (Exception, SystemExit) as error:
                done = (item.token, self._answers.failed(mailbox, error))
            self._answers.complete((done,))
            if not waiting:
                break
        if mailbox.pause():
            return
        if mailbox.waiting or not mailbox.ended:
            self.submit((mailbox,))
            return
        if mailbox.call is not None:
            self._finish(mailbox, mailbox.call.node)
        self._forget(mailbox)

    def _prepare(self, mailbox: Mailbox) -> Call[LaneResult]:
        recipe = mailbox.recipe
        node = recipe.node.fresh()
        self._step(node.initialize)
        give = partial(self._give, mailbox)
        mailbox.call = Call(node, recipe.calling, mailbox.session, recipe.results, give)
        return mailbox.call

    def _give(self, mailbox: Mailbox, item: Item, results: list[LaneResult]) -> bool:
        if not mailbox.wants(item):
            return False
        if results:
            self._answers.complete(((item.token, results, True),))
        return True

    def _finish(self, mailbox: Mailbox, node: Node) -> None:
        for step in (node.flush, node.cleanup):
            try:
                self._step(step)
            except (Exception, SystemExit):
                log.warning("%s of %s failed", step.__name__, mailbox.key[3], exc_info=True)

    def _step(self, step: Callable[[], object]) -> None:
        if is_default(step):
            return
        value = step()
        if isinstance(value, Awaitable):
            self._wait_for(value)
