use std::sync::Arc;

use serde::Serialize;

/// What the control plane is told without asking.
#[derive(Clone, Debug, Serialize)]
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
    /// A result message of an observed session.
    Event {
        /// The session's id.
        session: Arc<str>,
        /// Counts the session's messages.
        seq: u64,
        /// The message, JSON text as the results channel carries it.
        message: Arc<str>,
    },
}

impl Notification {
    /// Events may be dropped when nobody reads; beginnings and ends may not.
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, Notification::Event { .. })
    }
}

impl From<remotemedia_session::Notification> for Notification {
    fn from(notification: remotemedia_session::Notification) -> Self {
        use remotemedia_session::Notification as N;
        match notification {
            N::SessionStarted { session, pipeline } => Self::SessionStarted { session, pipeline },
            N::SessionEnded { session, reason } => Self::SessionEnded { session, reason },
            N::Event { session, seq, json } => Self::Event { session, seq, message: json },
        }
    }
}
