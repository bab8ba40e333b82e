//! What RTCP says about a stream: made by who receives it, read by who sends it.

/// What is reported about one source (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionReport {
    /// The source that the report is about.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all; duplicates make it negative. 24 bits are sent.
    pub cumulative_lost: i32,
    /// The highest sequence number received, with the count of its cycles above it.
    pub extended_highest_sequence_number: u32,
    /// Interarrival jitter in units of the timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time of the last sender report; 0 before the first.
    pub last_sr: u32,
    /// The time since then in 1/65536 s.
    pub delay_since_last_sr: u32,
}
