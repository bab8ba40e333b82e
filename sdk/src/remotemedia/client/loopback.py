"""aioice on a machine without a network."""

from __future__ import annotations

import aioice.ice


def use_loopback_where_nothing_else_is() -> None:
    """Let a machine without a network reach itself: aioice never offers 127.0.0.1 by itself."""
    original = aioice.ice.get_host_addresses
    if getattr(original, "with_loopback", False):
        return

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return original(use_ipv4, use_ipv6) or (["127.0.0.1"] if use_ipv4 else [])

    addresses.with_loopback = True  # type: ignore[attr-defined]
    aioice.ice.get_host_addresses = addresses
