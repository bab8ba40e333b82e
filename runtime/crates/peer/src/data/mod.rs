//! The data plane of one peer: SCTP and the channels on it.

mod association;
mod channels;
mod dcep;
mod packet;

pub(crate) use channels::{ChannelEvent, Channels, ChannelsConfig};

/// One data channel of a peer: the number of its SCTP stream. A number may be used again after
/// the channel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u16);

/// What is done about messages that were lost (RFC 8832, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// They are sent until they arrive.
    Reliable,
    /// They are sent again at most so many times.
    MaxRetransmits(u32),
    /// They are sent again for so many milliseconds.
    MaxLifetime(u32),
}

#[cfg(test)]
mod tests;
