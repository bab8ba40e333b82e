from __future__ import annotations

import numpy as np
import pytest

from remotemedia.runtime import unavailable


@pytest.fixture(params=["python", "native"])
def backend(request, monkeypatch):
    """Run the test by the twin, and by the native runtime where there is one."""
    if request.param == "python":
        monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    elif unavailable("Run")[0] is None:
        pytest.skip("the native runtime has no Run")
    return request.param


@pytest.fixture
def twin(monkeypatch):
    """Run by the twin."""
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")


@pytest.fixture
def noise():
    """Make noise: seconds, rate, channels."""

    def make(seconds, rate=16000, channels=None, level=0.1):
        shape = int(rate * seconds) if channels is None else (channels, int(rate * seconds))
        return np.random.default_rng(7).uniform(-level, level, shape).astype(np.float32)

    return make
