//! `buffer`: pieces of exactly one length, which may overlap; at the end the rest.

use std::sync::Arc;

use remotemedia_core::{AudioFormat, FrameMeta, ResolvedNode};

use super::{audio_input, audio_output, same_output};
use crate::node::{Chunk, Context, Continuity, NodeType, Step, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

#[derive(Clone, Copy)]
struct Buffer {
    format: AudioFormat,
    /// Samples per channel of a piece, and from one piece to the next.
    length: usize,
    step: usize,
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let mut params = Params::new(&node.params)?;
    let duration = params.ms("duration_ms", 10..=60_000);
    let overlap = params.ms("overlap_ms", 0..=60_000);
    params.finish()?;
    if overlap >= duration {
        return Err(ParamError::new(
            "overlap_ms",
            format!("must lie below duration_ms, which is {}", duration.as_millis()),
        ));
    }
    let format = audio_input(node)?;
    audio_output(node)?;
    same_output(node)?;
    let samples = |span: std::time::Duration| format.rate.samples_in(span.as_micros() as u64);
    let (length, overlap) = (samples(duration) as usize, samples(overlap) as usize);
    Ok(Arc::new(Buffer { format, length, step: (length - overlap).max(1) }))
}

impl NodeType for Buffer {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(BufferStream {
            settings: *self,
            held: vec![Vec::new(); self.format.channels.get()],
            new: 0,
            given: 0,
            base_us: 0,
            continuity: Continuity::default(),
            last: None,
        })
    }

    fn passes(&self) -> bool {
        false
    }
}

struct BufferStream {
    settings: Buffer,
    /// By channel: what the next piece begins with.
    held: Vec<Vec<f32>>,
    /// Samples of it that no piece had yet.
    new: usize,
    /// Where it begins: samples since `base_us`.
    given: u64,
    /// Media time of the first sample since the last jump.
    base_us: u64,
    continuity: Continuity,
    last: Option<FrameMeta>,
}

impl BufferStream {
    /// Gives what lies in `held` from `at`, `length` samples of each channel.
    fn give(&self, at: usize, length: usize, meta: FrameMeta, cx: &mut Context<'_>) {
        let signal = &mut cx.signals[0];
        let start = signal.samples.len();
        for channel in &self.held {
            signal.samples.extend_from_slice(&channel[at..at + length]);
        }
        let offset_us = meta.format.rate.micros_of(self.given + at as u64);
        let pts_us = self.base_us.saturating_add(offset_us);
        signal.end_chunk(FrameMeta { pts_us, ..meta }, start);
    }

    /// Gives the rest, unless all of it was the end of the piece before; what comes begins anew.
    fn flush(&mut self, cx: &mut Context<'_>) {
        if let (Some(meta), 1..) = (self.last, self.new) {
            self.give(0, self.held[0].len(), meta, cx);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.held.iter_mut().for_each(Vec::clear);
        (self.new, self.given, self.last) = (0, 0, None);
    }
}

impl StreamNode for BufferStream {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        match self.continuity.step(chunk) {
            Step::First => self.base_us = chunk.meta.pts_us,
            Step::Next(by) => self.base_us = self.base_us.saturating_add_signed(by),
            Step::Jump(_) => {
                cx.stats.jumps += 1;
                self.flush(cx);
                self.base_us = chunk.meta.pts_us;
            }
        }
        for (index, channel) in self.held.iter_mut().enumerate() {
            channel.extend_from_slice(chunk.channel(index));
        }
        self.new += chunk.len();
        self.last = Some(*chunk.meta);
        let Buffer { length, step, .. } = self.settings;
        let held = self.held[0].len();
        if held < length {
            return;
        }
        let mut at = 0;
        while held - at >= length {
            self.give(at, length, *chunk.meta, cx);
            at += step;
        }
        for channel in &mut self.held {
            channel.drain(..at);
        }
        self.given += at as u64;
        self.new = (held - at).saturating_sub(length - step);
    }

    fn drain(&mut self, cx: &mut Context<'_>) {
        self.flush(cx);
        self.continuity.reset();
    }

    fn interrupt(&mut self) -> u64 {
        let dropped = u64::from(self.new > 0);
        self.clear();
        self.continuity.reset();
        dropped
    }
}
