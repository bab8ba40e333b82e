"""What the parent and a worker say to each other.

Every message is a header of fixed size and a tail. Audio is not in it: it lies in a slot of the
shared `Memory`, unless it is larger than that.
"""

from __future__ import annotations

import json
import pickle
import struct
from typing import Final, NamedTuple, cast

import numpy as np

from remotemedia.frames import Item, Samples
from remotemedia.workers.memory import SLOT_SAMPLES, Memory
from remotemedia.workers.work import IN_PORT

MAX_TAIL = 64 * 1024 * 1024
"""Bytes of a message at most; a frame or a result that is larger fails."""
HEADER = struct.Struct("<BBHIIIIIIQqI")
_RESULT = struct.Struct("<BBHII")
_ONE = struct.Struct("<BBHIIIIIIQqIBBHII")
_INLINE = 0xFFFF_FFFF
_FLOAT32 = np.dtype(np.float32)
_TEXT, _AUDIO, _PICKLED = 1, 2, 3


class Kind:
    """What a message is; plain numbers, because comparing them is all that is done."""

    HELLO: Final = 1
    """To the worker: the tail is the node and what it needs."""
    OPEN: Final = 2
    """To the worker: a stream; the tail is what it is called."""
    FRAME: Final = 3
    """To the worker: work."""
    END: Final = 4
    """To the worker: a stream has ended."""
    QUIT: Final = 5
    """To the worker: nothing more comes."""
    INTERRUPT: Final = 11
    """To the worker: a client interrupts; the stream's node is told."""
    READY: Final = 6
    """To the parent: the node is loaded."""
    BROKEN: Final = 7
    """To the parent: the node cannot be loaded; the tail says why."""
    DONE: Final = 8
    """To the parent: results of a frame."""
    PART: Final = 12
    """To the parent: results of a frame that is still worked on, none of them in its slot."""
    FAILED: Final = 9
    """To the parent: the node failed on a frame."""
    ENDED: Final = 10
    """To the parent: a stream is cleaned up."""


FLAG_INLINE = 1
"""The samples are in the tail."""
FLAG_VALUE = 2
"""The tail is a pickled value."""
FLAG_LAST = 4
"""The input has ended: there is no payload."""


class Head(NamedTuple):
    """The header's fields; what a kind has no use for is 0."""

    kind: int
    flags: int = 0
    port: int = 0
    """Bytes of the port's name, with which the tail begins; 0 is the usual port."""
    channels: int = 0
    """Rows of the array, 0 when it has one dimension; of DONE the number of results."""
    slot: int = 0
    stream: int = 0
    rate: int = 0
    samples: int = 0
    """Samples in the slot, of all rows."""
    tail: int = 0
    """Bytes that follow."""
    seq: int = 0
    pts_us: int = 0
    epoch: int = 0
    """Of a frame; of OPEN and INTERRUPT that of the first frames whose results are wanted."""


class ProtocolError(Exception):
    """The other side said what it must not say."""


class TooLarge(Exception):  # noqa: N818 - what it is
    """A frame or a result does not fit a message."""


class Inbox:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        """Wait for the first."""
        self._partial = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[tuple[Head, bytes]]:
        """Take bytes and give the messages that they complete.

        Raises:
            ProtocolError: a message is longer than any may be.
        """
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return []
            data = bytes(self._partial)
            self._partial.clear()
        messages = []
        position, length = 0, len(data)
        self._needed = HEADER.size
        while length - position >= HEADER.size:
            head = Head._make(HEADER.unpack_from(data, position))
            size = head.tail
            if size > MAX_TAIL:
                raise ProtocolError(f"a message of {size} bytes")
            body = position + HEADER.size
            end = body + size
            if end > length:
                self._needed = end - position
                break
            messages.append((head, data[body:end]))
            position = end
        if position < length:
            self._partial += data[position:]
        return messages


def message(head: Head, tail: bytes = b"") -> bytes:
    """Write a message; the header's `tail` is filled in.

    Raises:
        TooLarge: no message may be that long.
    """
    if not tail:
        return HEADER.pack(*head)
    if len(tail) > MAX_TAIL:
        raise TooLarge(f"{len(tail)} bytes; at most {MAX_TAIL} pass between processes.")
    return HEADER.pack(*head._replace(tail=len(tail))) + tail


def write_frame(memory: Memory, slot: int, stream: int, item: Item) -> bytes:
    """Give a frame to the worker.

    Raises:
        TooLarge: it is.
        Exception: whatever pickling its value raises.
    """
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
            memory.write(slot, 0, samples)
        else:
            flags = FLAG_INLINE
            tail = port + np.ascontiguousarray(samples, np.float32).tobytes()
    if len(tail) > MAX_TAIL:
        raise TooLarge(f"{len(tail)} bytes; at most {MAX_TAIL} pass between processes.")
    numbers = (channels, slot, stream, item.rate, count, len(tail))
    about = (item.seq, item.pts_us, item.epoch)
    return HEADER.pack(Kind.FRAME, flags, len(port), *numbers, *about) + tail


def write_results(memory: Memory, slot: int, results: list[object]) -> bytes:
    """Answer a frame.

    Raises:
        TooLarge: the results are.
        Exception: whatever pickling a value raises.
    """
    if not results:
        return HEADER.pack(Kind.DONE, 0, 0, 0, slot, 0, 0, 0, 0, 0, 0, 0)
    if len(results) == 1:
        # The usual answers, in one go.
        (result,) = results
        if type(result) is str:
            body = result.encode("utf-8", "surrogatepass")
            size = len(body)
            tail = _RESULT.size + size
            head = (Kind.DONE, 0, 0, 1, slot, 0, 0, 0, tail, 0, 0, 0)
            return _ONE.pack(*head, _TEXT, 0, 0, _INLINE, size) + body
        if (
            type(result) is np.ndarray
            and result.ndim == 1
            and result.dtype is _FLOAT32  # there is one object of it; to compare takes longer
            and result.size <= SLOT_SAMPLES
        ):
            memory.write(slot, 0, result)
            head = (Kind.DONE, 0, 0, 1, slot, 0, 0, 0, _RESULT.size, 0, 0, 0)
            return _ONE.pack(*head, _AUDIO, 0, 0, 0, result.size)
    return message(Head(Kind.DONE, channels=len(results), slot=slot), _tail(results, slot, memory))


def write_part(slot: int, results: list[object]) -> bytes:
    """Give some of what becomes of a frame; its slot is left alone, which the next ones need.

    Raises:
        TooLarge: the results are.
        Exception: whatever pickling a value raises.
    """
    return message(Head(Kind.PART, channels=len(results), slot=slot), _tail(results, slot, None))


def _tail(results: list[object], slot: int, memory: Memory | None) -> bytes:
    parts: list[bytes] = []
    used = 0
    for result in results:
        port, value = b"", result
        if isinstance(result, tuple):
            port, value = cast("str", result[0]).encode(), result[1]
        tag, rows, at, body = _PICKLED, 0, _INLINE, b""
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            tag, rows, size = _AUDIO, 0 if value.ndim == 1 else value.shape[0], value.size
            if memory is not None and used + size <= SLOT_SAMPLES:
                memory.write(slot, used, value)
                at, used = used, used + size
            else:
                body = value.tobytes()
                size = len(body)
        else:
            if isinstance(value, str):
                tag, body = _TEXT, value.encode("utf-8", "surrogatepass")
            else:
                body = pickle.dumps(value, 5)
            size = len(body)
        parts += (_RESULT.pack(tag, len(port), rows, at, size), port, body)
    return b"".join(parts)


def read_results(memory: Memory, head: Head, tail: bytes) -> list[object]:
    """Read what `write_results` or `write_part` wrote.

    Raises:
        ProtocolError: it is not that.
    """
    results: list[object] = []
    position = 0
    try:
        for _ in range(head.channels):
            tag, port_length, rows, at, size = _RESULT.unpack_from(tail, position)
            position += _RESULT.size
            port = ""
            if port_length:
                port = tail[position : position + port_length].decode()
                position += port_length
            value: object
            if at != _INLINE:
                if tag != _AUDIO or at + size > SLOT_SAMPLES:
                    raise ProtocolError("audio outside its slot")
                value = _shaped(memory.read(head.slot, at, size), rows)
            else:
                body = tail[position : position + size]
                if len(body) != size:
                    raise ProtocolError("a result that is cut off")
                position += size
                value = _value(tag, rows, body)
            results.append((port, value) if port else value)
    except ProtocolError:
        raise
    except Exception as error:
        raise ProtocolError(f"results that cannot be read: {error}") from error
    return results


def _value(tag: int, rows: int, body: bytes) -> object:
    if tag == _TEXT:
        return body.decode("utf-8", "surrogatepass")
    if tag == _AUDIO:
        return _shaped(np.frombuffer(body, np.float32).copy(), rows)
    if tag == _PICKLED:
        value: object = pickle.loads(body)  # noqa: S301 - from a process of our own
        return value
    raise ProtocolError(f"a result of kind {tag}")


def _shaped(samples: Samples, rows: int) -> Samples:
    return samples.reshape(rows, -1) if rows else samples


def write_failure(
    slot: int,
    text: str,
    traceback: str | None = None,
    transient: bool = False,
    beginning: bool = False,
) -> bytes:
    """Say that the node failed on a frame, or when it was to begin."""
    tail = json.dumps([text, traceback, transient, beginning]).encode()
    return message(Head(Kind.FAILED, slot=slot), tail)


def write_broken(text: str, traceback: str) -> bytes:
    """Say that the node cannot be loaded."""
    return message(Head(Kind.BROKEN), json.dumps([text, traceback, False, True]).encode())


def read_failure(tail: bytes) -> tuple[str, str | None, bool, bool]:
    """Read what `write_failure` or `write_broken` wrote after the header.

    Raises:
        ProtocolError: it is not that.
    """
    try:
        text, traceback, transient, beginning = json.loads(tail)
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"a failure that cannot be read: {error}") from error
    traceback = None if traceback is None else str(traceback)
    return str(text), traceback, bool(transient), bool(beginning)
