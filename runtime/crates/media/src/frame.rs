//! What goes into a receiver and what comes out.

use std::time::Duration;

use remotemedia_core::{AudioFormat, Micros};

/// How to receive a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// The format of the frames given out: one or two channels. Opus decodes straight to 8, 12, 16,
    /// 24 and 48 kHz; other rates go through a resampler.
    pub output: AudioFormat,
    /// The longest wait for a missing packet, at most 2 s.
    pub max_wait: Duration,
    /// The RTP clock in hertz: 48,000 for Opus at any rate (RFC 7587, section 4.1).
    pub clock_rate: u32,
}

impl ReceiverConfig {
    /// Opus to `output`, waiting at most 60 ms.
    #[must_use]
    pub fn new(output: AudioFormat) -> Self {
        Self { output, max_wait: Duration::from_millis(60), clock_rate: 48_000 }
    }
}

/// The fields of an RTP header that matter here (RFC 3550, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// The source.
    pub ssrc: u32,
    /// Counts packets, modulo 2^16.
    pub sequence_number: u16,
    /// Of the first sample, modulo 2^32.
    pub timestamp: u32,
    /// The first packet after silence; not relied upon.
    pub marker: bool,
}

/// Decoded or made-up audio, valid until the next call to the receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// Counts the frames from zero.
    pub seq: u64,
    /// Media time of the first sample in microseconds: never before the end of the last frame.
    pub pts_us: u64,
    /// Timestamp of the packet that it came from; of the last one before when it was made up.
    pub rtp_timestamp: u32,
    /// When that packet arrived; of a made-up frame, when it was known to be due.
    pub arrival: Micros,
    /// When the first sample was captured, microseconds of the sender's NTP clock since 1900, once
    /// a sender report told.
    pub capture_ntp_us: Option<u64>,
    /// Made up in place of lost packets or during silence. Frames recovered from the next packet's
    /// copy are not.
    pub concealed: bool,
    /// Planar samples in the format of [`ReceiverConfig::output`].
    pub samples: &'a [f32],
}
