"""Session descriptions read: total and bounded.

What it does not know it skips; what it needs and cannot read is an error that names the line. No
text of a client reaches aiortc: what it is given is written anew from what was read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from remotemedia.host.python.faults import INVALID_SDP, RuntimeFault, fault

MAX_BYTES = 256 * 1024
"""The longest description."""
MAX_LINES = 8_192
"""The most lines of one."""
MAX_MEDIA = 32
"""The most media sections of one."""
MAX_CANDIDATES = 64
"""Remote candidates that a connection takes."""
MAX_KEPT = 64
"""Sources, header extensions and fingerprints kept of a section; more are ignored."""

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Setup = Literal["active", "passive", "actpass"]

_DIRECTIONS: dict[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}
_SETUPS: dict[str, Setup] = {"active": "active", "passive": "passive", "actpass": "actpass"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_CREDENTIAL = re.compile(r"[!-9;-~]{1,256}")
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
_MAX_TYPE = 127
_WORDS = 4


@dataclass
class Codec:
    """A payload type and what it stands for; without a name only its parameters are known."""

    payload_type: int
    name: str = ""
    rate: int = 0
    channels: int = 0
    parameters: str = ""

    @property
    def is_opus(self) -> bool:
        """RFC 7587, section 7: always 48000 and 2."""
        return (self.name.lower(), self.rate, self.channels) == ("opus", 48_000, 2)


@dataclass
class Common:
    """Attributes that may stand at session level too."""

    ufrag: str | None = None
    pwd: str | None = None
    fingerprints: list[str] = field(default_factory=list)
    setup: Setup | None = None
    direction: Direction | None = None


@dataclass
class Media(Common):
    """A media section."""

    kind: str = ""
    port: int = 0
    protocol: str = ""
    formats: list[str] = field(default_factory=list)
    mid: str | None = None
    bundle_only: bool = False
    rtcp_mux: bool = False
    codecs: list[Codec] = field(default_factory=list)
    extensions: list[tuple[int, str]] = field(default_factory=list)
    ssrcs: list[int] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    sctp_port: int | None = None
    max_message_size: int | None = None

    @property
    def offered(self) -> bool:
        """Port 0 rejects a section, unless it may only be used in its group."""
        return self.port != 0 or self.bundle_only

    @property
    def sends(self) -> bool:
        """Whether the other side sends."""
        return self.direction in {"sendrecv", "sendonly"}

    @property
    def hears(self) -> bool:
        """Whether the other side receives."""
        return self.direction in {"sendrecv", "recvonly"}

    @property
    def is_data(self) -> bool:
        """Whether it is for data channels (RFC 8841)."""
        return (
            self.kind == "application"
            and self.protocol.endswith("/DTLS/SCTP")
            and "webrtc-datachannel" in self.formats
        )

    @property
    def is_secure(self) -> bool:
        """Whether it is for RTP that is encrypted."""
        return self.protocol.endswith(("RTP/SAVPF", "RTP/SAVP"))

    @property
    def opus(self) -> Codec | None:
        """Opus, in the order of the offer."""
        for each in self.formats:
            for codec in self.codecs:
                if each == str(codec.payload_type) and codec.is_opus:
                    return codec
        return None

    @property
    def idle_codec(self) -> Codec | None:
        """The codec to name where the section stays without media."""
        return self.opus or next((each for each in self.codecs if each.name), None)


@dataclass
class Description:
    """A description that was read."""

    media: list[Media]
    bundle: list[str]
    extmap_allow_mixed: bool
    ice_lite: bool


def parse(text: str) -> Description:
    """Read a description.

    Raises:
        RuntimeFault: RM-2001 with the line or the attribute that is wrong.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise invalid("sdp", f"the description is longer than {MAX_BYTES} bytes")
    parser = _Parser()
    for number, each in enumerate(text.split("\n"), 1):
        line = each.removesuffix("\r")
        if not line:
            continue
        if number > MAX_LINES:
            raise _at(number, f"the description has more than {MAX_LINES} lines")
        parser.line(number, line)
    return parser.finish()


def invalid(where: str, message: str) -> RuntimeFault:
    """Make the error of a part of a description."""
    return fault(INVALID_SDP, message, field=where)


def missing(index: int, name: str) -> RuntimeFault:
    """Make the error of an attribute that is not there."""
    return invalid(f"media[{index}].{name}", f"a={name} is missing in media section {index}")


def _at(number: int, message: str) -> RuntimeFault:
    where = f"line {number}"
    return invalid(where, f"{where} of the description: {message}")


class _Parser:
    def __init__(self) -> None:
        self._begun = False
        self._session = Common()
        self._bundle: list[str] = []
        self._mixed = self._lite = False
        self._media: list[Media] = []

    def line(self, number: int, line: str) -> None:
        kind, sign, value = line.partition("=")
        if len(kind) != 1 or not sign:
            raise _at(number, "not of the form letter=value")
        if _CONTROL.search(line):
            raise _at(number, "it holds a control character")
        if not self._begun:
            self._begun = True
            if line != "v=0":
                raise _at(number, "the first line is not v=0")
        elif kind == "m":
            if len(self._media) >= MAX_MEDIA:
                raise _at(number, f"more than {MAX_MEDIA} media sections")
            self._media.append(_media(number, value))
        elif kind == "a":
            self._attribute(number, value)

    def finish(self) -> Description:
        if not self._begun:
            raise invalid("sdp", "the description is empty")
        if not self._media:
            raise invalid("sdp", "the description has no media section (m=)")
        session, seen = self._session, set[str]()
        for index, media in enumerate(self._media):
            media.ufrag = media.ufrag or session.ufrag
            media.pwd = media.pwd or session.pwd
            media.setup = media.setup or session.setup
            media.direction = media.direction or session.direction or "sendrecv"
            media.fingerprints = media.fingerprints or session.fingerprints
            if media.mid is not None and media.mid in seen:
                raise invalid(f"media[{index}].mid", "two media sections have the same mid")
            seen.add(media.mid or "")
        return Description(self._media, self._bundle, self._mixed, self._lite)

    def _attribute(self, number: int, text: str) -> None:
        key, _, value = text.partition(":")
        value = value.strip()
        media = self._media[-1] if self._media else None
        if _common(media or self._session, number, key, value):
            return
        if media is not None:
            take = _ATTRIBUTES.get(key)
            if take is not None:
                take(media, number, text if key == "candidate" else value)
        elif key == "group" and not self._bundle and value.startswith("BUNDLE"):
            self._bundle = value.removeprefix("BUNDLE").split()
        elif key == "extmap-allow-mixed":
            self._mixed = True
        elif key == "ice-lite":
            self._lite = True


def _common(into: Common, number: int, key: str, value: str) -> bool:
    """Take an attribute that is known at both levels; says whether it was one."""
    if key == "ice-ufrag":
        into.ufrag = _credential(number, key, value, 4)
    elif key == "ice-pwd":
        into.pwd = _credential(number, key, value, 22)
    elif key == "fingerprint":
        algorithm, _, digest = value.partition(" ")
        if algorithm.lower() == "sha-256":
            if not _FINGERPRINT.fullmatch(digest.strip()):
                raise _at(number, "the fingerprint is not 32 pairs of hexadecimal digits")
            if len(into.fingerprints) < MAX_KEPT:
                into.fingerprints.append(digest.strip().upper())
    elif key == "setup":
        if value not in _SETUPS:
            raise _at(number, "setup is none of actpass, active and passive")
        into.setup = _SETUPS[value]
    elif key in _DIRECTIONS:
        into.direction = _DIRECTIONS[key]
    else:
        return False
    return True


def _credential(number: int, name: str, value: str, least: int) -> str:
    # RFC 8839, section 5.4, a little wider: no colon, as that separates the two in a USERNAME.
    if len(value) < least or not _CREDENTIAL.fullmatch(value):
        text = f"{name} is not {least} to 256 characters without spaces and colons"
        raise _at(number, text)
    return value


def _media(number: int, value: str) -> Media:
    words = value.split()
    if len(words) < _WORDS - 1:
        raise _at(number, "m= needs a kind, a port, a protocol and formats")
    kind, port, protocol, *formats = words
    if not formats:
        raise _at(number, "m= names no format")
    # RFC 8866, section 5.14: a number of ports may follow.
    taken = _number(number, "the port", port.split("/")[0], 65_535)
    return Media(kind=kind, port=taken, protocol=protocol, formats=formats)


def _number(number: int, name: str, text: str, most: int = 2**32 - 1) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**63))):
        raise _at(number, f"{name} is not a number in range")
    value = int(text)
    if value > most:
        raise _at(number, f"{name} is not a number in range")
    return value


def _mid(media: Media, number: int, value: str) -> None:
    if not 1 <= len(value.encode("utf-8", "surrogatepass")) <= MAX_MID or len(value.split()) != 1:
        raise _at(number, f"mid is not 1 to {MAX_MID} characters without spaces")
    media.mid = value


MAX_MID = 255
"""The longest mid, in bytes."""


def _rtpmap(media: Media, number: int, value: str) -> None:
    payload_type, _, encoding = value.partition(" ")
    taken = _number(number, "the payload type of rtpmap", payload_type)
    name, *rest = encoding.strip().split("/")
    if taken > _MAX_TYPE or not name:
        raise _at(number, "rtpmap is not of the form payload-type name/rate")
    rate = _number(number, "the rate of rtpmap", rest[0] if rest else "")
    channels = _number(number, "the channels of rtpmap", rest[1], 255) if len(rest) > 1 else 1
    codec = _codec(media, taken)
    if not codec.name:  # the first mapping of each counts
        codec.name, codec.rate, codec.channels = name, rate, channels


def _fmtp(media: Media, _number_of_line: int, value: str) -> None:
    payload_type, _, parameters = value.partition(" ")
    if payload_type.isascii() and payload_type.isdigit() and len(payload_type) <= len("127"):
        taken = int(payload_type)
        if taken <= _MAX_TYPE:
            # Firefox writes the parameters before the mapping.
            _codec(media, taken).parameters = parameters.strip()


def _codec(media: Media, payload_type: int) -> Codec:
    for codec in media.codecs:
        if codec.payload_type == payload_type:
            return codec
    codec = Codec(payload_type)
    media.codecs.append(codec)
    return codec


def _extmap(media: Media, number: int, value: str) -> None:
    words = value.split()
    given = words[0].split("/")[0] if words else ""
    name = _number(number, "the id of extmap", given, 65_535)
    if len(words) < len(("id", "uri")):
        raise _at(number, "extmap names no extension")
    if len(media.extensions) < MAX_KEPT:
        media.extensions.append((name, words[1]))


def _ssrc(media: Media, number: int, value: str) -> None:
    ssrc = _number(number, "ssrc", value.split(" ", maxsplit=1)[0])
    if len(media.ssrcs) < MAX_KEPT and ssrc not in media.ssrcs:
        media.ssrcs.append(ssrc)


def _candidate(media: Media, _: int, text: str) -> None:
    if len(media.candidates) <= MAX_CANDIDATES:
        media.candidates.append(text)


def _sctp_port(media: Media, number: int, value: str) -> None:
    media.sctp_port = _number(number, "sctp-port", value, 65_535)


def _max_message_size(media: Media, number: int, value: str) -> None:
    media.max_message_size = _number(number, "max-message-size", value, 2**63)


def _bundle_only(media: Media, *_: object) -> None:
    media.bundle_only = True


def _rtcp_mux(media: Media, *_: object) -> None:
    media.rtcp_mux = True


_ATTRIBUTES: dict[str, Callable[[Media, int, str], None]] = {
    "mid": _mid,
    "bundle-only": _bundle_only,
    "rtcp-mux": _rtcp_mux,
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "extmap": _extmap,
    "ssrc": _ssrc,
    "candidate": _candidate,
    "sctp-port": _sctp_port,
    "max-message-size": _max_message_size,
}
