//! What is due: checks and their repetition, nomination, consent, changing the path.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use remotemedia_core::Micros;

use super::candidate::{CandidateKind, priority};
use super::checklist::{Check, CheckKind, Pair, PairState};
use super::generation::{Generation, Shared};
use super::stun::Writer;
use super::{FailureReason, IceEvent};

/// How long the controlling side waits for a better pair once one works.
const NOMINATION_WAIT: Duration = Duration::from_millis(20);
/// Consent ends so long after the last answer (RFC 7675, section 5.1).
const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);
/// [`IceEvent::Disconnected`] comes so long after the last answer: consent is asked for after 6 s
/// at the latest, and repeated twice within the next second.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(7);
/// The pair in use counts as dead for choosing another one when its checks have gone unanswered
/// for this long.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// How often all other pairs are checked anew while the pair in use is silent.
const RECHECK_INTERVAL: Duration = Duration::from_secs(2);
/// When all pairs have failed, they are tried anew after this pause.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// So many of them, the best: an offer must not make us knock on dozens of strange doors for half
/// a minute (RFC 8445, section 19.5.1).
const RETRY_PAIRS: usize = 8;

/// 5 s times 0.8 to 1.2 (RFC 7675, section 5.1).
pub(super) fn consent_interval(rng: &mut StdRng) -> Duration {
    Duration::from_micros(rng.random_range(4_000_000..=6_000_000))
}

impl Generation {
    /// Does what is due. Returns when it is to be called next, or why this generation is over.
    pub(super) fn drive(
        &mut self,
        shared: &mut Shared,
        now: Micros,
    ) -> Result<Micros, FailureReason> {
        self.repeat_checks(shared, now);
        let mut next = self.keep_path(shared, now)?;
        if self.remote.is_some() {
            next = next.min(self.nominate(shared, now));
            next = next.min(self.start_checks(shared, now));
        }
        let repetitions =
            self.list.pairs.iter().filter_map(|pair| Some(pair.check.as_ref()?.next_at));
        Ok(repetitions.fold(next, Micros::min))
    }

    /// Repeats the checks that are due, and gives up those that were repeated enough.
    fn repeat_checks(&mut self, shared: &mut Shared, now: Micros) {
        let silent = self.is_silent(now);
        for index in 0..self.list.pairs.len() {
            let selected = self.selected == Some(index);
            let settled = self.selected.is_some() && !selected && !silent;
            let pair = &mut self.list.pairs[index];
            let Some(check) = pair.check.as_mut().filter(|check| check.next_at <= now) else {
                continue;
            };
            // Once a path is in use, only what may change it is worth repeating.
            let idle = settled && !pair.nominated && check.kind == CheckKind::Ordinary;
            if check.is_spent() || idle {
                // A pair that worked until it was nominated may still do.
                let once_more = check.kind == CheckKind::Nominating && self.selected.is_none();
                pair.check = None;
                if once_more {
                    pair.state = PairState::Waiting;
                } else if !selected && !pair.triggered {
                    pair.state = PairState::Failed;
                    pair.nominated = false;
                }
            } else {
                check.note_sent(now);
                shared.stats.checks_sent += 1;
                shared.send(pair.remote, check.from, check.bytes.clone());
            }
        }
    }

    /// Consent on the pair in use, and what follows from its silence. Returns when it is due next.
    fn keep_path(&mut self, shared: &mut Shared, now: Micros) -> Result<Micros, FailureReason> {
        let Some(mut selected) = self.selected else {
            return if now >= self.deadline {
                Err(FailureReason::NoPath)
            } else {
                Ok(self.deadline)
            };
        };
        if self.is_silent(now) {
            if let Some(successor) = self.successor(shared) {
                self.select(shared, now, successor);
                selected = successor;
            } else if now >= self.recheck_at {
                self.recheck_at = now + RECHECK_INTERVAL;
                self.recheck_others(selected);
            }
        }
        let pair = &self.list.pairs[selected];
        let answered_at = pair.answered_at.unwrap_or(now);
        if now - answered_at >= CONSENT_TIMEOUT {
            return Err(FailureReason::ConsentLost);
        }
        if now - answered_at >= DISCONNECTED_AFTER && !self.disconnected {
            self.disconnected = true;
            shared.emit(IceEvent::Disconnected);
        }
        if now >= self.consent_at {
            self.consent_at = now + consent_interval(&mut shared.rng);
            self.forget_unheard(now, selected);
            self.start_check(shared, now, selected, CheckKind::Consent);
        }

        let mut next = self.consent_at.min(answered_at + CONSENT_TIMEOUT);
        if !self.disconnected {
            next = next.min(answered_at + DISCONNECTED_AFTER);
        }
        if let Some(since) = self.list.pairs[selected].unanswered_since {
            let silent_at = since + SILENT_AFTER;
            next = next.min(if silent_at > now { silent_at } else { self.recheck_at });
        }
        Ok(next)
    }

    /// Addresses that were not heard for as long as consent lasts are verified no more: somebody
    /// else may have them by now.
    fn forget_unheard(&mut self, now: Micros, selected: usize) {
        for (index, pair) in self.list.pairs.iter_mut().enumerate() {
            let heard = pair.heard_at().filter(|_| index != selected && pair.check.is_none());
            if heard.is_some_and(|at| now - at >= CONSENT_TIMEOUT) {
                *pair =
                    Pair::new(pair.remote, pair.local, pair.remote_priority, pair.local_priority);
            }
        }
    }

    /// Whether the pair in use does not answer.
    fn is_silent(&self, now: Micros) -> bool {
        self.selected.is_some_and(|index| self.list.pairs[index].is_silent_for(SILENT_AFTER, now))
    }

    /// The pair that the controlled side turns to when the one in use is silent: the one on which
    /// the other side was heard last, if it answers. The controlling side nominates instead.
    fn successor(&self, shared: &Shared) -> Option<usize> {
        if shared.controlling() {
            return None;
        }
        let silent = &self.list.pairs[self.selected?];
        let candidates = self.list.pairs.iter().enumerate().filter(|(_, pair)| {
            pair.state == PairState::Valid
                && pair.requested_at > silent.requested_at
                && pair.answered_at >= silent.unanswered_since
        });
        candidates.max_by_key(|(_, pair)| pair.requested_at).map(|(index, _)| index)
    }

    fn recheck_others(&mut self, selected: usize) {
        for (index, pair) in self.list.pairs.iter_mut().enumerate() {
            if index != selected && pair.check.is_none() {
                pair.state = PairState::Waiting;
            }
        }
    }

    /// Nominates a pair where it is time to (regular nomination, RFC 8445, section 8.1.1).
    fn nominate(&mut self, shared: &mut Shared, now: Micros) -> Micros {
        const NEVER: Micros = Micros(u64::MAX);
        let under_way = |pair: &Pair| {
            pair.check.as_ref().is_some_and(|check| check.kind == CheckKind::Nominating)
        };
        let needed = self.selected.is_none() || self.is_silent(now);
        if !shared.controlling() || !needed || self.list.pairs.iter().any(under_way) {
            return NEVER;
        }
        // Instead of a silent pair, one that has answered since.
        let since = self.selected.and_then(|index| self.list.pairs[index].unanswered_since);
        let works = |pair: &Pair| pair.state == PairState::Valid && pair.answered_at >= since;
        let Some(best) = self.list.best(true, works) else { return NEVER };
        if self.selected.is_none() {
            let least = self.list.pairs[best].priority(true);
            let open = |pair: &Pair| {
                matches!(pair.state, PairState::Waiting | PairState::Checking)
                    && pair.priority(true) > least
            };
            let until = self.first_valid_at.unwrap_or(now) + NOMINATION_WAIT;
            if now < until && self.list.pairs.iter().any(open) {
                return until;
            }
        }
        self.start_check(shared, now, best, CheckKind::Nominating);
        NEVER
    }

    /// Starts as many checks as pacing allows: first those that a request triggered, then by
    /// priority. Returns when more can be started.
    fn start_checks(&mut self, shared: &mut Shared, now: Micros) -> Micros {
        let heard = |pair: &Pair| pair.requested_at.is_some();
        let early = now < self.begin_at && !self.list.pairs.iter().any(heard);
        loop {
            let settled = self.selected.is_some() && !self.is_silent(now);
            let controlling = shared.controlling();
            let waiting = |pair: &Pair| {
                pair.state == PairState::Waiting && (pair.check.is_none() || pair.triggered)
            };
            let triggered = |pair: &Pair| waiting(pair) && pair.triggered;
            let chosen = self
                .list
                .best(controlling, triggered)
                .or_else(|| self.list.best(controlling, waiting).filter(|_| !settled && !early));
            let Some(index) = chosen else { break };
            if !shared.pacing.take(now) {
                return shared.pacing.ready_at();
            }
            self.list.pairs[index].state = PairState::Checking;
            self.start_check(shared, now, index, CheckKind::Ordinary);
        }
        let retry_at = self.retry_failed(now, shared.controlling());
        if early { retry_at.min(self.begin_at) } else { retry_at }
    }

    /// Without a path, pairs that failed get another try after a pause: the other side may have
    /// been slow to open its way.
    fn retry_failed(&mut self, now: Micros, controlling: bool) -> Micros {
        let failed = |pair: &Pair| pair.state == PairState::Failed;
        if self.selected.is_some()
            || self.list.pairs.is_empty()
            || !self.list.pairs.iter().all(failed)
        {
            self.retry_at = None;
            return Micros(u64::MAX);
        }
        let retry_at = *self.retry_at.get_or_insert(now + RETRY_PAUSE);
        if now < retry_at {
            return retry_at;
        }
        self.retry_at = None;
        let failed = |pair: &Pair| pair.state == PairState::Failed;
        for _ in 0..RETRY_PAIRS {
            let Some(best) = self.list.best(controlling, failed) else { break };
            self.list.pairs[best].state = PairState::Waiting;
        }
        // Pacing decides when: at once, or a little later.
        now + Duration::from_millis(1)
    }

    /// Sends a new check on a pair; one that was under way is forgotten.
    fn start_check(&mut self, shared: &mut Shared, now: Micros, index: usize, kind: CheckKind) {
        let Some(remote) = self.remote.as_mut() else { return };
        let controlling = shared.controlling();
        let pair = &mut self.list.pairs[index];
        let mut id = [0; 12];
        shared.rng.fill_bytes(&mut id);
        // The priority that a candidate found by this check would have (RFC 8445, section 7.1.1).
        let preference = (pair.local_priority >> 8) as u16;
        // Repeated in each check of the pair in use, so that it survives a new address of ours.
        let use_candidate = controlling && kind != CheckKind::Ordinary;
        let bytes = Writer::request(&id)
            .username(&remote.credentials.ufrag, &self.local.ufrag)
            .priority(priority(CandidateKind::PeerReflexive, preference))
            .role(controlling, shared.tie_breaker)
            .use_candidate(use_candidate)
            .signed(&mut remote.key);
        let earlier = pair.check.take().filter(|check| check.from.is_none()).map(|check| check.id);
        let mut check = Check {
            id,
            earlier,
            kind,
            controlling,
            from: pair.local,
            bytes,
            sent_first: now,
            sent_last: now,
            transmissions: 0,
            next_at: now,
        };
        check.note_sent(now);
        shared.stats.checks_sent += 1;
        shared.send(pair.remote, check.from, check.bytes.clone());
        pair.triggered = false;
        pair.unanswered_since.get_or_insert(now);
        pair.check = Some(check);
    }
}
