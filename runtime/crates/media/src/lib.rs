//! RTP receive: reordering, Opus decoding, concealment and reception reports; and the Opus encoder.
//!
//! [`Receiver`] turns the packets of one stream into frames in the format that the pipeline wants.
//! It is sans-I/O: packets and the time go in, frames, timeouts and reports come out.

mod error;
mod frame;
pub mod opus;
mod output;
mod patience;
mod receiver;
mod reorder;
mod source;
mod stats;
mod timeline;

pub use error::MediaError;
pub use frame::{Frame, ReceiverConfig, RtpHeader};
pub use receiver::Receiver;
pub use source::ReceptionReport;
pub use stats::ReceiverStats;
