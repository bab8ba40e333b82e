//! One stream: a peer with a socket of its own, like a browser far away.

use std::io::ErrorKind;

use mio::net::UdpSocket;
use remotemedia_core::Micros;
use remotemedia_peer::{ChannelId, Peer, PeerEvent, Reliability, RtpHeader};
use serde::Deserialize;

/// RTP ticks of a 20 ms packet (RFC 7587, section 4.1: the clock runs at 48 kHz).
const TICKS_PER_PACKET: u32 = 960;
/// Packets whose send times are remembered: 20 s.
const REMEMBERED: usize = 1_000;

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Offering,
    Connecting,
    Open,
    Failed,
}

/// What one stream saw while measuring.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) latencies_us: Vec<u32>,
    pub(crate) results: u64,
    /// Results that name another session: must stay zero.
    pub(crate) foreign: u64,
}

pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) socket: UdpSocket,
    pub(crate) stage: Stage,
    pub(crate) session: String,
    pub(crate) offered_at: Micros,
    pub(crate) setup_us: u64,
    pub(crate) sending: bool,
    pub(crate) payload_type: u8,
    channel: Option<ChannelId>,
    /// Packets sent.
    pub(crate) sent: u32,
    /// Where every message is kept, if that is asked for.
    pub(crate) record: Option<Vec<Vec<u8>>>,
    sent_at: Vec<Micros>,
    pub(crate) seen: Seen,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow, default)]
    session: &'a str,
    #[serde(default)]
    rtp_ts: u32,
}

impl Client {
    pub(crate) fn new(peer: Peer, socket: UdpSocket, now: Micros) -> Self {
        Self {
            peer,
            socket,
            stage: Stage::Offering,
            session: String::new(),
            offered_at: now,
            setup_us: 0,
            sending: false,
            payload_type: 0,
            channel: None,
            sent: 0,
            record: None,
            sent_at: vec![Micros::ZERO; REMEMBERED],
            seen: Seen::default(),
        }
    }

    /// Sends the next packet of speech.
    pub(crate) fn send_packet(&mut self, now: Micros, payload: &[u8]) {
        let timestamp = self.sent.wrapping_mul(TICKS_PER_PACKET);
        let header = RtpHeader {
            ssrc: self.peer.ssrc(),
            sequence_number: self.sent as u16,
            timestamp,
            payload_type: self.payload_type,
            marker: self.sent == 0,
        };
        self.sent_at[self.sent as usize % REMEMBERED] = now;
        self.sent = self.sent.wrapping_add(1);
        // Before the connection is up nothing is sent; after it has ended neither.
        let _ = self.peer.send_rtp(now, &header, payload);
    }

    /// Takes what the socket holds.
    pub(crate) fn receive(&mut self, now: Micros, buffer: &mut [u8]) {
        loop {
            match self.socket.recv_from(buffer) {
                Ok((length, from)) => {
                    self.peer
                        .handle_datagram(now, from, None, &buffer[..length]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    /// Runs timers, takes events and sends what is to be sent.
    pub(crate) fn drive(&mut self, now: Micros, measuring: bool) {
        if self.peer.poll_timeout().is_some_and(|due| due <= now) {
            self.peer.handle_timeout(now);
        }
        while let Some(event) = self.peer.poll_event() {
            match event {
                PeerEvent::Connected => {
                    self.channel = self
                        .peer
                        .open_channel(now, "results", true, Reliability::Reliable)
                        .ok();
                }
                PeerEvent::ChannelOpen { id, .. } if Some(id) == self.channel => {
                    self.stage = Stage::Open;
                    self.setup_us = now.since(self.offered_at).as_micros() as u64;
                }
                PeerEvent::Message { data, .. } => {
                    self.note(now, &data, measuring);
                    if let Some(record) = &mut self.record {
                        record.push(data.to_vec());
                    }
                }
                PeerEvent::Closed(_) => self.stage = Stage::Failed,
                _ => {}
            }
        }
        while let Some(transmit) = self.peer.poll_transmit() {
            // A full socket buffer is a lost datagram, as it would be on a network.
            let _ = self.socket.send_to(&transmit.payload, transmit.to);
        }
    }

    /// The messages that were kept, each the text that came.
    pub(crate) fn recorded(&self) -> Result<Vec<&str>, String> {
        let messages = self.record.iter().flatten();
        messages
            .map(|data| std::str::from_utf8(data).map_err(|error| error.to_string()))
            .collect()
    }

    fn note(&mut self, now: Micros, data: &[u8], measuring: bool) {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(data) else {
            return;
        };
        if message.kind != "vad" {
            return;
        }
        if message.session != self.session && message.session != "bench" {
            self.seen.foreign += 1;
        }
        if !measuring {
            return;
        }
        self.seen.results += 1;
        let index = message.rtp_ts / TICKS_PER_PACKET;
        if index < self.sent && (self.sent - index) as usize <= REMEMBERED {
            let sent_at = self.sent_at[index as usize % REMEMBERED];
            self.seen
                .latencies_us
                .push(now.since(sent_at).as_micros() as u32);
        }
    }
}
