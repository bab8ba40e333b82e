//! What an observer of a session is told, and what it may ask for again.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

/// Events of a session that are kept for observers who come later; then the oldest goes.
pub const MAX_RING_EVENTS: usize = 128;

/// The same in bytes.
pub const MAX_RING_BYTES: usize = 256 * 1024;

/// Notifications that wait for the driver; then the oldest event or interrupt goes, counted.
/// Beginnings and ends of sessions stay.
pub const MAX_NOTIFICATIONS: usize = 16_384;

/// What the driver is told without asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notification {
    /// A session began.
    SessionStarted {
        /// Its id.
        session: Arc<str>,
        /// Its pipeline.
        pipeline: Arc<str>,
    },
    /// A session ended; nothing more comes from it.
    SessionEnded {
        /// Its id.
        session: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A participant interrupted a session.
    Interrupted {
        /// The session's id.
        session: Arc<str>,
        /// What frames of an earlier one come to is dropped.
        epoch: u32,
    },
    /// A message of an observed session.
    Event {
        /// The session's id.
        session: Arc<str>,
        /// The message's `seq`.
        seq: u64,
        /// The message, JSON text as the results channel carries it.
        #[serde(rename = "message")]
        json: Arc<str>,
    },
}

impl Notification {
    /// Events and interrupts may be dropped when nobody reads; beginnings and ends may not.
    #[must_use]
    pub fn may_go(&self) -> bool {
        matches!(self, Notification::Event { .. } | Notification::Interrupted { .. })
    }
}

/// The last events of a session.
#[derive(Default)]
pub(crate) struct EventRing {
    events: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
}

impl EventRing {
    pub(crate) fn push(&mut self, seq: u64, json: Arc<str>) {
        self.bytes += json.len();
        self.events.push_back((seq, json));
        while self.events.len() > MAX_RING_EVENTS || self.bytes > MAX_RING_BYTES {
            let Some((_, oldest)) = self.events.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u64, Arc<str>)> {
        self.events.iter()
    }
}

/// Notifications on their way to the driver.
#[derive(Default)]
pub(crate) struct Notifications {
    queue: VecDeque<Notification>,
    /// Events and interrupts dropped because the driver did not take them.
    pub(crate) dropped: u64,
}

impl Notifications {
    pub(crate) fn push(&mut self, notification: Notification) {
        if self.queue.len() >= MAX_NOTIFICATIONS {
            let oldest = self.queue.iter().position(Notification::may_go);
            if let Some(oldest) = oldest {
                self.queue.remove(oldest);
                self.dropped += 1;
            }
        }
        self.queue.push_back(notification);
    }

    pub(crate) fn pop(&mut self) -> Option<Notification> {
        self.queue.pop_front()
    }
}
