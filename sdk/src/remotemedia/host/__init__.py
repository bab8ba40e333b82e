"""Pipelines served: what signaling asks, over the native engine or what stands in for it."""

from remotemedia.host.host import EngineHost
from remotemedia.host.starting import start_host

__all__ = ["EngineHost", "start_host"]
