//! One running instance of a pipeline and who takes part in it.

use std::sync::Arc;

use remotemedia_core::{AudioFormat, Key, Micros, StreamId};
use remotemedia_executor::{InstanceId, Plan};

use crate::api::Audience;
use crate::events::EventRing;
use crate::voice::{Sink, Waiting};

/// Streams that have ended and whose names are kept for results that come late.
const MAX_ENDED_STREAMS: usize = 16;

/// A stream and whose it is.
pub(crate) struct StreamEntry {
    pub(crate) id: StreamId,
    pub(crate) name: Arc<str>,
    pub(crate) owner: Key,
    pub(crate) participant: Arc<str>,
    pub(crate) open: bool,
}

pub(crate) struct Session {
    pub(crate) id: Arc<str>,
    pub(crate) pipeline: Arc<str>,
    pub(crate) plan: Arc<Plan>,
    /// What tracks are decoded to.
    pub(crate) source: AudioFormat,
    pub(crate) instance: InstanceId,
    pub(crate) audience: Audience,
    pub(crate) started: Micros,
    /// In the order of their coming.
    pub(crate) participants: Vec<Key>,
    named_participants: u32,
    named_streams: u32,
    pub(crate) streams: Vec<StreamEntry>,
    /// Of the last message.
    pub(crate) seq: u64,
    pub(crate) observed: bool,
    pub(crate) ring: EventRing,
    /// Where audio leaves the graph.
    pub(crate) sinks: Vec<Sink>,
    /// Audio of Python nodes that waits to be heard.
    pub(crate) waiting: Vec<Waiting>,
    /// Its nodes are held because so much of it waits.
    pub(crate) held: bool,
    /// Nobody may enter any more; why.
    pub(crate) closing: Option<String>,
}

impl Session {
    pub(crate) fn new(
        id: Arc<str>,
        pipeline: Arc<str>,
        plan: Arc<Plan>,
        source: AudioFormat,
        instance: InstanceId,
        audience: Audience,
        started: Micros,
    ) -> Session {
        Session {
            id,
            pipeline,
            sinks: Sink::all(&plan),
            waiting: Vec::new(),
            held: false,
            plan,
            source,
            instance,
            audience,
            started,
            participants: Vec::new(),
            named_participants: 0,
            named_streams: 0,
            streams: Vec::new(),
            seq: 0,
            observed: false,
            ring: EventRing::default(),
            closing: None,
        }
    }

    /// A name for one more participant.
    pub(crate) fn name_participant(&mut self) -> Arc<str> {
        self.named_participants += 1;
        format!("p{}", self.named_participants).into()
    }

    /// Begins a stream: a participant's first is `audio`, then `audio-2` and so on.
    pub(crate) fn add_stream(
        &mut self,
        owner: Key,
        participant: &Arc<str>,
        nth: usize,
    ) -> StreamId {
        let id = StreamId(self.named_streams);
        self.named_streams += 1;
        let name = if nth == 0 { "audio".into() } else { format!("audio-{}", nth + 1).into() };
        let participant = participant.clone();
        self.streams.push(StreamEntry { id, name, owner, participant, open: true });
        id
    }

    pub(crate) fn end_stream(&mut self, id: StreamId) {
        if let Some(entry) = self.streams.iter_mut().find(|entry| entry.id == id) {
            entry.open = false;
        }
        if self.streams.iter().filter(|entry| !entry.open).count() > MAX_ENDED_STREAMS
            && let Some(oldest) = self.streams.iter().position(|entry| !entry.open)
        {
            self.streams.remove(oldest);
        }
    }

    pub(crate) fn stream(&self, id: StreamId) -> Option<&StreamEntry> {
        self.streams.iter().find(|entry| entry.id == id)
    }
}
