"""What a worker does, and what it does it to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remotemedia.base import Node
from remotemedia.frames import Samples
from remotemedia.lanes.calling import Calling


@dataclass(frozen=True)
class Work:
    """A node for a worker.

    Attributes:
        pipeline: the pipeline's name.
        id: the node's id.
        node: what instances are made of.
        calling: how it is called.
        results: makes what it returns into a list of results: text, audio, anything picklable, or
            pairs of a port's name and one of these. It travels too, so it must be picklable.
        paced: whether somebody must keep up with what it yields.
    """

    pipeline: str
    id: str
    node: Node
    calling: Calling
    results: Callable[[object], list[object]]
    paced: bool = True


@dataclass(slots=True)  # frozen ones take thrice as long to make
class Frame:
    """One frame, as a node's call takes it.

    Attributes:
        token: names it in the answer.
        samples: audio of its own, ``(n,)`` or ``(channels, n)``; None for a value.
        value: data, or any object; None for audio.
        end: the input has ended; there is no payload.
    """

    token: int
    pipeline: str
    session: str
    participant: str
    stream: str
    node: str
    port: str
    seq: int
    pts_us: int
    rate: int
    channels: int
    samples: Samples | None
    value: object = None
    end: bool = False
    epoch: int = 0


IN_PORT = "in"
"""The usual input; its name is not sent."""
