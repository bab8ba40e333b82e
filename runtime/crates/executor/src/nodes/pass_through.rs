//! `pass_through`: takes anything and hands it on.

use std::sync::Arc;

use remotemedia_core::ResolvedNode;

use super::{count, same_output};
use crate::node::{NodeType, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

struct PassThrough;

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    Params::new(&node.params)?.finish()?;
    count(node, "inputs", &node.inputs, 1..=1)?;
    same_output(node)?;
    Ok(Arc::new(PassThrough))
}

/// The type of a node that does nothing but hand its audio on.
pub(super) fn node_type() -> Arc<dyn NodeType> {
    Arc::new(PassThrough)
}

impl NodeType for PassThrough {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(PassThrough)
    }

    fn passes(&self) -> bool {
        true
    }
}

impl StreamNode for PassThrough {}
