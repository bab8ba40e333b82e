//! Session descriptions (RFC 8866) as WebRTC uses them (RFC 8829): parsing offers and answers,
//! deciding what is accepted, writing answers and offers.
//!
//! [`parse_offer`] reads a description, [`negotiate`] decides which sections are accepted and
//! finds the transport, [`build_answer`] writes the answer. The offering side uses [`build_offer`]
//! and [`parse_answer`].

mod answer;
mod offer;
mod parse;
#[cfg(test)]
mod tests;
mod types;
mod write;

pub use answer::{AnswerParams, OwnSource, build_answer, negotiate};
pub use offer::{OfferAudio, OfferParams, build_offer, parse_answer};
pub use parse::parse_offer;
pub use types::{
    AudioSection, Codec, DataSection, Direction, Extension, Fingerprint, Limits, MAX_SSRCS, Media,
    MediaKind, MediaWants, Negotiated, Offer, OpusWishes, RemoteTransport, SdpError, SectionUse,
    Setup, Want,
};
