//! Results that come one by one, while the node is still at work on their frame.

use remotemedia_core::{Key, Micros};

use crate::executor::Executor;
use crate::instance::InstanceId;
use crate::output::NodeResult;
use crate::work::check_results;

impl Executor {
    /// Takes some of what a Python node makes of a frame. They go on at once, offline after those
    /// of the frames before it, and the frame stays under way until it is completed.
    ///
    /// What goes stays: when the frame fails later it is not tried again, however transient that
    /// is. Results that cannot be sent on fail it here. Tokens that are not under way are ignored.
    pub fn give(&mut self, now: Micros, token: u64, results: Vec<NodeResult>) {
        let key = Key::from_bits(token);
        let Some(work) = self.works.get_mut(key) else { return };
        let (id, node, meta) = (work.instance, work.node, work.letter.meta);
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        // An interrupted frame is counted when it is completed.
        if results.is_empty() || meta.epoch != instance.epoch {
            return;
        }
        let values = match check_results(results, &instance.plan.nodes[node].outputs) {
            Ok(values) => values,
            Err(failure) => return self.complete(now, token, Err(failure)),
        };
        work.begun = true;
        if self.config.live {
            return self.deliver_all(now, id, node, &meta, values);
        }
        if let Some(mailbox) = &mut instance.mailboxes[node] {
            mailbox.keep_part(key, values);
        }
        self.deliver_first_parts(now, id, node);
    }

    /// Delivers what the first frame under way gave so far.
    pub(crate) fn deliver_first_parts(&mut self, now: Micros, id: InstanceId, node: usize) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        let Some(mailbox) = &mut instance.mailboxes[node] else { return };
        let Some((key, values)) = mailbox.first_parts() else { return };
        let Some(meta) = self.works.get_mut(key).map(|work| work.letter.meta) else { return };
        self.deliver_all(now, id, node, &meta, values);
    }
}
