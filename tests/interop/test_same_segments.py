"""The same speech through different stacks gives the same segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import opus, speech
from tests.support.peers import call_with_aiortc, call_with_libdatachannel
from tests.support.segments import Segment, segments_of
from tests.support.server import Server

WINDOW_MS = 32.0
"""A frame of the VAD: what two encoders of the same speech may differ by."""


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech with long pauses, and a second of silence so that the last segment ends."""
    samples = np.concatenate([speech.load(speech.PHONE, 48_000), speech.silence(1.0, 48_000)])
    return speech.write_wav(tmp_path_factory.mktemp("speech") / "phone.wav", samples, 48_000)


def edges(segments: list[Segment]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Starts and ends in milliseconds, shape ``(n, 2)``."""
    return np.array([(segment.start_ms, segment.end_ms) for segment in segments])


def test_aiortc_and_libdatachannel_find_the_same_segments(
    server: Server, phone: Path, tmp_path: Path
) -> None:
    packets = opus.encode(speech.load(phone, 48_000))
    with_aiortc = segments_of(call_with_aiortc(f"{server.url}/mic-vad", phone))
    with_libdatachannel = segments_of(
        call_with_libdatachannel(server.url, "mic-vad", packets, tmp_path)
    )
    assert len(with_aiortc) >= 3
    assert len(with_aiortc) == len(with_libdatachannel)
    assert np.abs(edges(with_aiortc) - edges(with_libdatachannel)).max() <= WINDOW_MS
