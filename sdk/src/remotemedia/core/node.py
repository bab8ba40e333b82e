"""Where version 0.1 had `Node`."""

from remotemedia.base import Node
from remotemedia.core.exceptions import NodeError

__all__ = ["Node", "NodeError"]
