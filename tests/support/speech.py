"""Speech files as arrays and as WAV files that browsers take."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[1] / "data" / "speech"
JFK = DATA / "jfk.flac"
PHONE = DATA / "phone.wav"


def load(path: Path, rate: int) -> NDArray[np.float32]:
    """Decode `path` to mono float32 samples at `rate` Hz, shape ``(n,)``."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    chunks: list[NDArray[np.float32]] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            chunks.extend(samples_of(part) for part in resampler.resample(frame))
        chunks.extend(samples_of(part) for part in resampler.resample(None))
    return np.concatenate(chunks)


def samples_of(frame: av.AudioFrame) -> NDArray[np.float32]:
    """The samples of a mono float frame, shape ``(n,)``."""
    return frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)


def silence(seconds: float, rate: int) -> NDArray[np.float32]:
    """Digital silence, shape ``(n,)``."""
    return np.zeros(round(seconds * rate), dtype=np.float32)


def utterances(rate: int) -> NDArray[np.float32]:
    """Two real utterances and a synthetic one, with silence before, between and after them."""
    jfk, phone = load(JFK, rate), load(PHONE, rate)

    def cut(samples: NDArray[np.float32], start_s: float, end_s: float) -> NDArray[np.float32]:
        return samples[round(start_s * rate) : round(end_s * rate)]

    fellow_americans, quick_fox, ask_not = (
        cut(jfk, 0.25, 2.4),
        cut(phone, 12.95, 16.1),
        cut(jfk, 5.3, 7.8),
    )
    pause = silence(0.7, rate)
    return np.concatenate([pause, fellow_americans, pause, quick_fox, pause, ask_not, pause])


def write_wav(path: Path, samples: NDArray[np.float32], rate: int) -> Path:
    """Write mono 16-bit PCM: the format that Chromium's fake microphone reads."""
    pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(pcm.tobytes())
    return path
