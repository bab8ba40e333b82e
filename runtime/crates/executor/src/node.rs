//! What a node kind implements: a [`NodeType`] checked once per plan, a [`StreamNode`] per stream.

use std::sync::Arc;

use remotemedia_core::{FrameMeta, Micros, ResolvedNode};
use serde_json::Value;

use crate::InstanceId;
use crate::output::{Output, OutputKind, Outputs};
use crate::params::ParamError;
use crate::windows::{Owner, Window, Windows};

/// A jump of media time below this is rounding and keeps a stream continuous.
pub(crate) const JUMP_TOLERANCE_US: u64 = 1_000;

/// A node of a plan, its parameters checked: makes the state of each stream.
pub(crate) trait NodeType: Send + Sync {
    /// State for a stream that begins.
    fn open(&self, windows: &mut Windows) -> Box<dyn StreamNode>;

    /// Whether the node hands its audio on as it is; then it writes no signal.
    fn passes(&self) -> bool;

    /// The same node with some live parameters changed.
    fn configured(&self, patch: &Value) -> Result<Arc<dyn NodeType>, ParamError> {
        crate::params::Params::new(patch)?.finish()?;
        Err(ParamError::new("", "this node has no parameters that can change while it runs"))
    }
}

/// How a kind turns a node of the manifest into a [`NodeType`].
pub(crate) type Compile = fn(&ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError>;

/// One node's state for one stream.
pub(crate) trait StreamNode: Send {
    /// Takes the next piece of audio; writes what comes of it to `cx`.
    fn push(&mut self, chunk: Chunk<'_>, cx: &mut Context<'_>);

    /// The answer to a window given to [`Context::infer`].
    fn inferred(&mut self, _window: &Window, _cx: &mut Context<'_>) {}

    /// The input ends: hands out audio held back and queues the last, incomplete window.
    fn drain(&mut self, _cx: &mut Context<'_>) {}

    /// Everything was drained and inferred: reports what was still open. Audio that comes later
    /// begins anew.
    fn finish(&mut self, _cx: &mut Context<'_>) {}

    /// Takes over parameters that [`NodeType::configured`] accepted.
    fn configure(&mut self, _patch: &Value) {}

    /// Gives back what [`NodeType::open`] took.
    fn close(&mut self, _windows: &mut Windows) {}
}

/// A piece of audio on its way through the graph.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) meta: &'a FrameMeta,
    /// Planar.
    pub(crate) samples: &'a [f32],
}

impl<'a> Chunk<'a> {
    /// Samples per channel.
    pub(crate) fn len(&self) -> usize {
        self.samples.len() / self.meta.format.channels.get()
    }

    pub(crate) fn channel(&self, index: usize) -> &'a [f32] {
        let len = self.len();
        &self.samples[index * len..(index + 1) * len]
    }

    /// Media time behind the last sample.
    pub(crate) fn end_us(&self) -> u64 {
        self.meta.pts_us.saturating_add(self.meta.format.rate.micros_of(self.len() as u64))
    }
}

/// What one node gave during a push: chunks in one reused buffer.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    pub(crate) samples: Vec<f32>,
    chunks: Vec<(FrameMeta, usize, usize)>,
}

impl Signal {
    pub(crate) fn clear(&mut self) {
        self.samples.clear();
        self.chunks.clear();
    }

    /// Declares what was appended to `samples` since `start` to be one chunk; nothing is no chunk.
    pub(crate) fn end_chunk(&mut self, meta: FrameMeta, start: usize) {
        if self.samples.len() > start {
            self.chunks.push((meta, start, self.samples.len()));
        }
    }

    /// A chunk with `samples`.
    pub(crate) fn give(&mut self, meta: FrameMeta, samples: &[f32]) {
        let start = self.samples.len();
        self.samples.extend_from_slice(samples);
        self.end_chunk(meta, start);
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        self.chunks
            .iter()
            .map(|(meta, start, end)| Chunk { meta, samples: &self.samples[*start..*end] })
    }
}

/// What a node may reach while it works.
pub(crate) struct Context<'a> {
    pub(crate) now: Micros,
    pub(crate) instance: InstanceId,
    pub(crate) node: &'a Arc<str>,
    pub(crate) owner: Owner,
    pub(crate) outputs: &'a mut Outputs,
    pub(crate) windows: &'a mut Windows,
    pub(crate) signal: &'a mut Signal,
    /// Jumps of media time, counted.
    pub(crate) jumps: &'a mut u64,
}

impl Context<'_> {
    /// Reports about the audio that `meta` describes.
    pub(crate) fn emit(&mut self, meta: FrameMeta, kind: OutputKind) {
        self.outputs.push(Output { instance: self.instance, node: self.node.clone(), meta, kind });
    }
}

/// Follows the media time of a stream and tells a jump from rounding.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Continuity {
    expected: Option<u64>,
}

/// How a chunk follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The stream begins.
    First,
    /// It goes on, give or take this many microseconds of rounding.
    Next(i64),
    /// Media time jumped; this is how far forward, negative for backward.
    Jump(i64),
}

impl Continuity {
    pub(crate) fn step(&mut self, chunk: Chunk<'_>) -> Step {
        let step = match self.expected {
            None => Step::First,
            Some(expected) => {
                let by = chunk.meta.pts_us.wrapping_sub(expected) as i64;
                if by.unsigned_abs() <= JUMP_TOLERANCE_US { Step::Next(by) } else { Step::Jump(by) }
            }
        };
        self.expected = Some(chunk.end_us());
        step
    }

    pub(crate) fn reset(&mut self) {
        self.expected = None;
    }
}
