//! `python`: frames wait in a mailbox until a lane takes them to the user's node.

use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::ResolvedNode;

use crate::params::{ParamError, Params};

/// The longest `entry`, in bytes.
const MAX_ENTRY_BYTES: usize = 256;

/// A Python node of a plan.
pub(crate) struct PythonNode {
    /// What the Python side knows the node by: opaque here.
    pub(crate) entry: Arc<str>,
    /// Frames that wait or run at most.
    pub(crate) mailbox_frames: usize,
    /// Media time that waits at most.
    pub(crate) mailbox_time: Duration,
}

impl PythonNode {
    pub(super) fn compile(node: &ResolvedNode) -> Result<PythonNode, ParamError> {
        let mut params = Params::new(&node.params)?;
        let entry = params.text("entry", MAX_ENTRY_BYTES);
        let mailbox_frames = params.u32("mailbox_frames", 1..=10_000) as usize;
        let mailbox_time = params.ms("mailbox_ms", 20..=60_000);
        params.finish()?;
        Ok(PythonNode { entry: entry.into(), mailbox_frames, mailbox_time })
    }
}
