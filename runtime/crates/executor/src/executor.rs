use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{
    Arena, AudioFormat, ErrorCode, FrameMeta, Key, ManifestError, Micros, StreamId,
};
use serde_json::Value;

use crate::instance::{Instance, InstanceId, InstanceStats, Place};
use crate::mailbox::{BREAKER_FAILURES, BREAKER_PAUSE, Mailbox};
use crate::node::{Chunk, Context};
use crate::nodes::vad_model;
use crate::output::{NodeFailure, NodeValue, Output, OutputKind, PythonWork};
use crate::plan::Plan;
use crate::walk::{Entry, Shared, Walk};
use crate::windows::Owner;

/// The longest JSON value that a Python node may return, in bytes: with its header it must fit a
/// message of 64 KiB.
pub const MAX_VALUE_BYTES: usize = 60 * 1024;

/// The longest message and traceback of an error, in bytes; the rest is cut off.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// Streams that an instance may have at most; more are not opened.
pub const MAX_STREAMS: usize = 64;

/// How an executor is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorConfig {
    /// Live audio cannot wait: a full mailbox loses its oldest frames. Otherwise nothing is lost and
    /// the driver must take the work before it pushes more.
    pub live: bool,
    /// Nodes that feed no other put out their audio.
    pub audio_outputs: bool,
    /// How long a Silero window may wait for others, at most.
    pub batch_wait: Duration,
}

impl ExecutorConfig {
    /// For reactors.
    #[must_use]
    pub const fn live() -> ExecutorConfig {
        ExecutorConfig { live: true, audio_outputs: false, batch_wait: Duration::from_millis(1) }
    }

    /// For files: lossless, with audio.
    #[must_use]
    pub const fn offline() -> ExecutorConfig {
        ExecutorConfig { live: false, audio_outputs: true, batch_wait: Duration::ZERO }
    }
}

/// What an executor holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutorStats {
    /// Instances alive.
    pub instances: usize,
    /// Streams open, over all instances.
    pub streams: usize,
    /// Recurrent states of the Silero model alive.
    pub model_states: usize,
    /// Frames that the lane holds.
    pub in_flight: usize,
    /// Silero windows inferred.
    pub windows: u64,
    /// Batches that they ran in.
    pub batches: u64,
    /// Outputs lost because the driver did not take them.
    pub outputs_dropped: u64,
}

struct Work {
    instance: InstanceId,
    node: usize,
    meta: FrameMeta,
}

/// All instances of one reactor, offline run or test. See the crate's documentation for how it is
/// driven.
pub struct Executor {
    config: ExecutorConfig,
    instances: Arena<Instance>,
    works: Arena<Work>,
    streams: usize,
    shared: Shared,
}

impl Executor {
    /// An executor without instances.
    #[must_use]
    pub fn new(config: ExecutorConfig) -> Executor {
        let shared = Shared::new(config.live, config.audio_outputs);
        Executor {
            config,
            instances: Arena::default(),
            works: Arena::default(),
            streams: 0,
            shared,
        }
    }

    /// An instance of `plan`, without streams.
    pub fn create(&mut self, plan: Arc<Plan>) -> InstanceId {
        self.shared.reserve(plan.nodes.len());
        InstanceId(self.instances.insert(Instance::new(plan)))
    }

    /// Frees an instance with its streams; its work that is under way is forgotten, and what its
    /// tokens bring later is ignored.
    pub fn remove(&mut self, id: InstanceId) {
        let Some(instance) = self.instances.remove(id.0) else { return };
        for mailbox in instance.mailboxes.iter().flatten() {
            for key in mailbox.in_flight() {
                self.works.remove(*key);
            }
        }
        self.streams -= instance.streams.len();
        for stream in instance.streams {
            stream.close(&mut self.shared.windows);
        }
    }

    /// Begins a stream. One that is open already stays as it is; past [`MAX_STREAMS`] it is not
    /// opened and its frames are refused, counted.
    pub fn open_stream(&mut self, id: InstanceId, stream: StreamId) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        if instance.streams.len() >= MAX_STREAMS {
            return;
        }
        let before = instance.streams.len();
        instance.open_stream(stream, &mut self.shared.windows);
        self.streams += instance.streams.len() - before;
    }

    /// Ends a stream: what its nodes hold back comes out, speech under way is stopped.
    pub fn close_stream(&mut self, now: Micros, id: InstanceId, stream: StreamId) {
        self.end_stream(now, id, stream);
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(index) = instance.stream_index(stream) else { return };
        instance.streams.remove(index).close(&mut self.shared.windows);
        self.streams -= 1;
    }

    /// Takes a frame of a stream, planar samples in the plan's source format, and runs the nodes
    /// that run here. Frames of streams that are not open, or in another format, are counted and
    /// dropped.
    pub fn push(&mut self, now: Micros, id: InstanceId, meta: &FrameMeta, samples: &[f32]) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let fits = meta.format == instance.plan.source_format()
            && samples.len().is_multiple_of(meta.format.channels.get());
        let Some(stream) = instance.stream_index(meta.stream).filter(|_| fits) else {
            instance.stats.refused += 1;
            return;
        };
        instance.stats.frames += 1;
        let meta = FrameMeta { epoch: instance.epoch, ..*meta };
        self.shared.walk(
            Walk { now, id, instance, stream },
            Entry::Source(Chunk { meta: &meta, samples }),
        );
        if self.shared.windows.is_full() {
            self.run_batches(now);
        }
    }

    /// Runs the Silero windows that wait, of all instances together.
    pub fn run_batches(&mut self, now: Micros) {
        if self.shared.windows.pending() == 0 {
            return;
        }
        self.shared.windows.run(vad_model());
        let done = self.shared.windows.take_done();
        for window in &done {
            let Owner { instance: id, stream, node } = window.owner;
            let Some(instance) = self.instances.get_mut(id.0) else { continue };
            let Some(index) = instance.stream_index(stream) else { continue };
            let Place::Native(state) = &mut instance.streams[index].places[node] else { continue };
            let (outputs, windows, signal) = self.shared.parts();
            let mut cx = Context {
                now,
                instance: id,
                node: &instance.plan.nodes[node].id,
                owner: window.owner,
                outputs,
                windows,
                signal,
                jumps: &mut instance.stats.jumps,
            };
            state.inferred(window, &mut cx);
        }
        self.shared.windows.give_back(done);
    }

    /// Windows that wait for [`Executor::run_batches`].
    #[must_use]
    pub fn batch_pending(&self) -> usize {
        self.shared.windows.pending()
    }

    /// When the oldest of them has waited for [`ExecutorConfig::batch_wait`].
    #[must_use]
    pub fn batch_deadline(&self) -> Option<Micros> {
        self.shared.windows.since().map(|since| since + self.config.batch_wait)
    }

    /// The next moment at which [`Executor::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        self.batch_deadline()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Micros) {
        if self.batch_deadline().is_some_and(|deadline| deadline <= now) {
            self.run_batches(now);
        }
    }

    /// The next frame for Python, mailboxes in turn. A mailbox gives no more while the lane holds
    /// [`crate::MAX_IN_FLIGHT`] of its frames.
    pub fn poll_work(&mut self, now: Micros) -> Option<PythonWork> {
        while let Some((id, node)) = self.shared.ready.pop_front() {
            let Some(instance) = self.instances.get_mut(id.0) else { continue };
            let Some(mailbox) = &mut instance.mailboxes[node] else { continue };
            mailbox.listed = false;
            let works = &mut self.works;
            let taken = mailbox.take(now, self.config.live, &mut instance.stats.overrun, |frame| {
                works.insert(Work { instance: id, node, meta: frame.meta })
            });
            if mailbox.has_work() {
                mailbox.listed = true;
                self.shared.ready.push_back((id, node));
            }
            let Some((key, frame)) = taken else { continue };
            instance.stats.python_frames += 1;
            let crate::plan::Action::Python(python) = &instance.plan.nodes[node].action else {
                continue;
            };
            return Some(PythonWork {
                token: key.to_bits(),
                instance: id,
                node: instance.plan.nodes[node].id.clone(),
                entry: python.entry.clone(),
                frame,
            });
        }
        None
    }

    /// Takes what a Python node made of a frame. Tokens that are not under way, any more or ever,
    /// are ignored.
    pub fn complete(
        &mut self,
        now: Micros,
        token: u64,
        result: Result<Vec<NodeValue>, NodeFailure>,
    ) {
        let key = Key::from_bits(token);
        let Some(Work { instance: id, node, meta }) = self.works.remove(key) else { return };
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(mailbox) = &mut instance.mailboxes[node] else { return };
        mailbox.settle(key);
        if mailbox.has_work() && !mailbox.listed {
            mailbox.listed = true;
            self.shared.ready.push_back((id, node));
        }
        if meta.epoch != instance.epoch {
            instance.stats.interrupted += 1;
            return;
        }
        let format = instance.plan.nodes[node].output;
        match result.and_then(|values| check_values(values, format)) {
            Ok(values) => {
                mailbox.succeeded();
                for value in values {
                    self.deliver(now, id, node, &meta, value);
                }
            }
            Err(failure) => self.fail(now, id, node, meta, failure),
        }
    }

    fn deliver(
        &mut self,
        now: Micros,
        id: InstanceId,
        node: usize,
        meta: &FrameMeta,
        value: NodeValue,
    ) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        match value {
            NodeValue::Json(json) => self.shared.outputs.push(Output {
                instance: id,
                node: instance.plan.nodes[node].id.clone(),
                meta: *meta,
                kind: OutputKind::Node(json.into()),
            }),
            NodeValue::Audio { samples, .. } => {
                let Some(format) = instance.plan.nodes[node].output else { return };
                let Some(stream) = instance.stream_index(meta.stream) else { return };
                // A node may return more audio than it took: its time never goes backwards.
                let Place::Python { end_us } = &mut instance.streams[stream].places[node] else {
                    return;
                };
                let meta = FrameMeta { pts_us: meta.pts_us.max(*end_us), format, ..*meta };
                let chunk = Chunk { meta: &meta, samples: &samples };
                *end_us = chunk.end_us();
                self.shared.walk(Walk { now, id, instance, stream }, Entry::Node(node, chunk));
            }
        }
    }

    fn fail(
        &mut self,
        now: Micros,
        id: InstanceId,
        node: usize,
        meta: FrameMeta,
        failure: NodeFailure,
    ) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(mailbox) = &mut instance.mailboxes[node] else { return };
        instance.stats.failures += 1;
        let opened = mailbox.failed(now, &mut instance.stats.skipped);
        let mut message = cut(failure.message);
        if opened {
            message.push_str(&format!(
                " ({BREAKER_FAILURES} failures in a row: the node is skipped for {} s)",
                BREAKER_PAUSE.as_secs()
            ));
        }
        self.shared.outputs.push(Output {
            instance: id,
            node: instance.plan.nodes[node].id.clone(),
            meta,
            kind: OutputKind::Error {
                code: ErrorCode::NodeFailed,
                message,
                traceback: failure.traceback.map(cut),
            },
        });
    }

    /// The next output. Drain it after each call that can produce one.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop()
    }

    /// Changes live parameters of a node, for this instance only: those named in `params`, at once
    /// and on all its streams.
    ///
    /// # Errors
    /// [`ManifestError`] with the path `node`, or `params.x` of the parameter that is wrong or
    /// cannot change while the node runs; nothing is changed then.
    pub fn configure(
        &mut self,
        id: InstanceId,
        node: &str,
        params: &Value,
    ) -> Result<(), ManifestError> {
        let unknown = |what: String| ManifestError::new(ErrorCode::InvalidParameter, "node", what);
        let instance =
            self.instances.get_mut(id.0).ok_or_else(|| unknown("the session has ended".into()))?;
        let index =
            instance.plan.nodes.iter().position(|other| *other.id == *node).ok_or_else(|| {
                let names: Vec<&str> = instance.plan.nodes.iter().map(|node| &*node.id).collect();
                unknown(format!("no such node: there are {}", names.join(", ")))
            })?;
        let node_type = instance.node_type(index).ok_or_else(|| {
            unknown("this node has no parameters that can change while it runs".into())
        })?;
        let changed = node_type.configured(params).map_err(|error| error.at("params"))?;
        instance.change(index, changed);
        for stream in &mut instance.streams {
            if let Place::Native(state) = &mut stream.places[index] {
                state.configure(params);
            }
        }
        Ok(())
    }

    /// Makes what is under way worthless: frames that wait for Python are dropped, and so are the
    /// results of those that run. Audio that comes later is processed as ever.
    pub fn interrupt(&mut self, id: InstanceId) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        instance.epoch = instance.epoch.wrapping_add(1);
        for mailbox in instance.mailboxes.iter_mut().flatten() {
            instance.stats.interrupted += mailbox.clear();
        }
    }

    /// Brings out what the nodes hold back on every stream; audio that comes later begins anew.
    pub fn flush(&mut self, now: Micros, id: InstanceId) {
        let Some(instance) = self.instances.get(id.0) else { return };
        for index in 0..instance.streams.len() {
            let Some(stream) = self.instances.get(id.0).map(|instance| instance.streams[index].id)
            else {
                return;
            };
            self.end_stream(now, id, stream);
        }
    }

    /// The same for one stream.
    pub fn flush_stream(&mut self, now: Micros, id: InstanceId, stream: StreamId) {
        self.end_stream(now, id, stream);
    }

    fn end_stream(&mut self, now: Micros, id: InstanceId, stream: StreamId) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(index) = instance.stream_index(stream) else { return };
        self.shared.walk(Walk { now, id, instance, stream: index }, Entry::End);
        self.run_batches(now);
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        for (node, place) in instance.streams[index].places.iter_mut().enumerate() {
            let Place::Native(state) = place else { continue };
            let (outputs, windows, signal) = self.shared.parts();
            let mut cx = Context {
                now,
                instance: id,
                node: &instance.plan.nodes[node].id,
                owner: Owner { instance: id, stream, node },
                outputs,
                windows,
                signal,
                jumps: &mut instance.stats.jumps,
            };
            state.finish(&mut cx);
        }
    }

    /// Frames of an instance that Python holds or that wait for it.
    #[must_use]
    pub fn work_pending(&self, id: InstanceId) -> usize {
        let Some(instance) = self.instances.get(id.0) else { return 0 };
        instance.mailboxes.iter().flatten().map(Mailbox::len).sum()
    }

    /// What an instance has done.
    #[must_use]
    pub fn instance_stats(&self, id: InstanceId) -> Option<InstanceStats> {
        self.instances.get(id.0).map(|instance| instance.stats)
    }

    /// What the executor holds and has done.
    #[must_use]
    pub fn stats(&self) -> ExecutorStats {
        ExecutorStats {
            instances: self.instances.len(),
            streams: self.streams,
            model_states: self.shared.windows.lanes(),
            in_flight: self.works.len(),
            windows: self.shared.windows.windows_run,
            batches: self.shared.windows.batches_run,
            outputs_dropped: self.shared.outputs.dropped,
        }
    }
}

/// Refuses values that cannot be sent on.
fn check_values(
    values: Vec<NodeValue>,
    output: Option<AudioFormat>,
) -> Result<Vec<NodeValue>, NodeFailure> {
    let fail = |message: String| Err(NodeFailure { message, traceback: None });
    for value in &values {
        match value {
            NodeValue::Json(json) => {
                if json.len() > MAX_VALUE_BYTES {
                    return fail(format!(
                        "the node returned {} bytes of JSON; {MAX_VALUE_BYTES} are possible",
                        json.len()
                    ));
                }
                if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(json) {
                    return fail(format!("the node returned what is not JSON: {error}"));
                }
            }
            NodeValue::Audio { format, samples } => match output {
                Some(output) if format.is_none_or(|format| format == output) => {
                    if !samples.len().is_multiple_of(output.channels.get()) {
                        return fail("the node returned channels of different lengths".into());
                    }
                }
                Some(output) => {
                    let given = format.unwrap_or(output);
                    return fail(format!(
                        "the node returned audio of {} Hz, {} ch; its output is {} Hz, {} ch",
                        given.rate.hz(),
                        given.channels.get(),
                        output.rate.hz(),
                        output.channels.get()
                    ));
                }
                None => return fail("the node returned audio but declares no output".into()),
            },
        }
    }
    Ok(values)
}

/// The text, cut to what an error may carry.
fn cut(mut text: String) -> String {
    if text.len() > MAX_ERROR_BYTES {
        let end = (0..=MAX_ERROR_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
