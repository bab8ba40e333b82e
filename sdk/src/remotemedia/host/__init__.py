"""Pipelines served over the native engine: what signaling asks."""

from remotemedia.host.host import EngineHost

__all__ = ["EngineHost"]
