use std::sync::Arc;
use std::time::Instant;

use remotemedia_core::{
    AudioFormat, ErrorCode, FrameMeta, Micros, Opaque, Piece, PortFormat, ResolvedManifest,
    StreamId, check_value,
};
use remotemedia_executor::{
    Executor, ExecutorConfig, InstanceId, NodeFailure, NodeMetrics, NodeResult, Plan, PythonWork,
};
use serde_json::Value;

use super::framer::Framer;
use super::messages::Messages;
use crate::EngineError;
use crate::clock::nanos;

/// The longest frame, in milliseconds.
const MAX_FRAME_MS: u32 = 1_000;
const STREAM: StreamId = StreamId(0);

/// How a run is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunConfig {
    /// Measure the nodes: see [`OfflineRun::metrics`].
    pub metrics: bool,
    /// Audio is cut into frames of so many milliseconds, 1 to 1000.
    pub frame_ms: u32,
    /// Spreads further tries of frames that failed transiently.
    pub seed: u64,
}

impl Default for RunConfig {
    fn default() -> RunConfig {
        RunConfig { metrics: false, frame_ms: 20, seed: 0 }
    }
}

/// What became of a frame for a Python node.
#[derive(Debug)]
pub struct RunDone {
    /// Of the work.
    pub token: u64,
    /// What the node returned, in order; or why it failed.
    pub result: Result<Vec<NodeResult>, NodeFailure>,
    /// There is more to come of these results: the frame stays under way. A failure ends it.
    pub more: bool,
    /// How long the node took, for the metrics; `None` counts from the hand-out.
    pub elapsed_ns: Option<u64>,
}

/// Something that a run put out.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOutput {
    /// The node's id.
    pub node: Arc<str>,
    /// The output port of a frame that no node took; empty for reports and errors.
    pub port: Arc<str>,
    /// Media time.
    pub pts_us: u64,
    /// What it is.
    pub value: RunValue,
}

/// The kinds of output of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunValue {
    /// The message that a live session would send.
    Event(String),
    /// Audio that no node took.
    Audio {
        /// Of the samples.
        format: AudioFormat,
        /// Planar.
        samples: Arc<[f32]>,
    },
    /// An object that no node took.
    Value(Opaque),
}

struct RunSource {
    id: Arc<str>,
    format: PortFormat,
    framer: Framer,
    ended: bool,
}

/// One run of a pipeline on the calling thread; nothing is lost, whatever waits.
///
/// Push audio and values to its sources, at most a second at a time where there are Python nodes,
/// and between pushes bring [`OfflineRun::take_work`] to the nodes and what they made of it to
/// [`OfflineRun::complete`]; take results with [`OfflineRun::poll`]. After [`OfflineRun::end`] go on
/// until it is [`OfflineRun::finished`]. A frame that failed transiently is tried again: then there
/// is a [`OfflineRun::retry_in_us`].
pub struct OfflineRun {
    executor: Executor,
    instance: InstanceId,
    plan: Arc<Plan>,
    sources: Vec<RunSource>,
    messages: Messages,
    outputs: Vec<RunOutput>,
    started: Instant,
}

impl OfflineRun {
    /// A run of a resolved manifest.
    ///
    /// # Errors
    /// The manifest's error with the path of the field, or `frame_ms` out of its range.
    pub fn new(resolved_json: &str, config: RunConfig) -> Result<OfflineRun, EngineError> {
        let plan = Plan::compile(&ResolvedManifest::from_json(resolved_json)?)?;
        OfflineRun::with_plan(plan, config)
    }

    pub(crate) fn with_plan(plan: Plan, config: RunConfig) -> Result<OfflineRun, EngineError> {
        if !(1..=MAX_FRAME_MS).contains(&config.frame_ms) {
            let message = format!("must be 1 to {MAX_FRAME_MS}, is {}", config.frame_ms);
            return Err(invalid("frame_ms", message));
        }
        let plan = Arc::new(plan);
        let mut executor = Executor::new(ExecutorConfig {
            clock: config.metrics.then_some(nanos as _),
            seed: config.seed,
            ..ExecutorConfig::offline()
        });
        let instance = executor.create(plan.clone());
        executor.open_stream(instance, STREAM);
        let source = |(id, format): (&Arc<str>, PortFormat)| RunSource {
            id: id.clone(),
            format,
            framer: Framer::new(format.audio().unwrap_or(AudioFormat::MONO_16K), config.frame_ms),
            ended: false,
        };
        Ok(OfflineRun {
            sources: plan.sources().map(source).collect(),
            executor,
            instance,
            plan,
            messages: Messages::default(),
            outputs: Vec::new(),
            started: Instant::now(),
        })
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        self.plan.name()
    }

    /// The format of a source's audio; `None` for one of data and where there is no such source.
    #[must_use]
    pub fn audio_format(&self, source: &str) -> Option<AudioFormat> {
        self.sources.iter().find(|other| *other.id == *source)?.format.audio()
    }

    /// Takes planar samples of any length in the source's format. Without `pts_us` they follow on;
    /// a `pts_us` elsewhere is a jump of media time.
    ///
    /// # Errors
    /// No such source, one that has ended or takes no audio, channels of different lengths, and a
    /// run that has failed.
    pub fn push_audio(
        &mut self,
        source: &str,
        samples: &[f32],
        pts_us: Option<u64>,
    ) -> Result<(), EngineError> {
        let index = self.open(source)?;
        let now = self.now();
        let OfflineRun { sources, executor, instance, plan, messages, outputs, .. } = self;
        let RunSource { format, framer, .. } = &mut sources[index];
        let Some(format) = format.audio() else {
            return Err(invalid("samples", format!("\"{source}\" takes no audio")));
        };
        if !samples.len().is_multiple_of(format.channels.get()) {
            return Err(invalid("samples", "has channels of different lengths"));
        }
        framer.push(samples, pts_us, |meta, samples| {
            let meta = FrameMeta { arrival: now, ..meta };
            executor.push_to(now, *instance, index, &meta, Piece::Audio(samples));
            executor.run_batches(now);
            while let Some(output) = executor.poll_output() {
                outputs.push(messages.read(plan, output));
            }
        });
        Ok(())
    }

    /// Takes a value.
    ///
    /// # Errors
    /// As [`OfflineRun::push_audio`], and a value that is too long or too deep.
    pub fn push_data(&mut self, source: &str, value: Arc<Value>) -> Result<(), EngineError> {
        check_value(&value).map_err(|problem| invalid("value", problem))?;
        self.push_value(source, Piece::Data(&value), PortFormat::carries_data)
    }

    /// Takes an object, for a source of type `any`.
    ///
    /// # Errors
    /// As [`OfflineRun::push_audio`].
    pub fn push_opaque(&mut self, source: &str, value: &Opaque) -> Result<(), EngineError> {
        self.push_value(source, Piece::Opaque(value), PortFormat::carries_anything)
    }

    fn push_value(
        &mut self,
        source: &str,
        piece: Piece<'_>,
        takes: fn(PortFormat) -> bool,
    ) -> Result<(), EngineError> {
        let index = self.open(source)?;
        let now = self.now();
        let RunSource { format, framer, .. } = &mut self.sources[index];
        if !takes(*format) {
            return Err(invalid("value", format!("\"{source}\" takes {format}")));
        }
        let meta = FrameMeta { arrival: now, ..framer.next(0) };
        self.executor.push_to(now, self.instance, index, &meta, piece);
        self.executor.run_batches(now);
        self.drain();
        Ok(())
    }

    /// Ends a source, or all of them: what nodes hold back comes out. Ending one twice is nothing.
    ///
    /// # Errors
    /// No such source, and a run that has failed.
    pub fn end(&mut self, source: Option<&str>) -> Result<(), EngineError> {
        self.check()?;
        let indices = match source {
            Some(source) => {
                let index = self.index(source)?;
                index..index + 1
            }
            None => 0..self.sources.len(),
        };
        let now = self.now();
        for index in indices.clone() {
            let OfflineRun { sources, executor, instance, .. } = &mut *self;
            let RunSource { framer, ended, .. } = &mut sources[index];
            if std::mem::replace(ended, true) {
                continue;
            }
            framer.end(|meta, samples| {
                let meta = FrameMeta { arrival: now, ..meta };
                executor.push_to(now, *instance, index, &meta, Piece::Audio(samples));
                executor.run_batches(now);
            });
            self.drain();
        }
        match source {
            Some(_) => {
                self.executor.end_source(now, self.instance, STREAM, Some(indices.start));
            }
            None => self.executor.end_source(now, self.instance, STREAM, None),
        }
        self.drain();
        Ok(())
    }

    /// Frames for Python nodes, at most `max`: those of a node in order, nodes in turn.
    pub fn take_work(&mut self, max: usize) -> Vec<PythonWork> {
        let now = self.now();
        let work = std::iter::from_fn(|| self.executor.poll_work(now));
        work.take(max).collect()
    }

    /// Takes what Python nodes made of frames; tokens that are not under way are ignored.
    ///
    /// # Errors
    /// `NodeFailed` with the node's id as its field, when a node failed on too many frames in a row:
    /// the run has failed then. What was put out before stays to be polled.
    pub fn complete(&mut self, done: Vec<RunDone>) -> Result<(), EngineError> {
        let now = self.now();
        for RunDone { token, result, more, elapsed_ns } in done {
            self.check()?;
            match result {
                Ok(results) if more => self.executor.give(now, token, results),
                result => self.executor.complete_timed(now, token, result, elapsed_ns),
            }
            self.executor.run_batches(now);
            self.drain();
        }
        self.check()
    }

    /// Everything put out since the last call, in order.
    pub fn poll(&mut self) -> Vec<RunOutput> {
        std::mem::take(&mut self.outputs)
    }

    /// How long until a failed frame is tried again; `None` when none waits for that.
    #[must_use]
    pub fn retry_in_us(&self) -> Option<u64> {
        let due = self.executor.poll_timeout()?;
        u64::try_from(due.since(self.now()).as_micros()).ok()
    }

    /// Frames that Python holds or that wait for it, to be tried again too.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.executor.work_pending(self.instance)
    }

    /// Whether all sources have ended and everything has come out.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.executor.has_ended(self.instance, STREAM)
    }

    /// Drops what is under way: see [`Executor::interrupt`].
    pub fn interrupt(&mut self) {
        self.executor.interrupt(self.instance);
    }

    /// What each node did and cost; nothing without [`RunConfig::metrics`].
    #[must_use]
    pub fn metrics(&self) -> Vec<NodeMetrics> {
        self.executor.metrics(self.instance)
    }

    fn now(&self) -> Micros {
        Micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn drain(&mut self) {
        while let Some(output) = self.executor.poll_output() {
            self.outputs.push(self.messages.read(&self.plan, output));
        }
    }

    fn index(&self, source: &str) -> Result<usize, EngineError> {
        self.sources.iter().position(|other| *other.id == *source).ok_or_else(|| {
            let names: Vec<&str> = self.sources.iter().map(|source| &*source.id).collect();
            EngineError::unknown_id("source", source)
                .with_field("source")
                .with_hint(format!("there is {}", names.join(", ")))
        })
    }

    fn open(&self, source: &str) -> Result<usize, EngineError> {
        let index = self.index(source)?;
        self.check()?;
        if self.sources[index].ended {
            return Err(invalid("source", format!("\"{source}\" has ended")));
        }
        Ok(index)
    }

    fn check(&self) -> Result<(), EngineError> {
        match self.executor.failure(self.instance) {
            None => Ok(()),
            Some(failure) => Err(EngineError::new(ErrorCode::NodeFailed, failure.message.clone())
                .with_field(&*failure.node)),
        }
    }
}

impl std::fmt::Debug for OfflineRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfflineRun").field("plan", &self.plan).finish_non_exhaustive()
    }
}

fn invalid(field: &str, message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorCode::InvalidParameter, message).with_field(field)
}
