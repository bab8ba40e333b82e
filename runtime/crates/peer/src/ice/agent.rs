use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use remotemedia_core::Micros;

use super::bucket::Bucket;
use super::generation::{Generation, Remote, Shared};
use super::stun::{Class, Key, Message};
use super::{
    Candidate, CandidateAddress, CandidateUse, Credentials, FailureReason, IceError, IceEvent,
    IceRole, IceStats, MAX_LOCAL_CANDIDATES, MAX_REMOTE_CANDIDATES, Path, StunOutcome, Transport,
};
use crate::{Seed, Transmit};

/// Checks start at this interval (Ta of RFC 8445, section 14.2, which allows 5 ms and more), after
/// a burst of [`PACING_BURST`].
const PACING: Duration = Duration::from_millis(10);
const PACING_BURST: u32 = 4;
/// The controlled side waits so long for the other side's first check before it begins itself.
///
/// It has answered, but the answer is still on its way: checks that overtake it prove nothing that
/// the other side's own do not, and libdatachannel 0.24 may then complete the DTLS handshake before
/// it has stored the fingerprint of the very answer, which it takes for a wrong one.
const HEAD_START: Duration = Duration::from_millis(100);
/// Error answers to messages that were not verified: this many at once, then one per interval;
/// the rest stays unanswered and is counted.
const REFUSALS_BURST: u32 = 8;
const REFUSALS: Duration = Duration::from_millis(100);

/// How long the first path may take unless the configuration says otherwise.
pub const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// What an agent is made of.
#[derive(Clone, Debug)]
pub struct IceConfig {
    /// The role to begin with; a conflict may change it.
    pub role: IceRole,
    /// Our credentials.
    pub credentials: Credentials,
    /// Decides who gives way when both sides take the same role: drawn at random.
    pub tie_breaker: u64,
    /// Our candidates, at most [`MAX_LOCAL_CANDIDATES`]; more are left out.
    pub local: Vec<Candidate>,
    /// How long the first path, and the first one after a restart, may take: [`SETUP_TIMEOUT`].
    pub setup_timeout: Duration,
}

/// One side of one connection. See the [module](super) for how it is driven.
pub struct IceAgent {
    shared: Shared,
    current: Generation,
    /// The generation before a restart, while the path in use is one of its pairs.
    previous: Option<Box<Generation>>,
    setup_timeout: Duration,
    failed: bool,
    timeout: Option<Micros>,
}

impl IceAgent {
    /// Makes an agent. All its randomness (transaction ids, intervals) comes from `seed`.
    #[must_use]
    pub fn new(config: IceConfig, seed: &Seed, now: Micros) -> Self {
        let IceConfig { role, credentials, tie_breaker, mut local, setup_timeout } = config;
        local.truncate(MAX_LOCAL_CANDIDATES);
        let shared = Shared {
            role,
            tie_breaker,
            local,
            rng: seed.generator(),
            pacing: Bucket::new(PACING_BURST, PACING, now),
            refusals: Bucket::new(REFUSALS_BURST, REFUSALS, now),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            stats: IceStats::default(),
        };
        let mut agent = IceAgent {
            shared,
            current: Generation::new(credentials, now + setup_timeout),
            previous: None,
            setup_timeout,
            failed: false,
            timeout: None,
        };
        agent.drive(now);
        agent
    }

    /// Sets the other side's credentials and begins to check. Only the first call for a generation
    /// counts: other credentials than before call for [`IceAgent::restart`].
    pub fn set_remote(&mut self, now: Micros, remote: Credentials) {
        if self.current.remote.is_some() {
            return;
        }
        let key = Key::new(&remote.pwd);
        self.current.remote = Some(Remote { credentials: remote, key });
        if !self.shared.controlling() {
            self.current.begin_at = now + HEAD_START;
        }
        self.shared.emit(IceEvent::Checking);
        self.drive(now);
    }

    /// Takes a candidate of the other side: `candidate:...`, with or without `a=`; an empty line
    /// or `end-of-candidates` is the end.
    ///
    /// # Errors
    ///
    /// [`IceError::InvalidCandidate`] when it cannot be parsed, [`IceError::TooManyCandidates`]
    /// when there are more than [`MAX_REMOTE_CANDIDATES`], useless ones counted. The agent goes on.
    pub fn add_remote_candidate(
        &mut self,
        now: Micros,
        line: &str,
    ) -> Result<CandidateUse, IceError> {
        let text = line.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        if matches!(text, "" | "candidate:" | "end-of-candidates") {
            return Ok(CandidateUse::End);
        }
        let candidate = Candidate::parse(text)?;
        if self.current.counted >= MAX_REMOTE_CANDIDATES {
            return Err(IceError::TooManyCandidates);
        }
        self.current.counted += 1;
        Ok(self.take_candidate(now, &candidate))
    }

    fn take_candidate(&mut self, now: Micros, candidate: &Candidate) -> CandidateUse {
        let remote = self.current.remote.as_ref().map(|remote| &remote.credentials.ufrag);
        let stale =
            candidate.ufrag.is_some() && remote.is_some() && candidate.ufrag.as_ref() != remote;
        if stale || candidate.component != 1 || candidate.transport != Transport::Udp {
            return CandidateUse::Ignored;
        }
        let CandidateAddress::Ip(address) = candidate.address else {
            return CandidateUse::LeftToReflexive;
        };
        let address = canonical(address);
        if !self.is_reachable(address) {
            return CandidateUse::Ignored;
        }
        if let Some(known) = self.current.list.pairs.iter_mut().find(|p| p.remote == address) {
            // A check may have shown it before it was told (RFC 8838, section 10).
            known.remote_priority = candidate.priority;
            return CandidateUse::Duplicate;
        }
        let pair = self.shared.pair(address, None, candidate.priority);
        if self.current.list.add(pair, self.current.selected).is_none() {
            return CandidateUse::Ignored;
        }
        self.drive(now);
        CandidateUse::Checked
    }

    /// Whether it makes sense to send to an address: one of our families, not of a group, and not
    /// of this very machine unless we are announced there too.
    fn is_reachable(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let ours = || self.shared.local.iter().filter_map(|candidate| Some(candidate.ip()?.ip()));
        let special = match ip {
            IpAddr::V4(ip) => ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        address.port() != 0
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && !special
            && ours().any(|our| our.is_ipv4() == ip.is_ipv4())
            && (!ip.is_loopback() || ours().any(|our| our.is_loopback()))
    }

    /// Takes one STUN datagram that came from `from` to `local`, an address of ours where the
    /// driver knows it. IPv4 addresses in IPv6 clothes are treated as IPv4.
    pub fn handle_stun(
        &mut self,
        now: Micros,
        from: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) -> StunOutcome {
        if self.failed {
            return StunOutcome::Ignored;
        }
        let Some(message) = Message::parse(bytes) else { return StunOutcome::Ignored };
        let path = Path { remote: canonical(from), local: local.map(|ip| ip.to_canonical()) };
        let outcome = match message.class {
            Class::Request => self.handle_request(now, path, &message),
            Class::Success | Class::Error => self.handle_answer(now, path, &message),
            // A keep-alive: nothing to do, and nothing proven.
            Class::Indication => StunOutcome::Ignored,
        };
        if outcome == StunOutcome::Verified {
            self.drive(now);
        }
        outcome
    }

    fn handle_request(&mut self, now: Micros, path: Path, request: &Message<'_>) -> StunOutcome {
        let Some(username) = request.username.filter(|_| request.has_integrity()) else {
            return self.shared.refuse(now, path, request, 400);
        };
        let ours = username.split_once(':').map_or(username, |(ours, _)| ours);
        match &mut self.previous {
            Some(previous) if previous.local.ufrag == ours => {
                previous.handle_request(&mut self.shared, now, path, request)
            }
            _ => self.current.handle_request(&mut self.shared, now, path, request),
        }
    }

    fn handle_answer(&mut self, now: Micros, path: Path, answer: &Message<'_>) -> StunOutcome {
        let shared = &mut self.shared;
        self.current
            .handle_answer(shared, now, path, answer)
            .or_else(|| self.previous.as_mut()?.handle_answer(shared, now, path, answer))
            .unwrap_or(StunOutcome::Ignored)
    }

    /// Begins anew with other credentials (RFC 8445, section 9). The path stays in use until
    /// another one is selected, and its addresses stay verified until then.
    pub fn restart(&mut self, now: Micros, local: Credentials, remote: Option<Credentials>) {
        let next = Generation::new(local, now + self.setup_timeout);
        let last = std::mem::replace(&mut self.current, next);
        if self.failed {
            self.previous = None;
        } else if last.selected.is_some() {
            self.previous = Some(Box::new(last));
        }
        self.failed = false;
        match remote {
            Some(remote) => self.set_remote(now, remote),
            None => self.drive(now),
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.shared.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<IceEvent> {
        self.shared.events.pop_front()
    }

    /// When [`IceAgent::handle_timeout`] is due; `None` once the agent has failed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        self.timeout
    }

    /// Does what is due: checks, repetitions, consent, expiry.
    pub fn handle_timeout(&mut self, now: Micros) {
        if self.timeout.is_some_and(|at| at <= now) {
            self.drive(now);
        }
    }

    fn drive(&mut self, now: Micros) {
        if self.failed {
            return;
        }
        if self.current.selected.is_some() {
            self.previous = None;
        }
        let mut next = None;
        if let Some(previous) = &mut self.previous {
            match previous.drive(&mut self.shared, now) {
                Ok(at) => {
                    // As long as the path works, there is no hurry to find another one.
                    self.current.deadline = self.current.deadline.max(at);
                    next = Some(at);
                }
                Err(_) => self.previous = None,
            }
        }
        match self.current.drive(&mut self.shared, now) {
            Ok(at) => self.timeout = Some(next.map_or(at, |next: Micros| next.min(at))),
            Err(reason) => self.fail(reason),
        }
    }

    fn fail(&mut self, reason: FailureReason) {
        self.failed = true;
        self.previous = None;
        self.current.selected = None;
        self.timeout = None;
        self.shared.emit(IceEvent::Failed(reason));
    }

    /// The path in use.
    #[must_use]
    pub fn selected(&self) -> Option<Path> {
        self.current.path().or_else(|| self.previous.as_ref()?.path())
    }

    /// The path in use or, before there is one, the best that has answered a check: data may go
    /// this way (RFC 8445, section 12.1).
    #[must_use]
    pub fn usable(&self) -> Option<Path> {
        self.selected().or_else(|| self.current.best_valid(self.shared.controlling()))
    }

    /// Whether a message with the right integrity came from this address. A request alone makes it
    /// so: the other side may be heard from there, though nothing shows yet that it can be reached.
    #[must_use]
    pub fn is_verified(&self, address: SocketAddr) -> bool {
        let address = canonical(address);
        self.verified().any(|known| known == address)
    }

    /// The addresses for which [`IceAgent::is_verified`] holds; one that leads to several
    /// addresses of ours may come several times.
    pub fn verified(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let generations = std::iter::once(&self.current).chain(self.previous.as_deref());
        let pairs = generations.flat_map(|generation| &generation.list.pairs);
        pairs.filter(|pair| pair.heard_at().is_some()).map(|pair| pair.remote)
    }

    /// Our credentials: those of the latest generation.
    #[must_use]
    pub fn local_credentials(&self) -> &Credentials {
        &self.current.local
    }

    /// The other side's credentials, of the latest generation.
    #[must_use]
    pub fn remote_credentials(&self) -> Option<&Credentials> {
        self.current.remote.as_ref().map(|remote| &remote.credentials)
    }

    /// The user fragments of ours that requests may name: two while a restart is under way.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> + '_ {
        let generations = std::iter::once(&self.current).chain(self.previous.as_deref());
        generations.map(|generation| generation.local.ufrag.as_str())
    }

    /// The role at present.
    #[must_use]
    pub fn role(&self) -> IceRole {
        self.shared.role
    }

    /// Counters and measurements.
    #[must_use]
    pub fn stats(&self) -> IceStats {
        self.shared.stats
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
