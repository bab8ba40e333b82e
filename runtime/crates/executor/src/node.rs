//! What a node kind implements: a [`NodeType`] checked once per plan, a [`StreamNode`] per stream.

use std::sync::Arc;

use remotemedia_core::{ErrorCode, FrameMeta, Micros, Opaque, Piece, ResolvedNode, SampleRate};
use serde_json::Value;

use crate::instance::{InstanceId, InstanceStats};
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

    /// Whether the node gives as many samples as it takes, in the same format. Where it is the last
    /// to read its input it changes that in place, by [`StreamNode::change`].
    fn changes(&self) -> bool {
        false
    }

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
    /// Takes the next piece of audio of an input; writes what comes of it to `cx`.
    fn push(&mut self, _input: usize, _chunk: Chunk<'_>, _cx: &mut Context<'_>) {}

    /// Changes the next piece of audio where it lies, instead of [`StreamNode::push`].
    fn change(&mut self, _samples: &mut [f32]) {}

    /// Takes a value; writes what comes of it to `cx`.
    fn take(&mut self, _meta: &FrameMeta, _value: &Value, _cx: &mut Context<'_>) {}

    /// The answer to a window given to [`Context::infer`].
    fn inferred(&mut self, _window: &Window, _cx: &mut Context<'_>) {}

    /// One of several inputs has ended: the others go on without it.
    fn end_input(&mut self, _input: usize, _cx: &mut Context<'_>) {}

    /// An input that has ended begins anew.
    fn begin_input(&mut self, _input: usize) {}

    /// All input ends: hands out audio held back and queues the last, incomplete window.
    fn drain(&mut self, _cx: &mut Context<'_>) {}

    /// Everything was drained and inferred: reports what was still open. Audio that comes later
    /// begins anew.
    fn finish(&mut self, _cx: &mut Context<'_>) {}

    /// Drops audio that is held back for later and gives the number of pieces. Media time goes on,
    /// and so does what a filter or a model remembers.
    fn interrupt(&mut self) -> u64 {
        0
    }

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

/// Something that a node gave: samples lie in the signal's buffer.
#[derive(Debug)]
enum Given {
    Audio(usize, usize),
    Data(Arc<Value>),
    Opaque(Opaque),
}

/// A frame on its way through the graph.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) meta: &'a FrameMeta,
    pub(crate) piece: Piece<'a>,
}

/// What one output of a node gave during a walk: frames with their samples in one reused buffer.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    pub(crate) samples: Vec<f32>,
    given: Vec<(FrameMeta, Given)>,
}

impl Signal {
    pub(crate) fn clear(&mut self) {
        self.samples.clear();
        self.given.clear();
    }

    /// Declares what was appended to `samples` since `start` to be one chunk; nothing is no chunk.
    pub(crate) fn end_chunk(&mut self, meta: FrameMeta, start: usize) {
        if self.samples.len() > start {
            self.given.push((meta, Given::Audio(start, self.samples.len())));
        }
    }

    /// A frame.
    pub(crate) fn give(&mut self, meta: FrameMeta, piece: Piece<'_>) {
        match piece {
            Piece::Audio(samples) => {
                let start = self.samples.len();
                self.samples.extend_from_slice(samples);
                self.end_chunk(meta, start);
            }
            Piece::Data(value) => self.given.push((meta, Given::Data(value.clone()))),
            Piece::Opaque(value) => self.given.push((meta, Given::Opaque(value.clone()))),
        }
    }

    /// The samples of each chunk, to be changed.
    pub(crate) fn chunks_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let mut rest = &mut self.samples[..];
        let mut before = 0;
        self.given.iter().filter_map(move |(_, given)| {
            let Given::Audio(start, end) = *given else { return None };
            let (chunk, behind) =
                std::mem::take(&mut rest)[start - before..].split_at_mut(end - start);
            (rest, before) = (behind, end);
            Some(chunk)
        })
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.given.iter().map(|(meta, given)| Item {
            meta,
            piece: match given {
                Given::Audio(start, end) => Piece::Audio(&self.samples[*start..*end]),
                Given::Data(value) => Piece::Data(value),
                Given::Opaque(value) => Piece::Opaque(value),
            },
        })
    }
}

/// What a node may reach while it works.
pub(crate) struct Context<'a> {
    pub(crate) now: Micros,
    /// Audio cannot wait for audio that is late.
    pub(crate) live: bool,
    pub(crate) instance: InstanceId,
    pub(crate) node: &'a Arc<str>,
    pub(crate) owner: Owner,
    pub(crate) outputs: &'a mut Outputs,
    pub(crate) windows: &'a mut Windows,
    /// One for each output; none for a node that passes its input on.
    pub(crate) signals: &'a mut [Signal],
    pub(crate) stats: &'a mut InstanceStats,
}

impl Context<'_> {
    /// Reports about the audio that `meta` describes.
    pub(crate) fn emit(&mut self, meta: FrameMeta, kind: OutputKind) {
        self.outputs.push(Output {
            instance: self.instance,
            node: self.node.clone(),
            port: None,
            meta,
            kind,
        });
    }

    /// Reports that the node failed on a frame; the session goes on.
    pub(crate) fn fail(&mut self, meta: FrameMeta, message: String) {
        self.stats.failures += 1;
        let kind = OutputKind::Error { code: ErrorCode::NodeFailed, message, traceback: None };
        self.emit(meta, kind);
    }
}

/// A frame's time may be off by this much because its sample lies between two microseconds.
const ROUNDING_US: u64 = 1;

/// Follows the media time of a stream by counting its samples, and tells a jump from rounding.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Continuity {
    known: Option<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    rate: SampleRate,
    /// Media time of a sample, and how many came since until the last chunk began.
    base_us: u64,
    counted: u64,
    /// Samples of that chunk.
    length: u64,
}

impl Known {
    fn begin(chunk: Chunk<'_>) -> Known {
        let FrameMeta { pts_us: base_us, format, .. } = *chunk.meta;
        Known { rate: format.rate, base_us, counted: 0, length: chunk.len() as u64 }
    }

    fn at(&self, samples: i64) -> u64 {
        let since = i64::try_from(self.counted).unwrap_or(i64::MAX).saturating_add(samples);
        let micros = self.rate.micros_of(since.unsigned_abs());
        if since < 0 {
            self.base_us.saturating_sub(micros)
        } else {
            self.base_us.saturating_add(micros)
        }
    }
}

/// How a chunk follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The stream begins.
    First,
    /// It goes on, give or take this many microseconds, more than rounding alone.
    Next(i64),
    /// Media time jumped; this is how far forward, negative for backward.
    Jump(i64),
}

impl Continuity {
    pub(crate) fn step(&mut self, chunk: Chunk<'_>) -> Step {
        let begin = Known::begin(chunk);
        let Some(known) = &mut self.known else {
            self.known = Some(begin);
            return Step::First;
        };
        let by = chunk.meta.pts_us.wrapping_sub(known.at(known.length as i64)) as i64;
        if by.unsigned_abs() <= ROUNDING_US && known.rate == begin.rate {
            // Counting on keeps such errors from adding up.
            known.counted += known.length;
            known.length = begin.length;
            return Step::Next(0);
        }
        *known = begin;
        if by.unsigned_abs() <= JUMP_TOLERANCE_US { Step::Next(by) } else { Step::Jump(by) }
    }

    /// Media time of a sample of the last chunk, counted from its first; of an earlier one where
    /// that is negative.
    pub(crate) fn at(&self, samples: i64) -> u64 {
        self.known.map_or(0, |known| known.at(samples))
    }

    pub(crate) fn reset(&mut self) {
        self.known = None;
    }
}
