"""The native module's stand-in for serving: aiortc for the peers, the twin for the graphs.

It has the names of the native module that `remotemedia.host.EngineHost` uses, so that there is one
host for both: sessions, events, Python nodes in lanes and metrics are the same code above it, and
what a client is told is the same below. `Engine` runs its sessions on a thread with an event loop
of its own, apart from aiohttp's and from that of the nodes, as the native one does.

Slower, and less: see "Without the native module" in the SDK's README.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remotemedia.host.python.engine import Engine
from remotemedia.twin import LaneData, LaneFailure, LaneOpaque, Run, RuntimeFault

if TYPE_CHECKING:
    from remotemedia.frames import Samples

__version__ = "python"


def check_manifest(resolved_json: str) -> None:
    """Check a resolved manifest as `Engine.add_pipeline` would."""
    Run(resolved_json)


def run_offline(resolved_json: str, samples: Samples, frame_ms: int = 20) -> list[str]:
    """Push samples through a pipeline and give the result messages in order, as JSON."""
    import json

    run = Run(resolved_json, frame_ms=frame_ms)
    source = json.loads(resolved_json)["sources"][0]["id"]
    run.push_audio(source, samples)
    run.end()
    return [json.dumps(each.message) for each in run.poll() if each.message is not None]


__all__ = [
    "Engine",
    "LaneData",
    "LaneFailure",
    "LaneOpaque",
    "RuntimeFault",
    "__version__",
    "check_manifest",
    "run_offline",
]
