//! RTP receive and send: reordering, Opus, concealment, mixing, pacing and reports.
//!
//! [`Receiver`] turns the packets of one stream into frames in the format that the pipeline wants,
//! [`Sender`] turns frames of several sources into the packets of one stream. Both are sans-I/O:
//! what comes and the time go in; frames, packets, timeouts and reports come out.

mod error;
mod frame;
pub mod opus;
mod output;
mod patience;
mod receiver;
mod reorder;
mod sender;
mod source;
mod stats;
mod timeline;

pub use error::MediaError;
pub use frame::{Frame, ReceiverConfig, RtpHeader};
pub use receiver::Receiver;
pub use sender::{
    MAX_QUEUED, MAX_SOURCES, Packet, RtpStart, Sender, SenderConfig, SenderInfo, SenderStats,
    SourceId,
};
pub use stats::ReceiverStats;
