//! One connection of a session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{ErrorCode, Key, Micros, StreamId};
use remotemedia_media::Receiver;
use remotemedia_peer::{ChannelId, Peer, SendError};

use crate::control::WaitingControl;
use crate::outbox::{Link, Outbox, SlowReader};
use crate::router::Routes;
use crate::streams::Places;
use crate::voice::Voice;

/// Control messages of a client that wait; further ones are answered with `Busy`.
pub const MAX_CONTROL_WAITING: usize = 64;

/// Tracks of one participant that are received, or as many as the pipeline has sources where those
/// are more; packets of further ones are ignored, counted.
pub const MAX_TRACKS: usize = 8;

/// Renegotiations and restarts of one connection that are taken at once; then it is one each
/// [`OFFER_INTERVAL`], and others are refused with `TooManyOffers`.
pub const OFFERS_AT_ONCE: u32 = 8;

/// See [`OFFERS_AT_ONCE`].
pub const OFFER_INTERVAL: Duration = Duration::from_secs(1);

/// How often a participant gets figures and its streams' senders a report.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// A track that is being received.
pub(crate) struct Track {
    pub(crate) mid: Arc<str>,
    pub(crate) stream: StreamId,
    /// What it feeds of it, among the sources that take audio.
    pub(crate) source: usize,
    /// Where its own media time begins in that of the stream; its first frame tells.
    pub(crate) shift_us: Option<u64>,
    /// When the packet of its last frame came, but for frames that were made up.
    pub(crate) arrived: Micros,
    pub(crate) receiver: Receiver,
    /// When it gave its last frame.
    pub(crate) heard: Micros,
}

/// Why a participant leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) reason: String,
    pub(crate) code: Option<ErrorCode>,
}

impl End {
    pub(crate) fn new(reason: impl Into<String>) -> End {
        End { reason: reason.into(), code: None }
    }

    pub(crate) fn error(code: ErrorCode, reason: impl Into<String>) -> End {
        End { reason: reason.into(), code: Some(code) }
    }
}

/// How many more offers a connection's id may be used for: [`OFFERS_AT_ONCE`], then one each
/// [`OFFER_INTERVAL`]. A restart makes a connection and throws one away, so nothing else would
/// bound what a client can ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    /// When all of them are there again.
    full_at: Micros,
}

impl Allowance {
    /// Takes one; false where none is left.
    pub(crate) fn take(&mut self, now: Micros) -> bool {
        let used_until = self.full_at.max(now);
        let taken = used_until.since(now) <= OFFER_INTERVAL * (OFFERS_AT_ONCE - 1);
        if taken {
            self.full_at = used_until + OFFER_INTERVAL;
        }
        taken
    }
}

/// Where a participant is on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not on its way out.
    Active,
    /// Input has stopped; results under way are waited for.
    Finishing {
        /// Until then.
        until: Micros,
        /// When `bye` must be delivered.
        limit: Micros,
        end: End,
    },
    /// `bye` is on its way.
    Saying { limit: Micros, end: End },
}

pub(crate) struct Participant {
    pub(crate) session: Key,
    pub(crate) pc_id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) joined: bool,
    pub(crate) connected: bool,
    pub(crate) peer: Peer,
    pub(crate) routes: Routes,
    /// The numbers of its tracks.
    pub(crate) places: Places,
    /// Those of them that have sent something.
    pub(crate) tracks: Vec<Track>,
    /// What it hears, where the pipeline has audio for it.
    pub(crate) voice: Option<Voice>,
    pub(crate) outbox: Outbox,
    pub(crate) control: VecDeque<WaitingControl>,
    pub(crate) phase: Phase,
    /// It cannot go on: it is cut off at the next occasion.
    pub(crate) failed: Option<End>,
    pub(crate) next_tick: Micros,
    /// It is in the list of those that something happened to.
    pub(crate) touched: bool,
    /// It is in the list of those that may have datagrams to send.
    pub(crate) sending: bool,
    /// Control messages answered, and those refused as too many.
    pub(crate) controls: u64,
    pub(crate) busy: u64,
    /// Packets of tracks that are not received.
    pub(crate) ignored: u64,
    /// When it was last told that a result was too large for it, by node: as many as its graph has.
    /// Further offers on its connection.
    pub(crate) offers: Allowance,
    pub(crate) told_too_large: Vec<(Arc<str>, Micros)>,
}

impl Participant {
    /// When it wants to be called next.
    pub(crate) fn deadline(&self) -> Option<Micros> {
        let phase = match self.phase {
            Phase::Active => Some(self.next_tick),
            Phase::Finishing { until, .. } => Some(until),
            Phase::Saying { limit, .. } => Some(limit),
        };
        self.tracks
            .iter()
            .filter_map(|track| track.receiver.poll_timeout())
            .chain(self.voice.as_ref().and_then(Voice::poll_timeout))
            .chain(self.peer.poll_timeout())
            .chain(phase)
            .min()
    }

    /// Numbers its tracks as was negotiated.
    pub(crate) fn place_tracks(&mut self) {
        let sections = self.peer.audio().iter();
        let sending = sections.filter(|section| section.direction.receives());
        self.places.agree(sending.map(|section| section.mid.as_str()));
    }

    pub(crate) fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    pub(crate) fn is_told_bye(&self) -> bool {
        matches!(self.phase, Phase::Saying { .. })
    }

    /// Whether it is to be told that a result of a node was too large for it: once a second.
    pub(crate) fn tell_too_large(&mut self, now: Micros, node: &str) -> bool {
        match self.told_too_large.iter_mut().find(|(known, _)| **known == *node) {
            Some((_, at)) if now.since(*at) < TICK => return false,
            Some((_, at)) => *at = now,
            None => self.told_too_large.push((node.into(), now)),
        }
        true
    }

    /// Notes that the reader is too slow, the first time.
    pub(crate) fn check(&mut self, result: Result<(), SlowReader>) {
        if let Err(SlowReader(how)) = result {
            self.fail(End::error(
                ErrorCode::SlowReader,
                format!("results were read too slowly: {how}"),
            ));
        }
    }

    pub(crate) fn fail(&mut self, end: End) {
        self.failed.get_or_insert(end);
    }
}

/// A peer's channels as an outbox sees them.
pub(crate) struct Line<'a> {
    pub(crate) now: Micros,
    pub(crate) peer: &'a mut Peer,
}

impl Link for Line<'_> {
    fn send(&mut self, channel: ChannelId, text: &[u8]) -> Result<(), SendError> {
        self.peer.send(self.now, channel, true, text)
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        self.peer.buffered(channel)
    }
}
