//! Audio of the graph on its way to who hears it.
//!
//! A participant hears what the pipeline made of its own streams; one that sends no audio hears all
//! streams, mixed. Each has a [`Sender`], which alone paces.
//!
//! - What native nodes make is made as fast as it is heard: it goes to the senders at once. Where
//!   more than [`remotemedia_media::MAX_QUEUED`] waits, the oldest goes, counted.
//! - What Python nodes make may be made much faster. It waits here, and the senders get no more of it
//!   than they have room for. When more than [`MAX_WAITING`] waits, the nodes that made it are held:
//!   frames for them stay in their mailboxes, where the oldest goes when there are too many. What they
//!   are working on is taken still, so that a long answer is not cut, until [`MAX_ANSWER`] waits: the
//!   newest goes then, counted.
//! - Nobody is waited for who does not hear: before the connection is up, or after it has gone.
//!   Audio that nobody hears is gone at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use remotemedia_core::{
    AudioFormat, AudioFrame, ChannelCount, Key, Micros, ReceptionReport, StreamId,
};
use remotemedia_executor::{Output, Plan};
use remotemedia_media::{RtpStart, Sender, SenderConfig, SourceId};
use remotemedia_peer::sdp::AudioSection;
use remotemedia_peer::{Peer, RtpHeader, SenderReport};

use crate::participant::Participant;
use crate::session::Session;
use crate::sessions::Sessions;

/// Finished audio of Python nodes that waits to be heard; when there is more, they are held.
pub const MAX_WAITING: Duration = Duration::from_secs(10);

/// The most of it that waits of one source, whatever a node that is held yields on: further audio is
/// lost.
pub const MAX_ANSWER: Duration = Duration::from_secs(300);

/// Where audio leaves a session's graph.
pub(crate) struct Sink {
    id: Arc<str>,
    format: AudioFormat,
    /// Made in Python: there may be more of it than time passes.
    ahead: bool,
}

impl Sink {
    pub(crate) fn all(plan: &Plan) -> Vec<Sink> {
        let sink = |sink: remotemedia_executor::SinkInfo<'_>| Sink {
            id: sink.id.clone(),
            format: sink.format,
            ahead: sink.python,
        };
        plan.sinks().map(sink).collect()
    }
}

/// How many channels a session sends, where it sends audio.
pub(crate) fn sent_channels(sinks: &[Sink]) -> Option<ChannelCount> {
    let most = sinks.iter().map(|sink| sink.format.channels).max()?;
    Some(most.min(ChannelCount::STEREO))
}

/// Audio of one source that waits for room.
pub(crate) struct Waiting {
    source: SourceId,
    /// Whose stream it was made of.
    owner: Key,
    stream: StreamId,
    frames: VecDeque<AudioFrame>,
    /// Samples a channel of all frames.
    samples: usize,
    /// Samples a channel of the first frame that have gone.
    gone: usize,
}

impl Waiting {
    fn duration(&self) -> Duration {
        let format = self.frames.front().map(|frame| frame.meta.format);
        let us =
            format.map_or(0, |format| format.rate.micros_of((self.samples - self.gone) as u64));
        Duration::from_micros(us)
    }

    fn push(&mut self, frame: AudioFrame) {
        self.samples += length(&frame);
        self.frames.push_back(frame);
    }

    fn pop(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.samples -= length(&frame);
        }
        self.gone = 0;
    }

    fn clear(&mut self) {
        self.frames.clear();
        (self.samples, self.gone) = (0, 0);
    }
}

/// Samples a channel.
fn length(frame: &AudioFrame) -> usize {
    frame.samples.len() / frame.meta.format.channels.get()
}

/// A participant's outgoing stream.
pub(crate) struct Voice {
    start: RtpStart,
    sender: Option<Sender>,
    /// Packets that had been sent at the last report.
    reported: u64,
    /// What of the lost audio has been counted.
    counted: Duration,
}

impl Voice {
    pub(crate) fn new(peer: &Peer, rng: &mut StdRng) -> Voice {
        let start = RtpStart {
            ssrc: peer.ssrc(),
            sequence_number: rng.random::<u16>() >> 1,
            timestamp: rng.random(),
        };
        Voice { start, sender: None, reported: 0, counted: Duration::ZERO }
    }

    /// When a packet is due.
    pub(crate) fn poll_timeout(&self) -> Option<Micros> {
        self.sender.as_ref().and_then(Sender::poll_timeout)
    }

    pub(crate) fn is_due(&self, now: Micros) -> bool {
        self.poll_timeout().is_some_and(|due| due <= now)
    }

    pub(crate) fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// The sender, in the format that suits both sides.
    fn sender_for(&mut self, sinks: &[Sink], section: &AudioSection) -> Option<&mut Sender> {
        let formats = sinks.iter().map(|sink| sink.format);
        let wishes = &section.wishes;
        let config = SenderConfig { fec: wishes.fec, ..SenderConfig::new(formats, section.stereo) }
            .at_most(wishes.max_rate, wishes.max_bitrate);
        let made = match &mut self.sender {
            Some(sender) => sender.reconfigure(config),
            none => Sender::new(config, self.start).map(|sender| *none = Some(sender)),
        };
        if let Err(error) = made {
            // A format that was made for libopus: it has no memory then.
            log::warn!("audio cannot be sent: {error}");
            return None;
        }
        self.sender.as_mut()
    }

    /// Sends what is due, or forgets it where nobody receives it.
    pub(crate) fn serve(&mut self, now: Micros, peer: &mut Peer) {
        let Some(sender) = &mut self.sender else { return };
        let payload_type = peer.sending().map(|section| section.payload_type);
        let Some(payload_type) = payload_type.filter(|_| peer.is_connected()) else {
            sender.stop();
            return;
        };
        sender.handle_timeout(now);
        while let Some(packet) = sender.poll_packet() {
            let header = RtpHeader {
                ssrc: packet.header.ssrc,
                sequence_number: packet.header.sequence_number,
                timestamp: packet.header.timestamp,
                payload_type,
                marker: packet.header.marker,
            };
            // It is connected and has keys for media.
            let _ = peer.send_rtp(now, &header, packet.payload);
        }
    }

    pub(crate) fn interrupt(&mut self, which: impl FnMut(SourceId) -> bool) {
        if let Some(sender) = &mut self.sender {
            sender.interrupt(which);
        }
    }

    pub(crate) fn handle_report(&mut self, now: Micros, report: &ReceptionReport) {
        let Some(sender) = &mut self.sender else { return };
        sender.handle_reception_report(now, report);
    }

    /// Audio that was lost here since the last call.
    pub(crate) fn take_lost(&mut self) -> Duration {
        let Some(sender) = &self.sender else { return Duration::ZERO };
        let stats = sender.stats();
        let lost = stats.overrun + stats.skipped;
        lost.saturating_sub(std::mem::replace(&mut self.counted, lost))
    }

    /// What to report about the stream, where anything was sent since the last time.
    pub(crate) fn report(&mut self, now: Micros) -> Option<SenderReport> {
        let sender = self.sender.as_mut()?;
        let packets = sender.stats().packets_sent;
        if std::mem::replace(&mut self.reported, packets) == packets {
            return None;
        }
        let ntp = ntp(now);
        let info = sender.report(now, ntp)?;
        Some(SenderReport {
            ntp,
            rtp_timestamp: info.rtp_timestamp,
            packets: info.packets,
            octets: info.octets,
        })
    }
}

/// The time since the driver's origin in NTP format: senders without a wall clock use that (RFC 3550,
/// section 6.4.1).
fn ntp(now: Micros) -> u64 {
    let (seconds, micros) = (now.0 / 1_000_000, now.0 % 1_000_000);
    (seconds << 32) | ((micros << 32) / 1_000_000)
}

fn source(stream: StreamId, sink: usize) -> SourceId {
    SourceId(u64::from(stream.0) << 16 | sink as u64)
}

impl Participant {
    /// Whether it hears what was made of the streams of `owner`; `own` is its own key.
    fn hears(&self, own: Key, owner: Key) -> bool {
        let speaks = || self.peer.audio().iter().any(|section| section.direction.receives());
        self.is_active()
            && self.peer.is_connected()
            && self.peer.sending().is_some()
            && (own == owner || !speaks())
    }
}

impl Sessions {
    /// Takes audio that a sink gave.
    pub(crate) fn voice(&mut self, now: Micros, key: Key, output: &Output, frame: &AudioFrame) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let stream = output.meta.stream;
        let Some(owner) = session.stream(stream).map(|entry| entry.owner) else { return };
        let sink = session.sinks.iter().position(|sink| *sink.id == *output.node);
        let Some(index) = sink else { return };
        let source = source(stream, index);
        if session.sinks[index].ahead {
            let known = session.waiting.iter().position(|waiting| waiting.source == source);
            let waiting = known.unwrap_or_else(|| {
                let frames = VecDeque::new();
                session.waiting.push(Waiting {
                    source,
                    owner,
                    stream,
                    frames,
                    samples: 0,
                    gone: 0,
                });
                session.waiting.len() - 1
            });
            let waiting = &mut session.waiting[waiting];
            if waiting.duration() >= MAX_ANSWER {
                let us = frame.meta.format.rate.micros_of(length(frame) as u64);
                self.audio_lost += Duration::from_micros(us);
                return;
            }
            waiting.push(frame.clone());
            self.feed(now, key);
            return;
        }
        let format = frame.meta.format;
        for hearer in session.participants.clone() {
            if let Some(sender) = self.hearer(key, hearer, owner) {
                if let Err(error) = sender.push(now, source, format, &frame.samples) {
                    log::debug!("audio is not sent: {error}");
                }
                self.touch(hearer);
            }
        }
    }

    /// Hands waiting audio of a session to those who hear it, as far as all of them have room.
    pub(crate) fn feed(&mut self, now: Micros, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.waiting.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut session.waiting);
        let participants = session.participants.clone();
        for waiting in &mut all {
            self.feed_source(now, key, waiting, &participants);
        }
        all.retain(|waiting| !waiting.frames.is_empty());
        let full = all.iter().any(|waiting| waiting.duration() > MAX_WAITING);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.waiting = all;
        if full != session.held {
            session.held = full;
            self.executor.hold(session.instance, full);
        }
    }

    fn feed_source(&mut self, now: Micros, key: Key, waiting: &mut Waiting, all: &[Key]) {
        while let Some(frame) = waiting.frames.front() {
            let format = frame.meta.format;
            let total = length(frame);
            let mut room = None;
            for hearer in all {
                if let Some(sender) = self.hearer(key, *hearer, waiting.owner) {
                    let its = sender.room(waiting.source, format);
                    room = Some(room.map_or(its, |room: usize| room.min(its)));
                }
            }
            let Some(room) = room else { return waiting.clear() };
            let end = total.min(waiting.gone.saturating_add(room));
            if end > waiting.gone {
                for hearer in all {
                    if let Some(sender) = self.hearer(key, *hearer, waiting.owner) {
                        let range = waiting.gone..end;
                        let taken =
                            sender.offer(now, waiting.source, format, &frame.samples, range);
                        if let Err(error) = taken {
                            log::debug!("audio is not sent: {error}");
                        }
                        self.touch(*hearer);
                    }
                }
            }
            if end < total {
                waiting.gone = end;
                return;
            }
            waiting.pop();
        }
    }

    /// The sender of a participant that hears the streams of `owner`.
    fn hearer(&mut self, session: Key, key: Key, owner: Key) -> Option<&mut Sender> {
        let participant = self.peers.get_mut(key).filter(|one| one.hears(key, owner))?;
        let session = self.sessions.get(session)?;
        let section = participant.peer.sending()?;
        participant.voice.as_mut()?.sender_for(&session.sinks, section)
    }

    /// Makes what a participant hears of its own streams worthless; of all, where it has none.
    pub(crate) fn interrupt_voices(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get(key) else { return };
        let session_key = participant.session;
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let own: Vec<StreamId> = session.open_streams(key).map(|stream| stream.id).collect();
        let concerned = |stream: StreamId| own.is_empty() || own.contains(&stream);
        session.waiting.retain(|waiting| !concerned(waiting.stream));
        for other in session.participants.clone() {
            if let Some(voice) = self.peers.get_mut(other).and_then(|one| one.voice.as_mut()) {
                voice.interrupt(|source| concerned(StreamId((source.0 >> 16) as u32)));
                self.touch(other);
            }
        }
        self.release(session_key);
        self.feed(now, session_key);
    }

    /// Lets nodes go on whose audio is no longer waited for.
    fn release(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.waiting.is_empty() && std::mem::take(&mut session.held) {
            self.executor.hold(session.instance, false);
        }
    }
}

impl Session {
    /// Audio of Python nodes that waits to be heard, of the source with the most.
    pub(crate) fn waiting(&self) -> Duration {
        self.waiting.iter().map(Waiting::duration).max().unwrap_or_default()
    }
}
