//! Frames on their way to Python, and what it made of them.

use std::sync::Arc;

use remotemedia_core::{
    ErrorCode, FrameMeta, Key, Micros, Opaque, Payload, Piece, check_value, check_value_text,
};
use serde_json::Value;

use crate::executor::Executor;
use crate::instance::{InstanceId, Place, RunFailure};
use crate::mailbox::{BREAKER_FAILURES, BREAKER_PAUSE, Done, Letter, RETRY_PAUSES};
use crate::node::{Chunk, Item};
use crate::output::{NodeFailure, NodeResult, NodeValue, Output, OutputKind, PythonWork};
use crate::plan::{Action, Outlet};
use crate::walk::{Entry, Walk};

/// The longest message and traceback of an error, in bytes; the rest is cut off.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// The output that results without a port leave by, where there is one of that name.
const DEFAULT_PORT: &str = "out";

/// A frame that the lane holds.
pub(crate) struct Work {
    pub(crate) instance: InstanceId,
    pub(crate) node: usize,
    pub(crate) letter: Letter,
    /// When it was handed out, where nodes are measured.
    since_ns: u64,
    /// Some of its results are out, or wait for their turn: it is not tried again.
    pub(crate) begun: bool,
}

/// A value and the number of the output that it leaves by, if any.
pub(crate) type Checked = (Option<usize>, NodeValue);

impl Executor {
    /// The next frame for Python, mailboxes in turn. A mailbox gives no more while the lane holds
    /// [`crate::MAX_IN_FLIGHT`] of its frames.
    pub fn poll_work(&mut self, now: Micros) -> Option<PythonWork> {
        self.wake(now);
        while let Some((id, node)) = self.shared.ready.pop_front() {
            let Some(instance) = self.instances.get_mut(id.0) else { continue };
            let Some(mailbox) = &mut instance.mailboxes[node] else { continue };
            mailbox.listed = false;
            if instance.failure.is_some() {
                continue;
            }
            let (works, live) = (&mut self.works, self.config.live);
            let since_ns = self.config.clock.map_or(0, |clock| clock());
            let lost = &mut instance.stats.overrun;
            let taken = mailbox.take(now, live, lost, |letter| {
                // What is never tried again is the node's own, which may write to it.
                let payload =
                    if live { Payload::Audio(Arc::default()) } else { letter.payload.clone() };
                let letter = Letter { payload, ..*letter };
                works.insert(Work { instance: id, node, letter, since_ns, begun: false })
            });
            if mailbox.has_work() {
                mailbox.listed = true;
                self.shared.ready.push_back((id, node));
            }
            let Some((key, letter)) = taken else { continue };
            instance.stats.python_frames += 1;
            let planned = &instance.plan.nodes[node];
            let Action::Python(python) = &planned.action else { continue };
            return Some(PythonWork {
                token: key.to_bits(),
                instance: id,
                node: planned.id.clone(),
                entry: python.entry.clone(),
                port: letter.port.map_or_else(Arc::default, |port| {
                    planned.inputs[usize::from(port)].name.clone()
                }),
                meta: letter.meta,
                end: letter.port.is_none(),
                payload: letter.payload,
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
        result: Result<Vec<NodeResult>, NodeFailure>,
    ) {
        self.complete_timed(now, token, result, None);
    }

    /// The same, with the time that the node took in nanoseconds, for [`Executor::metrics`].
    pub fn complete_timed(
        &mut self,
        now: Micros,
        token: u64,
        result: Result<Vec<NodeResult>, NodeFailure>,
        elapsed_ns: Option<u64>,
    ) {
        let key = Key::from_bits(token);
        let Some(work) = self.works.remove(key) else { return };
        let Work { instance: id, node, mut letter, since_ns, begun } = work;
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(mailbox) = &mut instance.mailboxes[node] else { return };
        if let (Some(meters), Some(clock)) = (&mut instance.meters, self.config.clock) {
            meters[node].took(elapsed_ns.unwrap_or_else(|| clock().saturating_sub(since_ns)));
        }
        if self.config.live {
            mailbox.settle(key);
            self.list(id, node);
            return self.finish_work(now, id, node, Done::of(&letter, result));
        }
        let transient = !begun && matches!(&result, Err(failure) if failure.transient);
        let current = letter.meta.epoch == instance.epoch;
        if let (true, true, Some(pause)) = (transient, current, RETRY_PAUSES.get(letter.tries)) {
            let due = now + *pause + pause.mul_f64(0.2 * self.chance.next());
            instance.stats.retried += 1;
            letter.tries += 1;
            mailbox.again(key, due, letter);
            self.retries.insert((due, id, node));
            return;
        }
        mailbox.keep(key, Done::of(&letter, result));
        self.finish_works(now, id, node);
    }

    /// Delivers the results of a node that wait for nothing before them.
    pub(crate) fn finish_works(&mut self, now: Micros, id: InstanceId, node: usize) {
        loop {
            let Some(instance) = self.instances.get_mut(id.0) else { return };
            let Some(mailbox) = &mut instance.mailboxes[node] else { return };
            let Some(done) = mailbox.next_done() else { break };
            self.finish_work(now, id, node, done);
        }
        self.deliver_first_parts(now, id, node);
        self.list(id, node);
    }

    /// Puts a mailbox in the list of those with work.
    pub(crate) fn list(&mut self, id: InstanceId, node: usize) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(mailbox) = &mut instance.mailboxes[node] else { return };
        if mailbox.has_work() && !mailbox.listed {
            mailbox.listed = true;
            self.shared.ready.push_back((id, node));
        }
    }

    /// Lets frames be tried again whose pause is over.
    pub(crate) fn wake(&mut self, now: Micros) {
        while let Some((due, id, node)) = self.retries.first().copied()
            && due <= now
        {
            self.retries.pop_first();
            let Some(instance) = self.instances.get_mut(id.0) else { continue };
            if let Some(mailbox) = &mut instance.mailboxes[node] {
                mailbox.wake(now);
            }
            self.list(id, node);
        }
    }

    fn finish_work(&mut self, now: Micros, id: InstanceId, node: usize, done: Done) {
        let Done { meta, end, parts, result } = done;
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        if meta.epoch == instance.epoch {
            self.deliver_all(now, id, node, &meta, parts);
            let Some(instance) = self.instances.get_mut(id.0) else { return };
            let outputs = &instance.plan.nodes[node].outputs;
            match result.and_then(|results| check_results(results, outputs)) {
                Ok(values) => {
                    if let Some(mailbox) = &mut instance.mailboxes[node] {
                        mailbox.succeeded();
                    }
                    if let Some(meters) = &mut instance.meters {
                        meters[node].successes += 1;
                    }
                    self.deliver_all(now, id, node, &meta, values);
                }
                Err(failure) => self.fail(now, id, node, meta, failure),
            }
        } else {
            instance.stats.interrupted += 1;
        }
        self.tally(id);
        if end {
            self.end_python(now, id, node, meta.stream);
        }
    }

    pub(crate) fn deliver_all(
        &mut self,
        now: Micros,
        id: InstanceId,
        node: usize,
        meta: &FrameMeta,
        values: Vec<Checked>,
    ) {
        for (port, value) in values {
            self.deliver(now, id, node, meta, port, value);
        }
    }

    fn deliver(
        &mut self,
        now: Micros,
        id: InstanceId,
        node: usize,
        meta: &FrameMeta,
        port: Option<usize>,
        value: NodeValue,
    ) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let plan = instance.plan.clone();
        let outlet = port.map(|port| &plan.nodes[node].outputs[port]);
        let takes = |piece| outlet.is_some_and(|outlet| outlet.is_taken(piece));
        let result = match &value {
            NodeValue::Json(text) => {
                let any = Arc::new(Value::Null);
                if takes(Piece::Data(&any)) {
                    // It was checked to be JSON.
                    let Ok(parsed) = serde_json::from_str(text) else { return };
                    return self.enter(now, id, node, meta, port, Piece::Data(&Arc::new(parsed)));
                }
                OutputKind::Node(text.as_str().into())
            }
            NodeValue::Data(data) if takes(Piece::Data(data)) => {
                return self.enter(now, id, node, meta, port, Piece::Data(data));
            }
            NodeValue::Data(data) => {
                OutputKind::Node(serde_json::to_string(&**data).unwrap_or_default().into())
            }
            NodeValue::Opaque(object) if takes(Piece::Opaque(object)) => {
                return self.enter(now, id, node, meta, port, Piece::Opaque(object));
            }
            NodeValue::Opaque(object) => self.opaque_result(&plan.nodes[node].id, object),
            NodeValue::Audio { samples, .. } => {
                return self.enter(now, id, node, meta, port, Piece::Audio(samples));
            }
        };
        self.shared.outputs.push(Output {
            instance: id,
            node: plan.nodes[node].id.clone(),
            port: port.and_then(|port| u8::try_from(port).ok()),
            meta: *meta,
            kind: result,
        });
    }

    fn opaque_result(&self, node: &str, object: &Opaque) -> OutputKind {
        if !self.config.live {
            return OutputKind::Value(object.clone());
        }
        OutputKind::Error {
            code: ErrorCode::NodeFailed,
            message: format!("what \"{node}\" returned is not JSON, and no node takes it"),
            traceback: None,
        }
    }

    /// Sends what a Python node gave to the nodes behind it.
    fn enter(
        &mut self,
        now: Micros,
        id: InstanceId,
        node: usize,
        meta: &FrameMeta,
        port: Option<usize>,
        piece: Piece<'_>,
    ) {
        let (Some(instance), Some(port)) = (self.instances.get_mut(id.0), port) else { return };
        let Some(stream) = instance.stream_index(meta.stream) else { return };
        let mut meta = *meta;
        if let Piece::Audio(samples) = piece {
            let Some(format) = instance.plan.nodes[node].outputs[port].format.audio() else {
                return;
            };
            // A node may return more audio than it took: its time never goes backwards.
            let Place::Python(place) = &mut instance.streams[stream].places[node] else { return };
            meta = FrameMeta { pts_us: meta.pts_us.max(place.end_us[port]), format, ..meta };
            place.end_us[port] = Chunk { meta: &meta, samples }.end_us();
        }
        let item = Item { meta: &meta, piece };
        self.shared.walk(Walk { now, id, instance, stream }, Entry::Node(node, port, item));
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
        if let Some(meters) = &mut instance.meters {
            meters[node].errors += 1;
        }
        let opened = mailbox.failed(now, &mut instance.stats.skipped);
        let mut message = cut(failure.message);
        let name = instance.plan.nodes[node].id.clone();
        if opened && self.config.live {
            message.push_str(&format!(
                " ({BREAKER_FAILURES} failures in a row: the node is skipped for {} s)",
                BREAKER_PAUSE.as_secs()
            ));
        } else if opened {
            instance.failure = Some(RunFailure {
                node: name.clone(),
                message: format!("{message} ({BREAKER_FAILURES} failures in a row end the run)"),
            });
        }
        self.shared.outputs.push(Output {
            instance: id,
            node: name,
            port: None,
            meta,
            kind: OutputKind::Error {
                code: ErrorCode::NodeFailed,
                message,
                traceback: failure.traceback.map(cut),
            },
        });
    }
}

/// Refuses values that cannot be sent on, and ports that are not there.
pub(crate) fn check_results(
    results: Vec<NodeResult>,
    outputs: &[Outlet],
) -> Result<Vec<Checked>, NodeFailure> {
    let check = |NodeResult { port, value }: NodeResult| {
        let port = output_of(port.as_deref(), outputs)?;
        check_value_for(&value, port.map(|port| &outputs[port]))?;
        Ok((port, value))
    };
    results.into_iter().map(check).collect::<Result<_, String>>().map_err(|problem| NodeFailure {
        message: format!("the node returned {problem}"),
        ..NodeFailure::default()
    })
}

fn output_of(wanted: Option<&str>, outputs: &[Outlet]) -> Result<Option<usize>, String> {
    let named = |name: &str| outputs.iter().position(|outlet| *outlet.name == *name);
    match wanted.filter(|name| *name != DEFAULT_PORT) {
        None => Ok(named(DEFAULT_PORT).or((!outputs.is_empty()).then_some(0))),
        Some(name) => named(name).map(Some).ok_or_else(|| {
            let names: Vec<&str> = outputs.iter().map(|outlet| &*outlet.name).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("something for a port \"{name}\": there is {names}")
        }),
    }
}

/// The end of the sentence "the node returned".
fn check_value_for(value: &NodeValue, outlet: Option<&Outlet>) -> Result<(), String> {
    let (channels, samples) = match value {
        NodeValue::Json(text) => {
            return check_value_text(text).map_err(|problem| format!("what {problem}"));
        }
        NodeValue::Data(data) => {
            return check_value(data).map_err(|problem| format!("what {problem}"));
        }
        NodeValue::Opaque(_) => return Ok(()),
        NodeValue::Audio { channels, samples } => (*channels, samples),
    };
    let output = outlet.and_then(|outlet| Some((outlet.format, outlet.format.audio()?)));
    let Some((output, format)) = output else {
        return Err("audio but declares no output for it".into());
    };
    if channels != format.channels.get() {
        return Err(format!("audio of {channels} ch; its output is {output}"));
    }
    if !samples.len().is_multiple_of(channels) {
        return Err("channels of different lengths".into());
    }
    Ok(())
}

/// The text, cut to what an error may carry.
fn cut(mut text: String) -> String {
    if text.len() > MAX_ERROR_BYTES {
        let end = (0..=MAX_ERROR_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
