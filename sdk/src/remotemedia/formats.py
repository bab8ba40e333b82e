"""Formats of audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

MIN_RATE = 4_000
"""The lowest sample rate, in hertz."""
MAX_RATE = 384_000
"""The highest sample rate, in hertz."""
MAX_CHANNELS = 8
"""The most channels that a stream may have."""

SPEECH_RATE = 16_000
"""What speech models take, and what a source gives where nothing needs more."""
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
"""The rates to which Opus decodes by itself (RFC 6716, section 2)."""

if TYPE_CHECKING:
    Rate = Annotated[int, "from MIN_RATE to MAX_RATE"]
    """A sample rate in hertz."""
    Channels = Annotated[int, "from 1 to MAX_CHANNELS"]
    """A number of channels."""


@dataclass(frozen=True, order=True)
class AudioFormat:
    """Rate in hertz and channels of PCM audio; samples are float32 from -1.0 to 1.0."""

    rate: int
    channels: int = 1

    def __str__(self) -> str:
        return f"{self.rate} Hz, {'mono' if self.channels == 1 else f'{self.channels} channels'}"


def __getattr__(name: str) -> object:
    # Only those who check parameters need the bounds, and their types take long to load.
    bounds = {"Rate": (MIN_RATE, MAX_RATE), "Channels": (1, MAX_CHANNELS)}
    if name not in bounds:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from annotated_types import Ge, Le

    low, high = bounds[name]
    made = Annotated[int, Ge(low), Le(high)]
    globals()[name] = made
    return made
