//! Interactive Connectivity Establishment as a machine without I/O: a small full agent of both
//! roles (RFC 8445) with trickle (RFC 8838), consent (RFC 7675) and restarts.
//!
//! # How it is driven
//!
//! Make an [`IceAgent`], tell it the other side ([`IceAgent::set_remote`],
//! [`IceAgent::add_remote_candidate`]), give it each STUN datagram ([`is_stun`],
//! [`IceAgent::handle_stun`]) and call [`IceAgent::handle_timeout`] when
//! [`IceAgent::poll_timeout`] is due. After each call drain [`IceAgent::poll_transmit`] and
//! [`IceAgent::poll_event`].
//!
//! # What it leaves out
//!
//! One component, UDP only, no lite mode, no freezing (with one component there is next to nothing
//! to freeze). All local candidates share one port on a socket bound to the wildcard, which other
//! agents use too: a check to an announced candidate leaves its source address to the routing
//! table, an answer leaves from the address that was asked.

mod agent;
mod bucket;
mod candidate;
mod checklist;
mod generation;
mod liveness;
mod stun;
#[cfg(test)]
mod tests;

pub use agent::{IceAgent, IceConfig, SETUP_TIMEOUT};
pub use candidate::{Candidate, CandidateAddress, CandidateKind, Transport};

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::RngCore;
use remotemedia_core::ErrorCode;

/// Remote candidates that an agent counts before it refuses more.
pub const MAX_REMOTE_CANDIDATES: usize = 64;
/// Local candidates that an agent announces.
pub const MAX_LOCAL_CANDIDATES: usize = 8;

/// Who nominates (RFC 8445, section 6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    /// Nominates the pair that is used: the side that offers.
    Controlling,
    /// Follows the nomination: the side that answers.
    Controlled,
}

/// The user fragment and password of one side (RFC 8839, section 5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user fragment, 4 to 256 characters.
    pub ufrag: String,
    /// The password, 22 to 256 characters.
    pub pwd: String,
}

/// The characters that credentials are made of: `ice-char` of RFC 8839.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Credentials {
    /// Draws credentials: 48 bits of user fragment, 144 bits of password.
    ///
    /// They are as hard to guess as the generator is: in a server it is seeded from the operating
    /// system.
    #[must_use]
    pub fn random(rng: &mut impl RngCore) -> Self {
        let mut text = |length: usize| {
            let mut bytes = [0u8; 24];
            rng.fill_bytes(&mut bytes[..length]);
            bytes[..length].iter().map(|b| char::from(ICE_CHARS[usize::from(b & 63)])).collect()
        };
        Credentials { ufrag: text(8), pwd: text(24) }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// The way datagrams take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The other side's address.
    pub remote: SocketAddr,
    /// Our address, where the driver told it; `None` leaves it to the routing table.
    pub local: Option<IpAddr>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceEvent {
    /// Checks have begun: the other side's credentials are known.
    Checking,
    /// Datagrams go this way from now on: the first path, another one, or the same one again after
    /// [`IceEvent::Disconnected`].
    Selected(Path),
    /// Nothing has been heard on the selected path for a while; it is still tried.
    Disconnected,
    /// The agent is done for; only a restart revives it.
    Failed(FailureReason),
}

/// Why an agent failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// No path worked within the set-up time.
    NoPath,
    /// The other side has not consented for 30 s (RFC 7675).
    ConsentLost,
}

impl FailureReason {
    /// The code that users see.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            FailureReason::NoPath => ErrorCode::IceTimeout,
            FailureReason::ConsentLost => ErrorCode::ConsentLost,
        }
    }
}

/// What a STUN datagram turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StunOutcome {
    /// A request or an answer of the other side with the right integrity: its source address may
    /// be learnt.
    Verified,
    /// Answered with an error, and nothing learnt: the integrity or the user name is wrong.
    Refused,
    /// Not for this agent, malformed or of no meaning here: nothing done, nothing learnt.
    Ignored,
}

/// What became of a remote candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateUse {
    /// It is checked.
    Checked,
    /// It is known already.
    Duplicate,
    /// It is a host name (mDNS): the other side's checks will show its address.
    LeftToReflexive,
    /// It is of no use here: TCP, another component or generation, or an address that cannot be
    /// reached from here.
    Ignored,
    /// It was the end of candidates. Nothing follows from it: a check by the other side may still
    /// show an address (RFC 8863).
    End,
}

/// Why a candidate was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IceError {
    /// A candidate line cannot be parsed.
    #[error("the candidate is not valid: {0}")]
    InvalidCandidate(&'static str),
    /// There are more candidates than the agent accepts.
    #[error("more than {MAX_REMOTE_CANDIDATES} candidates")]
    TooManyCandidates,
}

impl IceError {
    /// The code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            IceError::InvalidCandidate(_) => ErrorCode::InvalidCandidate,
            IceError::TooManyCandidates => ErrorCode::TooManyCandidates,
        }
    }
}

/// Counters and measurements of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IceStats {
    /// The round trip of the last check on the selected path that needed no repetition.
    pub round_trip: Option<Duration>,
    /// Checks sent, repetitions included.
    pub checks_sent: u64,
    /// Checks of ours that were answered with success.
    pub checks_answered: u64,
    /// Requests of the other side that were verified and answered.
    pub requests_answered: u64,
    /// Messages with a wrong integrity or user name.
    pub unverified: u64,
    /// Error answers withheld because too many were due.
    pub refusals_withheld: u64,
    /// Datagrams not sent because the queue was full.
    pub transmits_dropped: u64,
    /// Times that the selected path changed after the first.
    pub path_changes: u64,
}

/// Whether a datagram is STUN, by its first byte and its magic cookie (RFC 7983, RFC 8489).
#[must_use]
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= 20 && bytes[0] < 4 && bytes[4..8] == [0x21, 0x12, 0xA4, 0x42]
}

/// The user fragment of ours that a binding request names: the first half of its USERNAME.
///
/// For the router, which finds the agent by it. Nothing has been verified at this point.
#[must_use]
pub fn stun_local_ufrag(bytes: &[u8]) -> Option<&str> {
    let username = stun::request_username(bytes)?;
    username.split_once(':').map(|(ours, _)| ours)
}
