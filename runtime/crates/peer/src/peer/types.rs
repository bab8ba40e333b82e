use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remotemedia_core::{AudioFormat, ChannelCount, ReceptionReport, SampleRate};

use crate::{ChannelId, CloseReason, Identity, Reliability, RtpHeader, Seed};

/// What a peer is made of.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The certificate, shared by all peers.
    pub identity: Arc<Identity>,
    /// The instant that stands for [`Micros::ZERO`](remotemedia_core::Micros::ZERO).
    pub anchor: Instant,
    /// All of the peer's own randomness: ICE credentials, identifiers, intervals. A different one
    /// for each peer.
    pub seed: Seed,
    /// Addresses that the peer can be reached at, the best first.
    pub local_candidates: Vec<SocketAddr>,
    /// The audio that is of use here: senders are asked not to send more.
    pub receive: AudioFormat,
    /// The largest message taken on a data channel, in bytes.
    pub max_message_size: usize,
    /// Bytes that one data channel may have waiting before [`SendError::Full`](crate::SendError).
    pub max_buffered: usize,
    /// The largest SCTP packet in bytes, less those of DTLS, UDP and IP. The default fits every
    /// path of 1280 bytes; between two of our peers on one machine it may be raised to 16000.
    pub mtu: u32,
    /// How long setting up may take.
    pub setup_timeout: Duration,
}

impl PeerConfig {
    /// The usual sizes and times.
    #[must_use]
    pub fn new(
        identity: Arc<Identity>,
        anchor: Instant,
        seed: Seed,
        local_candidates: Vec<SocketAddr>,
    ) -> Self {
        PeerConfig {
            identity,
            anchor,
            seed,
            local_candidates,
            receive: AudioFormat { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO },
            max_message_size: 256 * 1024,
            max_buffered: 1024 * 1024,
            mtu: 1191,
            setup_timeout: Duration::from_secs(30),
        }
    }
}

/// What an offer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferWants {
    /// An audio section, with the direction seen from here.
    pub audio: Option<crate::sdp::Direction>,
    /// Data channels.
    pub data: bool,
}

/// What a peer tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// A verified message came from this address: datagrams from it belong to this peer.
    AddressLearnt(SocketAddr),
    /// ICE and DTLS are up and the certificate is the right one.
    Connected,
    /// Datagrams go to another address from now on, or to the same one again after
    /// [`PeerEvent::Disconnected`].
    PathChanged(SocketAddr),
    /// Nothing has been heard for some seconds; the peer ends after 30 s of it.
    Disconnected,
    /// One packet of media.
    Rtp {
        /// The media section.
        mid: Arc<str>,
        /// What its header says.
        header: RtpHeader,
        /// Without header and padding.
        payload: Bytes,
    },
    /// A sender report (RFC 3550, section 6.4.1).
    SenderReport {
        /// The media section.
        mid: Arc<str>,
        /// The source.
        ssrc: u32,
        /// The sender's clock, in NTP format.
        ntp: u64,
        /// The same instant in the media's clock.
        rtp_timestamp: u32,
    },
    /// What the other side says about our source (RFC 3550, section 6.4.1).
    ReceptionReport(ReceptionReport),
    /// A source has ended (RFC 3550, section 6.6).
    Bye {
        /// The media section.
        mid: Arc<str>,
        /// The source.
        ssrc: u32,
    },
    /// A data channel is open.
    ChannelOpen {
        /// The channel.
        id: ChannelId,
        /// Its name.
        label: String,
        /// The subprotocol, mostly empty.
        protocol: String,
        /// Whether messages arrive in order.
        ordered: bool,
        /// What is done about lost messages.
        reliability: Reliability,
    },
    /// One message.
    Message {
        /// The channel.
        id: ChannelId,
        /// Text rather than bytes; that it is UTF-8 has not been checked.
        text: bool,
        /// What it says.
        data: Bytes,
    },
    /// A data channel is closed.
    ChannelClosed {
        /// The channel.
        id: ChannelId,
    },
    /// The peer has ended: the last event.
    Closed(CloseReason),
}

/// Counters and measurements of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Datagrams received, of every kind.
    pub datagrams_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Datagrams sent, those of ICE left out.
    pub datagrams_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Datagrams dropped because nobody fetched them in time.
    pub overflowed: u64,
    /// Packets of media handed on.
    pub rtp_packets: u64,
    /// Bytes of payload in them.
    pub rtp_bytes: u64,
    /// Datagrams ignored: from unknown addresses, malformed, or too early.
    pub ignored: u64,
    /// Packets of media ignored: forged, repeated, or of no section.
    pub rtp_ignored: u64,
    /// Messages and SCTP packets ignored.
    pub data_ignored: u64,
    /// Round trip by ICE, when last measured.
    pub round_trip: Option<Duration>,
    /// Smoothed round trip of the data channels.
    pub data_round_trip: Option<Duration>,
    /// Bytes that wait in data channels or are not acknowledged yet.
    pub buffered: usize,
    /// Where datagrams go.
    pub remote: Option<SocketAddr>,
}
