//! Datagrams and time.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, Bytes};
use remotemedia_core::Micros;

use super::{MAX_EARLY, MAX_EVENTS, Peer, PeerEvent, Phase};
use crate::CloseReason;
use crate::data::ChannelEvent;
use crate::dtls::{DtlsEvent, is_client_hello};
use crate::ice::{FailureReason, IceEvent, StunOutcome};
use crate::media::{Layout, Rtcp, Srtp, parse_rtcp};

/// A DTLS datagram that is larger is not held: handshakes stay below the usual 1500 bytes.
const MAX_EARLY_BYTES: usize = 2048;

impl Peer {
    /// Takes one datagram that came from `from` to `local`, an address of ours where the driver
    /// knows it.
    pub fn handle_datagram(
        &mut self,
        now: Micros,
        from: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) {
        self.now = now;
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += bytes.len() as u64;
        if self.phase == Phase::Closed || self.events.len() >= MAX_EVENTS {
            self.stats.ignored += 1;
            return;
        }
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        // RFC 7983, section 7. RTCP differs by its second byte (RFC 5761, section 4).
        match bytes {
            [128..=191, 192..=223, ..] if self.is_ours(from) => self.handle_rtcp(bytes),
            [128..=191, ..] if self.is_ours(from) => self.handle_rtp(bytes),
            [20..=63, ..] => self.handle_dtls(now, from, bytes),
            [0..=3, ..] => self.handle_stun(now, from, local, bytes),
            _ => self.stats.ignored += 1,
        }
    }

    /// When [`Peer::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        if self.phase == Phase::Closed {
            return None;
        }
        let deadline = (self.phase == Phase::Connecting).then_some(self.deadline);
        let dtls = self.dtls.as_ref().and_then(|dtls| dtls.poll_timeout());
        let channels = self.channels.as_ref().and_then(|channels| channels.poll_timeout());
        [deadline, dtls, channels, self.ice.poll_timeout()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Micros) {
        self.now = now;
        if self.phase == Phase::Closed {
            return;
        }
        self.ice.handle_timeout(now);
        self.after_ice(now);
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now, &mut self.scratch);
            self.out.extend(self.scratch.drain(..));
        }
        if let Some(channels) = &mut self.channels {
            channels.handle_timeout(now);
            self.take_channel_events(now);
        }
        if self.phase == Phase::Connecting && now >= self.deadline {
            let reason = if self.ice.selected().is_some() {
                CloseReason::DtlsFailed("the handshake was not completed in time".into())
            } else {
                CloseReason::IceTimeout
            };
            self.end(now, reason);
        }
    }

    /// Whether datagrams from an address belong to this peer.
    fn is_ours(&self, from: SocketAddr) -> bool {
        self.path.is_some_and(|path| path.remote == from) || self.ice.is_verified(from)
    }

    fn handle_stun(&mut self, now: Micros, from: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        let known = self.ice.is_verified(from);
        match self.ice.handle_stun(now, from, local, bytes) {
            StunOutcome::Verified => {}
            StunOutcome::Refused | StunOutcome::Ignored => {
                self.stats.ignored += 1;
                return;
            }
        }
        let verified = self.ice.is_verified(from);
        if verified && !known {
            self.events.push_back(PeerEvent::AddressLearnt(from));
        }
        self.after_ice(now);
    }

    /// Takes what the agent has to tell.
    pub(super) fn after_ice(&mut self, now: Micros) {
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceEvent::Selected(path) => {
                    if self.phase == Phase::Connected {
                        self.events.push_back(PeerEvent::PathChanged(path.remote));
                    }
                    // Some drop DTLS that comes before the nomination.
                    if let Some(dtls) = &mut self.dtls {
                        dtls.nudge(now);
                    }
                }
                IceEvent::Disconnected => self.events.push_back(PeerEvent::Disconnected),
                IceEvent::Failed(FailureReason::NoPath) => self.end(now, CloseReason::IceTimeout),
                IceEvent::Failed(FailureReason::ConsentLost) => {
                    self.end(now, CloseReason::ConsentLost);
                }
                IceEvent::Checking => {}
            }
        }
        // Before the nomination any path will do that has answered a check (RFC 8445, section
        // 12.1); one that only asks might be somebody else's address.
        let usable = self.ice.usable();
        if self.phase == Phase::Closed || usable.is_none() || usable == self.path {
            return;
        }
        let first = self.path.is_none();
        self.path = usable;
        if first {
            self.start_dtls(now);
            self.release_early(now);
        }
    }

    fn handle_dtls(&mut self, now: Micros, from: SocketAddr, bytes: &[u8]) {
        let ready = self.path.is_some() && self.is_ours(from);
        let Some(dtls) = self.dtls.as_mut().filter(|_| ready) else {
            // A ClientHello may overtake the checks or, on the offering side, the answer.
            let hold = self.phase == Phase::Connecting
                && !(self.dtls.is_some() && self.dtls_client)
                && is_client_hello(bytes)
                && self.early.len() < MAX_EARLY
                && bytes.len() <= MAX_EARLY_BYTES;
            if hold {
                self.early.push((from, Bytes::copy_from_slice(bytes)));
            } else {
                self.stats.ignored += 1;
            }
            return;
        };
        let events = dtls.handle(now, bytes, &mut self.scratch);
        self.out.extend(self.scratch.drain(..));
        let Some(events) = events else {
            self.stats.ignored += 1;
            return;
        };
        for event in events {
            match event {
                DtlsEvent::Established => self.verify(now),
                DtlsEvent::Data(packet) => {
                    if let Some(channels) = &mut self.channels {
                        channels.handle(now, &packet);
                        self.take_channel_events(now);
                    }
                }
                DtlsEvent::PeerClosed => self.end(now, CloseReason::Remote),
                DtlsEvent::Failed(detail) => self.end(now, CloseReason::DtlsFailed(detail)),
            }
            if self.phase == Phase::Closed {
                return;
            }
        }
    }

    /// Hands on DTLS that came before its address was known.
    pub(super) fn release_early(&mut self, now: Micros) {
        for (from, bytes) in std::mem::take(&mut self.early) {
            self.handle_dtls(now, from, &bytes);
        }
    }

    /// Compares the certificate with the description; only then anything else begins.
    fn verify(&mut self, now: Micros) {
        let identity = &self.config.identity;
        let Some(dtls) = &self.dtls else { return };
        let genuine = dtls
            .peer_certificate()
            .and_then(|certificate| identity.fingerprint_of(certificate))
            .is_some_and(|fingerprint| self.fingerprints.contains(&fingerprint));
        if !genuine {
            self.end(now, CloseReason::FingerprintMismatch);
            return;
        }
        if let Some(keys) = dtls.srtp_keys() {
            match Srtp::new(keys, identity.provider()) {
                Ok(srtp) => self.srtp = Some(Box::new(srtp)),
                Err(error) => {
                    self.end(now, CloseReason::DtlsFailed(error.message));
                    return;
                }
            }
        } else if !self.audio.is_empty() {
            let detail = "no SRTP profile in common".to_owned();
            self.end(now, CloseReason::DtlsFailed(detail));
            return;
        }
        self.phase = Phase::Connected;
        self.early = Vec::new();
        self.events.push_back(PeerEvent::Connected);
        self.start_channels(now);
    }

    fn handle_rtp(&mut self, bytes: &[u8]) {
        let (Some(srtp), false) = (&mut self.srtp, self.demux.is_empty()) else {
            self.stats.rtp_ignored += 1;
            return;
        };
        let handed_on = Layout::parse(bytes).and_then(|layout| {
            let packet = srtp.unprotect_rtp(bytes, &layout, self.config.identity.provider())?;
            let mid = self.demux.find(&packet, &layout)?;
            let padding = layout.padding(&packet)?;
            let mut payload = packet.freeze();
            payload.advance(layout.payload);
            if padding > 0 {
                payload.truncate(payload.len() - padding);
            }
            Some(PeerEvent::Rtp { mid: mid.clone(), header: layout.header, payload })
        });
        match handed_on {
            Some(event) => {
                if let PeerEvent::Rtp { payload, .. } = &event {
                    self.stats.rtp_bytes += payload.len() as u64;
                }
                self.stats.rtp_packets += 1;
                self.events.push_back(event);
            }
            None => self.stats.rtp_ignored += 1,
        }
    }

    fn handle_rtcp(&mut self, bytes: &[u8]) {
        let provider = self.config.identity.provider();
        let packet = self.srtp.as_mut().and_then(|srtp| srtp.unprotect_rtcp(bytes, provider));
        let Some(packet) = packet else {
            self.stats.rtp_ignored += 1;
            return;
        };
        let (demux, events, own) = (&self.demux, &mut self.events, self.ssrc);
        parse_rtcp(&packet, |rtcp| match rtcp {
            Rtcp::Reception(report) if report.ssrc == own => {
                events.push_back(PeerEvent::ReceptionReport(report));
            }
            Rtcp::Reception(_) => {}
            Rtcp::SenderReport { ssrc, ntp, rtp_timestamp, .. } => {
                if let Some(mid) = demux.mid_of(ssrc) {
                    let mid = mid.clone();
                    events.push_back(PeerEvent::SenderReport { mid, ssrc, ntp, rtp_timestamp });
                }
            }
            Rtcp::Bye { ssrc } => {
                if let Some(mid) = demux.mid_of(ssrc) {
                    events.push_back(PeerEvent::Bye { mid: mid.clone(), ssrc });
                }
            }
        });
    }

    /// Takes what the channels have to tell.
    pub(super) fn take_channel_events(&mut self, now: Micros) {
        while let Some(event) = self.channels.as_mut().and_then(|channels| channels.poll_event()) {
            match event {
                ChannelEvent::Open { id, label, protocol, ordered, reliability } => {
                    let event =
                        PeerEvent::ChannelOpen { id, label, protocol, ordered, reliability };
                    self.events.push_back(event);
                }
                ChannelEvent::Message { id, text, data } => {
                    self.events.push_back(PeerEvent::Message { id, text, data });
                }
                ChannelEvent::Closed { id } => {
                    self.events.push_back(PeerEvent::ChannelClosed { id });
                }
                ChannelEvent::Lost { reason, by_user } => {
                    let reason = if by_user {
                        CloseReason::Remote
                    } else {
                        CloseReason::AssociationLost(reason)
                    };
                    self.end(now, reason);
                }
            }
        }
    }
}
