"""The native media runtime.

Control crosses the border as JSON text, samples as NumPy arrays that share the runtime's memory,
values as Python's own. Nothing here starts a thread of
Python's: notifications and frames for Python nodes are announced by two event file descriptors,
and whoever holds the engine polls them from a loop of their own. Every call releases the
interpreter while it waits.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ERROR_CODES",
    "Engine",
    "LaneData",
    "LaneFailure",
    "LaneItem",
    "LaneOpaque",
    "Run",
    "RunOutput",
    "RuntimeFault",
    "__version__",
    "check_manifest",
    "run_offline",
]

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

_Json: TypeAlias = bool | int | float | str | list[_Json] | dict[str, _Json] | None

@final
class LaneItem:
    """One frame for a Python node: audio, a JSON value, or an object of another Python node."""

    @property
    def token(self) -> int:
        """Names the work in `Engine.complete_lane` and `Run.complete`; never used twice."""
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
    def port(self) -> str:
        """The input port that the frame came to; empty at the `end`."""
    @property
    def end(self) -> bool:
        """True once for each node of a `Run`: its input has ended, and this is no frame."""
    @property
    def epoch(self) -> int:
        """Counts the interrupts before it: what becomes of frames of earlier ones is dropped."""
    @property
    def seq(self) -> int:
        """Counts the frames of the stream from zero; a gap is frames that were lost."""
    @property
    def pts_us(self) -> int:
        """Media time of the first sample in microseconds."""
    @property
    def rate(self) -> int:
        """Of audio, in hertz; else 0."""
    @property
    def channels(self) -> int:
        """Of audio; else 0."""
    @property
    def samples(self) -> NDArray[np.float32] | None:
        """Audio: ``(n,)`` for one channel, else ``(channels, n)``; None for a value.

        The node's own to change and to keep, and the same array each time. Live it is the runtime's
        memory itself; a `Run` copies it, for it may have to try the frame again.
        """
    @property
    def value(self) -> object:
        """A JSON value as Python's, or the very object; None for audio."""

@final
class LaneData:
    """A JSON value that a node gave, read when it is made."""

    def __new__(cls, value: object) -> LaneData:
        """Read a value.

        Args:
            value: None, bool, int of up to 64 bits, float, str, list, tuple, dict with text for
                keys, and NumPy's scalars and arrays, which become numbers and lists. At most 32
                deep and 60 KiB long as JSON.

        Raises:
            RuntimeFault: something in it is not JSON; `message` says what and where, such as
                ``the result["a"][2] is nan, which JSON cannot say: return None instead.``

        """
    @property
    def value(self) -> _Json:
        """What was read, as Python's."""

@final
class LaneOpaque:
    """Any object that a node gave; it passes to other Python nodes as it is."""

    def __new__(cls, value: object) -> LaneOpaque: ...
    @property
    def value(self) -> object:
        """The very object."""

@final
class LaneFailure:
    """A node's failure on one frame; it becomes an ``error`` result."""

    def __new__(
        cls, message: str, traceback: str | None = None, transient: bool = False
    ) -> LaneFailure:
        """Say why a node failed; a `Run` tries the frame again after a transient failure."""
    @property
    def message(self) -> str: ...
    @property
    def traceback(self) -> str | None: ...
    @property
    def transient(self) -> bool: ...

_Value: TypeAlias = LaneData | LaneOpaque | NDArray[np.float32] | str
"""A value, contiguous audio in the port's format (copied once), or the JSON text of a value."""
_Result: TypeAlias = _Value | tuple[str, _Value]
"""The same, with the output port that it leaves by; without, it is the node's first."""
_Done: TypeAlias = tuple[int, Sequence[_Result] | LaneFailure] | tuple[int, Sequence[_Result], bool]
"""A frame's token, and what the node made of it; then True where that is not all.

With True the results go on at once and the frame stays under way. They stay, too: a `Run` does not
try the frame again, whatever its failure.
"""

class _NodeMetrics(TypedDict):
    node_id: str
    execution_time_us: float
    success_count: int
    error_count: int
    p50_us: float
    p95_us: float
    p99_us: float
    runtime: Literal["native", "python"]
    fallbacks: int

@final
class RunOutput:
    """Something that a run put out."""

    @property
    def node(self) -> str: ...
    @property
    def port(self) -> str: ...
    @property
    def pts_us(self) -> int:
        """Media time in microseconds."""
    @property
    def kind(self) -> Literal["event", "audio", "value"]: ...
    @property
    def message(self) -> dict[str, _Json] | None:
        """Of an event: the message that a live session would send."""
    @property
    def samples(self) -> NDArray[np.float32] | None:
        """Of audio: ``(n,)`` or ``(channels, n)``, without a copy."""
    @property
    def rate(self) -> int | None:
        """Of audio, in hertz."""
    @property
    def value(self) -> object:
        """An object that no node took."""

@final
class Run:
    """One run of a pipeline without peers, at the pace of its caller.

    Push, take work and complete it, end, and poll. Nothing is lost: what cannot be worked on yet
    waits. It is for one thread at a time; calls of another wait. Every call releases the
    interpreter.
    """

    def __new__(cls, resolved_json: str, *, metrics: bool = False, frame_ms: int = 20) -> Run:
        """Compile a resolved manifest.

        Args:
            resolved_json: the manifest.
            metrics: measure each node.
            frame_ms: how long the frames are that pushed audio is cut into, 1 to 1000.

        Raises:
            RuntimeFault: the manifest is not valid; `field` is the path of the first wrong field.

        """
    def push_audio(
        self, source: str, samples: NDArray[np.float32], pts_us: int | None = None
    ) -> None:
        """Push audio of any length, read where it is.

        Args:
            source: the source's id.
            samples: contiguous, ``(n,)`` or ``(channels, n)``, in the source's format. Nobody may
                write to them meanwhile.
            pts_us: media time of the first sample; without it, where the last push ended.

        """
    def push_data(self, source: str, value: object) -> None:
        """Push a JSON value, or any object where Python nodes take it.

        NumPy's arrays, and what holds them, pass to Python nodes as they are; to native ones they
        are lists.
        """
    def end(self, source: str | None = None) -> None:
        """End a source, or all: what nodes hold back comes out. Idempotent."""
    def take_work(self, max_items: int) -> list[LaneItem]:
        """Take up to so many frames for Python nodes; those of one node come in order."""
    def complete(self, done: Sequence[_Done]) -> None:
        """Hand back what nodes made of frames. Stale tokens are ignored.

        Raises:
            RuntimeFault: a node failed too often in a row and the run with it; `field` is its id.

        """
    def poll(self) -> list[RunOutput]:
        """Take everything that was put out since, in order."""
    def retry_in_us(self) -> int | None:
        """Say how long until a failed frame is tried again: take work then. None: none waits."""
    def pending(self) -> int:
        """Count the frames that Python holds or that wait for it, those to try again too."""
    def interrupt(self) -> None:
        """Drop what is under way: what Python has or waits for, and audio that nodes hold back."""
    def metrics(self) -> dict[str, _NodeMetrics]:
        """Give what each node took, by its id; empty unless they were asked for."""

@final
class Engine:
    """Reactors with their sockets, sessions and peers."""

    def __new__(cls, config_json: str) -> Engine:
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

        Each is ``{"kind": "event" | "interrupted" | "session_started" | "session_ended",
        "session", "seq"?, "message"?, "reason"?, "epoch"?}``; `message` is the text of the result
        message, `epoch` that of the first frames after an interrupt.
        """
    def lane_fd(self) -> int:
        """Readable while frames for Python nodes wait; polling makes it quiet again."""
    def poll_lane(self, max: int) -> list[LaneItem]:  # noqa: A002 - as it is built
        """Take up to `max` frames; those of one session and node come in order."""
    def complete_lane(self, done: Sequence[_Done]) -> None:
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
