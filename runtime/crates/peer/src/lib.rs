//! One WebRTC connection as a machine without I/O.
//!
//! [`Peer`] composes an ICE agent ([`ice`]) and session descriptions ([`sdp`]) of this crate with
//! DTLS, SRTP and SCTP of webrtc-rs' sans-IO crates, and data channels (RFC 8831, RFC 8832). It
//! reads no clock, draws no randomness of its own and opens no socket: time and datagrams are
//! handed in, events and datagrams are polled.
//!
//! ```text
//!                  first byte (RFC 7983)
//! datagram ──┬── 0..3      ice ────────────────────────────▶ path, consent
//!            ├── 20..63    dtls ── sctp ── channels ───────▶ ChannelOpen, Message
//!            └── 128..191  srtp ── demux ──────────────────▶ Rtp, SenderReport, Bye
//! ```
//!
//! The one thing that is not deterministic is cryptography: keys, certificates, and the tags and
//! numbers that rtc-sctp draws itself come from the operating system.
//!
//! What the rtc-* crates get wrong is worked around in the modules that wrap them; each says what
//! it is and of which version.
#![forbid(unsafe_code)]

mod clock;
mod data;
mod dtls;
mod error;
pub mod ice;
mod identity;
mod media;
mod peer;
pub mod sdp;
mod seed;
mod transmit;

pub use data::{ChannelId, Reliability};
pub use error::{CloseReason, PeerError, SendError};
pub use identity::Identity;
pub use media::{RtpHeader, SenderReport};
pub use peer::{MAX_EVENTS, OfferWants, Peer, PeerConfig, PeerEvent, PeerStats};
pub use seed::Seed;
pub use transmit::Transmit;
