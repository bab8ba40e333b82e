//! Two peers and the link between them, in virtual time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use remotemedia_core::Micros;
use remotemedia_peer::sdp::{Direction, MediaWants, Want};
use remotemedia_peer::{
    ChannelId, Identity, OfferWants, Peer, PeerConfig, PeerEvent, Reliability, RtpHeader, Seed,
};

pub(crate) const OFFERER: usize = 0;
pub(crate) const ANSWERER: usize = 1;

/// How a link treats datagrams, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub loss: f64,
    pub duplication: f64,
    pub latency: Duration,
    /// Up to so much later: with it come other orders.
    pub jitter: Duration,
}

impl Link {
    pub(crate) const CLEAN: Link = Link {
        loss: 0.0,
        duplication: 0.0,
        latency: Duration::from_millis(5),
        jitter: Duration::ZERO,
    };

    pub(crate) fn bad(loss: f64) -> Link {
        Link { loss, duplication: 0.02, jitter: Duration::from_millis(8), ..Link::CLEAN }
    }
}

/// Looks at what a side sends and may keep it from arriving.
pub(crate) type Filter = Box<dyn FnMut(Micros, usize, &[u8]) -> bool>;

pub(crate) struct World {
    pub now: Micros,
    pub peers: [Peer; 2],
    pub events: [Vec<PeerEvent>; 2],
    pub link: Link,
    /// The address that the other side sees and answers to.
    pub addresses: [SocketAddr; 2],
    pub rng: SmallRng,
    pub filter: Filter,
    pub sent: [u64; 2],
    flying: BTreeMap<(Micros, u64), Datagram>,
    count: u64,
}

struct Datagram {
    receiver: usize,
    from: SocketAddr,
    to: SocketAddr,
    payload: Bytes,
}

pub(crate) fn identities() -> &'static [Arc<Identity>; 2] {
    static IDENTITIES: OnceLock<[Arc<Identity>; 2]> = OnceLock::new();
    IDENTITIES.get_or_init(|| [0, 1].map(|_| Arc::new(Identity::generate().unwrap())))
}

pub(crate) fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, side as u8 + 1], 5000 + side as u16))
}

pub(crate) fn config(side: usize, seed: u64) -> PeerConfig {
    PeerConfig::new(
        Arc::clone(&identities()[side]),
        Instant::now(),
        Seed::guessable(seed * 2 + side as u64),
        vec![address(side)],
    )
}

pub(crate) const WANTS: MediaWants = MediaWants::receive(Want::Optional);
pub(crate) const EVERYTHING: OfferWants =
    OfferWants { audio: Some(Direction::SendRecv), data: true };

impl World {
    /// The offer and the answer have been exchanged, nothing has been sent yet.
    pub(crate) fn new(seed: u64, link: Link) -> World {
        Self::with(seed, link, |sdp| sdp, |sdp| sdp)
    }

    /// With descriptions changed on their way.
    pub(crate) fn with(
        seed: u64,
        link: Link,
        change_offer: impl FnOnce(String) -> String,
        change_answer: impl FnOnce(String) -> String,
    ) -> World {
        Self::agreed(seed, link, &WANTS, change_offer, change_answer)
    }

    /// With an answering side that wants something else.
    pub(crate) fn wanting(
        seed: u64,
        link: Link,
        wants: &MediaWants,
        change_answer: impl FnOnce(String) -> String,
    ) -> World {
        Self::agreed(seed, link, wants, |sdp| sdp, change_answer)
    }

    fn agreed(
        seed: u64,
        link: Link,
        wants: &MediaWants,
        change_offer: impl FnOnce(String) -> String,
        change_answer: impl FnOnce(String) -> String,
    ) -> World {
        let now = Micros(1_000_000);
        let (mut offerer, offer) = Peer::offer(config(OFFERER, seed), now, EVERYTHING);
        let offer = change_offer(offer);
        let (answerer, answer) = Peer::answer(config(ANSWERER, seed), now, &offer, wants).unwrap();
        offerer.accept_answer(now, &change_answer(answer)).unwrap();
        World {
            now,
            peers: [offerer, answerer],
            events: [Vec::new(), Vec::new()],
            link,
            addresses: [address(0), address(1)],
            rng: SmallRng::seed_from_u64(seed),
            filter: Box::new(|_, _, _| true),
            sent: [0, 0],
            flying: BTreeMap::new(),
            count: 0,
        }
    }

    /// A pair that is connected, with a reliable channel `results` opened by the offering side.
    pub(crate) fn connected(seed: u64, link: Link) -> (World, ChannelId) {
        let mut world = World::new(seed, link);
        world.connect();
        let id = world.open("results", true, Reliability::Reliable);
        (world, id)
    }

    /// Runs until both sides are connected; panics if they are not within 30 s.
    pub(crate) fn connect(&mut self) {
        let done =
            self.run(Duration::from_secs(30), |world| world.peers.iter().all(Peer::is_connected));
        assert!(done, "not connected: {:?} {:?}", self.peers, self.events);
    }

    /// Opens a channel on the offering side and waits until both know it.
    pub(crate) fn open(
        &mut self,
        label: &str,
        ordered: bool,
        reliability: Reliability,
    ) -> ChannelId {
        let now = self.now;
        let id = self.peers[OFFERER].open_channel(now, label, ordered, reliability).unwrap();
        let done = self.run(Duration::from_secs(30), |world| {
            [0, 1].iter().all(|side| {
                world
                    .find(*side, |event| match event {
                        PeerEvent::ChannelOpen { id: opened, .. } => (*opened == id).then_some(()),
                        _ => None,
                    })
                    .is_some()
            })
        });
        assert!(done, "channel {label} did not open: {:?}", self.events);
        id
    }

    pub(crate) fn find<T>(
        &self,
        side: usize,
        look: impl FnMut(&PeerEvent) -> Option<T>,
    ) -> Option<T> {
        self.events[side].iter().find_map(look)
    }

    pub(crate) fn messages(&self, side: usize, channel: ChannelId) -> Vec<Bytes> {
        let of = |event: &PeerEvent| match event {
            PeerEvent::Message { id, data, .. } if *id == channel => Some(data.clone()),
            _ => None,
        };
        self.events[side].iter().filter_map(of).collect()
    }

    pub(crate) fn packets(&self, side: usize) -> Vec<(RtpHeader, Bytes)> {
        let of = |event: &PeerEvent| match event {
            PeerEvent::Rtp { header, payload, .. } => Some((*header, payload.clone())),
            _ => None,
        };
        self.events[side].iter().filter_map(of).collect()
    }

    /// Sends a packet of media from a side.
    pub(crate) fn send_rtp(&mut self, side: usize, sequence_number: u16, payload: &[u8]) {
        let header = RtpHeader {
            ssrc: self.peers[side].ssrc(),
            sequence_number,
            timestamp: u32::from(sequence_number) * 960,
            payload_type: self.peers[side].audio()[0].payload_type,
            marker: false,
        };
        self.peers[side].send_rtp(self.now, &header, payload).unwrap();
    }

    /// Puts a datagram on the link as if it came from `from`, past loss and filter.
    pub(crate) fn inject(&mut self, receiver: usize, from: SocketAddr, payload: &[u8]) {
        let local = Some(self.addresses[receiver].ip());
        self.peers[receiver].handle_datagram(self.now, from, local, payload);
    }

    fn flush(&mut self) {
        for side in 0..2 {
            while let Some(transmit) = self.peers[side].poll_transmit() {
                assert!(transmit.payload.len() <= 1232, "{} bytes", transmit.payload.len());
                self.sent[side] += 1;
                if !(self.filter)(self.now, side, &transmit.payload) {
                    continue;
                }
                let copies = 1 + u32::from(self.rng.random_bool(self.link.duplication));
                for _ in 0..copies {
                    if self.rng.random_bool(self.link.loss) {
                        continue;
                    }
                    let jitter = self.link.jitter.as_micros() as u64;
                    let jitter = Duration::from_micros(self.rng.random_range(0..=jitter));
                    self.count += 1;
                    let datagram = Datagram {
                        receiver: 1 - side,
                        from: self.addresses[side],
                        to: transmit.to,
                        payload: transmit.payload.clone(),
                    };
                    let key = (self.now + self.link.latency + jitter, self.count);
                    self.flying.insert(key, datagram);
                }
            }
            while let Some(event) = self.peers[side].poll_event() {
                self.events[side].push(event);
            }
        }
    }

    /// Runs until `until` holds or `span` has passed; tells whether it holds.
    pub(crate) fn run(&mut self, span: Duration, mut until: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + span;
        loop {
            self.flush();
            if until(self) {
                return true;
            }
            let arrival = self.flying.keys().next().map(|key| key.0);
            let timers = self.peers.iter().filter_map(Peer::poll_timeout);
            let Some(next) = arrival.into_iter().chain(timers).min().filter(|at| *at <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            if arrival.is_some_and(|at| at <= self.now) {
                if let Some((_, datagram)) = self.flying.pop_first() {
                    self.deliver(&datagram);
                }
            } else {
                for peer in &mut self.peers {
                    if peer.poll_timeout().is_some_and(|at| at <= self.now) {
                        peer.handle_timeout(self.now);
                    }
                }
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.run(span, |_| false);
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let receiver = datagram.receiver;
        // Nobody is at an address that its owner has left.
        if datagram.to == self.addresses[receiver] {
            let local: Option<IpAddr> = Some(datagram.to.ip());
            let peer = &mut self.peers[receiver];
            peer.handle_datagram(self.now, datagram.from, local, &datagram.payload);
        }
    }
}
