"""What of an offer is accepted, the answer, and the same offer as aiortc is given it.

Audio that is sent with Opus is received; where there is audio to send, the first section in which
Opus is received carries it. The first section of data channels is taken, other RTP is kept
inactive, the rest rejected: every section is answered. All accepted sections share one
transport (BUNDLE, RFC 9143); without a group only one is accepted.

aiortc sees only the sections that carry something, in the order of their first coming, and always
as well-formed as we write them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from remotemedia.formats import AudioFormat
from remotemedia.host.python.faults import NO_COMMON_CODEC, fault
from remotemedia.host.python.offers import (
    Codec,
    Description,
    Direction,
    Media,
    Setup,
    missing,
)
from remotemedia.host.python.opus import Wishes

MAX_TRACKS = 8
"""Audio sections of one connection that are received, or as many as the pipeline has sources where
those are more; further ones are kept inactive."""
MAX_MESSAGE = 64 * 1024
"""The longest message that we take, in bytes."""
DEFAULT_MAX_MESSAGE = 65_536
"""What a side that says nothing takes (RFC 8841, section 6.1)."""
_EXTENSIONS = (
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "urn:ietf:params:rtp-hdrext:sdes:mid",
)
_RTCP_TYPES = range(72, 77)
"""Payload types that cannot be told from RTCP on one port (RFC 5761, section 4)."""
_RATES = (8_000, 12_000, 16_000, 24_000)

Want = Literal["required", "optional", "none"]
"""How much audio is wanted: without it the offer is refused, or it is taken, or it is not taken."""
Use = Literal["audio", "voice", "data", "inactive", "rejected"]
"""Audio that is received (and perhaps sent), audio that is sent only, data channels, or none."""


@dataclass(frozen=True)
class Agreed:
    """What both sides agree on.

    Attributes:
        offer: what was offered.
        uses: what becomes of each section, in order.
        tag: the section whose transport all share.
        voice: the section in which we send audio, if there is one.
        stereo: we send two channels there.
    """

    offer: Description
    uses: tuple[Use, ...]
    tag: int
    voice: int | None = None
    stereo: bool = False

    @property
    def transport(self) -> Media:
        """The section whose transport all share."""
        return self.offer.media[self.tag]

    @property
    def has_data(self) -> bool:
        """Whether there are data channels."""
        return "data" in self.uses

    @property
    def audio(self) -> list[Media]:
        """The sections that are received."""
        return self._used("audio")

    @property
    def voice_mid(self) -> str | None:
        """The name of the section in which we send audio."""
        return None if self.voice is None else self.offer.media[self.voice].mid

    @property
    def wishes(self) -> Wishes:
        """What the other side would like to receive there."""
        codec = None if self.voice is None else opus_of(self.offer.media[self.voice])
        return Wishes() if codec is None else Wishes.parse(codec.parameters)

    @property
    def max_message_size(self) -> int:
        """The longest message that the other side takes, in bytes."""
        given = [each.max_message_size for each in self._used("data")]
        size = given[0] if given else None
        return DEFAULT_MAX_MESSAGE if size is None else size or 2**62

    @property
    def candidates(self) -> list[str]:
        """Some write their candidates into another section of the group than its first."""
        sections = [self.transport]
        for media, use in zip(self.offer.media, self.uses, strict=True):
            if use != "rejected" and media.ufrag == self.transport.ufrag:
                sections.append(media)
        return next((each.candidates for each in sections if each.candidates), [])

    def _used(self, wanted: Use) -> list[Media]:
        return [
            media for media, use in zip(self.offer.media, self.uses, strict=True) if use == wanted
        ]


@dataclass(frozen=True)
class Local:
    """What an answer says of this side."""

    ufrag: str
    pwd: str
    fingerprint: str
    candidates: Sequence[str]
    active: bool
    """Whether it begins the DTLS handshake."""
    source: tuple[int, str] | None = None
    """The SSRC and the name of the audio that is sent."""


def negotiate(
    offer: Description, *, audio: Want, sent_channels: int = 0, tracks: int = MAX_TRACKS
) -> Agreed:
    """Decide what of an offer is accepted.

    Args:
        offer: what was offered.
        audio: how much it is wanted.
        sent_channels: of the audio that there is to send; 0 for none.
        tracks: how many are received at most.

    Raises:
        RuntimeFault: RM-2001 where something needed is missing; RM-2002 where audio is required and
            none with Opus is sent, or where nothing is of use.
    """
    uses: list[Use] = []
    voice: int | None = None
    most = 0 if audio == "none" else tracks
    for index, media in enumerate(offer.media):
        grouped = media.mid in offer.bundle if offer.bundle else not _any(uses)
        sends = sent_channels > 0 and voice is None and media.hears
        uses.append(
            _use(media, index, uses, sends, most) if media.offered and grouped else "rejected"
        )
        if sends and uses[-1] in {"audio", "voice"}:
            voice = index
    if audio == "required" and "audio" not in uses:
        raise fault(NO_COMMON_CODEC, _why_no_audio(offer))
    if not {"audio", "voice", "data"} & set(uses):
        raise fault(
            NO_COMMON_CODEC,
            "nothing in the offer is of use here: no audio with Opus that is sent, and no data "
            "channel",
        )
    tag = _tag(offer, uses)
    media = offer.media[tag]
    for name, value in (
        ("ice-ufrag", media.ufrag),
        ("ice-pwd", media.pwd),
        ("fingerprint:sha-256", media.fingerprints),
    ):
        if not value:
            raise missing(tag, name)
    agreed = Agreed(offer, tuple(uses), tag, voice)
    return replace(agreed, stereo=agreed.wishes.stereo and sent_channels > 1)


def _any(uses: Sequence[Use]) -> bool:
    return any(use != "rejected" for use in uses)


def _use(media: Media, index: int, before: Sequence[Use], sends: bool, tracks: int) -> Use:
    if media.is_data and "data" not in before:
        if media.mid is None:
            raise missing(index, "mid")
        return "data"
    rtp = media.kind in {"audio", "video"} and media.is_secure
    receives = media.sends and before.count("audio") < tracks
    if rtp and media.kind == "audio" and (receives or sends) and opus_of(media) is not None:
        if not media.rtcp_mux:
            raise missing(index, "rtcp-mux")
        if media.mid is None:
            raise missing(index, "mid")
        return "audio" if receives else "voice"
    idle = rtp and media.rtcp_mux and media.mid is not None and media.idle_codec is not None
    return "inactive" if idle else "rejected"


def opus_of(media: Media) -> Codec | None:
    """Give the section's Opus, where its number can be used."""
    codec = media.opus
    return None if codec is None or codec.payload_type in _RTCP_TYPES else codec


def _tag(offer: Description, uses: Sequence[Use]) -> int:
    """Find the first section of the group that is accepted (RFC 9143, section 7.3.1)."""
    accepted = {
        media.mid: index
        for index, (media, use) in enumerate(zip(offer.media, uses, strict=True))
        if use != "rejected"
    }
    grouped = [accepted[mid] for mid in offer.bundle if mid in accepted]
    return grouped[0] if grouped else next(iter(accepted.values()))


def _why_no_audio(offer: Description) -> str:
    sections = [each for each in offer.media if each.kind == "audio" and each.offered]
    if not sections:
        return (
            "the pipeline needs audio, and the offer has none: add an audio track before the offer"
        )
    if any(opus_of(each) is not None for each in sections):
        return (
            "the pipeline needs audio, and none that it can receive is sent: offer it sendrecv or "
            "sendonly"
        )
    return "the pipeline needs audio with the codec Opus (opus/48000/2), which is not offered"


def write_answer(
    agreed: Agreed, local: Local, receive: AudioFormat, session: int, version: int
) -> str:
    """Write the answer: every section of the offer in its order and with its mid.

    Args:
        agreed: what was negotiated.
        local: this side.
        receive: the audio that is of use here.
        session: the id in the origin line.
        version: the version in it: one more with each answer.
    """
    offer = agreed.offer
    lines = ["v=0", f"o=- {session} {version} IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if offer.bundle:
        accepted = {
            media.mid
            for media, use in zip(offer.media, agreed.uses, strict=True)
            if use != "rejected"
        }
        lines.append(" ".join(["a=group:BUNDLE", *(m for m in offer.bundle if m in accepted)]))
    if offer.extmap_allow_mixed:
        lines.append("a=extmap-allow-mixed")
    for index, (media, use) in enumerate(zip(offer.media, agreed.uses, strict=True)):
        lines += _section(media, use, local, receive, agreed if index == agreed.voice else None)
        if index == agreed.tag:
            lines += [f"a={each}" for each in local.candidates]
            lines.append("a=end-of-candidates")
    return "".join(f"{line}\r\n" for line in lines)


def _section(
    media: Media, use: Use, local: Local, receive: AudioFormat, voice: Agreed | None
) -> list[str]:
    codec = opus_of(media) if use in {"audio", "voice"} else media.idle_codec
    formats = " ".join(media.formats)
    if use == "data":
        formats = "webrtc-datachannel"
    elif use != "rejected" and codec is not None:
        formats = str(codec.payload_type)
    port = 0 if use == "rejected" else 9
    lines = [f"m={media.kind} {port} {media.protocol} {formats}", "c=IN IP4 0.0.0.0"]
    if media.mid is not None:
        lines.append(f"a=mid:{media.mid}")
    if use == "rejected":
        return [*lines, "a=inactive"]
    lines += [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.pwd}",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{'active' if local.active else 'passive'}",
    ]
    if use == "data":
        lines += ["a=sctp-port:5000", f"a=max-message-size:{MAX_MESSAGE}"]
    elif codec is not None:
        if use in {"audio", "voice"}:
            lines += _extensions(media)
            lines += [f"a={_direction(use == 'audio', voice is not None)}", "a=rtcp-mux"]
            both = voice is not None and voice.stereo
            lines += _codec(codec, opus_parameters(receive) + ";sprop-stereo=1" * both)
            if voice is not None and local.source is not None:
                # RFC 8830, and RFC 5576, section 4.1.
                ssrc, name = local.source
                lines += [f"a=msid:{name} {name}-audio", f"a=ssrc:{ssrc} cname:{name}"]
        else:
            lines += ["a=inactive", "a=rtcp-mux", *_codec(codec, codec.parameters)]
    return lines


def _direction(receives: bool, sends: bool) -> Direction:
    """Say who sends, seen from a side that does these."""
    if receives:
        return "sendrecv" if sends else "recvonly"
    return "sendonly" if sends else "inactive"


def _extensions(media: Media) -> list[str]:
    found = [(name, uri) for name, uri in media.extensions if uri in _EXTENSIONS]
    return [f"a=extmap:{name} {uri}" for name, uri in found if 1 <= name <= 14]  # noqa: PLR2004 - one byte headers (RFC 8285)


def _codec(codec: Codec, parameters: str) -> list[str]:
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    lines = [f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.rate}{channels}"]
    if parameters:
        lines.append(f"a=fmtp:{codec.payload_type} {parameters}")
    return lines


def opus_parameters(receive: AudioFormat) -> str:
    """Say what we like to receive (RFC 7587, section 6.1): no more bandwidth than is of use."""
    text = "minptime=10"
    if receive.channels > 1:
        text += ";stereo=1"
    enough = next((rate for rate in _RATES if rate >= receive.rate), None)
    return text if enough is None else f"{text};maxplaybackrate={enough}"


def write_inner(agreed: Agreed, order: Sequence[str], setup: Setup) -> str:
    """Write the offer as aiortc is given it.

    Args:
        agreed: what was negotiated.
        order: the mids that aiortc knows and new ones, in the order of their coming: it counts
            sections by their place.
        setup: the other side's part in the DTLS handshake.
    """
    transport = agreed.transport
    by_mid = {media.mid: index for index, media in enumerate(agreed.offer.media)}
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if agreed.offer.ice_lite:
        lines.append("a=ice-lite")
    lines.append(" ".join(["a=group:BUNDLE", *order]))
    for mid in order:
        media = agreed.offer.media[by_mid[mid]]
        if media.is_data:
            lines += ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0"]
            lines += [f"a=sctp-port:{media.sctp_port or 5000}"]
            lines += [f"a=max-message-size:{agreed.max_message_size}"]
        else:
            index = by_mid[mid]
            lines += _inner_audio(
                media, _direction(index == agreed.voice, agreed.uses[index] == "audio")
            )
        lines += [
            f"a=mid:{mid}",
            f"a=ice-ufrag:{transport.ufrag}",
            f"a=ice-pwd:{transport.pwd}",
            *(f"a=fingerprint:sha-256 {each}" for each in transport.fingerprints),
            f"a=setup:{setup}",
        ]
    return "".join(f"{line}\r\n" for line in lines)


def _inner_audio(media: Media, direction: Direction) -> list[str]:
    codec = opus_of(media) or Codec(111, "opus", 48_000, 2)
    lines = [f"m=audio 9 UDP/TLS/RTP/SAVPF {codec.payload_type}", "c=IN IP4 0.0.0.0"]
    lines += [*_extensions(media), f"a={direction}"]
    lines += ["a=rtcp:9 IN IP4 0.0.0.0", "a=rtcp-mux"]
    lines += [f"a=rtpmap:{codec.payload_type} opus/48000/2"]
    lines += [f"a=ssrc:{each} cname:-" for each in media.ssrcs[:1]]
    return lines
