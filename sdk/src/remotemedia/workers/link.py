"""The worker's end of the socket."""

from __future__ import annotations

import json
import pickle
import socket
import threading
import traceback
from collections.abc import Iterable

import numpy as np

from remotemedia.errors import NodeError
from remotemedia.workers.memory import Memory
from remotemedia.workers.messages import (
    FLAG_INLINE,
    FLAG_LAST,
    FLAG_VALUE,
    Head,
    Inbox,
    Kind,
    message,
    write_failure,
    write_part,
    write_results,
)
from remotemedia.workers.spin import Spin, receiving
from remotemedia.workers.work import IN_PORT, Frame

RECEIVE_BYTES = 64 * 1024


class Link:
    """Sends and receives whole messages. Any thread may send, one at a time may receive."""

    def __init__(self, connection: socket.socket, memory: Memory) -> None:
        """Use a connected socket."""
        self.socket = connection
        self.memory = memory
        self._inbox = Inbox()
        self._sending = threading.Lock()
        self._spin = Spin(receiving(connection, RECEIVE_BYTES))

    def receive(self) -> list[tuple[Head, bytes]]:
        """Wait for messages; none is the end."""
        while True:
            try:
                data = self._spin.look()
                if data is None:
                    data = self.socket.recv(RECEIVE_BYTES)
                    self._spin.waited()
            except ConnectionError:
                return []
            if not data:
                return []
            messages = self._inbox.feed(data)
            if messages:
                return messages

    def send(self, data: bytes) -> None:
        """Send messages. A parent that is gone is no error: the end comes by itself."""
        try:
            with self._sending:
                self.socket.sendall(data)
        except OSError:
            pass

    def frame(self, head: Head, tail: bytes, names: tuple[str, str, str, str, str]) -> Frame:
        """Read a frame.

        Args:
            head: its header.
            tail: its tail.
            names: pipeline, session, participant, stream and node.
        """
        port = tail[: head.port].decode() if head.port else IN_PORT
        samples, value = None, None
        if head.flags & FLAG_VALUE:
            value = pickle.loads(tail[head.port :])  # noqa: S301 - from the parent
        elif not head.flags & FLAG_LAST:
            if head.flags & FLAG_INLINE:
                samples = np.frombuffer(tail, np.float32, offset=head.port).copy()
            else:
                # A copy, because the node may keep it, and the slot is used again.
                samples = self.memory.read(head.slot, 0, head.samples)
            if head.channels:
                samples = samples.reshape(head.channels, -1)
        channels = (head.channels or 1) if samples is not None else 0
        pipeline, session, participant, stream, node = names
        return Frame(
            head.slot,
            pipeline,
            session,
            participant,
            stream,
            node,
            port,
            head.seq,
            head.pts_us,
            head.rate,
            channels,
            samples,
            value,
            bool(head.flags & FLAG_LAST),
            head.epoch,
        )

    def results(self, slot: int, results: list[object]) -> bytes:
        """Answer a frame; what cannot be sent becomes the node's failure."""
        try:
            return write_results(self.memory, slot, results)
        except Exception as error:
            return write_failure(slot, f"the result cannot leave the process: {error}")

    def part(self, slot: int, results: list[object]) -> bytes:
        """Give some of what becomes of a frame.

        Raises:
            NodeError: it cannot be sent.
        """
        try:
            return write_part(slot, results)
        except Exception as error:
            raise NodeError(f"the result cannot leave the process: {error}") from error

    def complete(self, done: Iterable[bytes]) -> None:
        """Send answers at once."""
        self.send(b"".join(done))

    def ended(self, stream: int) -> None:
        """Say that a stream is cleaned up."""
        self.send(message(Head(Kind.ENDED, stream=stream)))


def names_of(tail: bytes) -> tuple[str, str, str]:
    """Read the tail of ``OPEN``: session, participant, stream."""
    session, participant, stream = json.loads(tail)
    return session, participant, stream


def trace_of(error: BaseException) -> str:
    """Give the whole traceback of what went wrong while the node was loaded."""
    return "".join(traceback.format_exception(error))
