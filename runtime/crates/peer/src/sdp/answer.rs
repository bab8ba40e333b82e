use super::{Fingerprint, MediaWants, Negotiated, Offer, SdpError};
use crate::ice::{Candidate, Credentials};

/// What an answer says about this side.
#[derive(Clone, Debug)]
pub struct AnswerParams<'a> {
    /// Our ICE credentials.
    pub credentials: &'a Credentials,
    /// The fingerprint of our certificate.
    pub fingerprint: Fingerprint,
    /// Our candidates.
    pub candidates: &'a [Candidate],
    /// The id in the origin line: the same for all descriptions of one connection.
    pub session_id: u64,
    /// The version in the origin line: one more with each description.
    pub session_version: u64,
    /// Asks the other side for stereo.
    pub stereo: bool,
    /// The largest message that we take, in bytes.
    pub max_message_size: u64,
}

/// Decides what of an offer is accepted and finds the transport.
///
/// # Errors
///
/// `InvalidSdp` where something needed is missing, `NoCommonCodec` where audio is required and
/// none with Opus is sent.
pub fn negotiate(offer: &Offer, wants: &MediaWants) -> Result<Negotiated, SdpError> {
    let _ = (offer, wants);
    Err(SdpError {
        code: remotemedia_core::ErrorCode::InvalidSdp,
        message: "not implemented".into(),
        field: None,
    })
}

/// Writes the answer to `offer` that [`negotiate`] decided on.
#[must_use]
pub fn build_answer(offer: &Offer, agreed: &Negotiated, params: &AnswerParams<'_>) -> String {
    let _ = (offer, agreed, params);
    String::new()
}
