//! One WebRTC connection as a machine without I/O: ICE, DTLS, SRTP, SCTP, DCEP and SDP.
#![forbid(unsafe_code)]

pub mod ice;
pub mod sdp;
mod transmit;

pub use transmit::Transmit;
