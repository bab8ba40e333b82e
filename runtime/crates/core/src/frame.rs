use std::sync::Arc;

use crate::{AudioFormat, Micros};

/// One incoming track of one participant, unique within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// What every frame carries, and what survives every hop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameMeta {
    /// The track that the frame belongs to.
    pub stream: StreamId,
    /// Counts the frames of a stream from zero, concealed ones too.
    pub seq: u64,
    /// Media time of the first sample in microseconds; zero is the first RTP timestamp received.
    pub pts_us: u64,
    /// RTP timestamp of the packet that completed the frame (of the last real one when concealed).
    pub rtp_timestamp: u32,
    /// When that packet arrived: the origin of `latency_ms`.
    pub arrival: Micros,
    /// When the sender captured it, microseconds of its NTP clock, once a sender report told
    /// (RFC 3550, section 6.4.1).
    pub capture_ntp_us: Option<u64>,
    /// After this the frame is worth nothing.
    pub deadline: Option<Micros>,
    /// Raised by an interrupt: output of an older epoch is dropped.
    pub epoch: u32,
    /// Correlates the frame across hops; zero where nobody traces.
    pub trace: u64,
    /// True when the samples were made up by concealment or during silence.
    pub concealed: bool,
    /// Rate and channels of the samples.
    pub format: AudioFormat,
}

impl FrameMeta {
    /// A frame of which no more is known: it arrived at zero, and no packet brought it.
    #[must_use]
    pub const fn new(stream: StreamId, seq: u64, pts_us: u64, format: AudioFormat) -> FrameMeta {
        FrameMeta {
            stream,
            seq,
            pts_us,
            rtp_timestamp: 0,
            arrival: Micros::ZERO,
            capture_ntp_us: None,
            deadline: None,
            epoch: 0,
            trace: 0,
            concealed: false,
            format,
        }
    }
}

/// Samples with what belongs to them: what leaves the executor for Python or for the network.
///
/// Inside the executor samples travel as slices and are not copied.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrame {
    /// Time, origin and format.
    pub meta: FrameMeta,
    /// Planar samples: `channels` runs of equal length.
    pub samples: Arc<[f32]>,
}
