//! `resample`: another rate, the same channels. Media time is kept: an output sample lies where its
//! input lay, and what the filter holds back comes with the next chunk.

use std::sync::Arc;

use remotemedia_core::{AudioFormat, FrameMeta, ResolvedNode};
use remotemedia_dsp::resample::{Quality, Resampler};

use super::{audio_input, audio_output, pass_through};
use crate::node::{Chunk, Context, Continuity, NodeType, Step, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

struct Resample {
    input: AudioFormat,
    output: AudioFormat,
    quality: Quality,
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let mut params = Params::new(&node.params)?;
    let quality = params.choice(
        "quality",
        &[("low", Quality::Low), ("medium", Quality::Medium), ("high", Quality::High)],
    );
    params.finish()?;
    let (input, output) = (audio_input(node)?, audio_output(node)?);
    let wrong = |message| ParamError::new("outputs[0].format", message);
    if output.channels != input.channels {
        let channels = input.channels.get();
        return Err(wrong(format!("a resample node keeps the {channels} channels")));
    }
    if output.rate == input.rate {
        return Ok(pass_through::node_type());
    }
    // Tried here so that a stream that opens cannot fail.
    Resampler::new(input.rate, output.rate, quality).map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(Resample { input, output, quality }))
}

impl NodeType for Resample {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        let channels = (0..self.output.channels.get())
            .map(|_| {
                Resampler::new(self.input.rate, self.output.rate, self.quality)
                    .expect("the pair of rates was tried when the plan was compiled")
            })
            .collect();
        Box::new(ResampleStream {
            channels,
            output: self.output,
            continuity: Continuity::default(),
            base_us: 0,
            emitted: 0,
            last: None,
        })
    }

    fn passes(&self) -> bool {
        false
    }
}

struct ResampleStream {
    channels: Vec<Resampler>,
    output: AudioFormat,
    continuity: Continuity,
    /// Media time of the first output sample since the last jump.
    base_us: u64,
    /// Output samples per channel since then.
    emitted: u64,
    last: Option<FrameMeta>,
}

impl ResampleStream {
    /// Ends the chunk that the resamplers appended since `start`.
    fn end_chunk(&mut self, mut meta: FrameMeta, start: usize, cx: &mut Context<'_>) {
        let count = (cx.signals[0].samples.len() - start) / self.channels.len();
        meta.pts_us = self.base_us.saturating_add(self.output.rate.micros_of(self.emitted));
        meta.format = self.output;
        self.emitted += count as u64;
        cx.signals[0].end_chunk(meta, start);
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        let Some(meta) = self.last.take() else { return };
        let start = cx.signals[0].samples.len();
        for channel in &mut self.channels {
            channel.flush(&mut cx.signals[0].samples);
        }
        self.end_chunk(meta, start, cx);
        self.channels.iter_mut().for_each(Resampler::reset);
        self.continuity.reset();
    }
}

impl StreamNode for ResampleStream {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        match self.continuity.step(chunk) {
            Step::First => (self.base_us, self.emitted) = (chunk.meta.pts_us, 0),
            Step::Next(by) => self.base_us = self.base_us.saturating_add_signed(by),
            Step::Jump(_) => {
                cx.stats.jumps += 1;
                self.flush(cx);
                self.continuity.step(chunk);
                (self.base_us, self.emitted) = (chunk.meta.pts_us, 0);
            }
        }
        let start = cx.signals[0].samples.len();
        for (index, channel) in self.channels.iter_mut().enumerate() {
            channel.process(chunk.channel(index), &mut cx.signals[0].samples);
        }
        self.end_chunk(*chunk.meta, start, cx);
        self.last = Some(*chunk.meta);
    }

    fn drain(&mut self, cx: &mut Context<'_>) {
        self.flush(cx);
    }
}
