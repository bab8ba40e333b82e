"""Pipelines named on the command line."""

from __future__ import annotations

from pathlib import Path

from remotemedia.errors import ManifestError, ParameterError
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
    try:
        if named.endswith(".py"):
            return _only_pipeline(named)
        if ":" in named:
            return _pipeline_at(named)
    except ParameterError as error:
        # The field that it would be of in a manifest says nothing here.
        raise ManifestError(error.message, hint=error.hint) from error.__cause__
    what = "is a folder, no pipeline" if Path(named).is_dir() else "is no pipeline"
    raise ManifestError(
        f'"{named}" {what}.',
        hint="The pipeline comes first: a .yaml or .json manifest, or a Pipeline as app.py:name.",
    )


def _pipeline_at(entry: str) -> Pipeline:
    found = load_entry(entry)
    if isinstance(found, Pipeline):
        return found
    raise ManifestError(f'"{entry}" is a {type(found).__name__}, not a Pipeline.')


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
