"""What a run gives when it has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np

from remotemedia.client.events import ErrorEvent, Event, NodeResult
from remotemedia.errors import RemoteMediaError
from remotemedia.running.events import ValueEvent, typed

if TYPE_CHECKING:
    from remotemedia.frames import Samples
    from remotemedia.running.backend import RunOutput


class Output(Sequence[object]):
    """What one node gave: a sequence of its values, and its audio.

    Attributes:
        events: all its events.
        rate: of its audio, in hertz; 0 where it gave none.
    """

    def __init__(self) -> None:
        """Make an empty one."""
        self.events: list[Event] = []
        self.rate = 0
        self._chunks: list[Samples] = []
        self._values: list[object] = []

    @property
    def audio(self) -> Samples:
        """Its audio in one piece, ``(n,)`` or ``(channels, n)``; empty where it gave none."""
        if len(self._chunks) > 1:
            self._chunks = [np.concatenate(self._chunks, axis=-1)]
        return self._chunks[0] if self._chunks else np.zeros(0, np.float32)

    @property
    def values(self) -> list[object]:
        """What Python and data nodes gave: JSON values, and objects that no node took."""
        return self._values

    def add(self, event: Event) -> None:
        """Take an event of the node."""
        self.events.append(event)
        if isinstance(event, NodeResult):
            self._values.append(event.data)
        elif isinstance(event, ValueEvent):
            self._values.append(event.value)

    def add_audio(self, samples: Samples, rate: int) -> None:
        """Take audio of the node."""
        self.rate = rate
        self._chunks.append(samples)

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> list[object]: ...
    def __getitem__(self, index: int | slice) -> object:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Output):
            return self is other
        return isinstance(other, list) and self._values == other

    __hash__ = None  # type: ignore[assignment]  # it changes, as a list does

    def __array__(
        self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None
    ) -> np.ndarray:
        return _as_array(self.audio, dtype, copy)

    def __repr__(self) -> str:
        shape = self._chunks and self.audio.shape
        audio = f"audio {shape} at {self.rate} Hz, " if shape else ""
        return f"Output({audio}{len(self.events)} events, values {self._values!r:.200})"


@dataclass
class Outcome:
    """Everything that a run put out, as it came.

    Attributes:
        sinks: ``node`` or ``node.port`` of the outputs that feed nothing; the first that gave audio
            gives the run's.
    """

    sinks: tuple[str, ...] = ()
    first_ports: Mapping[str, str] = field(default_factory=dict)
    raw: list[RunOutput] = field(default_factory=list)

    def add(self, outputs: Sequence[RunOutput]) -> None:
        """Take what came; nothing is looked at before it is asked for."""
        self.raw.extend(outputs)

    def sort(self) -> tuple[list[Event], dict[str, Output]]:
        """Give events, and everything by the output that it is from. What came is forgotten."""
        raw, self.raw = self.raw, []
        events: list[Event] = []
        outputs = {name: Output() for name in self.sinks}
        for each in raw:
            if each.kind == "audio" and each.samples is not None:
                name = self.key(each.node, each.port)
                outputs.setdefault(name, Output()).add_audio(each.samples, each.rate or 0)
                continue
            event = typed(each)
            events.append(event)
            name = each.node if each.kind == "event" else self.key(each.node, each.port)
            outputs.setdefault(name, Output()).add(event)
        return events, outputs

    def key(self, node: str, port: str) -> str:
        """Name an output: by its node's id alone where it is the node's first."""
        return node if self.first_ports.get(node, port) == port else f"{node}.{port}"


class Result:
    """What `Pipeline.run` gives.

    Outside a running event loop it is there at once. Inside one it must be awaited first, once, and
    the run begins with that; what is awaited is the same object::

        result = pipeline.run(audio)          # in a script
        result = await pipeline.run(audio)    # in an async def

    NumPy takes it for its `audio`.
    """

    def __init__(
        self,
        outcome: Outcome | None = None,
        start: Callable[[], Awaitable[Outcome]] | None = None,
    ) -> None:
        """Hold what came, or how to get it."""
        self._outcome = outcome
        self._start = start

    def __await__(self) -> Generator[object, None, Result]:
        """Run, if that is still to be done, and give the result itself."""
        return self._finish().__await__()

    async def _finish(self) -> Result:
        if self._outcome is None:
            start, self._start = self._start, None
            if start is None:
                raise RemoteMediaError(
                    "this run was awaited before and has not ended well.", hint="Call run again."
                )
            self._outcome = await start()
        return self

    @property
    def events(self) -> list[Event]:
        """Everything but audio, in order: results of nodes, errors, objects."""
        return self._events

    @property
    def errors(self) -> list[ErrorEvent]:
        """What went wrong on the way: frames on which nodes failed."""
        return [event for event in self._events if isinstance(event, ErrorEvent)]

    @property
    def audio(self) -> Samples:
        """The audio that came out, ``(n,)`` or ``(channels, n)``; empty where there is none.

        Where several nodes give audio it is the first one's, in the pipeline's order; the others
        are in `outputs`.
        """
        return self._audio.audio

    @property
    def rate(self) -> int:
        """Of `audio`, in hertz; 0 where there is none."""
        return self._audio.rate

    @property
    def values(self) -> list[object]:
        """What Python and data nodes gave, in order: JSON values, and objects."""
        given = (NodeResult, ValueEvent)
        events = [event for event in self._events if isinstance(event, given)]
        return [event.data if isinstance(event, NodeResult) else event.value for event in events]

    @property
    def outputs(self) -> Mapping[str, Output]:
        """What each node gave, by its id; further outputs of a node as ``node.port``."""
        return self._outputs

    def __array__(
        self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None
    ) -> np.ndarray:
        return _as_array(self.audio, dtype, copy)

    def __repr__(self) -> str:
        if self._outcome is None:
            return "<Result of a run that has not begun: await it>"
        audio = f"audio {self.audio.shape} at {self.rate} Hz, " if self.rate else ""
        return f"Result({audio}{len(self._events)} events, outputs of {', '.join(self.outputs)})"

    @cached_property
    def _sorted(self) -> tuple[list[Event], dict[str, Output]]:
        return self._there.sort()

    @property
    def _events(self) -> list[Event]:
        return self._sorted[0]

    @property
    def _outputs(self) -> dict[str, Output]:
        return self._sorted[1]

    @cached_property
    def _audio(self) -> Output:
        outputs = self._outputs
        return next((outputs[name] for name in self._there.sinks if outputs[name].rate), Output())

    @property
    def _there(self) -> Outcome:
        if self._outcome is None:
            raise RemoteMediaError(
                "the run has not begun: inside a running loop it must be awaited.",
                hint="Write `result = await pipeline.run(...)`.",
            )
        return self._outcome


def _as_array(audio: Samples, dtype: np.dtype[np.generic] | None, copy: bool | None) -> np.ndarray:
    if dtype is None or audio.dtype == dtype:
        return audio.copy() if copy else audio
    if copy is False:
        raise ValueError(f"{audio.dtype} cannot become {dtype} without a copy")
    return audio.astype(dtype)
