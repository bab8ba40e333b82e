"""What feeds a session: the tracks and the messages of each participant.

A pipeline has sources that take audio and sources that take data; one that takes anything is both.
With ``n`` sources of audio, the tracks of a participant are numbered in the order of the sections
that send: track ``k`` feeds source ``k % n`` of the participant's stream ``k // n``. A track keeps
its number while its section sends; then the number is free for the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remotemedia.formats import AudioFormat
from remotemedia.host.python.faults import NO_COMMON_CODEC, fault
from remotemedia.host.python.negotiation import Want
from remotemedia.twin.manifest import ResolvedManifest

MAX_CHANNELS = 2
"""What a track can be decoded to."""
FULL_RATE = 48_000


@dataclass(frozen=True)
class AudioSource:
    """A source that tracks feed: its place among all sources, and what tracks are brought to."""

    index: int
    id: str
    format: AudioFormat


@dataclass(frozen=True)
class Sources:
    """The sources of a pipeline.

    Attributes:
        audio: those that take audio, in the order of the manifest.
        takes_data: whether any takes data.
        needs_audio: whether any takes audio and nothing else.
    """

    audio: tuple[AudioSource, ...]
    takes_data: bool
    needs_audio: bool

    @classmethod
    def of(cls, manifest: ResolvedManifest) -> Sources:
        """Find them."""
        audio = [
            AudioSource(index, each.id, AudioFormat(each.format.rate, each.format.channels))
            for index, each in enumerate(manifest.sources)
            if each.format.takes_audio
        ]
        formats = [each.format for each in manifest.sources]
        return cls(
            tuple(audio),
            any(each.takes_data for each in formats),
            any(each.type == "audio" for each in formats),
        )

    def check(self) -> None:
        """Refuse what no track can be decoded to.

        Raises:
            RuntimeFault: RM-2002.
        """
        for each in self.audio:
            if each.format.channels > MAX_CHANNELS:
                text = f'the source "{each.id}" cannot be fed by a track: it takes {each.format}'
                raise fault(NO_COMMON_CODEC, text)

    @property
    def want(self) -> Want:
        """How much who opens a session must send audio."""
        if self.needs_audio:
            return "required"
        return self.want_of_others

    @property
    def want_of_others(self) -> Want:
        """The same for whoever else takes part: somebody else may send it."""
        return "optional" if self.audio else "none"

    @property
    def receive(self) -> AudioFormat:
        """What of a track is of use: the highest rate and the most channels."""
        formats = [each.format for each in self.audio]
        return AudioFormat(
            max((each.rate for each in formats), default=FULL_RATE),
            max((each.channels for each in formats), default=1),
        )


class Places:
    """Which number each track of a participant has."""

    def __init__(self) -> None:
        """Begin with none."""
        self._mids: list[str | None] = []

    def agree(self, mids: Iterable[str]) -> None:
        """Take over what was negotiated: the sections that send, in their order.

        Who has a place keeps it; the others get the first that are free.
        """
        now = list(mids)
        self._mids = [mid if mid in now else None for mid in self._mids]
        for mid in now:
            if mid in self._mids:
                continue
            if None in self._mids:
                self._mids[self._mids.index(None)] = mid
            else:
                self._mids.append(mid)

    def of(self, mid: str) -> int | None:
        """Give the number of a track."""
        return self._mids.index(mid) if mid in self._mids else None

    def has(self, number: int) -> bool:
        """Whether a track has this number."""
        return number < len(self._mids) and self._mids[number] is not None
