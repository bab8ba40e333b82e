"""Memory that the parent and a worker share: a header, and slots of equal size.

A slot belongs to one frame from when it is sent until it is answered. The parent writes the
frame's samples into it, the worker reads them and writes the audio that it answers with over them.
The socket's messages pass the slot on, so neither side ever reads what the other still writes.
"""

from __future__ import annotations

import mmap
import os

import numpy as np

from remotemedia.frames import Samples
from remotemedia.workers.linux import anonymous_file

SLOTS = 1024
"""Frames that a worker can hold at once; further ones wait in the parent."""
SLOT_BYTES = 32 * 1024
"""Audio of one frame, 80 ms at 48 kHz in stereo; what is larger goes through the socket."""
SLOT_SAMPLES = SLOT_BYTES // 4
_HEADER_BYTES = 4096
_SIZE = _HEADER_BYTES + SLOTS * SLOT_BYTES


class Memory:
    """The mapping. Only pages that were used take memory."""

    def __init__(self, fd: int) -> None:
        """Map the file of `fd`, which may be closed afterwards."""
        mapping = mmap.mmap(fd, _SIZE)
        self._floats: Samples = np.frombuffer(mapping, np.float32, offset=_HEADER_BYTES)
        self._beat = memoryview(mapping)[:8].cast("Q")

    @staticmethod
    def create() -> int:
        """Give the descriptor of a new file."""
        fd = anonymous_file("remotemedia-worker")
        try:
            os.ftruncate(fd, _SIZE)
        except OSError:
            os.close(fd)
            raise
        return fd

    def write(self, slot: int, at: int, samples: Samples) -> None:
        """Put samples, planar, into a slot; `at` and their number must fit it."""
        start = slot * SLOT_SAMPLES + at
        if samples.ndim > 1:
            samples = samples.reshape(-1)
        self._floats[start : start + samples.size] = samples

    def read(self, slot: int, at: int, count: int) -> Samples:
        """Copy samples out of a slot, so that it can be used again."""
        start = slot * SLOT_SAMPLES + at
        samples: Samples = self._floats[start : start + count].copy()
        return samples

    def beat(self) -> None:
        """Show that the worker is alive."""
        self._beat[0] = (self._beat[0] + 1) % 2**64

    @property
    def beats(self) -> int:
        """How often it did."""
        return self._beat[0]
