//! From datagrams to frames: what a peer's events do.

use std::sync::Arc;

use remotemedia_core::{Key, Micros};
use remotemedia_media::RtpHeader;
use remotemedia_peer::{CloseReason, PeerEvent};
use remotemedia_wire::{Metrics, NodeInfo, Ready, ResultBody};

use crate::control::WaitingControl;
use crate::participant::{End, MAX_CONTROL_WAITING, TICK};
use crate::publish::{About, To};
use crate::sessions::Sessions;
use crate::tracks::{open_track, push_frames};

/// The channel label that means live results.
const LIVE_LABEL: &str = "live";

/// The channel label that means results, whichever opened first.
const RESULTS_LABEL: &str = "results";

impl Sessions {
    /// Does what a peer's deadline asks for.
    pub(crate) fn serve(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        if participant.peer.poll_timeout().is_some_and(|deadline| deadline <= now) {
            participant.peer.handle_timeout(now);
        }
        let session = participant.session;
        let spoken = participant.voice.as_mut().filter(|voice| voice.is_due(now));
        let spoken = spoken.map(|voice| voice.serve(now, &mut participant.peer)).is_some();
        for track in &mut participant.tracks {
            if track.receiver.poll_timeout().is_some_and(|deadline| deadline <= now) {
                track.receiver.handle_timeout(now);
                if let Some(session) = self.sessions.get_mut(session) {
                    push_frames(now, track, session, &mut self.executor);
                }
            }
        }
        if participant.is_active() && participant.next_tick <= now {
            self.tick(now, key);
        }
        if spoken {
            self.feed(now, session);
        }
        self.pump(now, key);
    }

    /// Drains a peer's events.
    pub(crate) fn pump(&mut self, now: Micros, key: Key) {
        self.touch(key);
        while let Some(event) = self.peers.get_mut(key).and_then(|one| one.peer.poll_event()) {
            self.handle_event(now, key, event);
        }
    }

    fn handle_event(&mut self, now: Micros, key: Key, event: PeerEvent) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        match event {
            PeerEvent::Rtp { mid, header, payload } => {
                let header = RtpHeader {
                    ssrc: header.ssrc,
                    sequence_number: header.sequence_number,
                    timestamp: header.timestamp,
                    marker: header.marker,
                };
                self.handle_rtp(now, key, &mid, &header, &payload);
            }
            PeerEvent::SenderReport { mid, ssrc, ntp, rtp_timestamp } => {
                if let Some(track) = participant.tracks.iter_mut().find(|track| track.mid == mid) {
                    track.receiver.handle_sender_report(now, ssrc, ntp, rtp_timestamp);
                }
            }
            PeerEvent::ReceptionReport(report) => {
                if let Some(voice) = &mut participant.voice {
                    voice.handle_report(now, &report);
                }
            }
            PeerEvent::Connected => participant.connected = true,
            PeerEvent::AddressLearnt(address) => {
                let early = self.router.learn(now, &mut participant.routes, key, address);
                for held in early {
                    participant.peer.handle_datagram(now, held.from, held.local, &held.bytes);
                }
            }
            PeerEvent::ChannelOpen { id, label, .. } => {
                if label == LIVE_LABEL {
                    participant.outbox.open_live(id);
                } else if participant.outbox.results().is_none() || label == RESULTS_LABEL {
                    participant.outbox.open_results(id);
                    self.say_ready(now, key);
                }
            }
            PeerEvent::ChannelClosed { id } => participant.outbox.close_channel(id),
            PeerEvent::Message { id: channel, data, .. } => {
                if participant.is_told_bye() {
                } else if participant.control.len() < MAX_CONTROL_WAITING {
                    participant.control.push_back(WaitingControl { arrival: now, channel, data });
                    self.controlled.push(key);
                } else {
                    self.refuse_control(now, key, channel);
                }
            }
            PeerEvent::Closed(reason) => {
                let end = match reason.code() {
                    Some(code) => End::error(code, reason.to_string()),
                    None if reason == CloseReason::Remote => End::new("the participant left"),
                    None => End::new(reason.to_string()),
                };
                participant.fail(end);
            }
            PeerEvent::Disconnected => participant.outbox.set_absent(now, true),
            PeerEvent::PathChanged(_) => participant.outbox.set_absent(now, false),
            // A source that has ended may be followed by another one.
            _ => {}
        }
    }

    fn handle_rtp(
        &mut self,
        now: Micros,
        key: Key,
        mid: &Arc<str>,
        header: &RtpHeader,
        payload: &[u8],
    ) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        let Some(session) = self.sessions.get_mut(participant.session) else { return };
        if !participant.is_active() {
            return;
        }
        let known = participant.tracks.iter().position(|track| track.mid == *mid);
        let index = match known {
            Some(index) => index,
            None => match open_track(now, key, participant, session, &mut self.executor, mid) {
                Some(index) => index,
                None => {
                    participant.ignored += 1;
                    return;
                }
            },
        };
        let track = &mut participant.tracks[index];
        track.receiver.handle_rtp(now, header, payload);
        push_frames(now, track, session, &mut self.executor);
    }

    fn say_ready(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get(key) else { return };
        let Some(session) = self.sessions.get(participant.session) else { return };
        let (pipeline, plan) = (session.pipeline.clone(), session.plan.clone());
        let nodes: Vec<NodeInfo<'_>> =
            plan.nodes().map(|node| NodeInfo { id: node.id, kind: node.kind }).collect();
        let (session_key, name) = (participant.session, participant.name.clone());
        let ready = Ready {
            pipeline: &pipeline,
            participant: &name,
            joined: participant.joined,
            participants: session.participants.len() as u32,
            nodes: &nodes,
        };
        let about = About::participant(&name);
        self.publish(now, session_key, &about, &ResultBody::Ready(&ready), To::One(key));
        let Some(participant) = self.peers.get_mut(key) else { return };
        participant.release_backlog(now);
    }

    /// Once a second: reports to the senders, figures to the participant.
    fn tick(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        while participant.next_tick <= now {
            participant.next_tick += TICK;
        }
        if !participant.connected {
            return;
        }
        let mut metrics = Metrics::default();
        self.reports.clear();
        for track in &mut participant.tracks {
            self.reports.extend(track.receiver.report(now));
            let stats = track.receiver.stats();
            metrics.jitter_us = metrics.jitter_us.max(stats.jitter.as_micros() as u64);
            metrics.packets_received += stats.packets_received;
            metrics.packets_lost += stats.packets_lost;
            metrics.concealed += stats.concealed;
            metrics.dropped += stats.late + stats.overflowed + stats.undecodable;
        }
        if let Some(session) = self.sessions.get_mut(participant.session) {
            // Where nobody sends any more, speech that was under way has ended.
            session.end_quiet(now, &mut self.executor, key, &participant.tracks);
        }
        if let Some(voice) = &mut participant.voice {
            self.audio_lost += voice.take_lost();
        }
        match participant.voice.as_mut().and_then(|voice| voice.report(now)) {
            Some(sent) => participant.peer.send_sender_report(now, &sent, &self.reports),
            None if self.reports.is_empty() => {}
            None => participant.peer.send_reception_report(now, &self.reports),
        }
        let outbox = participant.outbox.stats();
        metrics.coalesced = outbox.coalesced;
        metrics.dropped += outbox.dropped + participant.ignored;
        metrics.round_trip_us =
            participant.peer.stats().round_trip.map(|time| time.as_micros() as u64);
        let (session, name) = (participant.session, participant.name.clone());
        let about = About::participant(&name);
        self.publish(now, session, &about, &ResultBody::Metrics(&metrics), To::One(key));
    }
}
