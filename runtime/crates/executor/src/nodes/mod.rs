//! The registry of node kinds: one file a kind, one line here.

mod format;
mod level;
mod pass_through;
mod python;
mod resample;
mod vad;

use remotemedia_core::{AudioFormat, ResolvedNode, Runtime};

pub(crate) use python::PythonNode;
pub(crate) use vad::model as vad_model;

use crate::node::Compile;
use crate::params::ParamError;
use crate::plan::Action;

/// A registered kind.
pub(crate) struct Kind {
    name: &'static str,
    maker: Maker,
}

enum Maker {
    Native(Compile),
    Python,
}

/// Every kind that a resolved manifest may name.
const KINDS: &[Kind] = &[
    Kind { name: "format", maker: Maker::Native(format::compile) },
    Kind { name: "level", maker: Maker::Native(level::compile) },
    Kind { name: "pass_through", maker: Maker::Native(pass_through::compile) },
    Kind { name: "python", maker: Maker::Python },
    Kind { name: "resample", maker: Maker::Native(resample::compile) },
    Kind { name: "vad", maker: Maker::Native(vad::compile) },
];

impl Kind {
    pub(crate) fn runtime(&self) -> Runtime {
        match self.maker {
            Maker::Native(_) => Runtime::Native,
            Maker::Python => Runtime::Python,
        }
    }

    pub(crate) fn compile(&self, node: &ResolvedNode) -> Result<Action, ParamError> {
        match self.maker {
            Maker::Native(compile) => compile(node).map(Action::Native),
            Maker::Python => PythonNode::compile(node).map(Action::Python),
        }
    }
}

pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The names for an error's text.
pub(crate) fn names() -> String {
    KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

/// Refuses an output that differs from the input, for kinds that hand their audio on unchanged.
fn same_output(node: &ResolvedNode) -> Result<(), ParamError> {
    match node.output {
        Some(output) if output != node.input => Err(ParamError::new(
            "output",
            format!("a {} node gives what it takes: {}", node.kind, describe(node.input)),
        )),
        _ => Ok(()),
    }
}

/// The output format of a kind that must have one.
fn required_output(node: &ResolvedNode) -> Result<AudioFormat, ParamError> {
    node.output.ok_or_else(|| ParamError::new("output", format!("a {} node needs one", node.kind)))
}

fn describe(format: AudioFormat) -> String {
    format!("{} Hz, {} ch", format.rate.hz(), format.channels.get())
}
