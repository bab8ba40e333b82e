//! What passes between reactors and the nodes that run in Python.

use remotemedia_executor::{NodeFailure, NodeResult};
use remotemedia_session::LaneWork;

/// Names one piece of work: the reactor's number and the executor's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaneToken {
    /// Which reactor waits for the result.
    pub reactor: u8,
    /// What the executor calls the work.
    pub work: u64,
}

/// One frame for one node, and the reactor that waits for what becomes of it.
#[derive(Clone, Debug)]
pub struct LaneItem {
    /// Which reactor that is.
    pub reactor: u8,
    /// The frame.
    pub work: LaneWork,
}

impl LaneItem {
    /// To be given back with the result.
    #[must_use]
    pub fn token(&self) -> LaneToken {
        LaneToken { reactor: self.reactor, work: self.work.token }
    }
}

/// What a node returned for one item.
#[derive(Debug)]
pub struct LaneDone {
    /// Which item.
    pub token: LaneToken,
    /// What it returned, in order; or why it failed.
    pub result: Result<Vec<NodeResult>, NodeFailure>,
    /// There is more to come of these results: the item stays under way. A failure ends it.
    pub more: bool,
}
