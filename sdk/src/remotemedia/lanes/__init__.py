"""Where Python nodes run: on an event loop of their own, or on threads.

The native runtime hands frames out and takes results back (see `remotemedia._native.LaneEngine`);
`Lanes` is what stands between it and the nodes.
"""

from remotemedia.lanes.lanes import Lanes

__all__ = ["Lanes"]
