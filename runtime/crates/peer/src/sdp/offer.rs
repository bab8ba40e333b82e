use remotemedia_core::AudioFormat;

use super::answer::{
    DATA_FORMAT, LEVEL_EXTENSION, MID_EXTENSION, OwnSource, audio_section, data_section, is_data,
    opus, transport,
};
use super::write::{Writer, opus_fmtp};
use super::{
    Direction, Fingerprint, Limits, Media, MediaKind, Negotiated, Offer, SdpError, SectionUse,
    Setup, parse_offer,
};
use crate::ice::{Candidate, Credentials};

/// The payload type under which we offer Opus: the one that browsers use.
const OPUS_PAYLOAD_TYPE: u8 = 111;

/// An audio section to offer; its mid is its position.
#[derive(Clone, Debug)]
pub struct OfferAudio {
    /// Who sends, seen from here.
    pub direction: Direction,
    /// Our synchronisation source.
    pub ssrc: u32,
    /// The audio that is of use here; what we send has as many channels.
    pub receive: AudioFormat,
}

/// What to offer.
#[derive(Clone, Debug)]
pub struct OfferParams<'a> {
    /// Our ICE credentials.
    pub credentials: &'a Credentials,
    /// The fingerprint of our certificate.
    pub fingerprint: Fingerprint,
    /// Our candidates; no more will follow.
    pub candidates: &'a [Candidate],
    /// See [`super::AnswerParams::session_id`].
    pub session_id: u64,
    /// See [`super::AnswerParams::session_version`].
    pub session_version: u64,
    /// The canonical name of our sources.
    pub cname: &'a str,
    /// The audio sections, first.
    pub audio: &'a [OfferAudio],
    /// Offers data channels, last.
    pub data: bool,
    /// The largest message that we take, in bytes.
    pub max_message_size: u64,
}

/// Writes an offer: mids are `0`, `1`, ... in order.
#[must_use]
pub fn build_offer(params: &OfferParams<'_>) -> String {
    let count = params.audio.len() + usize::from(params.data);
    let mids: Vec<String> = (0..count).map(|index| index.to_string()).collect();
    let mut out = Writer::new(params.session_id, params.session_version);
    out.bundle(mids.iter());
    for (index, mid) in mids.iter().enumerate() {
        let audio = params.audio.get(index);
        match audio {
            Some(_) => out.media("audio", "UDP/TLS/RTP/SAVPF", &OPUS_PAYLOAD_TYPE.to_string()),
            None => out.media("application", "UDP/DTLS/SCTP", DATA_FORMAT),
        }
        out.line(&format!("a=mid:{mid}"));
        out.transport(params.credentials, &params.fingerprint, Setup::ActPass);
        match audio {
            Some(audio) => audio_lines(&mut out, audio, params.cname),
            None => out.data(params.max_message_size),
        }
        if index == 0 {
            out.candidates(params.candidates);
        }
    }
    out.finish()
}

fn audio_lines(out: &mut Writer, audio: &OfferAudio, cname: &str) {
    out.line(&format!("a=extmap:1 {LEVEL_EXTENSION}"));
    out.line(&format!("a=extmap:4 {MID_EXTENSION}"));
    out.line(&format!("a={}", audio.direction.as_str()));
    out.line("a=rtcp-mux");
    let mut fmtp = opus_fmtp(audio.receive);
    if audio.receive.channels.get() > 1 && audio.direction.sends() {
        fmtp.push_str(";sprop-stereo=1");
    }
    out.opus(OPUS_PAYLOAD_TYPE, &fmtp);
    if audio.direction.sends() {
        out.source(&OwnSource { ssrc: audio.ssrc, cname });
    }
}

/// Parses the answer to `offer`, which is our own description parsed by [`parse_offer`].
///
/// # Errors
///
/// `InvalidSdp`, naming the line or attribute; `NoCommonCodec` where nothing was accepted.
pub fn parse_answer(text: &str, offer: &Offer, limits: &Limits) -> Result<Negotiated, SdpError> {
    let answer = parse_offer(text, limits)?;
    if answer.media.len() != offer.media.len() {
        let (theirs, ours) = (answer.media.len(), offer.media.len());
        let message = format!("the answer has {theirs} media sections, the offer {ours}");
        return Err(SdpError::invalid("media", message));
    }
    let mut audio = Vec::new();
    let mut data = None;
    let mut sections = Vec::with_capacity(answer.media.len());
    for (index, (ours, theirs)) in offer.media.iter().zip(&answer.media).enumerate() {
        let section = accepted_section(index, ours, theirs, &mut audio, &mut data)?;
        if section != SectionUse::Rejected
            && !answer.bundle.iter().any(|m| ours.mid.as_ref() == Some(m))
        {
            let first = sections.iter().all(|section| *section == SectionUse::Rejected);
            if !first {
                let message = format!("media section {index} is accepted outside the BUNDLE group");
                return Err(SdpError::invalid(format!("media[{index}].mid"), message));
            }
        }
        sections.push(section);
    }
    let accepted: Vec<bool> = sections.iter().map(|s| *s != SectionUse::Rejected).collect();
    let Some(tag) = accepted.iter().position(|on| *on) else {
        return Err(SdpError::no_common_codec("the other side accepted nothing of the offer"));
    };
    let dtls_client = match answer.media[tag].setup {
        Some(Setup::Active) => false,
        Some(Setup::Passive) => true,
        _ => {
            let message = format!(
                "media section {tag} of the answer has neither a=setup:active nor a=setup:passive"
            );
            return Err(SdpError::invalid(format!("media[{tag}].setup"), message));
        }
    };
    let remote = transport(&answer, tag, &accepted)?;
    Ok(Negotiated { remote, dtls_client, audio, data, sections })
}

fn accepted_section(
    index: usize,
    ours: &Media,
    theirs: &Media,
    audio: &mut Vec<super::AudioSection>,
    data: &mut Option<super::DataSection>,
) -> Result<SectionUse, SdpError> {
    if ours.kind != theirs.kind || (theirs.mid.is_some() && theirs.mid != ours.mid) {
        let message = format!("media section {index} of the answer is not that of the offer");
        return Err(SdpError::invalid(format!("media[{index}]"), message));
    }
    // The mid may be left out of a rejected section alone.
    if theirs.port == 0 {
        return Ok(SectionUse::Rejected);
    }
    if is_data(theirs) {
        *data = Some(data_section(index, theirs)?);
        return Ok(SectionUse::Data);
    }
    if theirs.kind != MediaKind::Audio {
        return Ok(SectionUse::Inactive);
    }
    let direction = Direction::of(
        ours.direction.sends() && theirs.direction.receives(),
        ours.direction.receives() && theirs.direction.sends(),
    );
    if direction == Direction::Inactive {
        return Ok(SectionUse::Inactive);
    }
    let codec = opus(theirs).ok_or_else(|| {
        SdpError::no_common_codec(format!("media section {index} of the answer is without Opus"))
    })?;
    audio.push(audio_section(index, theirs, codec, direction)?);
    Ok(SectionUse::Audio(audio.len() - 1))
}
