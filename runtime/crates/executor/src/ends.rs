//! The end of the input, for good: node after node, each when all that feeds it has ended.

use remotemedia_core::{AudioFormat, FrameMeta, Micros, Payload, StreamId};
use serde_json::Value;

use crate::executor::Executor;
use crate::instance::{Instance, InstanceId, Place, Stream};
use crate::mailbox::Letter;
use crate::plan::{Action, Feeder, Plan};
use crate::walk::{Entry, Walk};

/// What has ended on a stream.
pub(crate) struct Ends {
    sources: Vec<bool>,
    /// By node: a bit for each input.
    inputs: Vec<u16>,
    /// By node: it was drained, and nothing comes out of it any more.
    done: Vec<bool>,
}

impl Ends {
    fn new(plan: &Plan) -> Ends {
        let nodes = plan.nodes.len();
        Ends {
            sources: vec![false; plan.sources().len()],
            inputs: vec![0; nodes],
            done: vec![false; nodes],
        }
    }

    /// Inputs of a node that have ended since the last call, and whether all have now.
    fn advance(&mut self, plan: &Plan, index: usize) -> Option<(u16, bool)> {
        let inlets = &plan.nodes[index].inputs;
        let ended = inlets.iter().enumerate().filter(|(_, inlet)| match inlet.feeder {
            Feeder::Source(source) => self.sources[source],
            Feeder::Node(node) => self.done[node],
        });
        let ended = ended.fold(0_u16, |bits, (port, _)| bits | 1 << port);
        let new = ended & !self.inputs[index];
        self.inputs[index] |= new;
        let all = self.inputs[index].count_ones() as usize == inlets.len();
        (new != 0).then_some((new, all))
    }

    /// Takes back that a source has ended, and all that followed from it.
    fn begin(&mut self, plan: &Plan, source: usize, places: &mut [Place]) {
        self.sources[source] = false;
        for (index, node) in plan.nodes.iter().enumerate() {
            for (port, inlet) in node.inputs.iter().enumerate() {
                let ended = match inlet.feeder {
                    Feeder::Source(source) => self.sources[source],
                    Feeder::Node(node) => self.done[node],
                };
                if ended || self.inputs[index] & (1 << port) == 0 {
                    continue;
                }
                self.inputs[index] &= !(1 << port);
                self.done[index] = false;
                if let Place::Native(state) = &mut places[index] {
                    state.begin_input(port);
                }
            }
        }
    }
}

impl Executor {
    /// Ends a source of a stream, or all of them. Offline that is for good: nothing may be pushed to
    /// it any more. Live it begins anew with the next frame that is.
    ///
    /// Whatever it alone feeds hands out what it holds back, in the order of the graph; nodes with
    /// other inputs go on without this one. Offline a Python node is handed a last piece of work,
    /// marked as the end, once all its frames are done; what stands behind it ends after that. Live
    /// it is not told, and what stands behind it waits for it no longer than for the others.
    pub fn end_source(
        &mut self,
        now: Micros,
        id: InstanceId,
        stream: StreamId,
        source: Option<usize>,
    ) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(index) = instance.stream_index(stream) else { return };
        let ends =
            instance.streams[index].ends.get_or_insert_with(|| Box::new(Ends::new(&instance.plan)));
        match source {
            Some(source) => {
                if let Some(ended) = ends.sources.get_mut(source) {
                    *ended = true;
                }
            }
            None => ends.sources.fill(true),
        }
        self.advance_ends(now, id, stream);
    }

    /// Whether everything that was pushed to a stream has come out: all its sources were ended and
    /// all nodes have followed.
    #[must_use]
    pub fn has_ended(&self, id: InstanceId, stream: StreamId) -> bool {
        let Some(instance) = self.instances.get(id.0) else { return true };
        let Some(index) = instance.stream_index(stream) else { return true };
        let ends = instance.streams[index].ends.as_ref();
        ends.is_some_and(|ends| ends.done.iter().chain(&ends.sources).all(|done| *done))
    }

    /// Lets a source of a stream begin anew that has ended.
    pub(crate) fn begin_source(instance: &mut Instance, stream: usize, source: usize) {
        let Stream { ends, places, .. } = &mut instance.streams[stream];
        if let Some(ends) = ends.as_mut().filter(|ends| ends.sources[source]) {
            ends.begin(&instance.plan, source, places);
        }
    }

    /// A Python node has answered the end of its input.
    pub(crate) fn end_python(
        &mut self,
        now: Micros,
        id: InstanceId,
        node: usize,
        stream: StreamId,
    ) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(index) = instance.stream_index(stream) else { return };
        if let Some(ends) = &mut instance.streams[index].ends {
            ends.done[node] = true;
        }
        self.advance_ends(now, id, stream);
    }

    fn advance_ends(&mut self, now: Micros, id: InstanceId, stream: StreamId) {
        let Some(plan) = self.instances.get(id.0).map(|instance| instance.plan.clone()) else {
            return;
        };
        for (index, node) in plan.nodes.iter().enumerate() {
            let Some(instance) = self.instances.get_mut(id.0) else { return };
            let Some(at) = instance.stream_index(stream) else { return };
            let Some(ends) = &mut instance.streams[at].ends else { return };
            let Some((inputs, all)) = ends.advance(&plan, index) else { continue };
            match &node.action {
                Action::Native(_) => {
                    let walk = Walk { now, id, instance, stream: at };
                    self.shared.walk(walk, Entry::Ended { node: index, inputs, all });
                    if all {
                        self.run_batches(now);
                        self.finish_nodes(now, id, stream, index..index + 1);
                        let Some(instance) = self.instances.get_mut(id.0) else { return };
                        if let Some(ends) = &mut instance.streams[at].ends {
                            ends.done[index] = true;
                        }
                    }
                }
                Action::Python(_) if all && self.config.live => {
                    if let Some(ends) = &mut instance.streams[at].ends {
                        ends.done[index] = true;
                    }
                }
                Action::Python(_) if all => self.post_end(now, id, stream, index),
                Action::Python(_) => {}
            }
        }
    }

    /// Puts the end behind the last frame of a Python node.
    fn post_end(&mut self, now: Micros, id: InstanceId, stream: StreamId, node: usize) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(at) = instance.stream_index(stream) else { return };
        let Place::Python(place) = &instance.streams[at].places[node] else { return };
        let format = instance.plan.nodes[node].inputs[0].format.audio();
        let format = format.unwrap_or(AudioFormat::MONO_16K);
        let last = place
            .last
            .unwrap_or(FrameMeta { arrival: now, ..FrameMeta::new(stream, 0, 0, format) });
        let meta = FrameMeta { epoch: instance.epoch, ..last };
        let Some(mailbox) = &mut instance.mailboxes[node] else { return };
        let payload = Payload::Data(Value::Null.into());
        mailbox.offer(now, Letter { port: None, meta, payload, tries: 0 }, false);
        if mailbox.has_work() && !mailbox.listed {
            mailbox.listed = true;
            self.shared.ready.push_back((id, node));
        }
    }
}
