//! The streams of a session: what is made of each is told apart.

use std::sync::Arc;

use remotemedia_core::{Key, Micros, StreamId};
use remotemedia_executor::{Executor, MAX_STREAMS};

use crate::session::Session;

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
    /// Of its next frame, whichever source that feeds.
    next_seq: u64,
}

impl StreamEntry {
    /// The number of one more frame.
    pub(crate) fn count(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// Media time of what comes now.
    pub(crate) fn pts_us(&self, now: Micros) -> u64 {
        now.since(self.zero).as_micros() as u64
    }
}

impl Session {
    /// A participant's main stream, which begins now where it has not yet: what tracks and messages
    /// feed together. None where the session has too many.
    #[allow(dead_code, reason = "for data in messages")]
    pub(crate) fn main_stream(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        participant: &Arc<str>,
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
        participant: &Arc<str>,
        number: usize,
    ) -> Option<&mut StreamEntry> {
        let known = self.open_streams(owner).find(|stream| stream.number == number);
        let id = match known.map(|stream| stream.id) {
            Some(id) => id,
            None => self.add_stream(now, executor, owner, participant, number)?,
        };
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    fn add_stream(
        &mut self,
        now: Micros,
        executor: &mut Executor,
        owner: Key,
        participant: &Arc<str>,
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
            participant: participant.clone(),
            open: true,
            number,
            zero: now,
            next_seq: 0,
        });
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

    /// The number of a track.
    pub(crate) fn of(&self, mid: &str) -> Option<usize> {
        self.0.iter().position(|place| place.as_deref() == Some(mid))
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(agreed(&mut places, &["b", "c", "d"]), [None, Some(1), Some(0), Some(2)]);
        assert_eq!(agreed(&mut places, &["a", "b", "d"]), [Some(0), Some(1), None, Some(2)]);
        assert_eq!(agreed(&mut places, &[]), [None; 4]);
    }
}
