"""What a run gives beside the messages of a session: audio, and objects that are no JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from remotemedia.client.events import Event, Unknown, event_of
from remotemedia.client.events import text_of as message_text

if TYPE_CHECKING:
    from remotemedia.client.events import Json
    from remotemedia.frames import Samples
    from remotemedia.running.backend import RunOutput


@dataclass(frozen=True, kw_only=True)
class AudioEvent(Event):
    """Audio of a node that feeds nothing: ``(n,)`` or ``(channels, n)`` at `rate` hertz."""

    samples: Samples = field(repr=False, compare=False)
    rate: int
    port: str = "out"


@dataclass(frozen=True, kw_only=True)
class ValueEvent(Event):
    """Something that a Python node gave, that is no JSON and that no node took."""

    value: object
    port: str = "out"


def typed(output: RunOutput, text: str | None = None) -> Event:
    """Give an output of a run as an event; `text` is what `text_of` gives, if it is there."""
    if output.kind == "audio" and output.samples is not None:
        return AudioEvent(
            type="audio",
            node=output.node,
            pts_ms=output.pts_us / 1000.0,
            samples=output.samples,
            rate=output.rate or 0,
            port=output.port,
        )
    if output.message is None:
        return ValueEvent(
            type="value",
            node=output.node,
            pts_ms=output.pts_us / 1000.0,
            value=output.value,
            port=output.port,
        )
    message = cast("dict[str, Json]", output.message)
    return event_of(message, text) or Unknown(type="", node=output.node, data=message)


def text_of(output: RunOutput) -> str | None:
    """Give a message as JSON on one line; None for audio and objects."""
    return None if output.message is None else message_text(output.message)
