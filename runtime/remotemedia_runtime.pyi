"""The native media runtime.

Control crosses the border as JSON text, samples as NumPy arrays. Nothing here starts a thread of
Python's: notifications and frames for Python nodes are announced by two event file descriptors,
and whoever holds the engine polls them from a loop of their own. Every call releases the
interpreter while it waits.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

__version__: str
ERROR_CODES: list[str]
"""Every code that `RuntimeFault` and ``error`` results may have."""

class RuntimeFault(Exception):  # noqa: N818 - it is what the engine reports, bug or not
    """What the runtime refused, in words that say what to do."""

    code: str
    """Stable code, ``RM-`` and four digits."""
    message: str
    field: str | None
    """Path of the offending field, such as ``nodes[2].params.threshold``."""
    hint: str | None

def check_manifest(resolved_json: str) -> None:
    """Check a resolved manifest as ``Engine.add_pipeline`` would.

    Raises:
        RuntimeFault: with the path of the first field that is wrong.

    """

def run_offline(resolved_json: str, samples: NDArray[np.float32], frame_ms: int = 20) -> list[str]:
    """Push samples through a pipeline of native nodes on the calling thread.

    Args:
        resolved_json: the resolved manifest.
        samples: mono audio, shape ``(n,)``, -1.0 to 1.0, at the rate of the first source.
        frame_ms: how long the pushed frames are.

    Returns:
        The result messages in order, each the JSON text that a live session would send.

    Raises:
        RuntimeFault: the manifest is not valid or has Python nodes.

    """

@final
class LaneItem:
    """One frame for a Python node."""

    @property
    def token(self) -> int:
        """Names the work in ``Engine.complete_lane``; never used twice."""
    @property
    def session(self) -> str: ...
    @property
    def participant(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def entry(self) -> str:
        """The ``entry`` parameter of the node in the resolved manifest."""
    @property
    def seq(self) -> int:
        """Counts the frames of the stream from zero; a gap is frames that were lost."""
    @property
    def pts_us(self) -> int:
        """Media time of the first sample in microseconds."""
    @property
    def rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def samples(self) -> NDArray[np.float32]:
        """``(n,)`` for one channel, else ``(channels, n)``: a new array each time."""

@final
class LaneFailure:
    """A node's failure on one frame; it becomes an ``error`` result."""

    def __init__(self, message: str, traceback: str | None = None) -> None: ...
    @property
    def message(self) -> str: ...
    @property
    def traceback(self) -> str | None: ...

LaneResult = str | NDArray[np.float32]
"""JSON text for a ``node`` result, or audio at the node's output format for what follows it."""

@final
class Engine:
    """Reactors with their sockets, sessions and peers."""

    def __init__(self, config_json: str) -> None:
        """Bind the media sockets and start the reactors.

        Args:
            config_json: ``{"bind": address | null, "media_ports": [low, high], "reactors": "auto"
                | n, "advertised_addresses": [address], "loopback": bool, "limits":
                {"max_sessions", "max_participants"}}``, each of them optional.

        Raises:
            RuntimeFault: the configuration is not valid or no port could be bound.

        """
    def media_ports(self) -> list[int]:
        """Give the UDP ports that media comes to, one a reactor."""
    def add_pipeline(self, name: str, resolved_json: str) -> None:
        """Compile a pipeline and serve it under `name`; the same name replaces it."""
    def offer(self, request_json: str) -> str:
        """Answer an offer.

        Args:
            request_json: ``{"sdp", "pipeline", "pc_id"?, "join"?, "restart_pc"?}``

        Returns:
            ``{"sdp", "type", "pc_id", "session_id", "participant"}``

        """
    def add_candidates(self, pc_id: str, candidates: list[str]) -> None:
        """Add trickled candidate lines; an empty one says that there are no more."""
    def close_peer(self, pc_id: str) -> None: ...
    def close_session(self, session_id: str, reason: str) -> None: ...
    def sessions(self) -> str:
        """Give the statistics of every session, as a JSON array."""
    def session(self, session_id: str) -> str:
        """Give the statistics of one session, as a JSON object."""
    def observe(self, session_id: str, on: bool) -> None:
        """Have the session's results announced as notifications of kind ``event``, or no more."""
    def notification_fd(self) -> int:
        """Readable while notifications wait; polling makes it quiet again."""
    def poll_notifications(self, max: int) -> list[str]:  # noqa: A002 - as it is built
        """Take up to `max` notifications.

        Each is ``{"kind": "event" | "session_started" | "session_ended", "session", "seq"?,
        "message"?, "reason"?}``; `message` is the text of the result message.
        """
    def lane_fd(self) -> int:
        """Readable while frames for Python nodes wait; polling makes it quiet again."""
    def poll_lane(self, max: int) -> list[LaneItem]:  # noqa: A002 - as it is built
        """Take up to `max` frames; those of one session and node come in order."""
    def complete_lane(self, done: list[tuple[int, list[LaneResult] | LaneFailure]]) -> None:
        """Hand back what nodes made of frames, by token. Stale tokens are ignored.

        May be called from any thread.
        """
    def drain(self, timeout_ms: int) -> bool:
        """Admit nobody, tell every peer ``bye`` and wait; True when every session has closed."""
    def close(self) -> None:
        """Stop the reactors and free the sockets. Idempotent."""
    def counters(self) -> str:
        """Figures for metrics, as JSON ``{"live": {...}, "dropped": {...}}``; waits for nobody.

        They are as of each reactor's last turn; `live_objects` asks the reactors.
        """
    def live_objects(self) -> str:
        """Count sessions, peers, instances, streams and addresses, as a JSON object."""
