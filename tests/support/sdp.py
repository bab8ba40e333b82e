"""Changes to session descriptions."""

from __future__ import annotations

import re
from dataclasses import dataclass


def value(sdp: str, attribute: str) -> str:
    """The first value of an attribute, such as `ice-ufrag`."""
    found = re.search(rf"^a={attribute}:(.*?)\r?$", sdp, re.MULTILINE)
    assert found is not None, f"no a={attribute} in\n{sdp}"
    return found[1]


def lines_of(sdp: str) -> list[str]:
    """Its lines without their ends."""
    return sdp.splitlines()


def joined(lines: list[str]) -> str:
    """A description from its lines."""
    return "".join(f"{line}\r\n" for line in lines)


@dataclass(frozen=True)
class Credentials:
    """What a STUN request names and is signed with."""

    ufrag: str
    pwd: str


def credentials(sdp: str) -> Credentials:
    """The ICE credentials of a description."""
    return Credentials(value(sdp, "ice-ufrag"), value(sdp, "ice-pwd"))


def media_address(sdp: str) -> tuple[str, int]:
    """Address and port of the first IPv4 candidate."""
    for line in lines_of(sdp):
        parts = line.split()
        if line.startswith("a=candidate:") and ":" not in parts[4]:
            return parts[4], int(parts[5])
    raise AssertionError(f"no IPv4 candidate in\n{sdp}")


def without_candidates(sdp: str) -> str:
    """Without candidates: whoever reads it learns the other side's address from its checks."""
    gone = ("a=candidate:", "a=end-of-candidates")
    return joined([line for line in lines_of(sdp) if not line.startswith(gone)])


def through(sdp: str, address: tuple[str, int]) -> str:
    """With one candidate alone, at `address`."""
    host, port = address
    kept = []
    for line in lines_of(without_candidates(sdp)):
        kept.append(line)
        if line.startswith("a=mid:"):
            kept.append(f"a=candidate:1 1 udp 2130706431 {host} {port} typ host")
            kept.append("a=end-of-candidates")
    return joined(kept)


def with_wrong_fingerprints(sdp: str) -> str:
    """With one digit of each fingerprint changed."""
    changed = []
    for line in lines_of(sdp):
        if line.startswith("a=fingerprint:"):
            line = line[:-1] + ("1" if line.endswith("0") else "0")  # noqa: PLW2901
        changed.append(line)
    return joined(changed)
