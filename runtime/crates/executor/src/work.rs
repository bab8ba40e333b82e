//! Frames on their way to Python, and what it made of them.

use remotemedia_core::{AudioFormat, ErrorCode, FrameMeta, Key, Micros};

use crate::executor::Executor;
use crate::instance::{InstanceId, Place};
use crate::mailbox::{BREAKER_FAILURES, BREAKER_PAUSE};
use crate::node::Chunk;
use crate::output::{NodeFailure, NodeValue, Output, OutputKind, PythonWork};
use crate::plan::Action;
use crate::walk::{Entry, Walk};

/// The longest JSON value that a Python node may return, in bytes: with its header it must fit a
/// message of 64 KiB.
pub const MAX_VALUE_BYTES: usize = 60 * 1024;

/// The longest message and traceback of an error, in bytes; the rest is cut off.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// A frame that the lane holds.
pub(crate) struct Work {
    pub(crate) instance: InstanceId,
    pub(crate) node: usize,
    pub(crate) meta: FrameMeta,
}

impl Executor {
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
            let Action::Python(python) = &instance.plan.nodes[node].action else {
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
