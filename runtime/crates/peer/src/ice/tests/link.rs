//! Two agents and the network between them, in virtual time.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use remotemedia_core::Micros;

use crate::ice::{
    Candidate, Credentials, FailureReason, IceAgent, IceConfig, IceEvent, IceRole, SETUP_TIMEOUT,
};
use crate::{Seed, Transmit};

/// What the network does to datagrams. The delay is drawn anew for each, so they overtake.
#[derive(Clone, Copy)]
pub(super) struct Quality {
    pub(super) loss: f64,
    pub(super) duplication: f64,
    pub(super) delay_us: (u64, u64),
}

pub(super) const CLEAN: Quality = Quality { loss: 0.0, duplication: 0.0, delay_us: (100, 100) };

pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Bytes,
}

/// Left (0) and right (1).
pub(super) struct Link {
    pub(super) now: Micros,
    pub(super) agents: [IceAgent; 2],
    pub(super) addresses: [Vec<SocketAddr>; 2],
    /// A NAT: the address under which one of ours is seen. Datagrams to another than the present
    /// one do not arrive.
    pub(super) seen_as: BTreeMap<SocketAddr, SocketAddr>,
    pub(super) quality: Quality,
    /// Pairs of addresses, as seen from outside, between which nothing passes, either way.
    pub(super) cut: Vec<(SocketAddr, SocketAddr)>,
    pub(super) events: [Vec<(Micros, IceEvent)>; 2],
    pub(super) sent: u64,
    queue: BTreeMap<(Micros, u64), Datagram>,
    rng: StdRng,
}

pub(super) fn credentials(name: &str) -> Credentials {
    Credentials { ufrag: format!("ufrag{name}"), pwd: format!("password-of-{name}-0123456789") }
}

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn hosts(addresses: &[SocketAddr]) -> Vec<Candidate> {
    let preference = |index: usize| u16::MAX - index as u16;
    addresses.iter().enumerate().map(|(i, a)| Candidate::host(*a, preference(i))).collect()
}

pub(super) fn agent(name: &str, role: IceRole, addresses: &[SocketAddr], seed: u64) -> IceAgent {
    let config = IceConfig {
        role,
        credentials: credentials(name),
        tie_breaker: seed,
        local: hosts(addresses),
        setup_timeout: SETUP_TIMEOUT,
    };
    IceAgent::new(config, &Seed::guessable(seed), Micros::ZERO)
}

impl Link {
    /// Two agents that know nothing of each other yet; the left one is controlling.
    pub(super) fn new(left: &[&str], right: &[&str], seed: u64) -> Self {
        let addresses = [left, right].map(|side| side.iter().map(|a| address(a)).collect());
        Link::with_roles(addresses, [IceRole::Controlling, IceRole::Controlled], seed)
    }

    pub(super) fn with_roles(
        addresses: [Vec<SocketAddr>; 2],
        roles: [IceRole; 2],
        seed: u64,
    ) -> Self {
        Link {
            now: Micros::ZERO,
            agents: [
                agent("left", roles[0], &addresses[0], 2 * seed + 1),
                agent("right", roles[1], &addresses[1], 2 * seed + 2),
            ],
            addresses,
            seen_as: BTreeMap::new(),
            quality: CLEAN,
            cut: Vec::new(),
            events: Default::default(),
            sent: 0,
            queue: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Two agents that have each other's description, with one address each.
    pub(super) fn pair(seed: u64) -> Self {
        let mut link = Link::new(&["192.0.2.1:1000"], &["192.0.2.2:2000"], seed);
        link.describe(0);
        link.describe(1);
        link
    }

    /// Gives one side the other side's credentials and candidates.
    pub(super) fn describe(&mut self, to: usize) {
        let credentials = self.agents[1 - to].local_credentials().clone();
        self.agents[to].set_remote(self.now, credentials);
        for candidate in hosts(&self.addresses[1 - to].clone()) {
            self.agents[to].add_remote_candidate(self.now, &candidate.to_sdp()).unwrap();
        }
        self.drain();
    }

    pub(super) fn cut(&mut self, left: &str, right: &str) {
        self.cut.push((address(left), address(right)));
    }

    /// Nothing passes any more.
    pub(super) fn cut_all(&mut self) {
        self.quality.loss = 1.0;
    }

    pub(super) fn selected(&self, side: usize) -> Option<SocketAddr> {
        self.agents[side].selected().map(|path| path.remote)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.agents.iter().all(|agent| agent.selected().is_some())
    }

    /// Runs until `done`, or for `millis` at most. Returns whether it is done.
    pub(super) fn run_until(&mut self, millis: u64, done: impl Fn(&Link) -> bool) -> bool {
        let end = Micros(self.now.0 + millis * 1000);
        let mut idle = 0;
        loop {
            self.drain();
            if done(self) {
                return true;
            }
            let timers = self.agents.iter().filter_map(IceAgent::poll_timeout);
            let due = self.queue.keys().map(|(at, _)| *at).chain(timers).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now = end;
                return false;
            };
            // Each timer must lead somewhere: an agent that asks for the same moment over and over
            // would spin in a server.
            idle = if due > self.now { 0 } else { idle + 1 };
            assert!(idle < 1000, "time stands still at {}", self.now);
            self.now = self.now.max(due);
            if let Some((&key, _)) = self.queue.first_key_value()
                && key.0 <= self.now
                && let Some(datagram) = self.queue.remove(&key)
            {
                self.deliver(&datagram);
            } else {
                for agent in &mut self.agents {
                    agent.handle_timeout(self.now);
                }
            }
        }
    }

    pub(super) fn run(&mut self, millis: u64) {
        self.run_until(millis, |_| false);
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(event) = self.agents[side].poll_event() {
                self.events[side].push((self.now, event));
            }
            while let Some(transmit) = self.agents[side].poll_transmit() {
                self.transmit(side, transmit);
            }
        }
    }

    fn transmit(&mut self, side: usize, transmit: Transmit) {
        let Transmit { to, from, payload: bytes } = transmit;
        let source = self.addresses[side].iter().find(|address| match from {
            Some(ip) => address.ip() == ip,
            None => address.is_ipv4() == to.is_ipv4(),
        });
        let from = *source.expect("an agent sends from its own addresses");
        let from = *self.seen_as.get(&from).unwrap_or(&from);
        self.sent += 1;
        let cut = self.cut.iter().any(|(a, b)| (*a, *b) == (from, to) || (*b, *a) == (from, to));
        let copies = if cut || self.rng.random_bool(self.quality.loss) {
            0
        } else {
            1 + usize::from(self.rng.random_bool(self.quality.duplication))
        };
        for _ in 0..copies {
            let (least, most) = self.quality.delay_us;
            let at = Micros(self.now.0 + self.rng.random_range(least..=most));
            let key = (at, self.rng.random());
            self.queue.insert(key, Datagram { from, to, bytes: bytes.clone() });
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        for side in 0..2 {
            for inside in self.addresses[side].clone() {
                if *self.seen_as.get(&inside).unwrap_or(&inside) == datagram.to {
                    let Datagram { from, bytes, .. } = datagram;
                    self.agents[side].handle_stun(self.now, *from, Some(inside.ip()), bytes);
                }
            }
        }
    }

    /// When one side last had an event.
    pub(super) fn when(&self, side: usize, event: IceEvent) -> Option<Micros> {
        self.events[side].iter().rev().find(|(_, e)| *e == event).map(|(at, _)| *at)
    }

    pub(super) fn failure(&self, side: usize) -> Option<(Micros, FailureReason)> {
        self.events[side].iter().find_map(|(at, event)| match event {
            IceEvent::Failed(reason) => Some((*at, *reason)),
            _ => None,
        })
    }
}
