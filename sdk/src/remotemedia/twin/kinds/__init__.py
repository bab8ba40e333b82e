"""The kinds of nodes: one line a kind."""

from __future__ import annotations

from remotemedia.errors import UNKNOWN_NODE_TYPE
from remotemedia.twin.kinds.base import Compile, Make
from remotemedia.twin.kinds.basic import (
    compile_format,
    compile_gain,
    compile_pass_through,
    compile_sink,
    compile_split,
)
from remotemedia.twin.kinds.buffer import compile_buffer
from remotemedia.twin.kinds.data import compile_calculator, compile_text
from remotemedia.twin.kinds.level import compile_level
from remotemedia.twin.kinds.mix import compile_mix
from remotemedia.twin.kinds.python import PythonNode, compile_python
from remotemedia.twin.kinds.resample import compile_resample
from remotemedia.twin.kinds.vad import compile_vad
from remotemedia.twin.manifest import ResolvedNode, invalid
from remotemedia.twin.params import ParamError

SINK = "sink"
"""The kind whose audio goes to who hears a session."""

KINDS: dict[str, Compile] = {
    "buffer": compile_buffer,
    "calculator": compile_calculator,
    "format": compile_format,
    "gain": compile_gain,
    "level": compile_level,
    "mix": compile_mix,
    "pass_through": compile_pass_through,
    "resample": compile_resample,
    SINK: compile_sink,
    "split": compile_split,
    "text": compile_text,
    "vad": compile_vad,
}
"""Every kind that runs here; `python` is the one that does not."""

LIVE: dict[str, tuple[str, ...]] = {
    "gain": ("gain_db",),
    "level": ("interval_ms",),
    "vad": (
        "threshold",
        "negative_threshold",
        "min_speech_ms",
        "min_silence_ms",
        "speech_pad_ms",
        "emit",
        "threshold_db",
    ),
}
"""The parameters that may change while a node runs, by kind; see `State.adopt`."""

Action = Make | PythonNode


def compile_node(node: ResolvedNode, position: int) -> Action:
    """Check a node's kind, parameters and ports.

    Raises:
        ManifestError: with the path of what is wrong.
    """
    path = f"nodes[{position}]"
    if node.kind != "python" and node.kind not in KINDS:
        there = ", ".join(sorted([*KINDS, "python"]))
        text = f'no kind "{node.kind}" here: there are {there}'
        raise invalid(f"{path}.kind", text, UNKNOWN_NODE_TYPE)
    python = node.kind == "python"
    if (node.runtime == "python") is not python:
        where = "in Python" if python else "natively"
        raise invalid(f"{path}.runtime", f'"{node.kind}" runs {where}')
    try:
        return compile_python(node) if python else KINDS[node.kind](node)
    except ParamError as error:
        raise error.at(path) from None


__all__ = ["KINDS", "LIVE", "SINK", "Action", "PythonNode", "compile_node"]
