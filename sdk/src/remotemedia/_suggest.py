"""The nearest right name for a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Give the entry of `known` that `name` most likely means, or None."""
    folded = {entry.casefold(): entry for entry in known}
    matches = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say what the right name is: the nearest one, else all of them."""
    names = sorted(known)
    guess = nearest(name, names)
    if guess is not None:
        return f'Did you mean "{guess}"?'
    if not names:
        return "None is known here."
    return "Known: " + ", ".join(names) + "."
