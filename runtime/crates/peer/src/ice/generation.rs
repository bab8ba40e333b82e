//! One generation of credentials: its pairs, and the messages about them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use rand::rngs::StdRng;
use remotemedia_core::Micros;

use super::bucket::Bucket;
use super::candidate::{CandidateKind, priority};
use super::checklist::{CheckKind, Checklist, Pair, PairState};
use super::stun::{Class, Key, Message, Writer};
use super::{Candidate, Credentials, IceEvent, IceRole, IceStats, Path, StunOutcome};
use crate::Transmit;

/// Datagrams that wait to be sent; the driver drains them after every call. When it is full, new
/// ones are dropped and counted: all of them are repeated or asked for again.
const MAX_TRANSMITS: usize = 64;
/// Events that wait; when it is full the oldest is dropped, as [`super::IceAgent::selected`] tells
/// the state as well.
const MAX_EVENTS: usize = 32;

/// A check under way is repeated early when the other side is heard on its pair and this much time
/// has passed: the way may just have opened.
const EARLY_REPETITION: std::time::Duration = std::time::Duration::from_millis(50);
/// The pair in use is checked when the other side shows up elsewhere and it has not answered for
/// this long.
const PROBE_AFTER: std::time::Duration = std::time::Duration::from_secs(1);
/// The other side's nomination of the pair in use wins against one of a pair of lower priority for
/// this long: with aggressive nomination (RFC 5245) every pair is nominated.
const NOMINATION_HOLD: std::time::Duration = std::time::Duration::from_millis(500);

/// What all generations of an agent share.
pub(super) struct Shared {
    pub(super) role: IceRole,
    pub(super) tie_breaker: u64,
    pub(super) local: Vec<Candidate>,
    pub(super) rng: StdRng,
    /// Paces checks (RFC 8445, section 14).
    pub(super) pacing: Bucket,
    /// Bounds error answers to messages that were not verified.
    pub(super) refusals: Bucket,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<IceEvent>,
    pub(super) stats: IceStats,
}

impl Shared {
    pub(super) fn controlling(&self) -> bool {
        self.role == IceRole::Controlling
    }

    pub(super) fn send(&mut self, to: SocketAddr, from: Option<IpAddr>, payload: Bytes) {
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back(Transmit { to, from, payload });
        } else {
            self.stats.transmits_dropped += 1;
        }
    }

    pub(super) fn emit(&mut self, event: IceEvent) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The priority of our end of a pair: that of the candidate with this address, or of the best
    /// one of the family where the routing table chooses.
    fn local_priority(&self, local: Option<IpAddr>, remote: SocketAddr) -> u32 {
        let addresses = || self.local.iter().filter_map(|c| Some((c.ip()?.ip(), c.priority)));
        let same = addresses().find(|(ip, _)| Some(*ip) == local).map(|(_, priority)| priority);
        let best = || {
            let family = addresses().filter(|(ip, _)| ip.is_ipv4() == remote.is_ipv4());
            family.map(|(_, priority)| priority).max()
        };
        same.or_else(best).unwrap_or(priority(CandidateKind::PeerReflexive, u16::MAX))
    }

    pub(super) fn pair(&self, remote: SocketAddr, local: Option<IpAddr>, priority: u32) -> Pair {
        Pair::new(remote, local, priority, self.local_priority(local, remote))
    }

    /// Answers a message that was not verified, if not too many were.
    pub(super) fn refuse(
        &mut self,
        now: Micros,
        path: Path,
        request: &Message<'_>,
        error: u16,
    ) -> StunOutcome {
        self.stats.unverified += 1;
        if self.refusals.take(now) {
            let answer = Writer::error(&request.transaction, error).unsigned();
            self.send(path.remote, path.local, answer);
        } else {
            self.stats.refusals_withheld += 1;
        }
        StunOutcome::Refused
    }
}

/// The other side's credentials.
pub(super) struct Remote {
    pub(super) credentials: Credentials,
    pub(super) key: Key,
}

/// The checks with one pair of credentials.
pub(super) struct Generation {
    pub(super) local: Credentials,
    key: Key,
    pub(super) remote: Option<Remote>,
    pub(super) list: Checklist,
    /// Candidates of the other side, useless ones included.
    pub(super) counted: usize,
    /// When the first path must have been found.
    pub(super) deadline: Micros,
    /// Checks that no request triggered wait until then, or until the other side is heard.
    pub(super) begin_at: Micros,
    pub(super) first_valid_at: Option<Micros>,
    pub(super) retry_at: Option<Micros>,
    pub(super) selected: Option<usize>,
    pub(super) consent_at: Micros,
    pub(super) recheck_at: Micros,
    pub(super) disconnected: bool,
}

impl Generation {
    pub(super) fn new(local: Credentials, deadline: Micros) -> Self {
        let key = Key::new(&local.pwd);
        Generation {
            local,
            key,
            remote: None,
            list: Checklist::default(),
            counted: 0,
            deadline,
            begin_at: Micros::ZERO,
            first_valid_at: None,
            retry_at: None,
            selected: None,
            consent_at: Micros::ZERO,
            recheck_at: Micros::ZERO,
            disconnected: false,
        }
    }

    /// The path in use.
    pub(super) fn path(&self) -> Option<Path> {
        let pair = &self.list.pairs[self.selected?];
        Some(Path { remote: pair.remote, local: pair.local })
    }

    /// The best path that has answered a check.
    pub(super) fn best_valid(&self, controlling: bool) -> Option<Path> {
        let index = self.list.best(controlling, |pair| pair.state == PairState::Valid)?;
        let pair = &self.list.pairs[index];
        Some(Path { remote: pair.remote, local: pair.local })
    }

    /// Whether this side's half and, where it is known, the other side's half of a USERNAME fit.
    fn is_addressed(&self, username: &str) -> bool {
        let Some((ours, theirs)) = username.split_once(':') else { return false };
        let remote = self.remote.as_ref().map(|remote| remote.credentials.ufrag.as_str());
        ours == self.local.ufrag && remote.is_none_or(|remote| remote == theirs)
    }

    /// RFC 8445, section 7.3.
    pub(super) fn handle_request(
        &mut self,
        shared: &mut Shared,
        now: Micros,
        path: Path,
        request: &Message<'_>,
    ) -> StunOutcome {
        let addressed = request.username.is_some_and(|username| self.is_addressed(username));
        if !addressed || !request.is_from(&mut self.key) {
            return shared.refuse(now, path, request, 401);
        }
        if !request.unknown().is_empty() {
            let answer = Writer::error(&request.transaction, 420).unknown(request.unknown());
            shared.send(path.remote, path.local, answer.signed(&mut self.key));
            return StunOutcome::Ignored;
        }
        if !self.resolve_roles(shared, request) {
            let answer = Writer::error(&request.transaction, 487).signed(&mut self.key);
            shared.send(path.remote, path.local, answer);
            return StunOutcome::Ignored;
        }
        shared.stats.requests_answered += 1;
        let answer = Writer::success(&request.transaction).mapped(path.remote);
        shared.send(path.remote, path.local, answer.signed(&mut self.key));

        let index = self.list.find(path.remote, path.local).or_else(|| {
            let least = priority(CandidateKind::PeerReflexive, 0);
            let pair = shared.pair(path.remote, path.local, request.priority.unwrap_or(least));
            self.list.add(pair, self.selected)
        });
        if let Some(index) = index {
            self.note_request(shared, now, index, request.use_candidate);
        }
        StunOutcome::Verified
    }

    /// Whether the roles fit, perhaps after a change of ours (RFC 8445, section 7.3.1.1).
    fn resolve_roles(&mut self, shared: &mut Shared, request: &Message<'_>) -> bool {
        let (theirs, keeps) = match shared.role {
            IceRole::Controlling => (request.controlling, true),
            IceRole::Controlled => (request.controlled, false),
        };
        let Some(theirs) = theirs else { return true };
        let stronger = shared.tie_breaker >= theirs;
        if stronger == keeps {
            return false;
        }
        self.switch_role(shared);
        true
    }

    fn switch_role(&mut self, shared: &mut Shared) {
        shared.role = match shared.role {
            IceRole::Controlling => IceRole::Controlled,
            IceRole::Controlled => IceRole::Controlling,
        };
        for pair in &mut self.list.pairs {
            pair.nominated = false;
            // A nomination sent in the old role counts for nothing.
            if pair.check.as_ref().is_some_and(|check| check.kind == CheckKind::Nominating) {
                pair.check = None;
            }
        }
    }

    fn note_request(&mut self, shared: &mut Shared, now: Micros, index: usize, nominates: bool) {
        let nominates = nominates && !shared.controlling();
        let pair = &mut self.list.pairs[index];
        pair.requested_at = Some(now);
        if nominates {
            pair.nominated_at = Some(now);
        }
        match (&mut pair.check, pair.state) {
            (_, PairState::Valid) => {
                if nominates {
                    self.follow_nomination(shared, now, index);
                }
            }
            (Some(check), _) => {
                pair.nominated |= nominates;
                if check.from.is_none() && pair.local.is_some() {
                    // The routing table may choose another address of ours than was asked.
                    pair.state = PairState::Waiting;
                    pair.triggered = true;
                } else if now - check.sent_last >= EARLY_REPETITION {
                    check.next_at = now;
                }
            }
            (None, _) => {
                pair.nominated |= nominates;
                pair.state = PairState::Waiting;
                pair.triggered = true;
            }
        }
        self.probe_selected(now, index);
    }

    /// The other side was heard on another pair than the one in use: find out whether the latter
    /// still works, so as to follow quickly.
    fn probe_selected(&mut self, now: Micros, heard: usize) {
        let Some(selected) = self.selected.filter(|selected| *selected != heard) else { return };
        let pair = &self.list.pairs[selected];
        if pair.check.is_none() && pair.answered_at.is_none_or(|at| now - at >= PROBE_AFTER) {
            self.consent_at = now;
        }
    }

    /// The other side nominated a valid pair.
    fn follow_nomination(&mut self, shared: &mut Shared, now: Micros, index: usize) {
        let Some(selected) = self.selected else {
            self.select(shared, now, index);
            return;
        };
        let (new, old) = (&self.list.pairs[index], &self.list.pairs[selected]);
        let better = new.priority(false) > old.priority(false);
        let held = old.nominated_at.is_some_and(|at| now - at < NOMINATION_HOLD);
        if index != selected && (better || !held) {
            self.select(shared, now, index);
        }
    }

    /// RFC 8445, section 7.2.5. `None` when the message answers nothing of this generation.
    pub(super) fn handle_answer(
        &mut self,
        shared: &mut Shared,
        now: Micros,
        path: Path,
        answer: &Message<'_>,
    ) -> Option<StunOutcome> {
        let answered = |pair: &Pair| {
            let check = pair.check.as_ref();
            pair.remote == path.remote
                && check.is_some_and(|check| check.is_answered_by(&answer.transaction))
        };
        let index = self.list.pairs.iter().position(answered)?;
        if !answer.is_from(&mut self.remote.as_mut()?.key) {
            // Some sign no error answers; whoever sent this one, repetition takes care of it.
            shared.stats.unverified += 1;
            return Some(StunOutcome::Ignored);
        }
        let controlling = shared.controlling();
        let pair = &mut self.list.pairs[index];
        let check = pair.check.take()?;
        let replaced = check.id != answer.transaction;
        if answer.class == Class::Error && replaced {
            pair.check = Some(check);
            return Some(StunOutcome::Verified);
        }
        if answer.class == Class::Error {
            pair.state = PairState::Failed;
            if answer.error == Some(487) {
                pair.state = PairState::Waiting;
                pair.triggered = true;
                if check.controlling == controlling {
                    self.switch_role(shared);
                }
            }
            return Some(StunOutcome::Verified);
        }
        shared.stats.checks_answered += 1;
        // A check whose source the routing table chose speaks for the address it was answered at.
        let index = match path.local {
            Some(local) if check.from != Some(local) => self.resolve_local(index, local),
            _ => index,
        };
        if self.selected == Some(index) && check.transmissions == 1 && !replaced {
            shared.stats.round_trip = Some(now - check.sent_first);
        }
        self.note_answer(shared, now, index, check.kind);
        Some(StunOutcome::Verified)
    }

    fn resolve_local(&mut self, index: usize, local: IpAddr) -> usize {
        let remote = self.list.pairs[index].remote;
        let same = |pair: &Pair| pair.remote == remote && pair.local == Some(local);
        match self.list.pairs.iter().position(same) {
            Some(other) if other != index => {
                self.list.pairs[index].state = PairState::Waiting;
                other
            }
            _ => {
                self.list.pairs[index].local = Some(local);
                index
            }
        }
    }

    fn note_answer(&mut self, shared: &mut Shared, now: Micros, index: usize, kind: CheckKind) {
        self.first_valid_at.get_or_insert(now);
        let pair = &mut self.list.pairs[index];
        pair.state = PairState::Valid;
        pair.triggered = false;
        pair.answered_at = Some(now);
        pair.unanswered_since = None;
        let nominated = std::mem::take(&mut pair.nominated) && !shared.controlling();
        if self.selected == Some(index) {
            if std::mem::take(&mut self.disconnected)
                && let Some(path) = self.path()
            {
                shared.emit(IceEvent::Selected(path));
            }
        } else if kind == CheckKind::Nominating && shared.controlling() {
            self.select(shared, now, index);
        } else if nominated {
            self.follow_nomination(shared, now, index);
        }
    }

    /// Uses a pair from now on.
    pub(super) fn select(&mut self, shared: &mut Shared, now: Micros, index: usize) {
        if self.selected.is_some() {
            shared.stats.path_changes += 1;
        }
        self.selected = Some(index);
        self.disconnected = false;
        self.consent_at = now + super::liveness::consent_interval(&mut shared.rng);
        if let Some(path) = self.path() {
            shared.emit(IceEvent::Selected(path));
        }
    }
}
