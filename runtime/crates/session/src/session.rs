//! One running instance of a pipeline and who takes part in it.

use std::sync::Arc;

use remotemedia_core::{Key, Micros};
use remotemedia_executor::{InstanceId, Plan};

use crate::api::Audience;
use crate::events::EventRing;
use crate::sources::Sources;
use crate::streams::StreamEntry;
use crate::voice::{Sink, Waiting};

pub(crate) struct Session {
    pub(crate) id: Arc<str>,
    pub(crate) pipeline: Arc<str>,
    pub(crate) plan: Arc<Plan>,
    /// What tracks and messages feed.
    pub(crate) sources: Sources,
    pub(crate) instance: InstanceId,
    pub(crate) audience: Audience,
    pub(crate) started: Micros,
    /// In the order of their coming.
    pub(crate) participants: Vec<Key>,
    named_participants: u32,
    pub(crate) named_streams: u32,
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
        sources: Sources,
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
            sources,
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
}
