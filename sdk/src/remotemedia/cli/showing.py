"""``validate`` and ``inspect``: checking a pipeline, and showing what would run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from remotemedia.cli import exits
from remotemedia.errors import ManifestError

if TYPE_CHECKING:
    from remotemedia.pipeline import Pipeline
    from remotemedia.planning import Plan


def validate(pipeline: Pipeline, output: Console) -> None:
    """Check a pipeline, by the native runtime too where there is one, and show what would run.

    Raises:
        ManifestError: it cannot run.
    """
    plan = pipeline.plan()
    _check_natively(plan)
    given = any(source.id not in plan.files for source in plan.resolved.sources)
    comes = f"audio comes in at {plan.source}" if plan.takes_audio else "values come in"
    output.print(Text(f"{plan.name} is valid; {comes if given else 'it reads files'}."))
    output.print(Text(pipeline.inspect().text()), soft_wrap=True)


def inspect(pipeline: Pipeline, output: Console, *, mermaid: bool, as_json: bool) -> None:
    """Draw a pipeline.

    Raises:
        ManifestError: it cannot run.
    """
    if mermaid and as_json:
        raise exits.WrongUse("--mermaid and --json exclude each other.")
    drawn = pipeline.inspect()
    if as_json:
        text = json.dumps(drawn.to_dict(), ensure_ascii=False)
    else:
        text = drawn.mermaid() if mermaid else drawn.text()
    output.print(Text(text), soft_wrap=True)


def _check_natively(plan: Plan) -> None:
    from remotemedia.runtime import get_backend_info, try_load_rust_runtime

    native = try_load_rust_runtime()
    if native is None:
        reason = get_backend_info()["reason"]
        exits.errors.print(Text(f"not checked natively: {reason}", style="yellow"), soft_wrap=True)
        return
    if plan.machine.runtime == "python" and not plan.machine.fallback:
        return
    try:
        native.check_manifest(plan.resolved.to_json())
    except native.RuntimeFault as fault:
        raise ManifestError(
            fault.message, code=fault.code, field=fault.field, hint=fault.hint
        ) from fault
