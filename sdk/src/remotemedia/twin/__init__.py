"""The native runtime's twin in Python: the same manifests, the same results, slower.

It runs where the native module is absent or switched off. `Run` takes a resolved manifest; see
`remotemedia.running.backend` for how it is driven. Resampling needs soxr and the Silero engine
onnxruntime, both in the extra ``remotemedia[python]``.
"""

from __future__ import annotations

from remotemedia.twin.run import Run
from remotemedia.twin.values import (
    LaneData,
    LaneFailure,
    LaneItem,
    LaneOpaque,
    RunOutput,
    RuntimeFault,
)

__all__ = [
    "LaneData",
    "LaneFailure",
    "LaneItem",
    "LaneOpaque",
    "Run",
    "RunOutput",
    "RuntimeFault",
]
