//! The streams of a session: what is made of each is told apart.
//!
//! A stream has a part for each source of audio. A part ends when its track is taken away, is quiet
//! for [`QUIET`] or was never negotiated: nodes that put several together wait for it no longer. It
//! begins anew with the next frame. When all parts are quiet, the stream is flushed.

use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{Key, Micros, StreamId};
use remotemedia_executor::{Executor, MAX_STREAMS};

use crate::participant::{Participant, Track};
use crate::session::Session;

/// A track that has given no frame for so long sends no more, until it does again.
const QUIET: Duration = Duration::from_secs(2);

/// Streams that have ended and whose names are kept for results that come late.
const MAX_ENDED_STREAMS: usize = 16;

/// A stream and whose it is.
pub(crate) struct StreamEntry {
    pub(crate) id: StreamId,
    pub(crate) name: Arc<str>,
    pub(crate) owner: Key,
    pub(crate) participant: Arc<str>,
    pub(crate) open: bool,
    /// Which of its owner's it is, from 0: their main stream.
    pub(crate) number: usize,
    /// Zero of its media time: when its first packet came, or its first message.
    pub(crate) zero: Micros,
    /// When a packet of it came last, and where its frame ended.
    pub(crate) last: Option<(Micros, u64)>,
    /// Of its next frame, whichever source that feeds.
    next_seq: u64,
    /// By source of audio: nothing comes from it, and its nodes were told.
    ended: Vec<bool>,
}

impl StreamEntry {
    /// The number of one more frame.
    pub(crate) fn count(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// The same for a source of audio, which the executor lets begin anew with it.
    pub(crate) fn count_of(&mut self, source: usize) -> u64 {
        self.ended[source] = false;
        self.count()
    }

    /// Whether a track of its owner was negotiated for a source of audio.
    fn awaits(&self, owner: &Participant, source: usize) -> bool {
        owner.places.has(self.number * self.ended.len() + source)
    }

    /// Media time of what comes now.
    pub(crate) fn pts_us(&self, now: Micros) -> u64 {
        now.since(self.zero).as_micros() as u64
    }
}

impl Session {
    /// A participant's main stream, which begins now where it has not yet: what tracks and messages
    /// feed together. None where the session has too many.
    pub(crate) fn main_stream(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        participant: &Participant,
    ) -> Option<&mut StreamEntry> {
        self.open_stream(now, executor, owner, participant, 0)
    }

    /// The stream of a participant with this number, which begins now where it has not yet. None
    /// where the session has too many.
    pub(crate) fn open_stream(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        participant: &Participant,
        number: usize,
    ) -> Option<&mut StreamEntry> {
        let known = self.open_streams(owner).find(|stream| stream.number == number);
        let id = match known.map(|stream| stream.id) {
            Some(id) => id,
            None => self.add_stream(now, executor, owner, participant, number)?,
        };
        self.stream_mut(id)
    }

    fn add_stream(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        participant: &Participant,
        number: usize,
    ) -> Option<StreamId> {
        if self.streams.iter().filter(|stream| stream.open).count() >= MAX_STREAMS {
            return None;
        }
        let id = StreamId(self.named_streams);
        self.named_streams += 1;
        let kind = if self.sources.audio.is_empty() { "data" } else { "audio" };
        let name = match number {
            0 => kind.into(),
            _ => format!("{kind}-{}", number + 1).into(),
        };
        executor.open_stream(self.instance, id);
        self.streams.push(StreamEntry {
            id,
            name,
            owner,
            participant: participant.name.clone(),
            open: true,
            number,
            zero: now,
            last: None,
            next_seq: 0,
            ended: vec![false; self.sources.audio.len()],
        });
        self.end_parts(now, executor, owner, |stream, source| !stream.awaits(participant, source));
        Some(id)
    }

    /// Ends a stream: what its nodes hold back comes out.
    pub(crate) fn close_stream(&mut self, now: Micros, executor: &mut Executor, id: StreamId) {
        let Some(entry) = self.streams.iter_mut().find(|entry| entry.id == id && entry.open) else {
            return;
        };
        entry.open = false;
        executor.close_stream(now, self.instance, id);
        if self.streams.iter().filter(|entry| !entry.open).count() > MAX_ENDED_STREAMS
            && let Some(oldest) = self.streams.iter().position(|entry| !entry.open)
        {
            self.streams.remove(oldest);
        }
    }

    /// Ends a part of a stream: no node waits for it.
    fn end_part(&mut self, now: Micros, executor: &mut Executor, id: StreamId, source: usize) {
        let Some(entry) = self.streams.iter_mut().find(|entry| entry.id == id) else { return };
        if std::mem::replace(&mut entry.ended[source], true) {
            return;
        }
        let all = entry.ended.iter().all(|ended| *ended);
        // A source that has nobody beside it is flushed, with all that is behind it.
        if entry.ended.len() > 1 {
            let index = self.sources.audio[source].index;
            executor.end_source(now, self.instance, id, Some(index));
        }
        if all {
            executor.flush_stream(now, self.instance, id);
        }
    }

    /// Ends the parts of a participant's streams that have been quiet.
    pub(crate) fn end_quiet(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        tracks: &[Track],
    ) {
        self.end_parts(now, executor, owner, |stream, source| {
            let its = |track: &&Track| (track.stream, track.source) == (stream.id, source);
            let heard = tracks.iter().find(its).map_or(stream.zero, |track| track.heard);
            now.since(heard) >= QUIET
        });
    }

    /// Ends what was fed by tracks that a negotiation took away: `gone` of the participant's. A
    /// stream that has none left is closed, but for one that messages feed too.
    pub(crate) fn end_unused(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        participant: &Participant,
        gone: &[(StreamId, usize)],
    ) {
        let mut streams: Vec<StreamId> = gone.iter().map(|(stream, _)| *stream).collect();
        streams.dedup();
        for (id, source) in gone {
            self.end_part(now, executor, *id, *source);
        }
        for id in streams {
            let Some(number) = self.stream(id).map(|stream| stream.number) else { continue };
            let fed = participant.tracks.iter().any(|track| track.stream == id);
            if !fed && (number > 0 || self.sources.data.is_empty()) {
                self.close_stream(now, executor, id);
            }
        }
        // Those that were negotiated and never heard.
        self.end_parts(now, executor, owner, |stream, source| !stream.awaits(participant, source));
    }

    /// Ends the parts of a participant's streams for which this is true.
    fn end_parts(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        ends: impl Fn(&StreamEntry, usize) -> bool,
    ) {
        for at in 0..self.streams.len() {
            for source in 0..self.sources.audio.len() {
                let stream = &self.streams[at];
                if stream.open && stream.owner == owner && ends(stream, source) {
                    self.end_part(now, executor, stream.id, source);
                }
            }
        }
    }

    /// What a participant feeds, in the order in which it began.
    pub(crate) fn open_streams(&self, owner: Key) -> impl Iterator<Item = &StreamEntry> {
        self.streams.iter().filter(move |stream| stream.open && stream.owner == owner)
    }

    pub(crate) fn stream(&self, id: StreamId) -> Option<&StreamEntry> {
        self.streams.iter().find(|entry| entry.id == id)
    }

    pub(crate) fn stream_mut(&mut self, id: StreamId) -> Option<&mut StreamEntry> {
        self.streams.iter_mut().find(|entry| entry.id == id)
    }
}

/// Which number each track of a participant has.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Option<Arc<str>>>);

impl Places {
    /// Takes over what was negotiated: the sections that send, in their order. Who has a place
    /// keeps it; the others get the first that are free.
    pub(crate) fn agree<'a>(&mut self, mids: impl Iterator<Item = &'a str> + Clone) {
        for place in &mut self.0 {
            if place.as_deref().is_some_and(|known| !mids.clone().any(|mid| mid == known)) {
                *place = None;
            }
        }
        for mid in mids {
            if self.of(mid).is_some() {
                continue;
            }
            let free = self.0.iter().position(Option::is_none).unwrap_or_else(|| {
                self.0.push(None);
                self.0.len() - 1
            });
            self.0[free] = Some(mid.into());
        }
    }

    /// Whether a track has this number.
    pub(crate) fn has(&self, number: usize) -> bool {
        self.0.get(number).is_some_and(Option::is_some)
    }

    /// The number of a track.
    pub(crate) fn of(&self, mid: &str) -> Option<usize> {
        self.0.iter().position(|place| place.as_deref() == Some(mid))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agreed(places: &mut Places, mids: &[&str]) -> Vec<Option<usize>> {
        places.agree(mids.iter().copied());
        ["a", "b", "c", "d"].iter().map(|mid| places.of(mid)).collect()
    }

    #[test]
    fn a_track_keeps_its_place_and_a_free_one_is_taken_first() {
        let mut places = Places::default();
        assert_eq!(agreed(&mut places, &["a", "b"]), [Some(0), Some(1), None, None]);
        assert_eq!(agreed(&mut places, &["b"]), [None, Some(1), None, None]);
        assert!(!places.has(0) && places.has(1) && !places.has(2));
        assert_eq!(agreed(&mut places, &["b", "c", "d"]), [None, Some(1), Some(0), Some(2)]);
        assert_eq!(agreed(&mut places, &["a", "b", "d"]), [Some(0), Some(1), None, Some(2)]);
        assert_eq!(agreed(&mut places, &[]), [None; 4]);
    }

    proptest! {
        #[test]
        fn every_track_has_a_place_of_its_own_and_keeps_it(
            turns in prop::collection::vec(prop::collection::btree_set(0_u8..8, 0..8), 1..12),
        ) {
            let mut places = Places::default();
            let mut before = Vec::new();
            for turn in turns {
                let mids: Vec<String> = turn.iter().map(u8::to_string).collect();
                places.agree(mids.iter().map(String::as_str));
                let now: Vec<(String, usize)> =
                    mids.iter().map(|mid| (mid.clone(), places.of(mid).unwrap())).collect();
                let mut taken: Vec<usize> = now.iter().map(|(_, place)| *place).collect();
                taken.sort_unstable();
                taken.dedup();
                prop_assert_eq!(taken.len(), now.len());
                for (mid, place) in &before {
                    prop_assert!(now.iter().all(|(other, at)| other != mid || at == place));
                }
                // No place lies empty where a new track could have taken it.
                let new = now.iter().filter(|one| !before.contains(one)).map(|(_, place)| *place);
                let highest = new.max().unwrap_or(0);
                prop_assert!((0..highest).all(|place| places.has(place)));
                before = now;
            }
        }
    }
}
