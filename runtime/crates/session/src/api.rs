//! What the driver asks for and gets.

use std::net::SocketAddr;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotemedia_core::{ErrorCode, FrameMeta, Payload};
use remotemedia_executor::Plan;
use remotemedia_peer::ice::IceError;
use remotemedia_peer::{Identity, PeerError, Seed};
use serde::Serialize;

/// What all sessions of a reactor share.
#[derive(Clone, Debug)]
pub struct SessionsConfig {
    /// The certificate.
    pub identity: Arc<Identity>,
    /// Addresses that answers announce.
    pub candidates: Vec<SocketAddr>,
    /// What time zero was: the cryptographic crates want an `Instant`.
    pub anchor: Instant,
    /// Credentials and the like are drawn from it: random in a server, fixed in a test.
    pub seed: Seed,
    /// Sessions at most; then offers are refused with `ServerFull`.
    pub max_sessions: usize,
    /// Participants of one session at most.
    pub max_participants: usize,
    /// How long a Silero window may wait for those of other sessions, where there are enough of
    /// them to gain from it. Zero runs them each turn.
    pub batch_wait: Duration,
}

/// Who gets results about a participant's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Everyone in the session.
    #[default]
    All,
    /// The participant whose stream it is.
    Own,
}

/// A request to open a session, enter one, renegotiate or replace a connection.
#[derive(Clone, Debug)]
pub struct OfferRequest {
    /// Names the connection. One that exists is renegotiated, or replaced where `restart` is set.
    pub pc_id: String,
    /// The session to open or to enter; of no meaning where the connection exists.
    pub session_id: String,
    /// Open the session rather than enter it.
    pub new_session: bool,
    /// What a new session runs.
    pub plan: Arc<Plan>,
    /// The name under which the plan is served.
    pub pipeline: Arc<str>,
    /// The session description.
    pub sdp: String,
    /// Replace the connection: its participant stays.
    pub restart: bool,
    /// Who gets a new session's results.
    pub audience: Audience,
}

/// What was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferReply {
    /// The answer.
    pub sdp: String,
    /// Names the connection.
    pub pc_id: Arc<str>,
    /// The session that it is in.
    pub session_id: Arc<str>,
    /// Its participant's name in the session.
    pub participant: Arc<str>,
}

/// Why a call was refused; nothing is left behind then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SessionError {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong and what to do about it.
    pub message: String,
    /// The field that is wrong.
    pub field: Option<String>,
    /// What would be right.
    pub hint: Option<String>,
}

impl SessionError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> SessionError {
        SessionError { code, message: message.into(), field: None, hint: None }
    }

    pub(crate) fn unknown(kind: &str, id: &str) -> SessionError {
        let id: String = id.chars().take(64).collect();
        SessionError::new(ErrorCode::UnknownId, format!("no {kind} \"{id}\": it may have ended"))
    }
}

impl From<IceError> for SessionError {
    fn from(error: IceError) -> SessionError {
        let mut refused = SessionError::new(error.code(), error.to_string());
        refused.field = Some("candidate".to_owned());
        refused
    }
}

impl From<PeerError> for SessionError {
    fn from(error: PeerError) -> SessionError {
        let PeerError { code, message, field, .. } = error;
        SessionError { code, message, field, hint: None }
    }
}

/// A frame for a Python node.
#[derive(Clone, Debug)]
pub struct LaneWork {
    /// Give it back with the result. Never used twice.
    pub token: u64,
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// The session's id.
    pub session: Arc<str>,
    /// Whose stream it is.
    pub participant: Arc<str>,
    /// The stream's name.
    pub stream: Arc<str>,
    /// The node's id.
    pub node: Arc<str>,
    /// What the Python side knows the node by.
    pub entry: Arc<str>,
    /// The input port that the frame came to.
    pub port: Arc<str>,
    /// Time and origin; `format` means something for audio alone.
    pub meta: FrameMeta,
    /// The frame.
    pub payload: Payload,
}

/// What is alive: all zero when nothing is left of any session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveObjects {
    /// Sessions.
    pub sessions: usize,
    /// Connections.
    pub peers: usize,
    /// Instances of plans.
    pub instances: usize,
    /// Streams of those.
    pub streams: usize,
    /// Addresses and user fragments that datagrams are routed by.
    pub addresses: usize,
    /// Frames that Python holds.
    pub in_flight: usize,
}

/// What was lost since the beginning, by cause; it only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Results larger than a client takes: each client that should have had one counts.
    pub results_too_large: u64,
    /// Datagrams that belonged to nobody.
    pub stray_datagrams: u64,
    /// Notifications that nobody took in time.
    pub notifications: u64,
    /// Audio on its way to participants, in packets of 20 ms: too much waited, or the reactor came
    /// too late.
    pub audio_packets: u64,
    /// Frames that a node failed on.
    pub node_failed: u64,
    /// Frames whose node was too slow for them.
    pub node_overrun: u64,
    /// Frames whose node rested after failures.
    pub node_skipped: u64,
    /// Frames that an interrupt made worthless.
    pub node_interrupted: u64,
}

impl AddAssign for Losses {
    fn add_assign(&mut self, other: Losses) {
        self.results_too_large += other.results_too_large;
        self.stray_datagrams += other.stray_datagrams;
        self.notifications += other.notifications;
        self.audio_packets += other.audio_packets;
        self.node_failed += other.node_failed;
        self.node_overrun += other.node_overrun;
        self.node_skipped += other.node_skipped;
        self.node_interrupted += other.node_interrupted;
    }
}

impl AddAssign for LiveObjects {
    fn add_assign(&mut self, other: LiveObjects) {
        self.sessions += other.sessions;
        self.peers += other.peers;
        self.instances += other.instances;
        self.streams += other.streams;
        self.addresses += other.addresses;
        self.in_flight += other.in_flight;
    }
}
