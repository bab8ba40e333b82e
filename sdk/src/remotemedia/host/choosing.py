"""Which runtime serves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from remotemedia.running import choice
from remotemedia.runtime import unavailable

if TYPE_CHECKING:
    from remotemedia._native import NativeRuntime

_log = logging.getLogger("remotemedia.host")


def serving_runtime() -> NativeRuntime:
    """Give the native module, or what stands in for it where it cannot be used.

    Then a warning says so, and the fallback is counted with its cause.
    """
    native, cause, why = unavailable("Engine")
    if native is not None:
        return native
    choice.count(cause)
    _log.warning(
        "serving without the native runtime, by aiortc: many times slower, and what packets lose "
        "is not made up. %s For the fast one `pip install remotemedia-runtime` and leave "
        "REMOTEMEDIA_USE_RUST unset.",
        why,
    )
    return stand_in()


def stand_in() -> NativeRuntime:
    """Give what serves without the native module."""
    from remotemedia.host import python

    return cast("NativeRuntime", python)


def plans_for(runtime: NativeRuntime) -> bool | None:
    """Say what `Pipeline.plan` is told about the machine for a runtime."""
    if getattr(runtime, "__name__", "") != "remotemedia.host.python":
        return True
    return None if unavailable("Run")[0] is None else False
