"""Checks of plain data before it is read: how large, how deep, and of what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from remotemedia.errors import INVALID_MANIFEST, ManifestError, Problem

MAX_DEPTH = 64
"""How deeply a manifest may be nested."""
MAX_VALUES = 20_000
"""How many values a manifest may have in all: several times what the largest pipeline needs."""
MAX_TEXT = 1 << 20
"""How many characters the texts and keys of a manifest may have in all."""
MAX_INTEGER = 1 << 63
"""Integers lie below it, and not below its negative: what everybody who reads JSON can hold."""


def check_plain(data: object) -> None:
    """Refuse data that JSON cannot say, or that is too much.

    It is called before anything else looks at the data, and neither recurses nor copies.

    Raises:
        ManifestError: with the path of the first value that is wrong.
    """
    pending: list[tuple[object, str, int]] = [(data, "", 0)]
    values = 0
    letters = 0
    while pending:
        value, path, depth = pending.pop()
        values += 1
        letters += len(value) if isinstance(value, str) else 0
        problem = _too_much(values, letters, depth) or _wrong(value)
        if problem is not None:
            raise ManifestError.of([Problem(INVALID_MANIFEST, path.lstrip(".") or "$", problem)])
        if isinstance(value, Mapping):
            for key, each in value.items():
                if not isinstance(key, str) or _wrong(key) is not None:
                    raise ManifestError(
                        f"has the key {_shown(key)}: keys must be text.",
                        field=path.lstrip(".") or "$",
                        hint="Put it in quotes." if not isinstance(key, str) else None,
                    )
                letters += len(key)
                pending.append((each, f"{path}.{key[:64]}", depth + 1))
        elif isinstance(value, list | tuple):
            pending.extend((each, f"{path}[{i}]", depth + 1) for i, each in enumerate(value))


def _too_much(values: int, letters: int, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return "is nested too deeply."
    if values > MAX_VALUES:
        return f"has more than {MAX_VALUES} values."
    if letters > MAX_TEXT:
        return f"has more than {MAX_TEXT} characters of text."
    return None


def _wrong(value: object) -> str | None:
    if value is None or isinstance(value, bool | Mapping | list | tuple):
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "has half of a character (a lone surrogate)."
        return None
    if isinstance(value, int):
        fits = -MAX_INTEGER <= value < MAX_INTEGER
        return None if fits else "is an integer of more than 64 bits."
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}, which is no number in JSON."
    return f"is a {type(value).__name__}, which JSON does not have."


def _shown(key: object) -> str:
    simple = isinstance(key, str | int | float | bool | None)
    return repr(key)[:64] if simple else type(key).__name__
