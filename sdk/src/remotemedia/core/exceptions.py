"""Where version 0.1 had its errors, and what they are called now."""

from remotemedia.errors import ManifestError, NodeError, RemoteMediaError

ConfigurationError = ManifestError
PipelineError = ManifestError


__all__ = ["ConfigurationError", "NodeError", "PipelineError", "RemoteMediaError"]
