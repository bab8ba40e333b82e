use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{Arena, ErrorCode, FrameMeta, ManifestError, Micros, Piece, StreamId};
use serde_json::Value;

use crate::chance::Chance;
use crate::instance::{Instance, InstanceId, InstanceStats, Place, RunFailure};
use crate::lost::NodeLosses;
use crate::mailbox::Mailbox;
use crate::metrics::NodeMetrics;
use crate::node::{Context, Item};
use crate::nodes::vad_model;
use crate::output::Output;
use crate::plan::Plan;
use crate::walk::{Entry, Shared, Walk};
use crate::windows::Owner;
use crate::work::Work;

/// Streams that an instance may have at most; more are not opened.
pub const MAX_STREAMS: usize = 64;

/// Reads a clock that never goes back, in nanoseconds: the executor has none of its own.
pub type Clock = fn() -> u64;

/// How an executor is driven.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorConfig {
    /// Live audio cannot wait: a full mailbox loses its oldest frames. Otherwise nothing is lost and
    /// the driver must take the work before it pushes more.
    pub live: bool,
    /// Audio that no node takes is put out.
    pub audio_outputs: bool,
    /// How long a Silero window may wait for others, at most.
    pub batch_wait: Duration,
    /// Where given, nodes are measured: see [`Executor::metrics`].
    pub clock: Option<Clock>,
    /// Spreads further tries of frames that failed transiently.
    pub seed: u64,
}

impl ExecutorConfig {
    /// For reactors.
    #[must_use]
    pub const fn live() -> ExecutorConfig {
        ExecutorConfig {
            live: true,
            audio_outputs: false,
            batch_wait: Duration::from_millis(1),
            clock: None,
            seed: 0,
        }
    }

    /// For files: lossless, with audio.
    #[must_use]
    pub const fn offline() -> ExecutorConfig {
        ExecutorConfig {
            live: false,
            audio_outputs: true,
            batch_wait: Duration::ZERO,
            clock: None,
            seed: 0,
        }
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

/// All instances of one reactor, offline run or test. See the crate's documentation for how it is
/// driven.
pub struct Executor {
    pub(crate) config: ExecutorConfig,
    pub(crate) instances: Arena<Instance>,
    pub(crate) works: Arena<Work>,
    /// Frames to be tried again: when, and of which mailbox.
    pub(crate) retries: BTreeSet<(Micros, InstanceId, usize)>,
    pub(crate) chance: Chance,
    streams: usize,
    pub(crate) losses: NodeLosses,
    pub(crate) shared: Shared,
}

impl Executor {
    /// An executor without instances.
    #[must_use]
    pub fn new(config: ExecutorConfig) -> Executor {
        let shared = Shared::new(config.live, config.audio_outputs, config.clock);
        Executor {
            config,
            instances: Arena::default(),
            works: Arena::default(),
            retries: BTreeSet::new(),
            chance: Chance::new(config.seed),
            streams: 0,
            losses: NodeLosses::default(),
            shared,
        }
    }

    /// An instance of `plan`, without streams.
    pub fn create(&mut self, plan: Arc<Plan>) -> InstanceId {
        self.shared.reserve(plan.slots);
        let measured = self.config.clock.is_some();
        InstanceId(self.instances.insert(Instance::new(plan, measured)))
    }

    /// Frees an instance with its streams; its work that is under way is forgotten, and what its
    /// tokens bring later is ignored.
    pub fn remove(&mut self, id: InstanceId) {
        self.tally(id);
        let Some(instance) = self.instances.remove(id.0) else { return };
        for mailbox in instance.mailboxes.iter().flatten() {
            for key in mailbox.in_flight() {
                self.works.remove(key);
            }
        }
        self.retries.retain(|(_, other, _)| *other != id);
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

    /// Takes audio of a stream for the first source. See [`Executor::push_to`].
    pub fn push(&mut self, now: Micros, id: InstanceId, meta: &FrameMeta, samples: &[f32]) {
        self.push_to(now, id, 0, meta, Piece::Audio(samples));
    }

    /// Takes a frame of a stream for the source with this index, audio as planar samples in its
    /// format, and runs the nodes that run here. Frames of streams that are not open, or that the
    /// source does not take, are counted and dropped.
    pub fn push_to(
        &mut self,
        now: Micros,
        id: InstanceId,
        source: usize,
        meta: &FrameMeta,
        piece: Piece<'_>,
    ) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let fits = instance.failure.is_none()
            && instance.plan.source(source).is_some_and(|format| match piece {
                Piece::Audio(samples) => {
                    format.audio() == Some(meta.format)
                        && samples.len().is_multiple_of(meta.format.channels.get())
                }
                Piece::Data(_) => format.carries_data(),
                Piece::Opaque(_) => format.carries_anything(),
            });
        let Some(stream) = instance.stream_index(meta.stream).filter(|_| fits) else {
            instance.stats.refused += 1;
            return;
        };
        if self.config.live {
            Executor::begin_source(instance, stream, source);
        }
        instance.stats.frames += 1;
        let meta = FrameMeta { epoch: instance.epoch, ..*meta };
        self.shared.walk(
            Walk { now, id, instance, stream },
            Entry::Source(source, Item { meta: &meta, piece }),
        );
        self.tally(id);
        if self.shared.windows.is_full() {
            self.run_batches(now);
        }
    }

    /// Runs the Silero windows that wait, of all instances together.
    pub fn run_batches(&mut self, now: Micros) {
        if self.shared.windows.pending() == 0 {
            return;
        }
        let started = self.config.clock.map(|clock| clock());
        self.shared.windows.run(vad_model());
        let done = self.shared.windows.take_done();
        let share = match (self.config.clock, started) {
            (Some(clock), Some(started)) => {
                clock().saturating_sub(started) / done.len().max(1) as u64
            }
            _ => 0,
        };
        for window in &done {
            let Owner { instance: id, stream, node } = window.owner;
            let Some(instance) = self.instances.get_mut(id.0) else { continue };
            let Some(index) = instance.stream_index(stream) else { continue };
            let Place::Native(state) = &mut instance.streams[index].places[node] else { continue };
            let (outputs, windows) = self.shared.parts();
            let mut cx = Context {
                now,
                live: self.config.live,
                instance: id,
                node: &instance.plan.nodes[node].id,
                owner: window.owner,
                outputs,
                windows,
                signals: &mut [],
                stats: &mut instance.stats,
            };
            state.inferred(window, &mut cx);
            if let Some(meters) = &mut instance.meters {
                meters[node].took(share);
            }
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
        let retry = self.retries.first().map(|(due, ..)| *due);
        self.batch_deadline().into_iter().chain(retry).min()
    }

    /// Does what is due: a batch, frames to be tried again.
    pub fn handle_timeout(&mut self, now: Micros) {
        self.wake(now);
        if self.batch_deadline().is_some_and(|deadline| deadline <= now) {
            self.run_batches(now);
        }
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

    /// Makes what is under way worthless: frames that wait for Python are dropped, the results of
    /// those that run, and audio that mixes and buffers hold; what is dropped is counted. Filters and
    /// models remember what they heard (a resampler the last few milliseconds), speech that has
    /// begun goes on, and audio that comes later is processed as ever.
    ///
    /// Returns the epoch that begins: frames of earlier ones are worthless.
    pub fn interrupt(&mut self, id: InstanceId) -> u32 {
        let Some(instance) = self.instances.get_mut(id.0) else { return 0 };
        instance.epoch = instance.epoch.wrapping_add(1);
        for mailbox in instance.mailboxes.iter_mut().flatten() {
            instance.stats.interrupted += mailbox.clear(Some(instance.epoch));
        }
        for place in instance.streams.iter_mut().flat_map(|stream| &mut stream.places) {
            if let Place::Native(state) = place {
                instance.stats.interrupted += state.interrupt();
            }
        }
        let (nodes, epoch) = (instance.mailboxes.len(), instance.epoch);
        self.retries.retain(|(_, other, _)| *other != id);
        for node in 0..nodes {
            self.list(id, node);
        }
        self.tally(id);
        epoch
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
        let nodes = 0..instance.plan.nodes.len();
        self.shared.walk(Walk { now, id, instance, stream: index }, Entry::Flush);
        self.run_batches(now);
        self.finish_nodes(now, id, stream, nodes);
    }

    /// Lets nodes report what is still open.
    pub(crate) fn finish_nodes(
        &mut self,
        now: Micros,
        id: InstanceId,
        stream: StreamId,
        nodes: Range<usize>,
    ) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(index) = instance.stream_index(stream) else { return };
        for node in nodes {
            let Place::Native(state) = &mut instance.streams[index].places[node] else { continue };
            let (outputs, windows) = self.shared.parts();
            let mut cx = Context {
                now,
                live: self.config.live,
                instance: id,
                node: &instance.plan.nodes[node].id,
                owner: Owner { instance: id, stream, node },
                outputs,
                windows,
                signals: &mut [],
                stats: &mut instance.stats,
            };
            state.finish(&mut cx);
        }
    }

    /// What ended an offline run, if anything did: nothing is taken or handed out any more.
    #[must_use]
    pub fn failure(&self, id: InstanceId) -> Option<&RunFailure> {
        self.instances.get(id.0)?.failure.as_ref()
    }

    /// What each node did and cost, in the order in which they run; nothing where
    /// [`ExecutorConfig::clock`] is not given.
    #[must_use]
    pub fn metrics(&self, id: InstanceId) -> Vec<NodeMetrics> {
        let Some(instance) = self.instances.get(id.0) else { return Vec::new() };
        let Some(meters) = &instance.meters else { return Vec::new() };
        let nodes = instance.plan.nodes.iter().zip(meters).zip(&instance.mailboxes);
        nodes
            .map(|((node, meter), mailbox)| meter.read(node.id.clone(), mailbox.is_some()))
            .collect()
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
