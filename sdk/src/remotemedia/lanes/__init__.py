"""Where Python nodes run: on an event loop of their own, or on threads.

The native runtime hands frames out and takes results back (see `remotemedia._native.LaneEngine`);
`Lanes` is what stands between it and the nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remotemedia.lanes.lanes import Lanes

__all__ = ["Lanes"]


def __getattr__(name: str) -> object:
    # Offline runs use parts of this package without the lanes themselves.
    if name == "Lanes":
        from remotemedia.lanes.lanes import Lanes

        return Lanes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
