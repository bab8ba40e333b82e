//! `sink`: audio for whoever hears the session.

use std::sync::Arc;

use remotemedia_core::ResolvedNode;

use super::{audio_input, audio_output, pass_through, same_output};
use crate::node::NodeType;
use crate::params::{ParamError, Params};

/// The kind's name.
pub(crate) const KIND: &str = "sink";

/// What no input takes is a result: a sink is a node whose output, by its kind, is one live too.
pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    Params::new(&node.params)?.finish()?;
    audio_input(node)?;
    audio_output(node)?;
    same_output(node)?;
    Ok(pass_through::node_type())
}
