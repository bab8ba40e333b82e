//! The data channels of one peer (RFC 8831, RFC 8832).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remotemedia_core::Micros;
use rtc_sctp::PayloadProtocolIdentifier as Ppid;

use super::association::{Association, Happening, Limits};
use super::dcep::{Dcep, Open};
use super::{ChannelId, Reliability};
use crate::SendError;

/// Channels that a peer may have. The other side's OPEN beyond that resets its stream.
pub(crate) const MAX_CHANNELS: usize = 64;
/// Priority "normal" (RFC 8831, section 6.4).
const NORMAL_PRIORITY: u16 = 256;

/// What happened to the channels.
#[derive(Debug, PartialEq)]
pub(crate) enum ChannelEvent {
    Open {
        id: ChannelId,
        label: String,
        protocol: String,
        ordered: bool,
        reliability: Reliability,
    },
    Message {
        id: ChannelId,
        text: bool,
        data: Bytes,
    },
    Closed {
        id: ChannelId,
    },
    /// All channels are gone.
    Lost {
        reason: String,
        by_user: bool,
    },
}

/// Sizes and sides of the channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelsConfig {
    pub(crate) anchor: Instant,
    pub(crate) mtu: u32,
    /// The largest message that we take.
    pub(crate) receive_message: usize,
    /// The largest message that the other side takes.
    pub(crate) send_message: u64,
    /// Bytes that one channel may have waiting.
    pub(crate) max_buffered: usize,
    /// Whether this side is the DTLS client, whose channels have even numbers (RFC 8832, section
    /// 6).
    pub(crate) dtls_client: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Ours, and not acknowledged yet.
    Opening,
    Open,
    /// Reset by us; the other side has not followed yet.
    Closing,
}

struct Channel {
    id: ChannelId,
    phase: Phase,
    open: Open,
}

pub(crate) struct Channels {
    association: Association,
    config: ChannelsConfig,
    /// Few, so they are looked for one by one.
    channels: Vec<Channel>,
    /// Channels asked for before the association is up.
    wanted: Vec<ChannelId>,
    next_id: u16,
    events: VecDeque<ChannelEvent>,
    /// Messages that had no place.
    ignored: u64,
    /// Whether there may be packets to send.
    pub(crate) dirty: bool,
}

impl Channels {
    /// The association begins at `begin_at`, or before if the other side begins it.
    pub(crate) fn new(config: ChannelsConfig, begin_at: Micros) -> Self {
        let limits = Limits {
            mtu: config.mtu,
            // Room for one message that is being read and the next.
            receive_window: u32::try_from(config.receive_message)
                .unwrap_or(u32::MAX / 4)
                .saturating_mul(2)
                .max(256 * 1024),
            send_message: u32::try_from(config.send_message).unwrap_or(u32::MAX),
            receive_message: config.receive_message,
        };
        Channels {
            association: Association::new(limits, config.anchor, begin_at, config.dtls_client),
            config,
            channels: Vec::new(),
            wanted: Vec::new(),
            next_id: u16::from(!config.dtls_client),
            events: VecDeque::new(),
            ignored: 0,
            dirty: true,
        }
    }

    /// Takes a packet that came out of DTLS.
    pub(crate) fn handle(&mut self, now: Micros, packet: &Bytes) {
        self.association.handle(now, packet);
        self.process(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Micros> {
        self.association.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Micros) {
        if self.association.poll_timeout().is_some_and(|at| at <= now) {
            self.association.handle_timeout(now);
            self.process(now);
        }
    }

    /// The next packet for DTLS.
    pub(crate) fn poll_packet(&mut self, now: Micros) -> Option<Bytes> {
        let packet = self.association.poll_packet(now);
        if packet.is_none() {
            self.dirty = false;
            self.process_quietly(now);
        }
        packet
    }

    pub(crate) fn poll_event(&mut self) -> Option<ChannelEvent> {
        self.events.pop_front()
    }

    /// Asks for a channel; it may be used once [`ChannelEvent::Open`] has told so.
    pub(crate) fn open(
        &mut self,
        now: Micros,
        label: &str,
        ordered: bool,
        reliability: Reliability,
    ) -> Result<ChannelId, SendError> {
        if self.channels.len() >= MAX_CHANNELS {
            return Err(SendError::Full);
        }
        if !self.association.is_alive() {
            return Err(SendError::Closed);
        }
        while self.find(ChannelId(self.next_id)).is_some() {
            self.next_id = self.next_id.wrapping_add(2) % 0xfffe;
        }
        let id = ChannelId(self.next_id);
        self.next_id = self.next_id.wrapping_add(2) % 0xfffe;
        let open = Open {
            label: label.to_owned(),
            protocol: String::new(),
            ordered,
            reliability,
            priority: NORMAL_PRIORITY,
        };
        self.channels.push(Channel { id, phase: Phase::Opening, open });
        self.wanted.push(id);
        self.ask_for_wanted(now);
        Ok(id)
    }

    /// Queues a message.
    pub(crate) fn send(
        &mut self,
        now: Micros,
        id: ChannelId,
        text: bool,
        data: &[u8],
    ) -> Result<(), SendError> {
        let open = self.find(id).is_some_and(|c| c.phase == Phase::Open);
        if !open {
            return Err(SendError::Closed);
        }
        if data.len() as u64 > self.config.send_message {
            return Err(SendError::TooLarge);
        }
        // An empty message is one zero byte of its own kind (RFC 8831, section 6.6).
        let (kind, bytes): (_, &[u8]) = match (text, data.is_empty()) {
            (true, false) => (Ppid::String, data),
            (true, true) => (Ppid::StringEmpty, &[0]),
            (false, false) => (Ppid::Binary, data),
            (false, true) => (Ppid::BinaryEmpty, &[0]),
        };
        // One message always fits into an empty queue.
        let buffered = self.association.buffered(id.0);
        if buffered > 0 && buffered + bytes.len() > self.config.max_buffered {
            return Err(SendError::Full);
        }
        self.dirty = true;
        if self.association.send(now, id.0, kind, bytes) { Ok(()) } else { Err(SendError::Closed) }
    }

    /// The largest message that the other side takes, in bytes.
    pub(crate) fn largest(&self) -> u64 {
        self.config.send_message
    }

    /// Closes one channel; [`ChannelEvent::Closed`] tells when the other side has followed.
    pub(crate) fn close_channel(&mut self, now: Micros, id: ChannelId) {
        if let Some(channel) = self.channels.iter_mut().find(|c| c.id == id)
            && channel.phase != Phase::Closing
        {
            channel.phase = Phase::Closing;
            self.association.close_stream(now, id.0);
            self.dirty = true;
        }
    }

    /// Gives all channels up; the packets that say so are left to [`Channels::poll_packet`].
    pub(crate) fn abort(&mut self, now: Micros) {
        self.association.abort(now);
        self.dirty = true;
    }

    /// Bytes of a channel that wait or are not acknowledged yet.
    pub(crate) fn buffered(&mut self, id: ChannelId) -> usize {
        if self.find(id).is_some() { self.association.buffered(id.0) } else { 0 }
    }

    /// Bytes of all channels that wait or are not acknowledged yet.
    pub(crate) fn buffered_total(&mut self) -> usize {
        let association = &mut self.association;
        self.channels.iter().map(|c| association.buffered(c.id.0)).sum()
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.association.round_trip()
    }

    /// Packets and messages that were not taken.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored + self.association.ignored
    }

    fn find(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.iter().find(|c| c.id == id)
    }

    fn process(&mut self, now: Micros) {
        self.dirty = true;
        self.process_quietly(now);
    }

    fn process_quietly(&mut self, now: Micros) {
        while let Some(happening) = self.association.poll_happening() {
            match happening {
                Happening::Up => self.ask_for_wanted(now),
                Happening::Message { stream, kind, data } => {
                    self.take_message(now, ChannelId(stream), kind, data);
                }
                Happening::StreamClosed { stream } => {
                    let id = ChannelId(stream);
                    let before = self.channels.len();
                    self.channels.retain(|c| c.id != id);
                    if self.channels.len() < before {
                        self.events.push_back(ChannelEvent::Closed { id });
                    }
                }
                Happening::Lost { reason, by_user } => {
                    self.channels.clear();
                    self.events.push_back(ChannelEvent::Lost { reason, by_user });
                }
            }
        }
    }

    fn ask_for_wanted(&mut self, now: Micros) {
        if !self.association.is_up() {
            return;
        }
        for id in std::mem::take(&mut self.wanted) {
            let Some(channel) = self.channels.iter().find(|c| c.id == id) else { continue };
            let open = &channel.open;
            if self.association.open_stream(id.0) {
                self.association.configure(id.0, open.ordered, open.reliability);
                self.association.send(now, id.0, Ppid::Dcep, &open.to_bytes());
            }
        }
        self.dirty = true;
    }

    fn take_message(&mut self, now: Micros, id: ChannelId, kind: Ppid, data: Bytes) {
        let (text, data) = match kind {
            Ppid::Dcep => {
                self.take_dcep(now, id, &data);
                return;
            }
            Ppid::String => (true, data),
            Ppid::StringEmpty => (true, Bytes::new()),
            Ppid::Binary => (false, data),
            Ppid::BinaryEmpty => (false, Bytes::new()),
            _ => {
                self.ignored += 1;
                return;
            }
        };
        match self.find(id) {
            Some(channel) if channel.phase != Phase::Closing => {
                self.events.push_back(ChannelEvent::Message { id, text, data });
            }
            _ => self.ignored += 1,
        }
    }

    fn take_dcep(&mut self, now: Micros, id: ChannelId, data: &[u8]) {
        match Dcep::parse(data) {
            Some(Dcep::Open(open)) if self.find(id).is_none() => {
                if self.channels.len() >= MAX_CHANNELS {
                    self.ignored += 1;
                    self.association.close_stream(now, id.0);
                    return;
                }
                self.association.configure(id.0, open.ordered, open.reliability);
                self.association.send(now, id.0, Ppid::Dcep, Dcep::ack());
                self.dirty = true;
                self.channels.push(Channel { id, phase: Phase::Open, open });
                self.tell_open(id);
            }
            Some(Dcep::Ack) => {
                let opening =
                    self.channels.iter_mut().find(|c| c.id == id && c.phase == Phase::Opening);
                match opening {
                    Some(channel) => {
                        channel.phase = Phase::Open;
                        self.tell_open(id);
                    }
                    None => self.ignored += 1,
                }
            }
            _ => self.ignored += 1,
        }
    }

    fn tell_open(&mut self, id: ChannelId) {
        if let Some(Channel { open, .. }) = self.find(id) {
            let event = ChannelEvent::Open {
                id,
                label: open.label.clone(),
                protocol: open.protocol.clone(),
                ordered: open.ordered,
                reliability: open.reliability,
            };
            self.events.push_back(event);
        }
    }
}
