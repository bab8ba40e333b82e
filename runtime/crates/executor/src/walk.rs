//! One frame's way through a graph.

use std::collections::VecDeque;

use remotemedia_core::{AudioFrame, ErrorCode, Micros, Piece};

use crate::executor::Clock;
use crate::instance::{Instance, InstanceId, Place};
use crate::lost::report_overrun;
use crate::mailbox::{Letter, Offered};
use crate::node::{Chunk, Context, Item, Signal, StreamNode};
use crate::output::{Output, OutputKind, Outputs};
use crate::plan::{Action, Inlet, Origin, Outlet, PlanNode};
use crate::windows::{Owner, Windows};

/// What all walks of an executor share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) live: bool,
    pub(crate) audio_outputs: bool,
    pub(crate) clock: Option<Clock>,
    pub(crate) outputs: Outputs,
    pub(crate) windows: Windows,
    /// By slot: what a node gave in the walk that is under way, as those behind it have changed it.
    /// Used by all instances in turn.
    signals: Vec<Signal>,
    /// Mailboxes with frames that the lane may take.
    pub(crate) ready: VecDeque<(InstanceId, usize)>,
}

/// What enters the graph.
#[derive(Clone, Copy)]
pub(crate) enum Entry<'a> {
    /// A frame of the source with this index.
    Source(usize, Item<'a>),
    /// A frame that a node gave on this port.
    Node(usize, usize, Item<'a>),
    /// The end of the input, for now: all nodes hand out what they hold back.
    Flush,
    /// The inputs of the node with these bits have ended; `all` of them have now.
    Ended { node: usize, inputs: u16, all: bool },
}

/// A walk: which stream of which instance, and when.
pub(crate) struct Walk<'a> {
    pub(crate) now: Micros,
    pub(crate) id: InstanceId,
    pub(crate) instance: &'a mut Instance,
    pub(crate) stream: usize,
}

impl Shared {
    pub(crate) fn new(live: bool, audio_outputs: bool, clock: Option<Clock>) -> Shared {
        Shared { live, audio_outputs, clock, ..Shared::default() }
    }

    /// Makes room for the signals of a plan with so many slots.
    pub(crate) fn reserve(&mut self, slots: usize) {
        if self.signals.len() < slots {
            self.signals.resize_with(slots, Signal::default);
        }
    }

    /// Runs every node that the entry reaches, each after what feeds it.
    pub(crate) fn walk(&mut self, mut walk: Walk<'_>, entry: Entry<'_>) {
        let plan = walk.instance.plan.clone();
        let (first, pushed) = match entry {
            Entry::Source(source, item) => (0, Some((source, item))),
            Entry::Flush => (0, None),
            Entry::Ended { node, .. } => (node, None),
            Entry::Node(node, port, item) => {
                let slots = plan.nodes[node].slots.clone();
                // What lies before was written by another walk.
                self.signals[..slots.end].iter_mut().for_each(Signal::clear);
                self.signals[slots.start + port].give(*item.meta, item.piece);
                self.put_out(&walk, &plan.nodes[node], None);
                (node + 1, None)
            }
        };
        if let Entry::Ended { node, .. } = entry {
            let before = plan.nodes[node].slots.start;
            self.signals[..before].iter_mut().for_each(Signal::clear);
        }
        for index in first..plan.nodes.len() {
            let node = &plan.nodes[index];
            match &node.action {
                Action::Native(_) => self.run(&mut walk, index, node, entry, pushed),
                Action::Python(_) => {
                    self.signals[node.slots.clone()].iter_mut().for_each(Signal::clear);
                    let mail = Mail { now: walk.now, id: walk.id, index, live: self.live };
                    for (port, inlet) in node.inputs.iter().enumerate() {
                        each(inlet, pushed, &self.signals, |item| {
                            let (outputs, ready) = (&mut self.outputs, &mut self.ready);
                            mail.post(walk.instance, walk.stream, port, item, outputs, ready);
                        });
                    }
                }
            }
            self.put_out(&walk, node, pushed);
        }
    }

    fn run(
        &mut self,
        walk: &mut Walk<'_>,
        index: usize,
        node: &PlanNode,
        entry: Entry<'_>,
        pushed: Option<(usize, Item<'_>)>,
    ) {
        let (before, rest) = self.signals.split_at_mut(node.slots.start);
        let signals = &mut rest[..node.slots.len()];
        signals.iter_mut().for_each(Signal::clear);
        let instance = &mut *walk.instance;
        let stream = &mut instance.streams[walk.stream];
        let Place::Native(state) = &mut stream.places[index] else { return };
        let started = self.clock.map(|clock| clock());
        let errors = instance.stats.failures;
        let windows = self.windows.pending();
        let mut frames = 0_u64;
        let mut cx = Context {
            now: walk.now,
            live: self.live,
            instance: walk.id,
            node: &node.id,
            owner: Owner { instance: walk.id, stream: stream.id, node: index },
            outputs: &mut self.outputs,
            windows: &mut self.windows,
            signals,
            stats: &mut instance.stats,
        };
        if let Some(slot) = node.changes {
            for samples in before[slot].chunks_mut() {
                frames += 1;
                state.change(samples);
            }
        } else {
            for (port, inlet) in node.inputs.iter().enumerate() {
                each(inlet, pushed, before, |item| {
                    frames += 1;
                    take(state.as_mut(), port, item, &mut cx);
                });
            }
        }
        match entry {
            Entry::Flush => state.drain(&mut cx),
            Entry::Ended { node, inputs, all } if node == index => {
                for port in (0..u16::BITS).filter(|port| inputs & (1 << port) != 0) {
                    state.end_input(port as usize, &mut cx);
                }
                if all {
                    state.drain(&mut cx);
                }
            }
            _ => {}
        }
        if let (Some(clock), Some(started), Some(meters), 1..) =
            (self.clock, started, &mut instance.meters, frames)
        {
            let failed = instance.stats.failures - errors;
            let meter = &mut meters[index];
            meter.errors += failed;
            meter.successes += frames.saturating_sub(failed);
            let ns = clock().saturating_sub(started);
            if self.windows.pending() > windows { meter.began(ns) } else { meter.took(ns) }
        }
    }

    /// Makes results of what a node gave and no input takes.
    fn put_out(&mut self, walk: &Walk<'_>, node: &PlanNode, pushed: Option<(usize, Item<'_>)>) {
        for (port, outlet) in node.outputs.iter().enumerate() {
            let Origin::Slot(slot) = outlet.origin else {
                if let (Origin::Source(wanted), Some((source, item))) = (outlet.origin, pushed)
                    && wanted == source
                {
                    let ready = Ready { live: self.live, audio: self.audio_outputs || node.sink };
                    ready.put_out(walk, node, port, outlet, item, &mut self.outputs);
                }
                continue;
            };
            for item in self.signals[slot].items() {
                let ready = Ready { live: self.live, audio: self.audio_outputs || node.sink };
                ready.put_out(walk, node, port, outlet, item, &mut self.outputs);
            }
        }
    }

    /// What callbacks that give no audio need.
    pub(crate) fn parts(&mut self) -> (&mut Outputs, &mut Windows) {
        (&mut self.outputs, &mut self.windows)
    }
}

fn take(state: &mut dyn StreamNode, port: usize, item: Item<'_>, cx: &mut Context<'_>) {
    match item.piece {
        Piece::Audio(samples) => state.push(port, Chunk { meta: item.meta, samples }, cx),
        Piece::Data(value) => state.take(item.meta, value, cx),
        // Only nodes that pass everything on take those.
        Piece::Opaque(_) => {}
    }
}

/// Calls `take` with each frame that reaches an input.
fn each<'a>(
    inlet: &Inlet,
    pushed: Option<(usize, Item<'a>)>,
    signals: &'a [Signal],
    mut take: impl FnMut(Item<'a>),
) {
    match (inlet.origin, pushed) {
        (Origin::Source(wanted), Some((source, item))) => {
            if wanted == source && inlet.takes.has(item.piece) {
                take(item);
            }
        }
        (Origin::Source(_), None) => {}
        (Origin::Slot(slot), _) => {
            signals[slot].items().filter(|item| inlet.takes.has(item.piece)).for_each(take);
        }
    }
}

/// How frames that no input takes are put out.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    live: bool,
    audio: bool,
}

impl Ready {
    fn put_out(
        self,
        walk: &Walk<'_>,
        node: &PlanNode,
        port: usize,
        outlet: &Outlet,
        item: Item<'_>,
        outputs: &mut Outputs,
    ) {
        if !outlet.results().has(item.piece) {
            return;
        }
        let meta = *item.meta;
        let kind = match item.piece {
            Piece::Audio(_) if !self.audio => return,
            Piece::Audio(samples) => {
                OutputKind::Audio(AudioFrame { meta, samples: samples.into() })
            }
            // Keys are text and numbers finite: nothing can fail.
            Piece::Data(value) => {
                OutputKind::Node(serde_json::to_string(&**value).unwrap_or_default().into())
            }
            Piece::Opaque(value) if !self.live => OutputKind::Value(value.clone()),
            Piece::Opaque(_) => OutputKind::Error {
                code: ErrorCode::NodeFailed,
                message: format!(
                    "what \"{}\" of \"{}\" gave is not JSON, and no node takes it",
                    outlet.name, node.id
                ),
                traceback: None,
            },
        };
        let port = u8::try_from(port).ok();
        outputs.push(Output { instance: walk.id, node: node.id.clone(), port, meta, kind });
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
        stream: usize,
        port: usize,
        item: Item<'_>,
        outputs: &mut Outputs,
        ready: &mut VecDeque<(InstanceId, usize)>,
    ) {
        let Some(mailbox) = &mut instance.mailboxes[self.index] else { return };
        if let Place::Python(place) = &mut instance.streams[stream].places[self.index] {
            let end_us = match item.piece {
                Piece::Audio(samples) => Chunk { meta: item.meta, samples }.end_us(),
                Piece::Data(_) | Piece::Opaque(_) => item.meta.pts_us,
            };
            let end_us = end_us.max(place.last.map_or(0, |last| last.pts_us));
            place.last = Some(remotemedia_core::FrameMeta { pts_us: end_us, ..*item.meta });
        }
        if !mailbox.admits(self.now) {
            instance.stats.skipped += 1;
            return;
        }
        let mut meta = *item.meta;
        meta.epoch = instance.epoch;
        let letter = Letter {
            port: u8::try_from(port).ok(),
            meta,
            payload: item.piece.to_payload(),
            tries: 0,
        };
        if let Offered::Overrun(lost) = mailbox.offer(self.now, letter, self.live) {
            instance.stats.overrun += lost;
            report_overrun(self.now, self.id, instance, self.index, meta, false, outputs);
        }
        let Some(mailbox) = &mut instance.mailboxes[self.index] else { return };
        if mailbox.has_work() && !mailbox.listed {
            mailbox.listed = true;
            ready.push_back((self.id, self.index));
        }
    }
}

#[cfg(test)]
mod tests;
