"""A file through the executor and through a peer gives the same decisions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import remotemedia_runtime
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray
from remotemedia import Pipeline

from tests.support import opus, speech
from tests.support.peers import call_with_libdatachannel
from tests.support.server import PIPELINES, Server

OPUS_DELAY_SAMPLES = 312
"""The one fixed offset: look-ahead of libopus at 48 kHz, 6.5 ms (`OPUS_GET_LOOKAHEAD`)."""
WINDOW_MS = 32.0


def probabilities(messages: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Of each window by its number, NaN where none came."""
    windows = {
        round(m["pts_ms"] / WINDOW_MS): m["data"]["probability"]
        for m in messages
        if m["type"] == "vad"
    }
    found = np.full(max(windows) + 1, np.nan)
    found[list(windows)] = list(windows.values())
    return found


def offline(samples: NDArray[np.float32]) -> list[dict[str, Any]]:
    """What mic-vad says of 48 kHz samples; the resampler before it is none of ours."""
    resolved = json.dumps(Pipeline.from_file(PIPELINES / "mic-vad.yaml").resolve())
    at_16k = soxr.resample(samples, opus.RATE, 16_000).astype(np.float32)
    return [json.loads(text) for text in remotemedia_runtime.run_offline(resolved, at_16k)]


def test_probabilities_and_decisions_agree(server: Server, tmp_path: Path) -> None:
    samples = speech.load(speech.JFK, opus.RATE)
    live = probabilities(
        call_with_libdatachannel(server.url, "mic-vad", opus.encode(samples), tmp_path)
    )
    delayed = np.concatenate([np.zeros(OPUS_DELAY_SAMPLES, np.float32), samples])
    file = probabilities(offline(delayed))

    count = min(len(file), len(live))
    assert count > 330
    file, live = file[:count], live[:count]
    assert not np.isnan(live).any(), "windows were lost on loopback"
    difference = float(np.abs(file - live).mean())
    equal = float(((file >= 0.5) == (live >= 0.5)).mean())
    print(f"{count} windows: mean difference {difference:.4f}, {equal:.1%} equal decisions")
    assert difference <= 0.02
    assert equal >= 0.98
