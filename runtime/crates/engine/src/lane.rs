//! What passes between reactors and the nodes that run in Python.

use std::sync::Arc;

use remotemedia_core::{FrameMeta, Payload};
use remotemedia_executor::{NodeFailure, NodeResult};

/// Names one piece of work: the reactor's number and the executor's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaneToken {
    /// Which reactor waits for the result.
    pub reactor: u8,
    /// What the executor calls the work.
    pub work: u64,
}

/// One frame for one node.
#[derive(Clone, Debug)]
pub struct LaneItem {
    /// Give it back with the result.
    pub token: LaneToken,
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// The session's id.
    pub session: Arc<str>,
    /// Whose stream it is.
    pub participant: Arc<str>,
    /// The stream's name.
    pub stream: Arc<str>,
    /// The node's id.
    pub node: Arc<str>,
    /// What the planner called the node's code.
    pub entry: Arc<str>,
    /// The input port that the frame came to.
    pub port: Arc<str>,
    /// Time and origin; `format` means something for audio alone.
    pub meta: FrameMeta,
    /// The frame.
    pub payload: Payload,
}

/// What a node returned for one item.
#[derive(Debug)]
pub struct LaneDone {
    /// Which item.
    pub token: LaneToken,
    /// What it returned, in order; or why it failed.
    pub result: Result<Vec<NodeResult>, NodeFailure>,
}
