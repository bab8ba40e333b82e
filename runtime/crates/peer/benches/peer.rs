//! What one peer costs: CPU for each packet of media in and each message out, for setting up, and
//! memory. `cargo bench -p remotemedia-peer`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a bench")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use remotemedia_core::Micros;
use remotemedia_peer::sdp::{Direction, MediaWants, Want};
use remotemedia_peer::{
    ChannelId, Identity, OfferWants, Peer, PeerConfig, PeerEvent, Reliability, RtpHeader, Seed,
};

/// Counts what is allocated.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ADDRESSES: [([u8; 4], u16); 2] = [([192, 0, 2, 1], 5001), ([192, 0, 2, 2], 5002)];
const PACKETS: u32 = 50_000;
const PEERS: usize = 200;
/// A 20 ms packet of speech.
const PAYLOAD: usize = 80;
/// A result as JSON.
const RESULT: usize = 250;

struct Pair {
    now: Micros,
    /// The one that offers plays the browser, the one that answers is ours.
    peers: [Peer; 2],
    /// Time spent in each.
    spent: [Duration; 2],
    channel: Option<ChannelId>,
    received: [usize; 2],
    sent: [usize; 2],
}

impl Pair {
    fn new(identities: &[Arc<Identity>; 2], anchor: Instant, seed: u64) -> Pair {
        let now = Micros(1_000_000);
        let config = |side: usize| {
            let address = SocketAddr::from(ADDRESSES[side]);
            PeerConfig::new(
                Arc::clone(&identities[side]),
                anchor,
                Seed::guessable(seed * 2 + side as u64),
                vec![address],
            )
        };
        let wants = OfferWants { audio: Some(Direction::SendOnly), data: true };
        let (mut client, offer) = Peer::offer(config(0), now, wants);
        let start = Instant::now();
        let (server, answer) =
            Peer::answer(config(1), now, &offer, &MediaWants::receive(Want::Required)).unwrap();
        let spent = start.elapsed();
        client.accept_answer(now, &answer).unwrap();
        Pair {
            now,
            peers: [client, server],
            spent: [Duration::ZERO, spent],
            channel: None,
            received: [0; 2],
            sent: [0; 2],
        }
    }

    /// Lets everything that is under way arrive.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for (side, address) in ADDRESSES.iter().enumerate() {
                let start = Instant::now();
                let mut datagrams = Vec::new();
                while let Some(transmit) = self.peers[side].poll_transmit() {
                    datagrams.push(transmit.payload);
                }
                while let Some(event) = self.peers[side].poll_event() {
                    match event {
                        PeerEvent::Rtp { .. } | PeerEvent::Message { .. } => {
                            self.received[side] += 1;
                        }
                        PeerEvent::ChannelOpen { id, .. } => self.channel = Some(id),
                        _ => {}
                    }
                }
                self.spent[side] += start.elapsed();
                self.sent[side] += datagrams.len();
                let start = Instant::now();
                let from = SocketAddr::from(*address);
                for datagram in &datagrams {
                    self.peers[1 - side].handle_datagram(self.now, from, None, datagram);
                    quiet = false;
                }
                self.spent[1 - side] += start.elapsed();
            }
            if quiet {
                return;
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        for side in 0..2 {
            let start = Instant::now();
            if self.peers[side].poll_timeout().is_some_and(|at| at <= self.now) {
                self.peers[side].handle_timeout(self.now);
            }
            self.spent[side] += start.elapsed();
        }
        self.settle();
    }

    fn connect(&mut self) {
        for _ in 0..100 {
            self.pass(Duration::from_millis(5));
            if self.peers.iter().all(Peer::is_connected) {
                break;
            }
        }
        let _ = self.peers[0].open_channel(self.now, "results", true, Reliability::Reliable);
        for _ in 0..100 {
            self.pass(Duration::from_millis(5));
            if self.channel.is_some() {
                return;
            }
        }
        panic!("no channel");
    }
}

fn micros_each(spent: Duration, count: usize) -> f64 {
    spent.as_secs_f64() * 1e6 / count as f64
}

fn main() {
    let anchor = Instant::now();
    let start = Instant::now();
    let identities = [0, 1].map(|_| Arc::new(Identity::generate().unwrap()));
    println!("certificate            {:8.1} us", micros_each(start.elapsed(), 2));

    // Setting up, and memory of peers that are connected and idle.
    let before = BYTES.load(Ordering::Relaxed);
    let mut pairs: Vec<Pair> =
        (0..PEERS).map(|seed| Pair::new(&identities, anchor, seed as u64)).collect();
    pairs.iter_mut().for_each(Pair::connect);
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    let setup: Duration = pairs.iter().map(|pair| pair.spent[1]).sum();
    println!(
        "set-up                 {:8.1} us CPU of the answering side",
        micros_each(setup, PEERS)
    );
    println!(
        "memory                 {:8.1} KiB a peer, connected",
        bytes as f64 / 1024.0 / (2 * PEERS) as f64
    );
    let rss_before = rss();
    drop(pairs.split_off(PEERS / 2));
    println!("resident               {rss_before:8} KiB in all with {} peers", 2 * PEERS);

    let mut pair = pairs.swap_remove(0);
    pair.pass(Duration::from_secs(1));

    // Media in.
    pair.spent = [Duration::ZERO; 2];
    pair.received = [0; 2];
    let mut allocations = 0;
    let payload = [7u8; PAYLOAD];
    let payload_type = pair.peers[0].audio()[0].payload_type;
    let mut spent = Duration::ZERO;
    for i in 0..PACKETS {
        let header = RtpHeader {
            ssrc: pair.peers[0].ssrc(),
            sequence_number: i as u16,
            timestamp: i * 960,
            payload_type,
            marker: false,
        };
        pair.peers[0].send_rtp(pair.now, &header, &payload).unwrap();
        let datagram = loop {
            let transmit = pair.peers[0].poll_transmit().unwrap();
            if transmit.payload[0] >= 128 {
                break transmit.payload;
            }
        };
        pair.now += Duration::from_micros(100);
        let counted = ALLOCATIONS.load(Ordering::Relaxed);
        let start = Instant::now();
        let from = SocketAddr::from(ADDRESSES[0]);
        pair.peers[1].handle_datagram(pair.now, from, None, &datagram);
        while let Some(event) = pair.peers[1].poll_event() {
            pair.received[1] += usize::from(matches!(event, PeerEvent::Rtp { .. }));
        }
        std::hint::black_box(pair.peers[1].poll_timeout());
        spent += start.elapsed();
        allocations += ALLOCATIONS.load(Ordering::Relaxed) - counted;
    }
    assert_eq!(pair.received[1], PACKETS as usize);
    println!(
        "packet of media in     {:8.2} us, {:.1} allocations",
        micros_each(spent, PACKETS as usize),
        allocations as f64 / f64::from(PACKETS)
    );

    // Results out, one every 20 ms, acknowledgements in.
    let id = pair.channel.unwrap();
    let text = "x".repeat(RESULT);
    pair.pass(Duration::from_secs(1));
    pair.spent = [Duration::ZERO; 2];
    pair.received = [0; 2];
    pair.sent = [0; 2];
    let counted = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..PACKETS {
        let start = Instant::now();
        pair.peers[1].send(pair.now, id, true, text.as_bytes()).unwrap();
        pair.spent[1] += start.elapsed();
        pair.pass(Duration::from_millis(20));
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - counted;
    assert_eq!(pair.received[0], PACKETS as usize);
    println!(
        "message out            {:8.2} us with its acknowledgement ({:.2} datagrams out, {:.2} in), \
         the other side {:.2} us, {:.1} allocations on both sides",
        micros_each(pair.spent[1], PACKETS as usize),
        pair.sent[1] as f64 / f64::from(PACKETS),
        pair.sent[0] as f64 / f64::from(PACKETS),
        micros_each(pair.spent[0], PACKETS as usize),
        allocations as f64 / f64::from(PACKETS)
    );

    // Bulk.
    let message = vec![7u8; 64 * 1024];
    pair.received = [0; 2];
    let start = Instant::now();
    let mut queued = 0;
    while pair.received[0] < 400 {
        while queued < 400 && pair.peers[1].send(pair.now, id, false, &message).is_ok() {
            queued += 1;
        }
        pair.pass(Duration::from_millis(1));
    }
    let rate = 400.0 * 65.536e-3 / start.elapsed().as_secs_f64();
    println!("bulk                   {rate:8.1} MB/s, both sides on one core");
}

/// Resident memory in KiB, on Linux.
fn rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).unwrap_or(0)
}
