//! Which peer a datagram belongs to.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use remotemedia_core::{Key, Micros};
use remotemedia_peer::ice;
use rustc_hash::FxHashMap;

/// Checks of ours whose answers are awaited, in each of two generations; answers to further ones
/// find nobody, and the check is repeated.
const MAX_CHECKS: usize = 16_384;

/// A check's answer is awaited for one to two of these.
const CHECK_GENERATION: Duration = Duration::from_secs(10);

/// Datagrams from addresses that no check has verified yet; then the oldest goes.
const MAX_HELD: usize = 32;

/// The largest of them, in bytes: a handshake's first flight is smaller.
const MAX_HELD_BYTES: usize = 1_500;

/// How long they are kept.
const HOLD: Duration = Duration::from_millis(500);

/// Addresses learnt for one peer at most; then the oldest is forgotten.
const MAX_ADDRESSES: usize = 8;

const STUN_REQUEST: [u8; 2] = [0x00, 0x01];

type Transaction = [u8; 12];

/// A datagram that came before the check which verifies its sender.
pub(crate) struct Held {
    since: Micros,
    pub(crate) from: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) bytes: Vec<u8>,
}

/// STUN goes by user name (requests) or transaction (answers), always; everything else by an
/// address that a check with the right integrity verified. So a reused NAT port cannot reach a
/// stranger's session.
#[derive(Default)]
pub(crate) struct Router {
    ufrags: FxHashMap<Box<str>, Key>,
    addresses: FxHashMap<SocketAddr, Key>,
    checks: FxHashMap<Transaction, Key>,
    old_checks: FxHashMap<Transaction, Key>,
    turned: Micros,
    held: VecDeque<Held>,
    /// Datagrams that belong to nobody.
    pub(crate) strays: u64,
}

/// What a peer has in the router.
#[derive(Default)]
pub(crate) struct Routes {
    ufrags: Vec<Box<str>>,
    addresses: VecDeque<SocketAddr>,
}

impl Router {
    /// The peer that a datagram is for.
    pub(crate) fn route(
        &mut self,
        now: Micros,
        from: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) -> Option<Key> {
        let peer = if ice::is_stun(bytes) {
            match *bytes {
                [0x01, 0x01 | 0x11, ..] => self.answered(bytes),
                _ => ice::stun_local_ufrag(bytes).and_then(|ufrag| self.ufrags.get(ufrag).copied()),
            }
        } else {
            let known = self.addresses.get(&from).copied();
            // DTLS (RFC 7983): the first flight may overtake the check.
            if known.is_none() && matches!(bytes.first(), Some(20..=63)) {
                self.hold(now, from, local, bytes);
                return None;
            }
            known
        };
        self.strays += u64::from(peer.is_none());
        peer
    }

    fn answered(&mut self, bytes: &[u8]) -> Option<Key> {
        let transaction = transaction(bytes)?;
        self.checks.remove(&transaction).or_else(|| self.old_checks.remove(&transaction))
    }

    fn hold(&mut self, now: Micros, from: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) {
        while self.held.front().is_some_and(|held| now.since(held.since) > HOLD) {
            self.held.pop_front();
        }
        if bytes.len() > MAX_HELD_BYTES {
            self.strays += 1;
            return;
        }
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
            self.strays += 1;
        }
        self.held.push_back(Held { since: now, from, local, bytes: bytes.to_vec() });
    }

    /// Notes a check that leaves, so that its answer finds `peer`.
    pub(crate) fn sent(&mut self, now: Micros, peer: Key, bytes: &[u8]) {
        if !bytes.starts_with(&STUN_REQUEST) || !ice::is_stun(bytes) {
            return;
        }
        if now.since(self.turned) >= CHECK_GENERATION {
            self.turned = now;
            std::mem::swap(&mut self.checks, &mut self.old_checks);
            self.checks.clear();
        }
        if let Some(transaction) = transaction(bytes)
            && self.checks.len() < MAX_CHECKS
        {
            self.checks.insert(transaction, peer);
        }
    }

    /// Requests with this user fragment are for `peer`.
    pub(crate) fn add_ufrag(&mut self, routes: &mut Routes, peer: Key, ufrag: &str) {
        if self.ufrags.insert(ufrag.into(), peer) != Some(peer) {
            routes.ufrags.push(ufrag.into());
        }
    }

    /// Datagrams from this verified address are for `peer`: whoever had it before, has it no more.
    /// Returns what came from there too early.
    pub(crate) fn learn(
        &mut self,
        now: Micros,
        routes: &mut Routes,
        peer: Key,
        address: SocketAddr,
    ) -> Vec<Held> {
        if self.addresses.insert(address, peer) == Some(peer) {
            return Vec::new();
        }
        routes.addresses.retain(|known| *known != address);
        routes.addresses.push_back(address);
        if routes.addresses.len() > MAX_ADDRESSES
            && let Some(oldest) = routes.addresses.pop_front()
        {
            self.forget_address(peer, oldest);
        }
        let mut early = Vec::new();
        let mut index = 0;
        while index < self.held.len() {
            if self.held[index].from == address
                && let Some(held) = self.held.remove(index)
            {
                if now.since(held.since) <= HOLD {
                    early.push(held);
                }
            } else {
                index += 1;
            }
        }
        early
    }

    fn forget_address(&mut self, peer: Key, address: SocketAddr) {
        if self.addresses.get(&address) == Some(&peer) {
            self.addresses.remove(&address);
        }
    }

    /// Forgets a peer.
    pub(crate) fn remove(&mut self, peer: Key, routes: Routes) {
        for ufrag in routes.ufrags {
            if self.ufrags.get(&ufrag) == Some(&peer) {
                self.ufrags.remove(&ufrag);
            }
        }
        for address in routes.addresses {
            self.forget_address(peer, address);
        }
    }

    /// Addresses learnt, over all peers.
    pub(crate) fn addresses(&self) -> usize {
        self.addresses.len()
    }

    /// User fragments known, over all peers.
    pub(crate) fn ufrags(&self) -> usize {
        self.ufrags.len()
    }
}

fn transaction(bytes: &[u8]) -> Option<Transaction> {
    bytes.get(8..20)?.try_into().ok()
}

#[cfg(test)]
mod tests;
