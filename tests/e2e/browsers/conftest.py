"""One Chromium for all tests here, whose microphone says the same utterances over and over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import silero, speech
from tests.support.browser import Browser, browsing
from tests.support.segments import Segment

RATE = 48_000


@dataclass(frozen=True)
class Microphone:
    """What a fake microphone says, and where in it the speech is."""

    wav: Path
    period_ms: float
    known: list[Segment]


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Microphone:
    samples = speech.utterances(RATE)
    wav = speech.write_wav(tmp_path_factory.mktemp("speech") / "mic.wav", samples, RATE)
    known = silero.segments(speech.load(wav, 16_000))
    return Microphone(wav, len(samples) / RATE * 1000, known)


@pytest.fixture(scope="session")
def chromium(microphone: Microphone) -> Iterator[Browser]:
    with browsing("chromium", wav=str(microphone.wav)) as browser:
        yield browser
