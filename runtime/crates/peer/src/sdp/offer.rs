use super::{Direction, Fingerprint, Limits, Negotiated, Offer, SdpError};
use crate::ice::{Candidate, Credentials};

/// An audio section to offer; its mid is its position.
#[derive(Clone, Debug)]
pub struct OfferAudio {
    /// Who sends, seen from here.
    pub direction: Direction,
    /// Our synchronisation source.
    pub ssrc: u32,
    /// Asks the other side for stereo and says that we send it.
    pub stereo: bool,
}

/// What to offer.
#[derive(Clone, Debug)]
pub struct OfferParams<'a> {
    /// Our ICE credentials.
    pub credentials: &'a Credentials,
    /// The fingerprint of our certificate.
    pub fingerprint: Fingerprint,
    /// Our candidates.
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
    let _ = params;
    String::new()
}

/// Parses the answer to `offer`, which is our own description parsed by [`super::parse_offer`].
///
/// # Errors
///
/// `InvalidSdp`, naming the line or attribute.
pub fn parse_answer(text: &str, offer: &Offer, limits: &Limits) -> Result<Negotiated, SdpError> {
    let _ = (text, offer, limits);
    Err(SdpError {
        code: remotemedia_core::ErrorCode::InvalidSdp,
        message: "not implemented".into(),
        field: None,
    })
}
