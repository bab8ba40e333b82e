"""A graph as a Mermaid flowchart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remotemedia.inspecting.text import UNREAD

if TYPE_CHECKING:
    from remotemedia.inspecting.inspection import DrawnNode, Inspection

_STYLES = (
    "classDef source fill:#e8f0fe,stroke:#4a6fa5,color:#000",
    "classDef native fill:#fff,stroke:#555,color:#000",
    "classDef python fill:#fff8e1,stroke:#b8860b,color:#000",
    "classDef inserted fill:#f5f5f5,stroke:#999,color:#000,stroke-dasharray:4 3",
)


def draw(inspection: Inspection) -> str:
    """Draw from left to right; converters that planning put in are dashed."""
    # Ids of ours have dots and words that Mermaid knows: it gets numbers.
    numbers = {node.id: f"n{index}" for index, node in enumerate(inspection.nodes)}
    lines = ["flowchart LR"]
    lines += [f"    {numbers[node.id]}{_shape(node)}" for node in inspection.nodes]
    for edge in inspection.edges:
        ports = [edge.source_port] if edge.source_port != "out" else []
        ports += [edge.target_port] if edge.target_port != "in" else []
        label = _text(" to ".join(ports) + (": " if ports else "") + edge.format)
        lines.append(f'    {numbers[edge.source]} -->|"{label}"| {numbers[edge.target]}')
    lines += [f"    {style}" for style in _STYLES]
    for name in ("source", "native", "python", "inserted"):
        members = [numbers[node.id] for node in inspection.nodes if _class(node) == name]
        if members:
            lines.append(f"    class {','.join(members)} {name}")
    return "\n".join(lines)


def _shape(node: DrawnNode) -> str:
    told = [node.id.removeprefix("$"), node.type, node.file, UNREAD if node.unread else None]
    # What says nothing new is left out: the only source is of type "input" and called that.
    label = "<br/>".join(_text(text) for text in dict.fromkeys(told) if text)
    if node.source:
        return f'(["{label}"])'
    return f'[("{label}")]' if node.sink else f'["{label}"]'


def _class(node: DrawnNode) -> str:
    if node.source:
        return "source"
    return "inserted" if node.inserted else node.runtime


def _text(text: str) -> str:
    """Give text that means nothing to Mermaid or HTML."""
    return "".join(c if c.isalnum() or c in " .,:-_/" else f"#{ord(c)};" for c in text)
