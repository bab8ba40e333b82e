//! The peer: ICE, DTLS, SRTP and SCTP put together.

mod negotiate;
mod transport;
mod types;

pub use types::{OfferWants, PeerConfig, PeerEvent, PeerStats};

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::RngCore;
use rand::rngs::StdRng;
use remotemedia_core::{ErrorCode, Micros, ReceptionReport};

use crate::data::{Channels, ChannelsConfig};
use crate::dtls::Dtls;
use crate::ice::{
    Candidate, CandidateUse, Credentials, IceAgent, IceConfig, IceError, IceRole, Path,
};
use crate::media::{Demux, MAX_REPORTS, Srtp, write_report};
use crate::sdp::{AudioSection, Fingerprint, Offer};
use crate::{
    ChannelId, CloseReason, PeerError, Reliability, RtpHeader, Seed, SendError, SenderReport,
    Transmit,
};

/// Events that wait for [`Peer::poll_event`]. While there are so many, datagrams are ignored as if
/// the network had lost them; a driver that drains after each call never gets there.
pub const MAX_EVENTS: usize = 4096;
/// DTLS datagrams held until the first address is verified; more are ignored.
const MAX_EARLY: usize = 4;
/// Datagrams that wait for [`Peer::poll_transmit`]; the oldest goes, as if the network had lost it.
const MAX_OUT: usize = 1024;
/// Packets that are taken from SCTP at a time.
const PUMP_PACKETS: usize = 64;
/// How long the answering side leaves it to the other one to begin the association.
const ASSOCIATION_DELAY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Closed,
}

/// One WebRTC connection as a machine without I/O.
///
/// Make one with [`Peer::answer`] or [`Peer::offer`], give it each datagram
/// ([`Peer::handle_datagram`]) and call [`Peer::handle_timeout`] when [`Peer::poll_timeout`] is due.
/// After each call, this one and [`Peer::send`] included, drain [`Peer::poll_event`] and
/// [`Peer::poll_transmit`], and ask for the time-out anew. It is best to hand in all datagrams that
/// have arrived before draining what is to be sent: acknowledgements and messages then share
/// packets.
///
/// Nothing the other side sends makes it panic, and nothing is taken from it before its
/// certificate has been compared with the fingerprint of its description.
pub struct Peer {
    config: PeerConfig,
    ice: IceAgent,
    candidates: Vec<Candidate>,
    session_id: u64,
    session_version: u64,
    rng: StdRng,
    /// Our own description until it is answered.
    offered: Option<Box<Offer>>,
    offered_first: bool,
    fingerprints: Vec<Fingerprint>,
    dtls_client: bool,
    dtls: Option<Box<Dtls>>,
    early: Vec<(SocketAddr, Bytes)>,
    srtp: Option<Box<Srtp>>,
    audio: Vec<AudioSection>,
    demux: Demux,
    ssrc: u32,
    cname: String,
    /// The largest message of the other side, where it has data channels.
    data: Option<u64>,
    channels: Option<Box<Channels>>,
    /// Where datagrams go: the selected path, before that one that has answered a check.
    path: Option<Path>,
    phase: Phase,
    deadline: Micros,
    now: Micros,
    out: VecDeque<Bytes>,
    scratch: Vec<Bytes>,
    events: VecDeque<PeerEvent>,
    stats: PeerStats,
}

impl Peer {
    fn new(config: PeerConfig, now: Micros, role: IceRole) -> Peer {
        let mut rng = config.seed.generator();
        let preference = |index: usize| u16::MAX - u16::try_from(index).unwrap_or(u16::MAX);
        let candidates: Vec<Candidate> = config
            .local_candidates
            .iter()
            .enumerate()
            .map(|(index, address)| Candidate::host(*address, preference(index)))
            .collect();
        let ice = IceAgent::new(
            IceConfig {
                role,
                credentials: Credentials::random(&mut rng),
                tie_breaker: rng.next_u64(),
                local: candidates.clone(),
                setup_timeout: config.setup_timeout,
            },
            &Seed::draw(&mut rng),
            now,
        );
        Peer {
            ice,
            candidates,
            session_id: rng.next_u64() >> 1,
            session_version: 1,
            offered: None,
            offered_first: false,
            fingerprints: Vec::new(),
            dtls_client: false,
            dtls: None,
            early: Vec::new(),
            srtp: None,
            audio: Vec::new(),
            demux: Demux::default(),
            ssrc: rng.next_u32(),
            cname: format!("{:016x}", rng.next_u64()),
            data: None,
            channels: None,
            path: None,
            phase: Phase::Connecting,
            deadline: now + config.setup_timeout,
            now,
            out: VecDeque::new(),
            scratch: Vec::new(),
            events: VecDeque::new(),
            stats: PeerStats::default(),
            rng,
            config,
        }
    }

    /// The user fragment of ours that the other side's requests name: what the router looks for.
    #[must_use]
    pub fn local_ufrag(&self) -> &str {
        &self.ice.local_credentials().ufrag
    }

    /// All of them: two while an ICE restart is under way.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> + '_ {
        self.ice.local_ufrags()
    }

    /// The addresses whose datagrams belong to this peer.
    pub fn verified_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.ice.verified()
    }

    /// The audio sections in use.
    #[must_use]
    pub fn audio(&self) -> &[AudioSection] {
        &self.audio
    }

    /// The audio section that we send in, if any.
    #[must_use]
    pub fn sending(&self) -> Option<&AudioSection> {
        self.audio.iter().find(|section| section.direction.sends())
    }

    /// Whether data channels were negotiated.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Whether [`PeerEvent::Connected`] has been told and [`PeerEvent::Closed`] has not.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether the peer has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// The source that our reports and media come from.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Takes a candidate of the other side (RFC 8838); an empty line is the end of them.
    ///
    /// # Errors
    ///
    /// A line that cannot be parsed, or one candidate too many; the peer goes on.
    pub fn add_remote_candidate(
        &mut self,
        now: Micros,
        line: &str,
    ) -> Result<CandidateUse, IceError> {
        self.now = now;
        if self.phase == Phase::Closed {
            return Ok(CandidateUse::Ignored);
        }
        let used = self.ice.add_remote_candidate(now, line)?;
        self.after_ice(now);
        Ok(used)
    }

    /// Opens a data channel; it may be used once [`PeerEvent::ChannelOpen`] tells so.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] before the connection is up or without data channels,
    /// [`SendError::Full`] when there are 64 channels.
    pub fn open_channel(
        &mut self,
        now: Micros,
        label: &str,
        ordered: bool,
        reliability: Reliability,
    ) -> Result<ChannelId, SendError> {
        self.now = now;
        self.channels.as_mut().ok_or(SendError::Closed)?.open(now, label, ordered, reliability)
    }

    /// Closes a data channel; [`PeerEvent::ChannelClosed`] tells when the other side has followed.
    pub fn close_channel(&mut self, now: Micros, id: ChannelId) {
        self.now = now;
        if let Some(channels) = &mut self.channels {
            channels.close_channel(now, id);
        }
    }

    /// Queues a message on a data channel; text must be UTF-8.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when the message does not fit into the channel's queue (one always fits
    /// into an empty one), [`SendError::Closed`], [`SendError::TooLarge`].
    pub fn send(
        &mut self,
        now: Micros,
        id: ChannelId,
        text: bool,
        data: &[u8],
    ) -> Result<(), SendError> {
        self.now = now;
        match &mut self.channels {
            Some(channels) if self.phase != Phase::Closed => channels.send(now, id, text, data),
            _ => Err(SendError::Closed),
        }
    }

    /// The largest message that the other side takes on a data channel (RFC 8841, section 6), in
    /// bytes; `None` without data channels.
    #[must_use]
    pub fn largest_message(&self) -> Option<u64> {
        self.channels.as_ref().map(|channels| channels.largest()).or(self.data)
    }

    /// Bytes of a channel that wait or are not acknowledged yet.
    #[must_use]
    pub fn buffered(&mut self, id: ChannelId) -> usize {
        self.channels.as_mut().map_or(0, |channels| channels.buffered(id))
    }

    /// Sends receiver reports (RFC 3550, section 6.4.2), 31 at most. Without reports it still
    /// tells that this side is there.
    pub fn send_reception_report(&mut self, now: Micros, reports: &[ReceptionReport]) {
        self.send_report(now, None, reports);
    }

    /// Sends a sender report about our source (RFC 3550, section 6.4.1), with receiver reports.
    pub fn send_sender_report(
        &mut self,
        now: Micros,
        sent: &SenderReport,
        reports: &[ReceptionReport],
    ) {
        self.send_report(now, Some(sent), reports);
    }

    fn send_report(
        &mut self,
        now: Micros,
        sent: Option<&SenderReport>,
        reports: &[ReceptionReport],
    ) {
        self.now = now;
        let Some(srtp) = self.srtp.as_mut().filter(|_| self.phase == Phase::Connected) else {
            return;
        };
        let mut packet = Vec::with_capacity(28 + 24 * reports.len().min(MAX_REPORTS) + 32);
        write_report(&mut packet, self.ssrc, &self.cname, sent, reports);
        if let Some(sealed) = srtp.protect_rtcp(&packet) {
            self.queue(sealed);
        }
    }

    /// Sends one packet of media.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] before the connection is up or without media.
    pub fn send_rtp(
        &mut self,
        now: Micros,
        header: &RtpHeader,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.now = now;
        let srtp = self.srtp.as_mut().filter(|_| self.phase == Phase::Connected);
        let sealed = srtp.and_then(|srtp| srtp.protect_rtp(header, payload));
        self.queue(sealed.ok_or(SendError::Closed)?);
        Ok(())
    }

    fn queue(&mut self, datagram: Bytes) {
        if self.out.len() >= MAX_OUT {
            self.out.pop_front();
            self.stats.overflowed += 1;
        }
        self.out.push_back(datagram);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// Ends the peer and tells the other side: SCTP ABORT and DTLS `close_notify`. What is left to
    /// send is still handed out.
    pub fn close(&mut self, now: Micros) {
        self.now = now;
        self.end(now, CloseReason::Local);
    }

    /// Counters and measurements.
    #[must_use]
    pub fn stats(&mut self) -> PeerStats {
        let channels = self.channels.as_mut();
        PeerStats {
            data_ignored: channels.as_ref().map_or(0, |channels| channels.ignored()),
            data_round_trip: channels.as_ref().and_then(|channels| channels.round_trip()),
            buffered: channels.map_or(0, |channels| channels.buffered_total()),
            round_trip: self.ice.stats().round_trip,
            remote: self.path.map(|path| path.remote),
            ..self.stats
        }
    }

    fn closed_error() -> PeerError {
        PeerError::new(ErrorCode::Conflict, "the peer has ended: make a new connection")
    }

    fn start_channels(&mut self, now: Micros) {
        let Some(send_message) = self.data.filter(|_| self.channels.is_none()) else { return };
        let config = ChannelsConfig {
            anchor: self.config.anchor,
            mtu: self.config.mtu,
            receive_message: self.config.max_message_size,
            send_message,
            max_buffered: self.config.max_buffered,
            dtls_client: self.dtls_client,
        };
        let begin_at = if self.offered_first { now } else { now + ASSOCIATION_DELAY };
        self.channels = Some(Box::new(Channels::new(config, begin_at)));
    }

    fn start_dtls(&mut self, now: Micros) {
        if let (Some(dtls), Some(_)) = (&mut self.dtls, self.path) {
            dtls.start(&self.config.identity, now, &mut self.scratch);
            self.out.extend(self.scratch.drain(..));
        }
    }

    /// Ends the peer, once.
    fn end(&mut self, now: Micros, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        if let Some(channels) = &mut self.channels {
            channels.abort(now);
        }
        self.pump(now);
        if let Some(dtls) = &mut self.dtls {
            dtls.close(now, &mut self.scratch);
            self.out.extend(self.scratch.drain(..));
        }
        self.channels = None;
        self.srtp = None;
        self.early = Vec::new();
        self.events.push_back(PeerEvent::Closed(reason));
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.phase != Phase::Closed {
            if let Some(transmit) = self.ice.poll_transmit() {
                return Some(transmit);
            }
            if self.out.is_empty() {
                self.pump(self.now);
            }
        }
        let Path { remote: to, local: from } = self.path?;
        let payload = self.out.pop_front()?;
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += payload.len() as u64;
        Some(Transmit { to, from, payload })
    }

    /// Moves packets from SCTP through DTLS.
    fn pump(&mut self, now: Micros) {
        let (Some(channels), Some(dtls)) = (&mut self.channels, &mut self.dtls) else { return };
        if !channels.dirty {
            return;
        }
        for _ in 0..PUMP_PACKETS {
            let Some(packet) = channels.poll_packet(now) else { break };
            dtls.write(now, &packet, &mut self.scratch);
        }
        self.out.extend(self.scratch.drain(..));
        self.take_channel_events(now);
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("ufrag", &self.local_ufrag())
            .field("phase", &self.phase)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
