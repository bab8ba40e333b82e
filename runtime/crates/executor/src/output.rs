use std::collections::VecDeque;
use std::sync::Arc;

use remotemedia_core::{AudioFrame, ErrorCode, FrameMeta, Opaque, Payload};
use serde_json::Value;

use crate::InstanceId;

/// What a node found, and about which piece of audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The session's instance.
    pub instance: InstanceId,
    /// The node's id.
    pub node: Arc<str>,
    /// The output port, by its number, of a frame that no input takes; reports have none.
    pub port: Option<u8>,
    /// `pts_us` is where the analysed window starts; `rtp_timestamp` and `arrival` are those of the
    /// packet that completed it.
    pub meta: FrameMeta,
    /// What it is.
    pub kind: OutputKind,
}

/// The kinds of output.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputKind {
    /// One window of voice activity.
    Vad {
        /// Whether the segmenter is inside speech after this window.
        speech: bool,
        /// Of the window, 0 to 1.
        probability: f32,
    },
    /// Speech began; `pts_us` is its onset less the padding.
    SpeechStarted {
        /// Of the window that decided.
        probability: f32,
    },
    /// Speech ended; `pts_us` is its end plus the padding.
    SpeechStopped {
        /// `pts_us` of the start.
        started_at_us: u64,
        /// From there to this message's `pts_us`.
        duration_us: u64,
    },
    /// Loudness over an interval; `pts_us` is its start.
    Level {
        /// Root mean square relative to full scale, at least -120.
        rms_dbfs: f32,
        /// Largest sample relative to full scale, at least -120.
        peak_dbfs: f32,
    },
    /// A value that no node takes: valid JSON.
    Node(Arc<str>),
    /// Something went wrong with a frame; the session goes on.
    Error {
        /// `NodeFailed` or `NodeOverrun`.
        code: ErrorCode,
        /// What happened and what follows from it.
        message: String,
        /// Of a Python node.
        traceback: Option<String>,
    },
    /// An object that no node takes; live that is an error.
    Value(Opaque),
    /// Audio that no node takes: a sink's, and all where [`crate::ExecutorConfig::audio_outputs`]
    /// asks for it.
    Audio(AudioFrame),
}

/// A frame that waits for Python.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonWork {
    /// Names this piece of work; give it back to [`crate::Executor::complete`]. Never used twice.
    pub token: u64,
    /// The session's instance.
    pub instance: InstanceId,
    /// The node's id.
    pub node: Arc<str>,
    /// What the Python side knows the node by.
    pub entry: Arc<str>,
    /// The input port that the frame came to; empty for the end.
    pub port: Arc<str>,
    /// Time and origin; `format` means something for audio alone.
    pub meta: FrameMeta,
    /// The frame; null for the end.
    pub payload: Payload,
    /// All inputs of the node have ended, see [`crate::Executor::end_source`]: what it gives for
    /// this comes before what stands behind it ends.
    pub end: bool,
}

/// One value that a Python node returned.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// JSON text, at most [`remotemedia_core::MAX_VALUE_BYTES`].
    Json(String),
    /// A JSON value, at most as long.
    Data(Arc<Value>),
    /// An object for other Python nodes.
    Opaque(Opaque),
    /// Planar audio in the output's format.
    Audio {
        /// How many there are: refused unless they are the output's.
        channels: usize,
        /// Channel after channel.
        samples: Arc<[f32]>,
    },
}

/// A value and the output port that it leaves by.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeResult {
    /// The port's name; `None` for `out`, or for the first where there is none of that name.
    pub port: Option<Arc<str>>,
    /// What leaves.
    pub value: NodeValue,
}

impl From<NodeValue> for NodeResult {
    fn from(value: NodeValue) -> NodeResult {
        NodeResult { port: None, value }
    }
}

/// Why a Python node gave no values for a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFailure {
    /// The exception in one line.
    pub message: String,
    /// Its traceback.
    pub traceback: Option<String>,
    /// The same frame may succeed later: offline it is tried again.
    pub transient: bool,
}

/// The most outputs that wait for the driver: past this the oldest goes, counted. A driver that
/// polls after each call never gets there.
pub(crate) const MAX_OUTPUTS: usize = 1 << 16;

/// Outputs on their way to the driver.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    queue: VecDeque<Output>,
    pub(crate) dropped: u64,
}

impl Outputs {
    pub(crate) fn push(&mut self, output: Output) {
        if self.queue.len() >= MAX_OUTPUTS {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }
}
