"""`python`: frames wait until somebody takes them to the user's node."""

from __future__ import annotations

from dataclasses import dataclass

from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import Params

MAX_ENTRY_BYTES = 256


@dataclass(frozen=True)
class PythonNode:
    """A Python node of a plan.

    Attributes:
        entry: what the SDK knows the node by.
        frames: how many may wait or run, which also bounds how many run at once.
    """

    entry: str
    frames: int


def compile_python(node: ResolvedNode) -> PythonNode:
    """Check a node that runs elsewhere."""
    params = Params(node.params)
    entry = params.text("entry", MAX_ENTRY_BYTES)
    frames = params.integer("mailbox_frames", 1, 10_000)
    params.integer("mailbox_ms", 20, 60_000)
    params.finish()
    return PythonNode(entry, frames)
