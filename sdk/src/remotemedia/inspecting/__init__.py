"""Drawing pipelines: what runs, with the formats on the edges."""

from remotemedia.inspecting.inspection import (
    DrawnEdge,
    DrawnNode,
    Inspection,
    formats_of_files,
    inspect,
)

__all__ = ["DrawnEdge", "DrawnNode", "Inspection", "formats_of_files", "inspect"]
