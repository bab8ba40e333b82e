"""Access to the native runtime.

``REMOTEMEDIA_USE_RUST=0`` switches it off. The variable is read at every call, so it can be set
after the import.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, TypedDict, cast

from remotemedia.errors import RuntimeMissing

if TYPE_CHECKING:
    from remotemedia._native import NativeRuntime

MODULE = "remotemedia_runtime"
SWITCH = "REMOTEMEDIA_USE_RUST"
_OFF = frozenset({"0", "false", "no", "off"})


class BackendInfo(TypedDict):
    """What `get_backend_info` gives."""

    backend: str
    """``rust``, or ``python``: its twin, where the native runtime cannot be used."""
    version: str | None
    """The native module's version."""
    reason: str | None
    """Why the native runtime cannot be used."""


def _load() -> tuple[NativeRuntime | None, str | None]:
    module, _, reason = unavailable()
    return module, reason


def unavailable(needed: str = "") -> tuple[NativeRuntime | None, str, str | None]:
    """Give the native module, or why it cannot be used: as a word, and in words.

    Args:
        needed: a name that the module must have.
    """
    value = os.environ.get(SWITCH, "")
    if value.strip().lower() in _OFF:
        return None, "switched_off", f"{SWITCH}={value} switches it off."
    try:
        module = importlib.import_module(MODULE)
    except ImportError as error:
        return None, "absent", f"{MODULE} cannot be imported: {error}."
    if needed and not hasattr(module, needed):
        version = getattr(module, "__version__", "unknown")
        return None, "too_old", f"{MODULE} {version} has no {needed}."
    return cast("NativeRuntime", module), "", None


def try_load_rust_runtime() -> NativeRuntime | None:
    """Give the native module, or None where it is absent or switched off."""
    return _load()[0]


def is_rust_runtime_available() -> bool:
    """Say whether the native runtime can be used now."""
    return _load()[0] is not None


def get_rust_runtime() -> NativeRuntime:
    """Give the native module.

    Raises:
        RuntimeMissing: it is absent or switched off; the text says which.
    """
    module, reason = _load()
    if module is None:
        raise RuntimeMissing(
            f"The native runtime is not available: {reason}",
            hint="Install it with `pip install remotemedia-runtime`, or `make setup` in a "
            f"checkout, and leave {SWITCH} unset.",
        )
    return module


def get_backend_info() -> BackendInfo:
    """Say which runtime is used, its version, and why not where it is not the native one."""
    module, reason = _load()
    if module is None:
        return {"backend": "python", "version": None, "reason": reason}
    return {"backend": "rust", "version": module.__version__, "reason": None}
