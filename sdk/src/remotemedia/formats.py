"""Formats of audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from remotemedia._bounds import Ge, Le

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

Rate = Annotated[int, Ge(MIN_RATE), Le(MAX_RATE)]
"""A sample rate in hertz."""
Channels = Annotated[int, Ge(1), Le(MAX_CHANNELS)]
"""A number of channels."""


@dataclass(frozen=True, order=True)
class AudioFormat:
    """Rate in hertz and channels of PCM audio; samples are float32 from -1.0 to 1.0."""

    rate: int
    channels: int = 1

    def __str__(self) -> str:
        return f"{self.rate} Hz, {'mono' if self.channels == 1 else f'{self.channels} channels'}"
