//! Silero windows of all instances, gathered into one batch.

use remotemedia_core::{Arena, FrameMeta, Key, Micros, StreamId};
use remotemedia_dsp::vad::silero::{Item, Model, Scratch, State, WINDOW};

use crate::InstanceId;

/// Windows that wait at most: the push that reaches this runs the batch itself.
pub(crate) const MAX_PENDING: usize = 256;

/// Who asked for an inference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Owner {
    pub(crate) instance: InstanceId,
    pub(crate) stream: StreamId,
    /// Index of the node in the plan.
    pub(crate) node: usize,
}

/// A window's place in its stream, and what the model said about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) owner: Owner,
    /// `pts_us` is the start of the window.
    pub(crate) meta: FrameMeta,
    /// Media time behind its last sample.
    pub(crate) end_us: u64,
    /// The first window after a jump: the recurrent state was reset before it.
    pub(crate) fresh: bool,
    pub(crate) probability: f32,
}

struct Pending {
    window: Window,
    lane: Key,
    samples: Box<[f32; WINDOW]>,
    /// Taken out of the lane for the round in which the window runs.
    state: Option<Box<State>>,
}

/// Recurrent states and the windows that wait for them.
#[derive(Default)]
pub(crate) struct Windows {
    lanes: Arena<Option<Box<State>>>,
    pending: Vec<Pending>,
    round: Vec<Pending>,
    later: Vec<Pending>,
    done: Vec<Window>,
    items: Vec<Item<'static>>,
    probabilities: Vec<f32>,
    #[expect(clippy::vec_box, reason = "the boxes go to and fro without their 2 KiB being copied")]
    spare: Vec<Box<[f32; WINDOW]>>,
    scratch: Option<Box<Scratch>>,
    since: Option<Micros>,
    /// Windows that ran, and in how many batches.
    pub(crate) windows_run: u64,
    pub(crate) batches_run: u64,
}

impl Windows {
    /// A recurrent state for a stream.
    pub(crate) fn open(&mut self) -> Key {
        self.lanes.insert(Some(Box::default()))
    }

    /// Frees it; its windows that still wait are not run.
    pub(crate) fn close(&mut self, lane: Key) {
        self.lanes.remove(lane);
    }

    /// Queues a window.
    pub(crate) fn queue(
        &mut self,
        now: Micros,
        lane: Key,
        window: Window,
        samples: &[f32; WINDOW],
    ) {
        let mut buffer = self.spare.pop().unwrap_or_else(|| Box::new([0.0; WINDOW]));
        buffer.copy_from_slice(samples);
        self.since.get_or_insert(now);
        self.pending.push(Pending { window, lane, samples: buffer, state: None });
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_PENDING
    }

    /// When the oldest waiting window was queued.
    pub(crate) fn since(&self) -> Option<Micros> {
        self.since
    }

    /// Streams with a recurrent state.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Runs what waits. Windows of one stream run in their order, one a round; windows of different
    /// streams run together. Take the results with [`Windows::take_done`].
    pub(crate) fn run(&mut self, model: &Model) {
        self.since = None;
        while !self.pending.is_empty() {
            for mut pending in self.pending.drain(..) {
                let Some(place) = self.lanes.get_mut(pending.lane) else {
                    self.spare.push(pending.samples);
                    continue;
                };
                match place.take() {
                    Some(mut state) => {
                        if pending.window.fresh {
                            *state = State::default();
                        }
                        pending.state = Some(state);
                        self.round.push(pending);
                    }
                    None => self.later.push(pending),
                }
            }
            self.run_round(model);
            std::mem::swap(&mut self.pending, &mut self.later);
        }
    }

    fn run_round(&mut self, model: &Model) {
        if self.round.is_empty() {
            return;
        }
        let mut items: Vec<Item<'_>> = reuse(std::mem::take(&mut self.items));
        items.extend(self.round.iter_mut().filter_map(|pending| {
            let state = pending.state.as_deref_mut()?;
            Some(Item { state, window: &pending.samples, probability: 0.0 })
        }));
        // Made once for the largest batch: what grew with each record would look like a leak.
        let scratch = self.scratch.get_or_insert_with(|| Box::new(Scratch::for_batch(MAX_PENDING)));
        model.forward(&mut items, scratch);
        self.windows_run += items.len() as u64;
        self.batches_run += 1;
        self.probabilities.clear();
        self.probabilities.extend(items.iter().map(|item| item.probability));
        self.items = reuse(items);
        for (pending, probability) in self.round.drain(..).zip(&self.probabilities) {
            self.done.push(Window { probability: *probability, ..pending.window });
            if let Some(place) = self.lanes.get_mut(pending.lane) {
                *place = pending.state;
            }
            self.spare.push(pending.samples);
        }
    }

    /// Takes what [`Windows::run`] made; give the vector back with [`Windows::give_back`].
    pub(crate) fn take_done(&mut self) -> Vec<Window> {
        std::mem::take(&mut self.done)
    }

    pub(crate) fn give_back(&mut self, mut done: Vec<Window>) {
        done.clear();
        self.done = done;
    }
}

/// The same allocation for items of another lifetime.
fn reuse<'b>(mut items: Vec<Item<'_>>) -> Vec<Item<'b>> {
    items.clear();
    items.into_iter().map(|_| unreachable!("the vector was cleared")).collect()
}
