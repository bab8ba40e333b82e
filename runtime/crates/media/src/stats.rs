use std::time::Duration;

/// What a receiver has done since the beginning, whatever the SSRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Packets received, duplicates and late ones too.
    pub packets_received: u64,
    /// Bytes of their payloads.
    pub bytes_received: u64,
    /// Packets expected less received (RFC 3550, section 6.4.1).
    pub packets_lost: i64,
    /// Packets that came after later ones, in time.
    pub reordered: u64,
    /// Dropped: their place had been given up.
    pub late: u64,
    /// Dropped: they had come before.
    pub duplicates: u64,
    /// Dropped: 64 newer ones waited.
    pub overflowed: u64,
    /// Dropped: longer than 1,500 bytes.
    pub oversized: u64,
    /// Dropped: far from the others' sequence numbers, or waiting when the stream began anew.
    pub discarded: u64,
    /// Dropped: not valid Opus.
    pub undecodable: u64,
    /// Frames given out, made-up ones too.
    pub frames: u64,
    /// Frames made up in place of lost packets.
    pub concealed: u64,
    /// Lost frames recovered from the copy in the next packet.
    pub recovered: u64,
    /// Frames of silence: comfort noise, and pauses without loss.
    pub silent: u64,
    /// Gaps too long to be filled: media time jumped.
    pub jumps: u64,
    /// How often the SSRC changed.
    pub source_changes: u64,
    /// Packets waiting now.
    pub pending: u64,
    /// Interarrival jitter now.
    pub jitter: Duration,
    /// How long a gap would be waited for now.
    pub wait: Duration,
}
