//! The pairs of one generation and the checks under way on them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use remotemedia_core::Micros;

use super::MAX_REMOTE_CANDIDATES;
use super::stun::TransactionId;

/// Pairs of one agent: all remote candidates, and half as many again for addresses that checks
/// show. When it is full, the longest unheard pair that is not in use makes way.
pub(super) const MAX_PAIRS: usize = MAX_REMOTE_CANDIDATES + MAX_REMOTE_CANDIDATES / 2;

/// The longest wait between two transmissions of a check.
const LONGEST_WAIT: Duration = Duration::from_millis(1600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairState {
    /// To be checked when its turn comes.
    Waiting,
    /// A check is under way.
    Checking,
    /// A check was answered.
    Valid,
    /// The last check was not answered.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckKind {
    /// Finds out whether a pair works.
    Ordinary,
    /// Says that a pair is to be used.
    Nominating,
    /// Asks for consent on the pair in use.
    Consent,
}

impl CheckKind {
    /// The first wait and the number of transmissions.
    ///
    /// RFC 8445, section 14.3 begins with 500 ms; a lost check would then cost half a second of
    /// set-up, so repetition begins earlier, and the waits double with every second one.
    const fn schedule(self) -> (Duration, u32) {
        match self {
            CheckKind::Ordinary => (Duration::from_millis(100), 9),
            CheckKind::Nominating => (Duration::from_millis(100), 6),
            CheckKind::Consent => (Duration::from_millis(250), 4),
        }
    }
}

/// A request of ours that waits for its answer.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) id: TransactionId,
    /// The check that this one replaced, sent where the routing table chose; its answer counts too.
    pub(super) earlier: Option<TransactionId>,
    pub(super) kind: CheckKind,
    /// The role that it was sent in.
    pub(super) controlling: bool,
    /// The source address that it was sent from.
    pub(super) from: Option<IpAddr>,
    pub(super) bytes: Bytes,
    pub(super) sent_first: Micros,
    pub(super) sent_last: Micros,
    pub(super) transmissions: u32,
    pub(super) next_at: Micros,
}

impl Check {
    /// Whether a message answers this check or the one that it replaced.
    pub(super) fn is_answered_by(&self, id: &TransactionId) -> bool {
        self.id == *id || self.earlier.as_ref() == Some(id)
    }

    /// Notes a transmission and when the next one is due.
    pub(super) fn note_sent(&mut self, now: Micros) {
        let (first_wait, _) = self.kind.schedule();
        let wait =
            first_wait.saturating_mul(1 << (self.transmissions / 2).min(8)).min(LONGEST_WAIT);
        self.sent_last = now;
        self.transmissions += 1;
        self.next_at = now + wait;
    }

    /// Whether all transmissions were made.
    pub(super) fn is_spent(&self) -> bool {
        self.transmissions >= self.kind.schedule().1
    }
}

/// A way that datagrams may take, and what is known of it.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) remote: SocketAddr,
    /// `None` until a message shows which of our addresses it leads to.
    pub(super) local: Option<IpAddr>,
    pub(super) remote_priority: u32,
    pub(super) local_priority: u32,
    pub(super) state: PairState,
    /// Checked before all others: the other side has just been heard on it.
    pub(super) triggered: bool,
    pub(super) check: Option<Check>,
    /// The other side nominated it, and its own check is still to succeed.
    pub(super) nominated: bool,
    /// The last nomination by the other side.
    pub(super) nominated_at: Option<Micros>,
    /// The last verified request.
    pub(super) requested_at: Option<Micros>,
    /// The last answer to a check of ours.
    pub(super) answered_at: Option<Micros>,
    /// When the first check without an answer since then was sent.
    pub(super) unanswered_since: Option<Micros>,
}

impl Pair {
    pub(super) fn new(
        remote: SocketAddr,
        local: Option<IpAddr>,
        remote_priority: u32,
        local_priority: u32,
    ) -> Self {
        Pair {
            remote,
            local,
            remote_priority,
            local_priority,
            state: PairState::Waiting,
            triggered: false,
            check: None,
            nominated: false,
            nominated_at: None,
            requested_at: None,
            answered_at: None,
            unanswered_since: None,
        }
    }

    /// RFC 8445, section 6.1.2.3.
    pub(super) fn priority(&self, controlling: bool) -> u64 {
        let (g, d) = if controlling {
            (self.local_priority, self.remote_priority)
        } else {
            (self.remote_priority, self.local_priority)
        };
        (u64::from(g.min(d)) << 32) + 2 * u64::from(g.max(d)) + u64::from(g > d)
    }

    /// The last verified message.
    pub(super) fn heard_at(&self) -> Option<Micros> {
        self.requested_at.max(self.answered_at)
    }

    /// Whether checks have gone without an answer for `span`.
    pub(super) fn is_silent_for(&self, span: Duration, now: Micros) -> bool {
        self.unanswered_since.is_some_and(|since| now - since >= span)
    }
}

/// All pairs. Indices stay valid: a pair is replaced, never removed.
#[derive(Debug, Default)]
pub(super) struct Checklist {
    pub(super) pairs: Vec<Pair>,
}

impl Checklist {
    /// The pair that a message from `remote` to `local` belongs to. A pair whose own address is
    /// not known yet takes on `local`.
    pub(super) fn find(&mut self, remote: SocketAddr, local: Option<IpAddr>) -> Option<usize> {
        let same = |pair: &Pair| pair.remote == remote && (local.is_none() || pair.local == local);
        self.pairs.iter().position(same).or_else(|| {
            let open = |pair: &Pair| pair.remote == remote && pair.local.is_none();
            let index = self.pairs.iter().position(open)?;
            self.pairs[index].local = local;
            Some(index)
        })
    }

    /// Adds a pair; `None` when there are too many and none can make way.
    pub(super) fn add(&mut self, pair: Pair, keep: Option<usize>) -> Option<usize> {
        if self.pairs.len() < MAX_PAIRS {
            self.pairs.push(pair);
            return Some(self.pairs.len() - 1);
        }
        let idle = |(index, pair): &(usize, &Pair)| {
            Some(*index) != keep && pair.check.is_none() && !pair.triggered
        };
        let (index, _) =
            self.pairs.iter().enumerate().filter(idle).min_by_key(|(_, p)| p.heard_at())?;
        self.pairs[index] = pair;
        Some(index)
    }

    /// The best of the pairs for which `wanted` holds.
    pub(super) fn best(&self, controlling: bool, wanted: impl Fn(&Pair) -> bool) -> Option<usize> {
        let wanted = self.pairs.iter().enumerate().filter(|(_, pair)| wanted(pair));
        wanted.max_by_key(|(_, pair)| pair.priority(controlling)).map(|(index, _)| index)
    }
}
