use std::time::Duration;

/// What a sender has done since the beginning, and how it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SenderStats {
    /// Packets made.
    pub packets_sent: u64,
    /// Bytes of their payloads.
    pub bytes_sent: u64,
    /// Audio that waits, of the source with the most.
    pub queued: Duration,
    /// Times that a source ran dry and then went on.
    pub underruns: u64,
    /// How much was filled with silence then.
    pub concealed: Duration,
    /// Pauses shortened to make up for it.
    pub shortened: Duration,
    /// The oldest audio, left out because too much waited.
    pub overrun: Duration,
    /// Audio that an interrupt made worthless.
    pub interrupted: Duration,
    /// Time that passed unsent because the driver came too late.
    pub skipped: Duration,
    /// Share of packets lost on the way, 0 to 1, as the receiver last reported.
    pub loss: f32,
    /// Packets lost in all, as the receiver last reported.
    pub packets_lost: i64,
    /// Interarrival jitter at the receiver.
    pub jitter: Duration,
    /// Round trip by reports (RFC 3550, section 6.4.1).
    pub round_trip: Option<Duration>,
}
