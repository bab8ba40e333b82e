//! One session's graph: its parameters, its mailboxes and the state of each stream.

use std::sync::Arc;

use remotemedia_core::{FrameMeta, StreamId};
use serde::Serialize;

use crate::ends::Ends;
use crate::lost::NodeLosses;
use crate::mailbox::Mailbox;
use crate::metrics::Meter;
use crate::node::{NodeType, StreamNode};
use crate::plan::{Action, Plan};
use crate::windows::Windows;

/// Names an instance of a plan for as long as it lives; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub(crate) remotemedia_core::Key);

impl InstanceId {
    /// The id as a number, for logs and maps.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.to_bits()
    }
}

/// Why an offline run cannot go on: a node failed on too many frames in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFailure {
    /// The node's id.
    pub node: Arc<str>,
    /// Of the last failure.
    pub message: String,
}

/// What an instance has done since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InstanceStats {
    /// Frames pushed.
    pub frames: u64,
    /// Jumps of media time that nodes met.
    pub jumps: u64,
    /// Frames handed to Python.
    pub python_frames: u64,
    /// Frames that a node failed on.
    pub failures: u64,
    /// Frames lost because a mailbox was full or they waited too long.
    pub overrun: u64,
    /// Frames skipped because a breaker was open.
    pub skipped: u64,
    /// Frames, results and pieces of audio that an interrupt made worthless.
    pub interrupted: u64,
    /// Frames pushed to a stream that is not open, or in another format than the source's.
    pub refused: u64,
    /// Frames that a Python node failed on for a time and that were tried again.
    pub retried: u64,
    /// Times that a mix went on without an input that was late.
    pub late_inputs: u64,
}

/// One node's part of a stream.
pub(crate) enum Place {
    Native(Box<dyn StreamNode>),
    Python(PythonPlace),
}

/// A Python node's part of a stream.
#[derive(Default)]
pub(crate) struct PythonPlace {
    /// By output: media time behind the last audio that the node gave.
    pub(crate) end_us: Vec<u64>,
    /// The last frame that it took; `pts_us` lies behind it.
    pub(crate) last: Option<FrameMeta>,
}

pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) places: Vec<Place>,
    /// What has ended for good; `None` while nothing has.
    pub(crate) ends: Option<Box<Ends>>,
}

pub(crate) struct Instance {
    pub(crate) plan: Arc<Plan>,
    /// By node: the type with this session's parameters, where they differ from the plan's.
    changed: Vec<Option<Arc<dyn NodeType>>>,
    /// By node: only Python nodes have one.
    pub(crate) mailboxes: Vec<Option<Mailbox>>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) epoch: u32,
    pub(crate) stats: InstanceStats,
    /// What of them the executor's losses hold already.
    pub(crate) counted: NodeLosses,
    /// By node, where they are measured.
    pub(crate) meters: Option<Vec<Meter>>,
    /// Offline, what ended the run.
    pub(crate) failure: Option<RunFailure>,
}

impl Instance {
    pub(crate) fn new(plan: Arc<Plan>, measured: bool) -> Instance {
        let mailboxes = plan
            .nodes
            .iter()
            .map(|node| match &node.action {
                Action::Python(python) => Some(Mailbox::new(python)),
                Action::Native(_) => None,
            })
            .collect();
        Instance {
            changed: vec![None; plan.nodes.len()],
            mailboxes,
            streams: Vec::new(),
            epoch: 0,
            stats: InstanceStats::default(),
            counted: NodeLosses::default(),
            meters: measured.then(|| vec![Meter::default(); plan.nodes.len()]),
            failure: None,
            plan,
        }
    }

    pub(crate) fn stream_index(&self, id: StreamId) -> Option<usize> {
        self.streams.iter().position(|stream| stream.id == id)
    }

    /// The node's type with the parameters of this instance.
    pub(crate) fn node_type(&self, index: usize) -> Option<&Arc<dyn NodeType>> {
        match (&self.changed[index], &self.plan.nodes[index].action) {
            (Some(changed), _) => Some(changed),
            (None, Action::Native(node_type)) => Some(node_type),
            (None, Action::Python(_)) => None,
        }
    }

    pub(crate) fn change(&mut self, index: usize, node_type: Arc<dyn NodeType>) {
        self.changed[index] = Some(node_type);
    }

    pub(crate) fn open_stream(&mut self, id: StreamId, windows: &mut Windows) {
        if self.stream_index(id).is_some() {
            return;
        }
        let places = (0..self.plan.nodes.len())
            .map(|index| match self.node_type(index) {
                Some(node_type) => Place::Native(node_type.open(windows)),
                None => {
                    let end_us = vec![0; self.plan.nodes[index].outputs.len()];
                    Place::Python(PythonPlace { end_us, last: None })
                }
            })
            .collect();
        self.streams.push(Stream { id, places, ends: None });
    }
}

impl Stream {
    pub(crate) fn close(self, windows: &mut Windows) {
        for place in self.places {
            if let Place::Native(mut node) = place {
                node.close(windows);
            }
        }
    }
}
