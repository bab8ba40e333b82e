"""A pytest plugin: the native module is absent. ``pytest -p tests.support.without_native``."""

from __future__ import annotations

import sys

sys.modules["remotemedia_runtime"] = None  # type: ignore[assignment] # what makes imports fail
