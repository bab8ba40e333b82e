"""Which streams there are."""

from __future__ import annotations

from remotemedia.lanes.isolated import Isolated
from remotemedia.lanes.mailbox import Key, Mailbox

MAX_INSTANCES = 256
"""Instances of one session; the one that was unused for longest makes room for another."""

Stream = Mailbox | Isolated


class Registry:
    """The streams of all sessions."""

    def __init__(self) -> None:
        """Have none."""
        self.streams: dict[Key, Stream] = {}
        self._sessions: dict[str, dict[Key, Stream]] = {}

    def __len__(self) -> int:
        """Say how many streams there are."""
        return len(self.streams)

    def sessions(self) -> list[str]:
        """Give the sessions that have streams."""
        return list(self._sessions)

    def of(self, session: str) -> list[Stream]:
        """Give the streams of a session."""
        return list(self._sessions.get(session, {}).values())

    def put(self, stream: Stream) -> None:
        """Add a stream, in the place of the one with its key, if there is one."""
        self.streams[stream.key] = stream
        self._sessions.setdefault(stream.key[0], {})[stream.key] = stream

    def remove(self, stream: Stream) -> None:
        """Forget a stream, unless another has taken its place."""
        key = stream.key
        if self.streams.get(key) is stream:
            del self.streams[key]
            streams = self._sessions[key[0]]
            del streams[key]
            if not streams:
                del self._sessions[key[0]]

    def in_the_way(self, session: str) -> Stream | None:
        """Give the stream that must make room before the session can have another."""
        streams = self._sessions.get(session, {}).values()
        if len(streams) < MAX_INSTANCES:
            return None
        idle = [each for each in streams if each.idle]
        return min(idle, key=lambda each: each.used, default=None)
