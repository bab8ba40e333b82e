"""Bounds of parameters, as `annotated_types` has them: that module takes long to load.

``Annotated[int, Ge(1), Le(8)]``; `remotemedia._parameters` gives pydantic the originals.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ge:
    """At least so much."""

    ge: float


@dataclass(frozen=True)
class Le:
    """At most so much."""

    le: float


@dataclass(frozen=True)
class Len:
    """At least and at most so many characters or items."""

    min_length: int = 0
    max_length: int | None = None
