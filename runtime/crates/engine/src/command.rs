use std::sync::mpsc::SyncSender;

use remotemedia_session::OfferRequest;

use crate::EngineError;
use crate::lane::LaneDone;

/// How many commands may wait for a reactor; beyond it the caller waits.
pub(crate) const MAX_WAITING_COMMANDS: usize = 1_024;

/// Where the answer to a command goes. A caller that gave up has dropped its end.
pub(crate) type Reply<T> = SyncSender<Result<T, EngineError>>;

/// What was negotiated.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Answer {
    /// The session description of the answer.
    pub sdp: String,
    /// Names the connection in later calls.
    pub pc_id: String,
    /// The session that the peer is in.
    pub session_id: String,
    /// The peer's name within the session.
    pub participant: String,
}

/// What a reactor is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// `known` says that the caller names a connection that should be there.
    Offer {
        request: Box<OfferRequest>,
        known: bool,
        reply: Reply<Answer>,
    },
    AddCandidates {
        pc_id: String,
        candidates: Vec<String>,
        reply: Reply<()>,
    },
    ClosePeer {
        pc_id: String,
        reply: Reply<()>,
    },
    CloseSession {
        session_id: String,
        reason: String,
        reply: Reply<()>,
    },
    /// JSON of one session, or of all when `None`.
    Stats {
        session_id: Option<String>,
        reply: Reply<Vec<serde_json::Value>>,
    },
    Observe {
        session_id: String,
        on: bool,
        reply: Reply<()>,
    },
    CompleteLane(Vec<LaneDone>),
    LiveObjects(Reply<remotemedia_session::LiveObjects>),
    /// Says `bye` to everyone; the reactor goes on until it is stopped.
    Drain,
    Stop,
}
