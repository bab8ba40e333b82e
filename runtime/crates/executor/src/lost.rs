//! Frames that Python nodes never got.

use remotemedia_core::{ErrorCode, FrameMeta, Key, Micros};

use crate::executor::Executor;
use crate::instance::{Instance, InstanceId, InstanceStats};
use crate::output::{Output, OutputKind, Outputs};
use crate::work::Work;

/// Frames that came to nothing, over all instances that there ever were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeLosses {
    /// A node failed on them.
    pub failed: u64,
    /// Their node was too slow: its mailbox was full, or they waited too long. Those of
    /// [`Executor::lose_work`] are not among them.
    pub overrun: u64,
    /// Their node rested after failures.
    pub skipped: u64,
    /// An interrupt made them worthless.
    pub interrupted: u64,
}

impl NodeLosses {
    /// Adds what `stats` have more than `self`, which then is what they have.
    fn tally(&mut self, stats: &InstanceStats, total: &mut NodeLosses) {
        let InstanceStats { failures, overrun, skipped, interrupted, .. } = *stats;
        total.failed += failures - self.failed;
        total.overrun += overrun - self.overrun;
        total.skipped += skipped - self.skipped;
        total.interrupted += interrupted - self.interrupted;
        *self = NodeLosses { failed: failures, overrun, skipped, interrupted };
    }
}

impl Executor {
    /// What came to nothing since the beginning.
    #[must_use]
    pub fn losses(&self) -> NodeLosses {
        self.losses
    }

    /// Counts what an instance lost since it was asked last.
    pub(crate) fn tally(&mut self, id: InstanceId) {
        if let Some(instance) = self.instances.get_mut(id.0) {
            instance.counted.tally(&instance.stats, &mut self.losses);
        }
    }

    /// Takes back a frame that was handed out live and never reached its node because the lane had
    /// no room: it is lost, counted and told of like one that its mailbox had no room for, and is no
    /// failure of the node. Tokens that are not under way, any more or ever, are ignored.
    pub fn lose_work(&mut self, now: Micros, token: u64) {
        let key = Key::from_bits(token);
        let Some(Work { instance: id, node, letter, .. }) = self.works.remove(key) else { return };
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(mailbox) = &mut instance.mailboxes[node] else { return };
        mailbox.settle(key);
        if letter.port.is_none() {
            self.end_python(now, id, node, letter.meta.stream);
        } else if letter.meta.epoch != instance.epoch {
            instance.stats.interrupted += 1;
        } else {
            mailbox.lose(1);
            instance.stats.overrun += 1;
            instance.counted.overrun += 1;
            report_overrun(now, id, instance, node, letter.meta, true, &mut self.shared.outputs);
        }
        self.list(id, node);
    }
}

/// Tells that a node's mailbox lost frames, once a second at most: by itself or, where `on_the_way`,
/// by the lane.
pub(crate) fn report_overrun(
    now: Micros,
    id: InstanceId,
    instance: &mut Instance,
    node: usize,
    meta: FrameMeta,
    on_the_way: bool,
    outputs: &mut Outputs,
) {
    let Some(mailbox) = &mut instance.mailboxes[node] else { return };
    let Some(lost) = mailbox.report(now) else { return };
    let lost = if lost == 1 { "a frame was" } else { &format!("{lost} frames were") };
    let message = if on_the_way {
        format!("too many frames wait for the server's Python nodes: {lost} dropped")
    } else if mailbox.held {
        format!("the node makes audio faster than it is heard: {lost} dropped meanwhile")
    } else {
        format!(
            "the node is too slow for live audio: {lost} dropped; make it faster, or enlarge its \
             mailbox if it is slow only now and then"
        )
    };
    outputs.push(Output {
        instance: id,
        node: instance.plan.nodes[node].id.clone(),
        port: None,
        meta,
        kind: OutputKind::Error { code: ErrorCode::NodeOverrun, message, traceback: None },
    });
}
