use remotemedia_core::{AudioFormat, ChannelCount};

use super::write::Writer;
use super::{
    AudioSection, Codec, DataSection, Direction, Fingerprint, Media, MediaKind, MediaWants,
    Negotiated, Offer, OpusWishes, RemoteTransport, SdpError, SectionUse, Setup, Want,
};
use crate::ice::{Candidate, Credentials};

/// The header extension that carries the mid (RFC 9143, section 15).
pub(super) const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// The header extension that carries the audio level (RFC 6464).
pub(super) const LEVEL_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// The format of a data channel section (RFC 8841).
pub(super) const DATA_FORMAT: &str = "webrtc-datachannel";
/// What a side that says nothing takes (RFC 8841, section 6.1).
const DEFAULT_MAX_MESSAGE: u64 = 65536;
/// The SCTP port that everybody uses.
pub(super) const SCTP_PORT: u16 = 5000;

/// Our source, in the sections in which we send.
#[derive(Clone, Copy, Debug)]
pub struct OwnSource<'a> {
    /// The synchronisation source.
    pub ssrc: u32,
    /// Its canonical name.
    pub cname: &'a str,
}

/// What an answer says about this side.
#[derive(Clone, Debug)]
pub struct AnswerParams<'a> {
    /// Our ICE credentials.
    pub credentials: &'a Credentials,
    /// The fingerprint of our certificate.
    pub fingerprint: Fingerprint,
    /// Our candidates; no more will follow.
    pub candidates: &'a [Candidate],
    /// The id in the origin line: the same for all descriptions of one connection, below 2^63.
    pub session_id: u64,
    /// The version in the origin line: one more with each description.
    pub session_version: u64,
    /// The audio that is of use here.
    pub receive: AudioFormat,
    /// What we send from.
    pub source: OwnSource<'a>,
    /// The largest message that we take, in bytes.
    pub max_message_size: u64,
}

/// Decides what of an offer is accepted and finds the transport.
///
/// Audio that is sent with Opus is received; where we have audio to send, the first section in which
/// Opus is received carries it. The first section of data channels is taken, other RTP is kept
/// inactive, the rest rejected. All accepted sections share the transport of the first
/// one (BUNDLE, RFC 9143); without a BUNDLE group only one section is accepted.
///
/// This side begins the DTLS handshake where it may choose (RFC 8842, section 5.3 prefers that).
/// It then repeats a lost flight by its own clock rather than wait for one of a second on the
/// other side, it decides the cipher, and a browser completes after as many round trips as the
/// other way round.
///
/// # Errors
///
/// `InvalidSdp` where something needed is missing, `NoCommonCodec` where audio is required and
/// none with Opus is sent, or where nothing at all is of use.
pub fn negotiate(offer: &Offer, wants: &MediaWants) -> Result<Negotiated, SdpError> {
    let mut audio = Vec::new();
    let mut data = None;
    let mut first = None;
    let mut sending = false;
    let mut sections = Vec::with_capacity(offer.media.len());
    for (index, media) in offer.media.iter().enumerate() {
        let reachable = match offer.bundle.is_empty() {
            true => first.is_none(),
            false => is_bundled(offer, media),
        };
        let mut section = SectionUse::Rejected;
        if media.is_offered() && reachable {
            if is_data(media) && data.is_none() {
                data = Some(data_section(index, media)?);
                section = SectionUse::Data;
            } else if let Some((codec, direction)) = wanted_opus(media, wants, sending) {
                sending |= direction.sends();
                section = SectionUse::Audio(audio.len());
                let mut agreed = audio_section(index, media, codec, direction)?;
                agreed.stereo &= wants.send.is_some_and(|send| send > ChannelCount::MONO);
                audio.push(agreed);
            } else if can_idle(media) {
                section = SectionUse::Inactive;
            }
        }
        if section != SectionUse::Rejected {
            first.get_or_insert(index);
        }
        sections.push(section);
    }
    let receiving = audio.iter().any(|section: &AudioSection| section.direction.receives());
    if wants.audio == Want::Required && !receiving {
        return Err(SdpError::no_common_codec(why_no_audio(offer)));
    }
    if audio.is_empty() && data.is_none() {
        let message = "nothing in the offer is of use here: no audio with Opus that is sent, and \
                       no data channel";
        return Err(SdpError::no_common_codec(message));
    }
    let accepted: Vec<bool> = sections.iter().map(|s| *s != SectionUse::Rejected).collect();
    let tag = bundle_tag(offer, &accepted).or(first).unwrap_or_default();
    let remote = transport(offer, tag, &accepted)?;
    let dtls_client = offer.media[tag].setup != Some(Setup::Active);
    Ok(Negotiated { remote, dtls_client, audio, data, sections })
}

fn is_bundled(offer: &Offer, media: &Media) -> bool {
    media.mid.as_ref().is_some_and(|mid| offer.bundle.contains(mid))
}

/// The section whose transport all others share: the first of the group that is accepted
/// (RFC 9143, section 7.3.1).
fn bundle_tag(offer: &Offer, accepted: &[bool]) -> Option<usize> {
    offer.bundle.iter().find_map(|mid| {
        let index = offer.media.iter().position(|media| media.mid.as_ref() == Some(mid))?;
        accepted[index].then_some(index)
    })
}

pub(super) fn is_data(media: &Media) -> bool {
    media.kind == MediaKind::Application
        && media.protocol.ends_with("/DTLS/SCTP")
        && media.formats.iter().any(|format| format == DATA_FORMAT)
}

fn is_secure_rtp(media: &Media) -> bool {
    media.protocol.ends_with("RTP/SAVPF") || media.protocol.ends_with("RTP/SAVP")
}

/// Opus, in the order of the offer (RFC 7587, section 7: always 48000 and 2).
pub(super) fn opus(media: &Media) -> Option<&Codec> {
    media.formats.iter().find_map(|format| {
        let mut codecs = media.codecs.iter();
        codecs.find(|codec| {
            format.parse() == Ok(codec.payload_type)
                && codec.name.eq_ignore_ascii_case("opus")
                && (codec.clock_rate, codec.channels) == (48000, 2)
        })
    })
}

/// The codec and the direction, seen from here, of a section that is of use.
fn wanted_opus<'a>(
    media: &'a Media,
    wants: &MediaWants,
    sending: bool,
) -> Option<(&'a Codec, Direction)> {
    if media.kind != MediaKind::Audio || !is_secure_rtp(media) {
        return None;
    }
    let sends = wants.send.is_some() && !sending && media.direction.receives();
    let receives = wants.audio != Want::None && media.direction.sends();
    let direction = Direction::of(sends, receives);
    let codec = opus(media).filter(|_| direction != Direction::Inactive)?;
    Some((codec, direction))
}

/// Whether a section can be kept without media.
fn can_idle(media: &Media) -> bool {
    matches!(media.kind, MediaKind::Audio | MediaKind::Video)
        && is_secure_rtp(media)
        && media.rtcp_mux
        && media.mid.is_some()
        && idle_codec(media).is_some()
}

/// The codec to name in a section that stays without media.
pub(super) fn idle_codec(media: &Media) -> Option<&Codec> {
    let named = |codec: &&Codec| !codec.name.is_empty();
    opus(media).or_else(|| media.codecs.iter().find(named))
}

fn why_no_audio(offer: &Offer) -> &'static str {
    let sections = || offer.media.iter().filter(|m| m.kind == MediaKind::Audio && m.is_offered());
    if sections().next().is_none() {
        "the pipeline needs audio, and the offer has none: add an audio track before the offer"
    } else if sections().any(|media| opus(media).is_some()) {
        "the pipeline needs audio, and none that it can receive is sent: offer it sendrecv or \
         sendonly"
    } else {
        "the pipeline needs audio with the codec Opus (opus/48000/2), which is not offered"
    }
}

fn missing(index: usize, name: &str) -> SdpError {
    let message = format!("a={name} is missing in media section {index}");
    SdpError::invalid(format!("media[{index}].{name}"), message)
}

pub(super) fn audio_section(
    index: usize,
    media: &Media,
    codec: &Codec,
    direction: Direction,
) -> Result<AudioSection, SdpError> {
    if !media.rtcp_mux {
        return Err(missing(index, "rtcp-mux"));
    }
    let extension = |uri: &str| media.extensions.iter().find(|e| e.uri == uri).map(|e| e.id);
    let wishes = OpusWishes::parse(&codec.fmtp);
    Ok(AudioSection {
        mid: media.mid.clone().ok_or_else(|| missing(index, "mid"))?,
        payload_type: codec.payload_type,
        direction,
        wishes,
        stereo: wishes.stereo && direction.sends(),
        ssrcs: media.ssrcs.clone(),
        mid_extension: extension(MID_EXTENSION),
        level_extension: extension(LEVEL_EXTENSION),
    })
}

pub(super) fn data_section(index: usize, media: &Media) -> Result<DataSection, SdpError> {
    Ok(DataSection {
        mid: media.mid.clone().ok_or_else(|| missing(index, "mid"))?,
        sctp_port: media.sctp_port.unwrap_or(SCTP_PORT),
        max_message_size: match media.max_message_size {
            None => DEFAULT_MAX_MESSAGE,
            Some(0) => u64::MAX,
            Some(bytes) => bytes,
        },
    })
}

/// The transport of the section `tag`.
pub(super) fn transport(
    description: &Offer,
    tag: usize,
    accepted: &[bool],
) -> Result<RemoteTransport, SdpError> {
    let media = &description.media[tag];
    let ufrag = media.ufrag.clone().ok_or_else(|| missing(tag, "ice-ufrag"))?;
    let pwd = media.pwd.clone().ok_or_else(|| missing(tag, "ice-pwd"))?;
    if media.fingerprints.is_empty() {
        return Err(missing(tag, "fingerprint:sha-256"));
    }
    // Some write their candidates into another section of the group than its first.
    let sections =
        || description.media.iter().zip(accepted).filter(|(m, on)| **on && m.ufrag == media.ufrag);
    let source = std::iter::once(media).chain(sections().map(|(media, _)| media));
    let source = source.into_iter().find(|m| !m.candidates.is_empty()).unwrap_or(media);
    Ok(RemoteTransport {
        credentials: Credentials { ufrag, pwd },
        fingerprints: media.fingerprints.clone(),
        candidates: source.candidates.clone(),
        end_of_candidates: source.end_of_candidates,
        ice_lite: description.ice_lite,
    })
}

/// Writes the answer to `offer` that [`negotiate`] decided on: every section in its order and with
/// its mid.
#[must_use]
pub fn build_answer(offer: &Offer, agreed: &Negotiated, params: &AnswerParams<'_>) -> String {
    let accepted: Vec<bool> = agreed.sections.iter().map(|s| *s != SectionUse::Rejected).collect();
    let tag = bundle_tag(offer, &accepted).or_else(|| accepted.iter().position(|on| *on));
    let mut out = Writer::new(params.session_id, params.session_version);
    if !offer.bundle.is_empty() {
        let on = |mid: &&String| {
            let mut sections = offer.media.iter().zip(&accepted);
            sections.any(|(media, on)| *on && media.mid.as_ref() == Some(*mid))
        };
        out.bundle(offer.bundle.iter().filter(on));
    }
    if offer.extmap_allow_mixed {
        out.line("a=extmap-allow-mixed");
    }
    let setup = if agreed.dtls_client { Setup::Active } else { Setup::Passive };
    for (index, (media, section)) in offer.media.iter().zip(&agreed.sections).enumerate() {
        let audio = match section {
            SectionUse::Audio(index) => agreed.audio.get(*index),
            _ => None,
        };
        match (section, audio, idle_codec(media)) {
            (SectionUse::Audio(_), Some(audio), _) => {
                out.media(&media.name, &media.protocol, &audio.payload_type.to_string());
                transport_lines(&mut out, media, params, setup);
                let extensions = [
                    (audio.level_extension, LEVEL_EXTENSION),
                    (audio.mid_extension, MID_EXTENSION),
                ];
                for (id, uri) in extensions {
                    if let Some(id) = id {
                        out.line(&format!("a=extmap:{id} {uri}"));
                    }
                }
                out.line(&format!("a={}", audio.direction.as_str()));
                out.line("a=rtcp-mux");
                out.sent_opus(audio, params.receive);
                if audio.direction.sends() {
                    out.source(&params.source);
                }
            }
            (SectionUse::Data, ..) => {
                out.media(&media.name, &media.protocol, DATA_FORMAT);
                transport_lines(&mut out, media, params, setup);
                out.data(params.max_message_size);
            }
            (SectionUse::Inactive, _, Some(codec)) => {
                out.media(&media.name, &media.protocol, &codec.payload_type.to_string());
                transport_lines(&mut out, media, params, setup);
                out.line("a=inactive");
                out.line("a=rtcp-mux");
                out.codec(codec);
            }
            _ => out.rejected(media),
        }
        if Some(index) == tag {
            out.candidates(params.candidates);
        }
    }
    out.finish()
}

fn transport_lines(out: &mut Writer, media: &Media, params: &AnswerParams<'_>, setup: Setup) {
    if let Some(mid) = &media.mid {
        out.line(&format!("a=mid:{mid}"));
    }
    out.transport(params.credentials, &params.fingerprint, setup);
}
