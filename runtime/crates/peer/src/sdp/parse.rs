use super::{Limits, Offer, SdpError};

/// Parses a description.
///
/// # Errors
///
/// `InvalidSdp`, naming the line or attribute.
pub fn parse_offer(text: &str, limits: &Limits) -> Result<Offer, SdpError> {
    let _ = (text, limits);
    Err(SdpError {
        code: remotemedia_core::ErrorCode::InvalidSdp,
        message: "not implemented".into(),
        field: None,
    })
}
