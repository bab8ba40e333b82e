//! The registry of node kinds: one file a kind, one line here.

mod buffer;
mod calculator;
mod format;
mod gain;
mod level;
mod mix;
mod pass_through;
mod python;
mod resample;
mod sink;
mod split;
mod text;
mod vad;

use std::ops::RangeInclusive;
use std::sync::Arc;

use remotemedia_core::{
    AudioFormat, FrameMeta, Piece, Port, PortFormat, ResolvedNode, Runtime, check_value,
};
use serde_json::Value;

pub(crate) use python::PythonNode;
pub(crate) use sink::KIND as SINK;
pub(crate) use vad::model as vad_model;

use crate::node::{Compile, Context};
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
    Kind { name: "buffer", maker: Maker::Native(buffer::compile) },
    Kind { name: "calculator", maker: Maker::Native(calculator::compile) },
    Kind { name: "format", maker: Maker::Native(format::compile) },
    Kind { name: "gain", maker: Maker::Native(gain::compile) },
    Kind { name: "level", maker: Maker::Native(level::compile) },
    Kind { name: "mix", maker: Maker::Native(mix::compile) },
    Kind { name: "pass_through", maker: Maker::Native(pass_through::compile) },
    Kind { name: "python", maker: Maker::Python },
    Kind { name: "resample", maker: Maker::Native(resample::compile) },
    Kind { name: sink::KIND, maker: Maker::Native(sink::compile) },
    Kind { name: "split", maker: Maker::Native(split::compile) },
    Kind { name: "text", maker: Maker::Native(text::compile) },
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

/// The format of a kind that takes one stream of audio.
fn audio_input(node: &ResolvedNode) -> Result<AudioFormat, ParamError> {
    count(node, "inputs", &node.inputs, 1..=1)?;
    audio(node, "inputs", &node.inputs, 0)
}

/// The format of a kind that gives one stream of audio.
fn audio_output(node: &ResolvedNode) -> Result<AudioFormat, ParamError> {
    count(node, "outputs", &node.outputs, 1..=1)?;
    audio(node, "outputs", &node.outputs, 0)
}

/// The same for a kind that hands its audio on unchanged, or has no output.
fn same_output(node: &ResolvedNode) -> Result<(), ParamError> {
    count(node, "outputs", &node.outputs, 0..=1)?;
    match (node.inputs.first(), node.outputs.first()) {
        (Some(input), Some(output)) if output.format != input.format => Err(ParamError::new(
            "outputs[0].format",
            format!("a {} node gives what it takes: {}", node.kind, input.format),
        )),
        _ => Ok(()),
    }
}

/// Checks the ports of a kind that turns values to values.
fn data_ports(node: &ResolvedNode) -> Result<(), ParamError> {
    count(node, "inputs", &node.inputs, 1..=1)?;
    count(node, "outputs", &node.outputs, 0..=1)?;
    for (side, ports) in [("inputs", &node.inputs), ("outputs", &node.outputs)] {
        if let Some(port) = ports.first().filter(|port| port.format != PortFormat::Data) {
            return Err(ParamError::new(
                format!("{side}[0].format"),
                format!("must be data for a {} node, is {}", node.kind, port.format),
            ));
        }
    }
    Ok(())
}

/// Hands on what such a kind made of a value, or reports why it could not.
fn give_value(meta: &FrameMeta, made: Result<Value, String>, cx: &mut Context<'_>) {
    let made = made.and_then(|value| match check_value(&value) {
        Ok(()) => Ok(value),
        Err(problem) => Err(format!("the result {problem}")),
    });
    match (made, cx.signals.first_mut()) {
        (Ok(value), Some(signal)) => signal.give(*meta, Piece::Data(&Arc::new(value))),
        (Ok(_), None) => {}
        (Err(problem), _) => cx.fail(*meta, problem),
    }
}

fn count(
    node: &ResolvedNode,
    side: &str,
    ports: &[Port],
    range: RangeInclusive<usize>,
) -> Result<(), ParamError> {
    if range.contains(&ports.len()) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
    Err(ParamError::new(side, format!("a {} node has {wanted}, not {}", node.kind, ports.len())))
}

fn audio(
    node: &ResolvedNode,
    side: &str,
    ports: &[Port],
    index: usize,
) -> Result<AudioFormat, ParamError> {
    match ports[index].format {
        PortFormat::Audio(format) => Ok(format),
        other => Err(ParamError::new(
            format!("{side}[{index}].format"),
            format!("must be audio for a {} node, is {other}", node.kind),
        )),
    }
}
