//! DTLS 1.2 over rtc-dtls (RFC 6347, RFC 8827): one connection of either role.
//!
//! Four habits of rtc-dtls 0.21.1 are worked around here:
//! - it finds connections by address and cannot follow a changed one: it gets a constant address;
//! - when part of a flight or a repeated one arrives it stops its own timer, so what is lost is
//!   never asked for, and it gives up after seven repetitions: flights in the clear are repeated by
//!   this module, with fresh record numbers, for as long as the set-up may take, and what could
//!   stop the timer of the client's last flight is kept away from it;
//! - it loses encrypted records that overtake the other side's ChangeCipherSpec: they are held;
//! - it answers malformed plaintext with fatal alerts and keeps what it cannot place yet without
//!   bound: datagrams are checked and counted first.

mod records;

pub(crate) use records::is_client_hello;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use remotemedia_core::Micros;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::clock::Clock;
use crate::identity::{FLIGHT_INTERVAL, Identity};

/// The address that rtc-dtls knows the other side by.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// First wait before the client's first flight is sent again: it is small, and it often comes
/// before the other side has read the description that it needs.
const HELLO_INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait between two repetitions of a flight.
const MAX_FLIGHT_INTERVAL: Duration = Duration::from_secs(3);
/// Handshake fragments taken before the handshake is complete: twenty times those of a handshake
/// in which every datagram is lost ten times. More end the handshake.
const MAX_FRAGMENTS: usize = 1024;
/// Handshake fragments taken afterwards, when only the other side's last flight may come again.
/// More are ignored.
const MAX_LATE_FRAGMENTS: usize = 64;
/// Encrypted datagrams held until they can be read; more are ignored.
const MAX_HELD: usize = 4;
/// RFC 5764, section 4.2.
const SRTP_EXPORTER: &str = "EXTRACTOR-dtls_srtp";

/// What a datagram led to.
#[derive(Debug, PartialEq)]
pub(crate) enum DtlsEvent {
    /// The handshake is complete. Nothing may pass until the certificate has been compared.
    Established,
    /// Application data.
    Data(Bytes),
    /// The other side said goodbye.
    PeerClosed,
    /// The connection is done for.
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Established,
    Ended,
}

/// Master keys for SRTP (RFC 5764, section 4.2).
pub(crate) struct SrtpKeys {
    pub(crate) profile: ProtectionProfile,
    pub(crate) local: (Vec<u8>, Vec<u8>),
    pub(crate) remote: (Vec<u8>, Vec<u8>),
}

/// One DTLS connection.
pub(crate) struct Dtls {
    endpoint: Endpoint,
    clock: Clock,
    is_client: bool,
    phase: Phase,
    /// The number of the next record in the clear.
    next_record: u64,
    /// The flight in the clear that is repeated until the other side's next one arrives.
    flight: Vec<BytesMut>,
    repeat_at: Option<Micros>,
    repetitions: u32,
    fragments: usize,
    /// Whether the other side's ChangeCipherSpec has come.
    ciphered: bool,
    held: Vec<Bytes>,
}

impl Dtls {
    pub(crate) fn new(identity: &Identity, is_client: bool, anchor: Instant) -> Self {
        let server = (!is_client).then(|| identity.config(false));
        Dtls {
            endpoint: Endpoint::new(PEER, TransportProtocol::UDP, server),
            clock: Clock::new(anchor, 1),
            is_client,
            phase: Phase::Handshaking,
            next_record: 0,
            flight: Vec::new(),
            repeat_at: None,
            repetitions: 0,
            fragments: 0,
            ciphered: false,
            held: Vec::new(),
        }
    }

    /// Begins the handshake if this side is the client.
    pub(crate) fn start(&mut self, identity: &Identity, now: Micros, out: &mut Vec<Bytes>) {
        if !self.is_client || self.phase != Phase::Handshaking || self.next_record > 0 {
            return;
        }
        let config = identity.config(true);
        if let Err(error) = self.endpoint.connect(self.clock.instant(now), PEER, config, None) {
            log::warn!("DTLS did not start: {error}");
        }
        self.drain_new_flight(now, out);
    }

    /// Repeats the first flight at once if nothing has come of it: the path has just got better.
    pub(crate) fn nudge(&mut self, now: Micros) {
        if self.is_client && self.fragments == 0 && self.repeat_at.is_some() {
            self.repeat_at = Some(now);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Takes a datagram. `None` when it was ignored.
    pub(crate) fn handle(
        &mut self,
        now: Micros,
        datagram: &[u8],
        out: &mut Vec<Bytes>,
    ) -> Option<Vec<DtlsEvent>> {
        if self.phase == Phase::Ended {
            return None;
        }
        let fragments = records::inspect(datagram)?;
        if !self.ciphered && records::is_sealed(datagram) {
            let held = self.held.len() < MAX_HELD;
            if held {
                self.held.push(Bytes::copy_from_slice(datagram));
            }
            return held.then(Vec::new);
        }
        let mut events = self.read(now, datagram, fragments, out)?;
        if !self.ciphered && records::changes_cipher(datagram) {
            self.ciphered = true;
            for held in std::mem::take(&mut self.held) {
                let fragments = records::inspect(&held).unwrap_or(0);
                events.extend(self.read(now, &held, fragments, out).unwrap_or_default());
            }
        }
        Some(events)
    }

    fn read(
        &mut self,
        now: Micros,
        datagram: &[u8],
        fragments: usize,
        out: &mut Vec<Bytes>,
    ) -> Option<Vec<DtlsEvent>> {
        if self.phase == Phase::Ended {
            return None;
        }
        self.fragments += fragments;
        let established = self.phase == Phase::Established;
        if self.awaits_last_flight() && records::has_plaintext_handshake(datagram) {
            // The server repeats its flight because our last one was lost: ours is repeated in its
            // own time. There is nothing new in it.
            return None;
        }
        if established && fragments > 0 && self.fragments > MAX_LATE_FRAGMENTS {
            return None;
        }
        if !established && self.fragments > MAX_FRAGMENTS {
            self.end();
            return Some(vec![DtlsEvent::Failed("the handshake does not end".into())]);
        }
        let result =
            self.endpoint.read(self.clock.instant(now), PEER, None, BytesMut::from(datagram));
        match result {
            Ok(events) => {
                let events = self.translate(events);
                if established || self.phase == Phase::Established {
                    self.drain(out);
                } else {
                    self.drain_new_flight(now, out);
                }
                Some(events)
            }
            Err(error) => self.fail_or_ignore(&error, established, out),
        }
    }

    /// Sends application data.
    pub(crate) fn write(&mut self, now: Micros, data: &[u8], out: &mut Vec<Bytes>) {
        if self.phase != Phase::Established {
            return;
        }
        if let Err(error) = self.endpoint.write(self.clock.instant(now), PEER, data) {
            log::debug!("DTLS did not take a packet: {error}");
        }
        self.drain(out);
    }

    /// Says goodbye (RFC 5246, section 7.2.1).
    pub(crate) fn close(&mut self, now: Micros, out: &mut Vec<Bytes>) {
        if self.phase == Phase::Established {
            let _ = self.endpoint.close(self.clock.instant(now));
            self.drain(out);
        }
        self.end();
    }

    pub(crate) fn poll_timeout(&self) -> Option<Micros> {
        self.repeat_at
    }

    pub(crate) fn handle_timeout(&mut self, now: Micros, out: &mut Vec<Bytes>) {
        if self.repeat_at.is_none_or(|at| at > now) {
            return;
        }
        if self.flight.is_empty() {
            // The client's last flight carries an encrypted message, which only rtc-dtls can
            // number anew. Its own timer may be later than ours, so it is told that it is due.
            match self.endpoint.poll_timeout(&PEER) {
                Some(due) => {
                    let due = due.max(self.clock.instant(now));
                    if let Err(error) = self.endpoint.handle_timeout(PEER, due) {
                        log::debug!("DTLS could not repeat its flight: {error}");
                    }
                    self.drain(out);
                }
                None => {
                    self.repeat_at = None;
                    return;
                }
            }
        } else {
            for datagram in &mut self.flight {
                records::renumber(datagram, &mut self.next_record);
                out.push(Bytes::copy_from_slice(datagram));
            }
        }
        self.repetitions += 1;
        self.repeat_at = Some(now + self.interval());
    }

    /// The other side's certificate (DER), once the handshake is complete.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        let state = self.endpoint.get_connection_state(PEER)?;
        state.peer_certificates.first().map(Vec::as_slice)
    }

    /// The keys for SRTP; `None` where the handshake agreed on no profile.
    pub(crate) fn srtp_keys(&self) -> Option<SrtpKeys> {
        let state = self.endpoint.get_connection_state(PEER)?;
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => ProtectionProfile::AeadAes256Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => {
                ProtectionProfile::Aes128CmHmacSha1_80
            }
            _ => return None,
        };
        let (key, salt) = (profile.key_len(), profile.salt_len());
        let material = state.export_keying_material(SRTP_EXPORTER, &[], 2 * (key + salt)).ok()?;
        let (keys, salts) = material.as_ref().split_at(2 * key);
        let client = (keys[..key].to_vec(), salts[..salt].to_vec());
        let server = (keys[key..].to_vec(), salts[salt..].to_vec());
        let (local, remote) = if self.is_client { (client, server) } else { (server, client) };
        Some(SrtpKeys { profile, local, remote })
    }

    fn translate(&mut self, events: Vec<EndpointEvent>) -> Vec<DtlsEvent> {
        let mut translated = Vec::with_capacity(events.len());
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    self.phase = Phase::Established;
                    self.fragments = 0;
                    self.repeat_at = None;
                    self.flight = Vec::new();
                    translated.push(DtlsEvent::Established);
                }
                EndpointEvent::ApplicationData(data) => {
                    translated.push(DtlsEvent::Data(data.freeze()));
                }
                EndpointEvent::PeerClosed => {
                    self.end();
                    translated.push(DtlsEvent::PeerClosed);
                }
                _ => {}
            }
        }
        translated
    }

    /// Tells an end from what is only noise: the first shows by an alert, sent or received.
    fn fail_or_ignore(
        &mut self,
        error: &rtc_shared::error::Error,
        established: bool,
        out: &mut Vec<Bytes>,
    ) -> Option<Vec<DtlsEvent>> {
        let sent_from = out.len();
        self.drain(out);
        let alerted = matches!(error, rtc_shared::error::Error::ErrAlertFatalOrClose)
            || (!established && out[sent_from..].iter().any(|d| records::has_fatal_alert(d)));
        if !alerted {
            log::debug!("DTLS ignored a datagram: {error}");
            return None;
        }
        self.end();
        Some(vec![DtlsEvent::Failed(error.to_string())])
    }

    /// Whether this is a client that has sent its last flight.
    fn awaits_last_flight(&self) -> bool {
        self.is_client
            && self.phase == Phase::Handshaking
            && self.next_record > 0
            && self.flight.is_empty()
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.repeat_at = None;
        self.flight = Vec::new();
        self.held = Vec::new();
    }

    fn interval(&self) -> Duration {
        // Before anything was heard only the ClientHello has been sent.
        if self.is_client && self.fragments == 0 && self.repetitions < 3 {
            return HELLO_INTERVAL * (1 << self.repetitions);
        }
        // The first two repetitions are quick, for a single loss; then it backs off.
        let doublings = self.repetitions.saturating_sub(1).min(8);
        (FLIGHT_INTERVAL * (1 << doublings)).min(MAX_FLIGHT_INTERVAL)
    }

    fn drain(&mut self, out: &mut Vec<Bytes>) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let mut datagram = transmit.message;
            // Records in the clear come first in a flight.
            if !records::is_sealed(&datagram) {
                records::renumber(&mut datagram, &mut self.next_record);
            }
            out.push(datagram.freeze());
        }
    }

    /// What is sent while the handshake runs, outside of repetitions, is a new flight.
    fn drain_new_flight(&mut self, now: Micros, out: &mut Vec<Bytes>) {
        let sent_from = out.len();
        self.drain(out);
        let sent = &out[sent_from..];
        if sent.is_empty() {
            return;
        }
        self.flight.clear();
        if sent.iter().all(|datagram| records::is_repeatable(datagram)) {
            self.flight.extend(sent.iter().map(|datagram| BytesMut::from(&datagram[..])));
        }
        self.repetitions = 0;
        self.repeat_at = Some(now + self.interval());
    }
}

#[cfg(test)]
mod tests;
