//! One piece of audio's way through a graph.

use std::collections::VecDeque;
use std::sync::Arc;

use remotemedia_core::{AudioFrame, ErrorCode, Micros};

use crate::InstanceId;
use crate::instance::{Instance, Place};
use crate::mailbox::Offered;
use crate::node::{Chunk, Context, Signal};
use crate::output::{Output, OutputKind, Outputs};
use crate::plan::{Action, Input};
use crate::windows::{Owner, Windows};

/// What all walks of an executor share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) live: bool,
    pub(crate) audio_outputs: bool,
    pub(crate) outputs: Outputs,
    pub(crate) windows: Windows,
    /// By node: what it gave in the walk that is under way. Used by all instances in turn.
    signals: Vec<Signal>,
    /// Mailboxes with frames that the lane may take.
    pub(crate) ready: VecDeque<(InstanceId, usize)>,
}

/// What enters the graph.
#[derive(Clone, Copy)]
pub(crate) enum Entry<'a> {
    /// Audio of the first source.
    Source(Chunk<'a>),
    /// Audio that this node gave.
    Node(usize, Chunk<'a>),
    /// The end of the input: nodes hand out what they hold back.
    End,
}

/// A walk: which stream of which instance, and when.
pub(crate) struct Walk<'a> {
    pub(crate) now: Micros,
    pub(crate) id: InstanceId,
    pub(crate) instance: &'a mut Instance,
    pub(crate) stream: usize,
}

impl Shared {
    pub(crate) fn new(live: bool, audio_outputs: bool) -> Shared {
        Shared { live, audio_outputs, ..Shared::default() }
    }

    /// Makes room for the signals of a plan with `nodes` nodes.
    pub(crate) fn reserve(&mut self, nodes: usize) {
        if self.signals.len() < nodes {
            self.signals.resize_with(nodes, Signal::default);
        }
    }

    /// Runs every node that the entry reaches, each after what feeds it.
    pub(crate) fn walk(&mut self, walk: Walk<'_>, entry: Entry<'_>) {
        let Walk { now, id, instance, stream } = walk;
        let plan = instance.plan.clone();
        let first = match entry {
            Entry::Source(_) | Entry::End => 0,
            Entry::Node(node, chunk) => {
                // What lies before was written by another walk.
                self.signals[..=node].iter_mut().for_each(Signal::clear);
                self.signals[node].give(*chunk.meta, chunk.samples);
                node + 1
            }
        };
        let source = match entry {
            Entry::Source(chunk) => Some(chunk),
            Entry::Node(..) | Entry::End => None,
        };
        for (index, node) in plan.nodes.iter().enumerate() {
            if index >= first {
                let (before, rest) = self.signals.split_at_mut(index);
                let signal = &mut rest[0];
                signal.clear();
                let stream = &mut instance.streams[stream];
                match (&node.action, &mut stream.places[index]) {
                    (Action::Native(_), Place::Native(state)) => {
                        let mut cx = Context {
                            now,
                            instance: id,
                            node: &node.id,
                            owner: Owner { instance: id, stream: stream.id, node: index },
                            outputs: &mut self.outputs,
                            windows: &mut self.windows,
                            signal,
                            jumps: &mut instance.stats.jumps,
                        };
                        each(node.input, source, before, |chunk| state.push(chunk, &mut cx));
                        if let Entry::End = entry {
                            state.drain(&mut cx);
                        }
                    }
                    (Action::Python(_), _) => each(node.input, source, before, |chunk| {
                        let mail = Mail { now, id, index, live: self.live };
                        mail.post(instance, chunk, &mut self.outputs, &mut self.ready);
                    }),
                    (Action::Native(_), Place::Python { .. }) => {}
                }
            }
            let fed_now = index + 1 >= first;
            if let (true, true, Some(sink)) = (self.audio_outputs, fed_now, node.sink) {
                let outputs = &mut self.outputs;
                each(sink, source, &self.signals, |chunk| {
                    outputs.push(Output {
                        instance: id,
                        node: node.id.clone(),
                        meta: *chunk.meta,
                        kind: OutputKind::Audio(AudioFrame {
                            meta: *chunk.meta,
                            samples: chunk.samples.into(),
                        }),
                    });
                });
            }
        }
    }

    /// A signal for callbacks that give no audio.
    pub(crate) fn parts(&mut self) -> (&mut Outputs, &mut Windows, &mut Signal) {
        let signal = &mut self.signals[0];
        signal.clear();
        (&mut self.outputs, &mut self.windows, signal)
    }
}

/// Calls `take` with each chunk of an input.
fn each(
    input: Input,
    source: Option<Chunk<'_>>,
    signals: &[Signal],
    mut take: impl FnMut(Chunk<'_>),
) {
    match input {
        // Live and offline, the first source is the one that frames are pushed to.
        Input::Source(0) => source.into_iter().for_each(take),
        Input::Source(_) => {}
        Input::Node(index) => signals[index].chunks().for_each(&mut take),
    }
}

/// Puts frames into a Python node's mailbox.
struct Mail {
    now: Micros,
    id: InstanceId,
    index: usize,
    live: bool,
}

impl Mail {
    fn post(
        &self,
        instance: &mut Instance,
        chunk: Chunk<'_>,
        outputs: &mut Outputs,
        ready: &mut VecDeque<(InstanceId, usize)>,
    ) {
        let Some(mailbox) = &mut instance.mailboxes[self.index] else { return };
        if !mailbox.admits(self.now) {
            instance.stats.skipped += 1;
            return;
        }
        let mut meta = *chunk.meta;
        meta.epoch = instance.epoch;
        let frame = AudioFrame { meta, samples: Arc::from(chunk.samples) };
        if let Offered::Overrun(lost) = mailbox.offer(self.now, frame, self.live) {
            instance.stats.overrun += lost;
            if let Some(lost) = mailbox.report(self.now) {
                let lost = if lost == 1 { "a frame was" } else { &format!("{lost} frames were") };
                outputs.push(Output {
                    instance: self.id,
                    node: instance.plan.nodes[self.index].id.clone(),
                    meta,
                    kind: OutputKind::Error {
                        code: ErrorCode::NodeOverrun,
                        message: format!(
                            "the node is too slow for live audio: {lost} dropped; make it \
                             faster, or enlarge its mailbox if it is slow only now and then"
                        ),
                        traceback: None,
                    },
                });
            }
        }
        if mailbox.has_work() && !mailbox.listed {
            mailbox.listed = true;
            ready.push_back((self.id, self.index));
        }
    }
}
