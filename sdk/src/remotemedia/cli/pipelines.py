"""Pipelines named on the command line."""

from __future__ import annotations

from pathlib import Path

from remotemedia.errors import ManifestError
from remotemedia.nodes.python import load_entry, load_module
from remotemedia.pipeline import Pipeline

_MANIFESTS = {".yaml", ".yml", ".json"}


def load_pipeline(named: str) -> Pipeline:
    """Load ``pipeline.yaml``, ``pipeline.json``, ``app.py``, ``app.py:name`` or ``module:name``.

    Raises:
        ManifestError: there is no such thing, or it is no pipeline.
    """
    if Path(named).suffix in _MANIFESTS:
        return Pipeline.from_file(named)
    if named.endswith(".py"):
        return _only_pipeline(named)
    if ":" in named:
        found = load_entry(named)
        if isinstance(found, Pipeline):
            return found
        raise ManifestError(f'"{named}" is a {type(found).__name__}, not a Pipeline.')
    raise ManifestError(
        f'"{named}" is no pipeline.',
        hint="Name a .yaml or .json manifest, or a Pipeline as app.py:name.",
    )


def _only_pipeline(path: str) -> Pipeline:
    found = {
        name: value
        for name, value in vars(load_module(path)).items()
        if isinstance(value, Pipeline)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise ManifestError(f"{path} has no Pipeline at its top level.")
    raise ManifestError(
        f"{path} has several pipelines: {', '.join(found)}.", hint=f"Say which: {path}:NAME."
    )
