"""Where version 0.1 had `Pipeline`."""

from remotemedia.pipeline import Pipeline

__all__ = ["Pipeline"]
