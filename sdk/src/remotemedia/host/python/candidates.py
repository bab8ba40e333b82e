"""Candidates of both sides (RFC 8839, section 5.1)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from aiortc import RTCIceCandidate

from remotemedia.host.python.faults import INVALID_CANDIDATE, RuntimeFault, fault

_MAX_LINE = 1_024
_MAX_FOUNDATION = 32
_MAX_NAME = 253
_NAME = re.compile(r"[A-Za-z0-9._-]*[A-Za-z][A-Za-z0-9._-]*")
_TYPES = frozenset({"host", "srflx", "prflx", "relay"})
_LEAST_WORDS = 8


def parse_candidate(line: str) -> RTCIceCandidate | None:
    """Read ``candidate:...``, with or without ``a=`` before it.

    Returns:
        None for one that is of no use: by TCP, of another component, or a name. Browsers hide
        addresses behind ``.local`` names; the other side's checks tell where it really is.

    Raises:
        RuntimeFault: RM-2006 with what is wrong.
    """
    if len(line) > _MAX_LINE:
        raise _invalid("the line is too long")
    text = line.strip().removeprefix("a=")
    if not text.startswith("candidate:"):
        raise _invalid("it does not begin with candidate:")
    words = text.removeprefix("candidate:").split()
    if len(words) < _LEAST_WORDS or words[6] != "typ":
        raise _invalid("it is not of the form foundation component udp priority address port typ …")
    foundation, component, transport, priority, host, port, _typ, kind, *_ = words
    if len(foundation) > _MAX_FOUNDATION:
        raise _invalid(f"the foundation is longer than {_MAX_FOUNDATION} characters")
    if kind not in _TYPES:
        raise _invalid("the type is unknown")
    numbers = (
        _number("component", component, 256),
        _number("priority", priority, 2**32 - 1),
        _number("port", port, 65_535),
    )
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if len(host) > _MAX_NAME or not _NAME.fullmatch(host):
            raise _invalid("the address is neither an address nor a host name") from None
        return None
    if transport.lower() != "udp" or numbers[0] != 1 or not numbers[2]:
        return None
    return RTCIceCandidate(numbers[0], foundation, host, numbers[2], numbers[1], "udp", kind)


def _number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))) or int(text) > most:
        raise _invalid(f"the {name} is not a number in range")
    return int(text)


def _invalid(message: str) -> RuntimeFault:
    return fault(INVALID_CANDIDATE, f"not a candidate: {message}", field="candidate")


def advertised(candidates: Sequence[str], addresses: Sequence[str]) -> list[str]:
    """Tell further addresses, with the port of the first of this machine."""
    made: list[str] = []
    for index, address in enumerate(addresses):
        version = ":" in address
        for each in candidates:
            words = each.split()
            host: str = words[4]
            if (":" in host) == version and host != "127.0.0.1":
                words[0] = f"candidate:advertised{index}"
                words[4] = address
                made.append(" ".join(words))
                break
    return made
