"""The names that version 0.1 had here, so that its nodes are imported unchanged."""

from remotemedia.core.exceptions import NodeError
from remotemedia.core.node import Node
from remotemedia.core.pipeline import Pipeline

__all__ = ["Node", "NodeError", "Pipeline"]
