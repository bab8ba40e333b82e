//! One WebRTC connection as a machine without I/O: ICE, DTLS, SRTP, SCTP, DCEP and SDP.
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
mod transmit;

pub use data::{ChannelId, Reliability};
pub use error::{CloseReason, PeerError, SendError};
pub use identity::Identity;
pub use media::{ReceptionReport, RtpHeader};
pub use peer::{MAX_EVENTS, OfferWants, Peer, PeerConfig, PeerEvent, PeerStats};
pub use transmit::Transmit;
