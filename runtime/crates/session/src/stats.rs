//! The state of sessions in figures.

use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{Arena, Key, Micros};
use remotemedia_executor::{Executor, InstanceStats, NodeLosses};
use remotemedia_media::Sender;
use serde::Serialize;

use crate::api::{Audience, Losses};
use crate::participant::{Participant, Phase};
use crate::session::Session;
use crate::sessions::Sessions;
use crate::voice::Voice;

/// A session's state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionStats {
    /// Its id.
    pub session: Arc<str>,
    /// Its pipeline.
    pub pipeline: Arc<str>,
    /// `running` or `closing`.
    pub state: &'static str,
    /// Since it was opened.
    pub age_ms: f64,
    /// Messages written, whoever got them.
    pub messages: u64,
    /// Whether its messages come as notifications.
    pub observed: bool,
    /// Who gets results.
    pub audience: Audience,
    /// Who takes part, in the order of their coming.
    pub participants: Vec<ParticipantStats>,
    /// What the graph did.
    pub graph: InstanceStats,
}

/// A participant's state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParticipantStats {
    /// Its name in the session.
    pub participant: Arc<str>,
    /// Names its connection.
    pub pc_id: Arc<str>,
    /// `connecting`, `connected` or `leaving`.
    pub state: &'static str,
    /// It entered a session that was there.
    pub joined: bool,
    /// Where its results go: `results`, `results+live`, or `none` where no channel is open.
    pub channels: &'static str,
    /// Messages handed to its channels.
    pub messages: u64,
    /// Live results replaced by newer ones because it reads slowly.
    pub coalesced: u64,
    /// Messages lost: before its channel opened, or too large for it.
    pub dropped: u64,
    /// Of these, messages larger than it takes.
    pub too_large: u64,
    /// Control messages answered.
    pub controls: u64,
    /// Control messages refused because too many waited.
    pub busy: u64,
    /// Packets of tracks beyond those that are received.
    pub ignored: u64,
    /// Round trip, where it was measured.
    pub round_trip_ms: Option<f64>,
    /// Its tracks.
    pub streams: Vec<StreamStats>,
    /// What it hears, where it is sent audio.
    pub voice: Option<VoiceStats>,
}

/// A track's reception.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamStats {
    /// The stream's name.
    pub stream: Arc<str>,
    /// The source of the pipeline that it feeds.
    pub source: Arc<str>,
    /// Packets that came.
    pub packets_received: u64,
    /// Packets expected less received.
    pub packets_lost: i64,
    /// Packets that came after later ones and in time.
    pub reordered: u64,
    /// Packets that came after their place had been given up.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that could not be decoded.
    pub undecodable: u64,
    /// Frames given to the graph.
    pub frames: u64,
    /// Of these, made up in place of lost ones.
    pub concealed: u64,
    /// Of these, recovered from the next packet.
    pub recovered: u64,
    /// Of these, silence that was not sent.
    pub silent: u64,
    /// Jumps of media time.
    pub jumps: u64,
    /// Interarrival jitter.
    pub jitter_ms: f64,
}

/// What a participant hears.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VoiceStats {
    /// Packets sent.
    pub packets_sent: u64,
    /// Bytes of their payloads.
    pub bytes_sent: u64,
    /// Audio that waits to be sent.
    pub queued_ms: f64,
    /// Audio of Python nodes that waits for room in there.
    pub waiting_ms: f64,
    /// Times that audio came too late to go on without a gap.
    pub underruns: u64,
    /// How long those gaps were together.
    pub concealed_ms: f64,
    /// Audio left out because too much waited.
    pub overrun_ms: f64,
    /// Audio that an interrupt made worthless.
    pub interrupted_ms: f64,
    /// Time that passed unsent because the reactor came too late.
    pub skipped_ms: f64,
    /// Packets lost on the way, by the participant's reports.
    pub packets_lost: i64,
    /// Share of packets lost lately, 0 to 1, by its last report.
    pub loss: f64,
    /// Jitter at the participant, by its last report.
    pub jitter_ms: f64,
    /// Round trip by reports, where it was measured.
    pub round_trip_ms: Option<f64>,
}

impl Sessions {
    /// Every session's state.
    #[must_use]
    pub fn list(&mut self, now: Micros) -> Vec<SessionStats> {
        let Self { sessions, peers, executor, .. } = self;
        sessions.iter().map(|(_, session)| session_stats(now, session, peers, executor)).collect()
    }

    /// A session's state.
    #[must_use]
    pub fn get(&mut self, now: Micros, id: &str) -> Option<SessionStats> {
        let session = self.sessions.get(*self.by_id.get(id)?)?;
        Some(session_stats(now, session, &mut self.peers, &self.executor))
    }

    /// Whether a connection has this id.
    #[must_use]
    pub fn has_peer(&self, pc_id: &str) -> bool {
        self.by_pc.contains_key(pc_id)
    }

    /// What was lost since the beginning.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let NodeLosses { failed, overrun, skipped, interrupted } = self.executor.losses();
        Losses {
            results_too_large: self.results_too_large,
            stray_datagrams: self.router.strays,
            notifications: self.notifications.dropped,
            audio_packets: self.audio_lost.as_millis() as u64 / 20,
            node_failed: failed,
            node_overrun: overrun,
            node_skipped: skipped,
            node_interrupted: interrupted,
        }
    }
}

fn session_stats(
    now: Micros,
    session: &Session,
    peers: &mut Arena<Participant>,
    executor: &Executor,
) -> SessionStats {
    let participant =
        |key: &Key| peers.get_mut(*key).map(|participant| participant_stats(session, participant));
    SessionStats {
        session: session.id.clone(),
        pipeline: session.pipeline.clone(),
        state: if session.closing.is_some() { "closing" } else { "running" },
        age_ms: now.since(session.started).as_secs_f64() * 1e3,
        messages: session.seq,
        observed: session.observed,
        audience: session.audience,
        participants: session.participants.iter().filter_map(participant).collect(),
        graph: executor.instance_stats(session.instance).unwrap_or_default(),
    }
}

fn voice_stats(session: &Session, voice: &Voice) -> VoiceStats {
    let stats = voice.sender().map(Sender::stats).unwrap_or_default();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    VoiceStats {
        packets_sent: stats.packets_sent,
        bytes_sent: stats.bytes_sent,
        queued_ms: ms(stats.queued),
        waiting_ms: ms(session.waiting()),
        underruns: stats.underruns,
        concealed_ms: ms(stats.concealed),
        overrun_ms: ms(stats.overrun),
        interrupted_ms: ms(stats.interrupted),
        skipped_ms: ms(stats.skipped),
        packets_lost: stats.packets_lost,
        loss: f64::from(stats.loss),
        jitter_ms: ms(stats.jitter),
        round_trip_ms: stats.round_trip.map(ms),
    }
}

fn participant_stats(session: &Session, participant: &mut Participant) -> ParticipantStats {
    let outbox = participant.outbox.stats();
    ParticipantStats {
        participant: participant.name.clone(),
        pc_id: participant.pc_id.clone(),
        state: match (&participant.phase, participant.connected) {
            (Phase::Active, true) => "connected",
            (Phase::Active, false) => "connecting",
            _ => "leaving",
        },
        joined: participant.joined,
        channels: match (participant.outbox.results(), participant.outbox.live_channel()) {
            (Some(_), Some(_)) => "results+live",
            (Some(_), None) => "results",
            (None, _) => "none",
        },
        messages: outbox.messages,
        coalesced: outbox.coalesced,
        dropped: outbox.dropped,
        too_large: outbox.too_large,
        controls: participant.controls,
        busy: participant.busy,
        ignored: participant.ignored,
        round_trip_ms: participant.peer.stats().round_trip.map(|time| time.as_secs_f64() * 1e3),
        voice: participant
            .voice
            .as_ref()
            .filter(|_| participant.peer.sending().is_some())
            .map(|voice| voice_stats(session, voice)),
        streams: participant
            .tracks
            .iter()
            .map(|track| {
                let stats = track.receiver.stats();
                StreamStats {
                    stream: session
                        .stream(track.stream)
                        .map_or_else(|| "".into(), |stream| stream.name.clone()),
                    source: session.sources.audio[track.source].id.clone(),
                    packets_received: stats.packets_received,
                    packets_lost: stats.packets_lost,
                    reordered: stats.reordered,
                    late: stats.late,
                    duplicates: stats.duplicates,
                    undecodable: stats.undecodable,
                    frames: stats.frames,
                    concealed: stats.concealed,
                    recovered: stats.recovered,
                    silent: stats.silent,
                    jumps: stats.jumps,
                    jitter_ms: stats.jitter.as_secs_f64() * 1e3,
                }
            })
            .collect(),
    }
}
