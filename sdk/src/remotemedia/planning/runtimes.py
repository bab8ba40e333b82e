"""The choice of a runtime: native, or the Python twin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from remotemedia.errors import INVALID_PARAMETER, ManifestError, NotInThisVersion, RuntimeMissing
from remotemedia.planning.steps import Step
from remotemedia.runtime import unavailable

Runtime = Literal["native", "python"]


@dataclass(frozen=True)
class Choice:
    """Where a node runs.

    Attributes:
        runtime: ``native``, or ``python``: a node of the user's, or the twin of a native one.
        reason: why it is not native.
        fallback: it would be native if the native runtime could be used.
    """

    runtime: Runtime
    reason: str | None = None
    fallback: bool = False


def choose(steps: Iterable[Step], native: bool | None = None) -> tuple[Choice, dict[str, Choice]]:
    """Choose what runs a pipeline, and where each of its nodes runs.

    One machine runs all nodes but the user's own: the native one unless a ``runtime_hint`` wants
    Python or it cannot be used, which is read anew at every call.

    Args:
        steps: the nodes.
        native: the machine, where it is settled; None chooses.

    Returns:
        The choice of the machine, and those of the nodes by their ids.

    Raises:
        RuntimeMissing: a node must run natively, and that is not possible.
        ManifestError: one node must run natively and another in Python.
        NotInThisVersion: a node must run in Python where the machine is the native one.
    """
    listed = list(steps)
    own = {step.id for step in listed if step.role == "python"}
    hinted = [step for step in listed if step.role == "machine"]
    rust = next((step for step in hinted if step.node.runtime_hint == "rust"), None)
    python = next((step for step in hinted if step.node.runtime_hint == "python"), None)
    if rust is not None and python is not None:
        raise ManifestError(
            f'"{rust.id}" must run natively and "{python.id}" in Python: one pipeline runs its '
            "native nodes in one of the two.",
            code=INVALID_PARAMETER,
            field=f"{python.where}.runtime_hint",
            hint='Leave one of them at "auto".',
        )
    machine = _machine(rust, python, native)
    chosen: dict[str, Choice] = {}
    for step in listed:
        if step.id in own:
            chosen[step.id] = Choice("python", "It is a Python node.")
        elif step is python or step.node.runtime_hint == "python":
            chosen[step.id] = Choice("python", "Its runtime_hint says so.")
        else:
            chosen[step.id] = machine
    return machine, chosen


def _machine(rust: Step | None, python: Step | None, native: bool | None) -> Choice:
    if python is not None:
        if native is True:
            raise NotInThisVersion(
                f'"{python.id}" in Python beside native nodes is not in this version.',
                field=f"{python.where}.runtime_hint",
            )
        return Choice("python", f'"{python.id}" runs in Python by its runtime_hint.')
    reason = "Python is asked for." if native is False else None
    if native is None:
        reason = unavailable("Run")[2]
    if reason is None:
        return Choice("native")
    if rust is not None:
        raise RuntimeMissing(
            f'"{rust.id}" must run natively: {reason}',
            field=f"{rust.where}.runtime_hint",
            hint='Install remotemedia-runtime, or say "auto".',
        )
    return Choice("python", reason, fallback=True)
