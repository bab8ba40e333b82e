"""The native runtime's twin in Python: the same manifests, the same results, slower.

It runs where the native module is absent or switched off. `Run` takes a resolved manifest; see
`remotemedia.running.backend` for how it is driven. Resampling needs soxr and the Silero engine
onnxruntime, both in the extra ``remotemedia[python]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remotemedia.twin.values import (
    LaneData,
    LaneFailure,
    LaneItem,
    LaneOpaque,
    RunOutput,
    RuntimeFault,
)

if TYPE_CHECKING:
    from remotemedia.twin.run import Run

__all__ = [
    "LaneData",
    "LaneFailure",
    "LaneItem",
    "LaneOpaque",
    "Run",
    "RunOutput",
    "RuntimeFault",
]


def __getattr__(name: str) -> object:
    # Who runs natively needs some names of this package, but not the machine.
    if name == "Run":
        from remotemedia.twin.run import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
