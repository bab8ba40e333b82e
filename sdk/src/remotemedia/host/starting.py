"""Which host serves pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from remotemedia.host.choosing import stand_in
from remotemedia.host.host import EngineHost, check_names
from remotemedia.host.split import SplitHost
from remotemedia.runtime import unavailable

if TYPE_CHECKING:
    from remotemedia.pipeline import Pipeline

MAX_SESSIONS = 1_000
"""Sessions of the whole server where the settings say nothing."""


async def start_host(
    pipelines: Sequence[Pipeline], settings: Mapping[str, object] | None = None
) -> EngineHost | SplitHost:
    """Start what serves: natively, and by aiortc and the twin what asks for Python.

    Without the native module everything is served by aiortc, with a warning. See `EngineHost.start`
    for the settings and for what goes wrong.
    """
    check_names(pipelines)
    if unavailable("Engine")[0] is None:
        return await EngineHost.start(pipelines, settings)
    asked = [pipeline for pipeline in pipelines if _asks_for_python(pipeline)]
    others = [pipeline for pipeline in pipelines if pipeline not in asked]
    if not asked:
        return await EngineHost.start(others, settings)
    python = await EngineHost.start(asked, settings, stand_in())
    if not others:
        return python
    try:
        native = await EngineHost.start(others, settings)
    except BaseException:
        await python.close()
        raise
    limits = (settings or {}).get("limits")
    most = limits.get("max_sessions") if isinstance(limits, dict) else None
    return SplitHost(native, python, most if isinstance(most, int) else MAX_SESSIONS)


def _asks_for_python(pipeline: Pipeline) -> bool:
    """Whether a node's ``runtime_hint`` wants what runs the pipeline to be the twin."""
    machine = pipeline.plan().machine
    return machine.runtime == "python" and not machine.fallback
