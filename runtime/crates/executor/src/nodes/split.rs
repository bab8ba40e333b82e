//! `split`: an output for each channel, in the order of the channels.

use std::sync::Arc;

use remotemedia_core::{AudioFormat, ChannelCount, FrameMeta, Piece, PortFormat, ResolvedNode};

use super::audio_input;
use crate::node::{Chunk, Context, NodeType, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

#[derive(Clone, Copy)]
struct Split {
    output: AudioFormat,
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    Params::new(&node.params)?.finish()?;
    let input = audio_input(node)?;
    let channels = input.channels.get();
    if node.outputs.len() != channels {
        return Err(ParamError::new(
            "outputs",
            format!("must be {channels}, one for each channel"),
        ));
    }
    let output = AudioFormat { channels: ChannelCount::MONO, ..input };
    let wrong = node.outputs.iter().position(|port| port.format != PortFormat::Audio(output));
    match wrong {
        None => Ok(Arc::new(Split { output })),
        Some(index) => {
            Err(ParamError::new(format!("outputs[{index}].format"), format!("must be {output}")))
        }
    }
}

impl NodeType for Split {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(*self)
    }

    fn passes(&self) -> bool {
        false
    }
}

impl StreamNode for Split {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        let meta = FrameMeta { format: self.output, ..*chunk.meta };
        for (index, signal) in cx.signals.iter_mut().enumerate() {
            signal.give(meta, Piece::Audio(chunk.channel(index)));
        }
    }
}
