"""The same speech through different stacks gives the same segments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support import opus, speech
from tests.support.peers import call_with_aiortc, call_with_libdatachannel
from tests.support.segments import distance_ms, segments_of
from tests.support.server import Server

WINDOW_MS = 32.0
"""A frame of the VAD: what two encoders of the same speech may differ by."""


def test_aiortc_and_libdatachannel_find_the_same_segments(server: Server, tmp_path: Path) -> None:
    samples = speech.utterances(opus.RATE)
    wav = speech.write_wav(tmp_path / "speech.wav", samples, opus.RATE)
    with ThreadPoolExecutor() as at_once:
        aiortc = at_once.submit(call_with_aiortc, f"{server.url}/mic-vad", wav)
        libdatachannel = at_once.submit(
            call_with_libdatachannel, server.url, "mic-vad", opus.encode(samples), tmp_path
        )
        ours, theirs = segments_of(aiortc.result()), segments_of(libdatachannel.result())
    assert len(ours) == len(theirs) == 3
    worst_ms = distance_ms(ours, theirs)
    print(f"edges differ by at most {worst_ms} ms")
    assert worst_ms <= WINDOW_MS
