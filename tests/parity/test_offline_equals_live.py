"""A file through the executor and through a peer gives the same decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import remotemedia_runtime
from numpy.typing import NDArray
from remotemedia import Pipeline

from tests.support import opus, speech
from tests.support.peers import call_with_libdatachannel
from tests.support.server import PIPELINES, Server

OPUS_DELAY_SAMPLES_48K = 312
"""Look-ahead of libopus at 48 kHz (RFC 6716, section 4.5.4 and `OPUS_GET_LOOKAHEAD`): 6.5 ms."""
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


def test_probabilities_and_decisions_agree(server: Server, tmp_path: Path) -> None:
    samples = speech.load(speech.JFK, 48_000)
    live = call_with_libdatachannel(server.url, "mic-vad", opus.encode(samples), tmp_path)

    # The one fixed offset: what the encoder delays.
    delayed = np.concatenate([np.zeros(OPUS_DELAY_SAMPLES_48K, np.float32), samples])
    resolved = Pipeline.from_file(PIPELINES / "mic-vad.yaml").resolve()
    import json

    offline = [
        json.loads(text)
        for text in remotemedia_runtime.run_offline(
            json.dumps(resolved), resample_to_16k(delayed)
        )
    ]
    ours, theirs = probabilities(offline), probabilities(live)
    count = min(len(ours), len(theirs))
    assert count > 330
    ours, theirs = ours[:count], theirs[:count]
    assert not np.isnan(theirs).any(), "windows were lost on loopback"
    assert float(np.abs(ours - theirs).mean()) <= 0.02
    assert float(((ours >= 0.5) == (theirs >= 0.5)).mean()) >= 0.98


def resample_to_16k(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """48 to 16 kHz by soxr, which is none of ours."""
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(samples, 48_000, 16_000)
    return resampled.astype(np.float32)
