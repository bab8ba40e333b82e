//! Python nodes that make audio faster than it is heard wait.

use crate::executor::Executor;
use crate::instance::InstanceId;

impl Executor {
    /// Hands out no more frames of the Python nodes that feed the sinks of an instance, the last
    /// ones on the way, or hands them out again. What they are working on is taken as ever; frames
    /// that come meanwhile wait in their mailboxes, where the oldest goes when there are too many.
    pub fn hold(&mut self, id: InstanceId, on: bool) {
        let Some(instance) = self.instances.get_mut(id.0) else { return };
        for (mailbox, node) in instance.mailboxes.iter_mut().zip(&instance.plan.nodes) {
            if let Some(mailbox) = mailbox.as_mut().filter(|_| node.voices) {
                mailbox.held = on;
            }
        }
        for node in 0..instance.mailboxes.len() {
            self.list(id, node);
        }
    }
}
