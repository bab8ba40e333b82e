//! `format`: averages channels to one, or copies one to several.

use std::sync::Arc;

use remotemedia_core::{AudioFormat, ResolvedNode};

use super::{audio_input, audio_output, pass_through};
use crate::node::{Chunk, Context, NodeType, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

#[derive(Clone, Copy)]
struct Format {
    output: AudioFormat,
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    Params::new(&node.params)?.finish()?;
    let (input, output) = (audio_input(node)?, audio_output(node)?);
    let wrong = |message| Err(ParamError::new("outputs[0].format", message));
    if output.rate != input.rate {
        return wrong(format!("the rate stays {} Hz", input.rate.hz()));
    }
    let (from, to) = (input.channels.get(), output.channels.get());
    if from == to {
        return Ok(pass_through::node_type());
    }
    if from != 1 && to != 1 {
        return wrong(format!("{input} turns to one channel, or one channel to several"));
    }
    Ok(Arc::new(Format { output }))
}

impl NodeType for Format {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(*self)
    }

    fn passes(&self) -> bool {
        false
    }
}

impl StreamNode for Format {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        let into = &mut cx.signals[0].samples;
        let start = into.len();
        let channels = chunk.meta.format.channels.get();
        let scale = 1.0 / channels as f32;
        match channels {
            1 => {
                (0..self.output.channels.get()).for_each(|_| into.extend_from_slice(chunk.samples))
            }
            2 => {
                let pairs = chunk.channel(0).iter().zip(chunk.channel(1));
                into.extend(pairs.map(|(left, right)| (left + right) * scale));
            }
            _ => {
                into.extend_from_slice(chunk.channel(0));
                let sums = &mut into[start..];
                for channel in 1..channels {
                    for (sum, sample) in sums.iter_mut().zip(chunk.channel(channel)) {
                        *sum += sample;
                    }
                }
                sums.iter_mut().for_each(|sample| *sample *= scale);
            }
        }
        let mut meta = *chunk.meta;
        meta.format = self.output;
        cx.signals[0].end_chunk(meta, start);
    }
}
