"""The streams of a session: what is made of each is told apart.

A stream has a part for each source of audio. A part ends when its track is taken away, is quiet for
`QUIET_US` or was never negotiated: nodes that put several together wait for it no longer. It begins
anew with the next frame. When all parts are quiet, the stream is flushed.

The tracks of a stream are aligned by when their packets come: the first frame of a further one lies
where the stream has got to then, on the grid of its samples. That is as exact as the network was
even at that moment. From then on a track follows its own time; after a pause in which that stood
still it is aligned anew. Sound cards that drift apart are not brought together.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remotemedia.formats import AudioFormat
from remotemedia.host.python.tracks import Piece

if TYPE_CHECKING:
    from remotemedia.host.python.participant import Participant

QUIET_US = 2_000_000
"""A track that has given no frame for so long sends no more, until it does again."""
PAUSE_US = 250_000
"""A track of several is looked at again when its packets come so far apart."""
TOLERANCE_US = 200_000
"""It is aligned anew where it has fallen behind by more than this meanwhile."""
MAX_ARRIVALS = 512
"""Frames of a stream whose time of arrival is remembered for results that take long."""
_MICROS = 1_000_000


@dataclass(eq=False)
class Heard:
    """What a track feeds, when it was heard last, and where its time begins in the stream's.

    Attributes:
        stream: its stream.
        source: which of the sources of audio.
        at_us: when it gave its last frame.
        shift_us: where its own time begins; its first frame tells.
        arrival_us: when the packet of its last frame came. aiortc keeps the last ones before a
            pause until the first ones after it.
    """

    stream: int
    source: int
    at_us: int
    shift_us: int | None = None
    arrival_us: int = 0


@dataclass(eq=False)
class Stream:
    """A stream and whose it is.

    Attributes:
        name: as in results.
        owner: who feeds it.
        participant: their name.
        number: which of theirs it is; 0 is their main stream.
        zero_us: when it began: zero of its media time.
        ended: by source of audio: nothing comes from it, and its nodes were told.
        arrivals: when packets came, by their timestamp.
        open: it has not ended.
        last: when a packet of it came last, and where its audio ended.
    """

    name: str
    owner: Participant
    participant: str
    number: int
    zero_us: int
    ended: list[bool]
    arrivals: OrderedDict[int, int] = field(default_factory=OrderedDict)
    open: bool = True
    last: tuple[int, int] | None = None

    def arrived(self, rtp_ts: int, arrival_us: int) -> None:
        """Remember when a packet came."""
        self.arrivals[rtp_ts] = arrival_us
        if len(self.arrivals) > MAX_ARRIVALS:
            self.arrivals.popitem(last=False)

    def place(
        self, heard: Heard, piece: Piece, wanted: AudioFormat, arrival_us: int, now_us: int
    ) -> int:
        """Say where audio of a track lies; `wanted` is its format."""
        length_us = piece.samples.shape[1] * _MICROS // wanted.rate
        paused = len(self.ended) > 1 and arrival_us - heard.arrival_us >= PAUSE_US
        if heard.shift_us is None or paused:
            found_us = self._due(arrival_us, length_us) - piece.pts_us
            found_us = found_us * wanted.rate // _MICROS * _MICROS // wanted.rate
            if heard.shift_us is None or found_us > heard.shift_us + TOLERANCE_US:
                heard.shift_us = found_us
        heard.at_us, heard.arrival_us = now_us, arrival_us
        self.ended[heard.source] = False
        pts_us = max(piece.pts_us + heard.shift_us, 0)
        self.last = (arrival_us, pts_us + length_us)
        return pts_us

    def awaits(self, owner: Participant, source: int) -> bool:
        """Say whether a track of its owner was negotiated for a source of audio."""
        return owner.places.has(self.number * len(self.ended) + source)

    def _due(self, arrival_us: int, length_us: int) -> int:
        if self.last is None:
            return max(arrival_us - self.zero_us, 0)
        # A packet is sent when it is full.
        last_us, end_us = self.last
        return max(end_us + arrival_us - last_us - length_us, 0)
