"""What a node meets: a frame of audio, and the session that it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Audio: ``(n,)`` for one channel, ``(channels, n)`` for several, float32 from -1.0 to 1.0."""


@dataclass(frozen=True)
class AudioFrame:
    """Samples with their time.

    Attributes:
        samples: ``(n,)`` or ``(channels, n)``; a node may change what it is given.
        rate: samples a second and channel.
        pts_ms: media time of the first sample in milliseconds; zero is where the stream began.
        seq: counts the frames of a stream from zero; a gap is frames that were lost.
    """

    samples: Samples
    rate: int
    pts_ms: float = 0.0
    seq: int = 0

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return 1 if self.samples.ndim == 1 else int(self.samples.shape[0])

    @property
    def duration_ms(self) -> float:
        """How long the frame lasts, in milliseconds."""
        return int(self.samples.shape[-1]) * 1000.0 / self.rate


@dataclass
class NodeSession:
    """The stream that a node is working on.

    Each stream of each session has its own; nothing in it is shared. A node that is called with
    ``(audio, session)`` receives it.

    Attributes:
        id: the session's id.
        participant: whose stream it is.
        stream: which of the participant's streams.
        pipeline: the pipeline's name.
        node: the node's id in the pipeline.
        rate: rate of the current frame in hertz.
        pts_ms: media time of the current frame in milliseconds.
        seq: number of the current frame.
        port: the input that the current payload came to, for a node with several.
        state: for whatever the node wants to remember from frame to frame.
    """

    id: str
    participant: str
    stream: str
    pipeline: str
    node: str
    rate: int = 0
    pts_ms: float = 0.0
    seq: int = 0
    port: str = "in"
    state: dict[str, object] = field(default_factory=dict)


class Item(Protocol):
    """A frame on its way to a node, as every runtime hands it out: audio, or a value."""

    @property
    def token(self) -> int:
        """Names it in the answer."""

    @property
    def port(self) -> str:
        """The input that it came to; empty says that all of them have ended."""

    @property
    def epoch(self) -> int:
        """Counts the interrupts before it: nobody wants what comes of frames of earlier ones."""

    @property
    def seq(self) -> int:
        """Counts the frames of its stream."""

    @property
    def pts_us(self) -> int:
        """Media time of its beginning in microseconds."""

    @property
    def rate(self) -> int:
        """Samples a second and channel."""

    @property
    def samples(self) -> Samples | None:
        """Audio, ``(n,)`` or ``(channels, n)``; None for a value."""

    @property
    def value(self) -> object:
        """Data, or any object; None for audio."""
