use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use remotemedia_core::Micros;

use super::{
    Candidate, CandidateUse, Credentials, IceError, IceEvent, IceRole, IceStats, Path, StunOutcome,
};
use crate::Transmit;

/// What an agent is made of.
#[derive(Clone, Debug)]
pub struct IceConfig {
    /// The role to begin with; a conflict may change it.
    pub role: IceRole,
    /// Our credentials.
    pub credentials: Credentials,
    /// Decides who gives way when both sides take the same role.
    pub tie_breaker: u64,
    /// Our candidates, at most [`super::MAX_LOCAL_CANDIDATES`]; more are left out.
    pub local: Vec<Candidate>,
    /// How long the first path, and the first one after a restart, may take.
    pub setup_timeout: Duration,
}

/// One side of one connection. See the [module](super) for how it is driven.
pub struct IceAgent {
    config: IceConfig,
}

impl IceAgent {
    /// Makes an agent. All its randomness (transaction ids, intervals) comes from `seed`.
    #[must_use]
    pub fn new(config: IceConfig, seed: u64, now: Micros) -> Self {
        let _ = (seed, now);
        IceAgent { config }
    }

    /// Sets the other side's credentials and begins to check. Setting the same ones again changes
    /// nothing; others than before call for [`IceAgent::restart`].
    pub fn set_remote(&mut self, now: Micros, remote: Credentials) {
        let _ = (now, remote);
    }

    /// Takes a candidate of the other side: `candidate:...`, with or without `a=`; an empty line
    /// or `end-of-candidates` is the end.
    ///
    /// # Errors
    ///
    /// [`IceError::InvalidCandidate`] when it cannot be parsed, [`IceError::TooManyCandidates`]
    /// when there are more than [`super::MAX_REMOTE_CANDIDATES`].
    pub fn add_remote_candidate(
        &mut self,
        now: Micros,
        line: &str,
    ) -> Result<CandidateUse, IceError> {
        let _ = (now, line);
        Ok(CandidateUse::Ignored)
    }

    /// The other side has no more candidates.
    pub fn end_of_candidates(&mut self, now: Micros) {
        let _ = now;
    }

    /// Takes one STUN datagram that came from `from` to `local`.
    pub fn handle_stun(
        &mut self,
        now: Micros,
        from: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) -> StunOutcome {
        let _ = (now, from, local, bytes);
        StunOutcome::Ignored
    }

    /// Begins anew with other credentials (RFC 8445, section 9). The path stays in use until
    /// another one is selected.
    pub fn restart(&mut self, now: Micros, local: Credentials, remote: Option<Credentials>) {
        let _ = (now, local, remote);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<IceEvent> {
        None
    }

    /// When [`IceAgent::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        None
    }

    /// Does what is due: checks, repetitions, consent, expiry.
    pub fn handle_timeout(&mut self, now: Micros) {
        let _ = now;
    }

    /// The path in use.
    #[must_use]
    pub fn selected(&self) -> Option<Path> {
        None
    }

    /// Whether a message with the right integrity came from this address.
    #[must_use]
    pub fn is_verified(&self, address: SocketAddr) -> bool {
        let _ = address;
        false
    }

    /// The addresses for which [`IceAgent::is_verified`] holds, each once.
    pub fn verified(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        std::iter::empty()
    }

    /// Our credentials: those of the latest generation.
    #[must_use]
    pub fn local_credentials(&self) -> &Credentials {
        &self.config.credentials
    }

    /// The other side's credentials, of the latest generation.
    #[must_use]
    pub fn remote_credentials(&self) -> Option<&Credentials> {
        None
    }

    /// The user fragments of ours that requests may name: two while a restart is under way.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> + '_ {
        std::iter::once(self.config.credentials.ufrag.as_str())
    }

    /// The role at present.
    #[must_use]
    pub fn role(&self) -> IceRole {
        self.config.role
    }

    /// Counters and measurements.
    #[must_use]
    pub fn stats(&self) -> IceStats {
        IceStats::default()
    }
}
