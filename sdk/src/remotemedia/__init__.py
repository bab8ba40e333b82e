"""Real-time media pipelines in Python, over WebRTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remotemedia.base import FunctionNode, Node, Out, node
from remotemedia.errors import (
    ConnectionLost,
    ManifestError,
    MediaFileError,
    NodeError,
    NotInThisVersion,
    ParameterError,
    RemoteMediaError,
    RuntimeMissing,
    ServerRefused,
    ServerUnreachable,
    TransientError,
)
from remotemedia.formats import AudioFormat
from remotemedia.pipeline import Pipeline
from remotemedia.runtime import (
    get_backend_info,
    get_rust_runtime,
    is_rust_runtime_available,
    try_load_rust_runtime,
)

if TYPE_CHECKING:
    from remotemedia.client import connect
    from remotemedia.frames import AudioFrame, NodeSession
    from remotemedia.running.events import AudioEvent, ValueEvent
    from remotemedia.running.result import Result

__version__ = "0.2.0"

__all__ = [
    "AudioEvent",
    "AudioFormat",
    "AudioFrame",
    "ConnectionLost",
    "FunctionNode",
    "ManifestError",
    "MediaFileError",
    "Node",
    "NodeError",
    "NodeSession",
    "NotInThisVersion",
    "Out",
    "ParameterError",
    "Pipeline",
    "RemoteMediaError",
    "Result",
    "RuntimeMissing",
    "ServerRefused",
    "ServerUnreachable",
    "TransientError",
    "ValueEvent",
    "connect",
    "get_backend_info",
    "get_rust_runtime",
    "is_rust_runtime_available",
    "node",
    "try_load_rust_runtime",
]

_LAZY = {
    "AudioEvent": "remotemedia.running.events",
    "Result": "remotemedia.running.result",
    "ValueEvent": "remotemedia.running.events",
    "AudioFrame": "remotemedia.frames",
    "NodeSession": "remotemedia.frames",
    "connect": "remotemedia.client",
}
"""What is imported when it is first asked for: aiortc, PyAV and NumPy take long to load."""


if not TYPE_CHECKING:  # or every name would pass for one of ours

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
