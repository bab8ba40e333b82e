"""Drawing pipelines: what runs, with the formats on the edges."""

from remotemedia.inspecting.inspection import DrawnEdge, DrawnNode, Inspection, inspect

__all__ = ["DrawnEdge", "DrawnNode", "Inspection", "inspect"]
