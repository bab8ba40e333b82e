use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use remotemedia_core::Micros;

/// One client's way to the server and back.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub delay_us: u64,
    /// Added at random: more than the distance of packets reorders them.
    pub jitter_us: u64,
    /// Of 1, each way.
    pub loss: f64,
    /// Datagrams to the client that are larger are lost.
    pub largest_down: usize,
    /// Datagrams to the client get through only while this many of a second's are left.
    pub down: bool,
    pub up: bool,
}

impl Default for Path {
    fn default() -> Path {
        Path {
            delay_us: 500,
            jitter_us: 0,
            loss: 0.0,
            largest_down: usize::MAX,
            down: true,
            up: true,
        }
    }
}

impl Path {
    pub fn lossy(loss: f64) -> Path {
        Path { delay_us: 5_000, jitter_us: 30_000, loss, ..Path::default() }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Datagram {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// Datagrams under way.
pub struct Network {
    rng: SmallRng,
    queue: BinaryHeap<Reverse<(Micros, u64, Datagram)>>,
    count: u64,
    sent: HashMap<SocketAddr, usize>,
}

impl Network {
    pub fn new(seed: u64) -> Network {
        Network {
            rng: SmallRng::seed_from_u64(seed),
            queue: BinaryHeap::new(),
            count: 0,
            sent: HashMap::new(),
        }
    }

    pub fn send(
        &mut self,
        now: Micros,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        path: Path,
        down: bool,
    ) {
        // Errors that answer a stranger's check are STUN: what counts is everything else.
        if !matches!(bytes.first(), Some(0..=3)) {
            *self.sent.entry(to).or_default() += 1;
        }
        let jitter = self.rng.random_range(0..=path.jitter_us);
        let lost = self.rng.random_bool(path.loss);
        let blocked = if down { !path.down || bytes.len() > path.largest_down } else { !path.up };
        if lost || blocked {
            return;
        }
        let at = Micros(now.0 + path.delay_us + jitter);
        self.inject(at, from, to, bytes);
    }

    /// A datagram that arrives at `at`.
    pub fn inject(&mut self, at: Micros, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count, Datagram { from, to, bytes: bytes.to_vec() })));
    }

    /// Copies of the datagrams on their way to `to`, in the order of their sending.
    pub fn under_way_to(&self, to: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all: Vec<_> = self.queue.iter().filter(|one| one.0.2.to == to).collect();
        all.sort_by_key(|one| one.0.1);
        all.iter().map(|one| (one.0.2.from, one.0.2.bytes.clone())).collect()
    }

    /// Datagrams other than STUN that were sent to an address.
    pub fn sent_to(&self, to: SocketAddr) -> usize {
        self.sent.get(&to).copied().unwrap_or(0)
    }

    pub fn next(&self) -> Option<Micros> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn take(&mut self, now: Micros) -> Option<Datagram> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse((_, _, datagram))| datagram)
    }
}
