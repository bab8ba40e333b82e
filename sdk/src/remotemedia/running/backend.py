# ruff: noqa: D102 - a name says it where there is no docstring
"""What runs a resolved manifest offline, as types.

There are two implementations that behave the same: the native module and `remotemedia.twin`. Each
is a module with the names of `Backend`; the driver knows nothing else of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from remotemedia.frames import Item, Samples

if TYPE_CHECKING:
    from typing import TypeAlias

    from pydantic import JsonValue

    from remotemedia import twin
    from remotemedia._native import RuntimeFault

    Fault: TypeAlias = RuntimeFault | twin.RuntimeFault
    FaultType: TypeAlias = type[RuntimeFault] | type[twin.RuntimeFault]


class LaneItem(Item, Protocol):
    """One frame for a Python node: audio, or a value. A token is never used twice in a run.

    The last item of each node has an empty `port` and neither samples nor a value: all its inputs
    have ended and what `flush` returns is its result. Samples may be changed by the node.
    """

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
        """What the manifest calls the node's code."""

    @property
    def channels(self) -> int:
        """Of the samples; 0 for a value."""

    @property
    def end(self) -> bool:
        """True once for each node, after its last frame: every input of it has ended.

        Such an item has no payload and the time at which the input ended. What is completed for it
        is what the node held back; it goes the way of all results, and only then do the inputs end
        that the node feeds. A node that never had a frame has its end too.
        """


class LaneData(Protocol):
    """A JSON value that a Python node gave."""


class LaneOpaque(Protocol):
    """Any object that a Python node gave, for other Python nodes."""


class LaneFailure(Protocol):
    """Why a Python node gave nothing for a frame."""


class DataType(Protocol):
    """Makes a `LaneData`."""

    def __call__(self, value: object) -> LaneData: ...


class OpaqueType(Protocol):
    """Makes a `LaneOpaque`."""

    def __call__(self, value: object) -> LaneOpaque: ...


class FailureType(Protocol):
    """Makes a `LaneFailure`; a transient one is tried again."""

    def __call__(
        self, message: str, traceback: str | None = None, transient: bool = False
    ) -> LaneFailure: ...


LaneValue = Samples | LaneData | LaneOpaque
"""What a node gives: contiguous float32 audio in the port's format, or a value."""
LaneResult = LaneValue | tuple[str, LaneValue]
"""The same, with the output port that it leaves by where that is not ``out``."""
LaneDone = tuple[int, Sequence[LaneResult] | LaneFailure] | tuple[int, Sequence[LaneResult], bool]
"""A frame's token, and what became of it; then True where that is not all.

With True the results go on at once, after those of the frames before it, and stay: the frame is not
tried again, whatever its failure.
"""


class RunOutput(Protocol):
    """Something that a run put out."""

    @property
    def node(self) -> str: ...
    @property
    def port(self) -> str:
        """The output of a frame that no node took; empty for reports and errors."""

    @property
    def pts_us(self) -> int: ...
    @property
    def kind(self) -> Literal["event", "audio", "value"]: ...
    @property
    def message(self) -> Mapping[str, JsonValue] | None:
        """Of an event: the message that a live session would send."""

    @property
    def samples(self) -> Samples | None:
        """Of audio: ``(n,)`` or ``(channels, n)``."""

    @property
    def rate(self) -> int | None:
        """Of audio, in hertz."""

    @property
    def value(self) -> object:
        """An opaque object that no node took."""


class Run(Protocol):
    """One run of a pipeline. Not to be used by two threads at once."""

    def push_audio(self, source: str, samples: Samples, pts_us: int | None = None) -> None:
        """Take audio of any length in the source's format; without `pts_us` it follows on."""

    def push_data(self, source: str, value: object) -> None:
        """Take a JSON value or an opaque object."""

    def end(self, source: str | None = None) -> None:
        """End a source, or all: what nodes hold back comes out."""

    def take_work(self, max_items: int) -> Sequence[LaneItem]:
        """Give frames for Python nodes, those of a node in order."""

    def complete(self, done: Sequence[LaneDone]) -> None:
        """Take what Python nodes made of frames."""

    def poll(self) -> Sequence[RunOutput]:
        """Give everything put out since the last call, in order."""

    def retry_in_us(self) -> int | None:
        """Say how long until a failed frame is tried again; None when none waits for that."""

    def pending(self) -> int:
        """Count the frames that Python holds or that wait for it, retries too."""

    def interrupt(self) -> None:
        """Drop what is under way: what Python has or waits for, and audio that nodes hold back."""

    def metrics(self) -> Mapping[str, object]:
        """Give what each node took, by its id."""


class RunType(Protocol):
    """Makes a `Run`."""

    def __call__(self, resolved_json: str, *, metrics: bool = False, frame_ms: int = 20) -> Run: ...


class Backend(Protocol):
    """A module that runs resolved manifests: `remotemedia.twin`, or the native one."""

    @property
    def Run(self) -> RunType: ...  # noqa: N802 - the module's name
    @property
    def LaneData(self) -> DataType: ...  # noqa: N802 - the module's name
    @property
    def LaneOpaque(self) -> OpaqueType: ...  # noqa: N802 - the module's name
    @property
    def LaneFailure(self) -> FailureType: ...  # noqa: N802 - the module's name
    @property
    def RuntimeFault(self) -> FaultType: ...  # noqa: N802 - the module's name
