//! What one reactor's machine costs without sockets: `cargo bench -p remotemedia-session`.
//!
//! Clients and the network are simulated in the same process; only the calls into [`Sessions`] are
//! timed, and only what they allocate is counted. Prints, per session: microseconds of one core and
//! allocations per second of speech, and the bytes that a connected session holds.

#[path = "../tests/common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Client, SERVER, Speaker, Wish, World, energy, silero};
use remotemedia_core::Micros;
use remotemedia_executor::Plan;
use remotemedia_session::{Audience, OfferRequest};

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

fn count(calls: u64, bytes: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        CALLS.fetch_add(calls, Ordering::Relaxed);
        BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `call` with its time and allocations counted.
fn timed<T>(spent: &mut Duration, call: impl FnOnce() -> T) -> T {
    COUNTS.store(true, Ordering::Relaxed);
    let start = Instant::now();
    let result = call();
    *spent += start.elapsed();
    COUNTS.store(false, Ordering::Relaxed);
    result
}

/// Plays `time`; the server takes what arrived within `turn` at once, as a busy reactor does.
fn play(world: &mut World, time: Duration, turn: Duration) -> Duration {
    let mut spent = Duration::ZERO;
    let end = world.now + time;
    while world.now < end {
        world.now += turn;
        let now = world.now;
        for client in &mut world.clients {
            if client.next().is_some_and(|at| at <= now) {
                client.turn(now);
            }
            client.collect(now);
            while let Some(transmit) = client.peer.poll_transmit() {
                let at = Micros(now.0);
                world.network.inject(at, client.address, transmit.to, &transmit.payload);
            }
        }
        let server = &mut world.server;
        while let Some(datagram) = world.network.take(now) {
            if datagram.to == SERVER {
                timed(&mut spent, || {
                    server.handle_datagram(now, datagram.from, Some(SERVER.ip()), &datagram.bytes);
                });
            } else {
                let port = usize::from(datagram.to.port()) - 10_001;
                world.clients[port].peer.handle_datagram(now, datagram.from, None, &datagram.bytes);
                world.clients[port].received.clear();
            }
        }
        timed(&mut spent, || {
            if server.poll_timeout().is_some_and(|at| at <= now) {
                server.handle_timeout(now);
            }
            server.turn(now);
        });
        while let Some(transmit) = timed(&mut spent, || server.poll_transmit()) {
            world.network.inject(now, SERVER, transmit.to, &transmit.payload);
            timed(&mut spent, || drop(transmit));
        }
    }
    spent
}

/// A client opens a session.
fn open(world: &mut World, plan: &Arc<Plan>, wish: Wish) {
    let number = world.number();
    let mut client = Client::new(world, number, wish);
    let request = OfferRequest {
        pc_id: format!("pc-{number}"),
        session_id: format!("s-{number}"),
        new_session: true,
        plan: plan.clone(),
        pipeline: plan.name().clone(),
        sdp: client.offer.clone(),
        restart: false,
        audience: Audience::All,
    };
    let (server, now) = (&mut world.server, world.now);
    let mut spent = Duration::ZERO;
    let reply = timed(&mut spent, || server.offer(now, request));
    client.accept(now, reply.expect("the offer is good"));
    world.clients.push(client);
}

fn measure(plan: &Arc<Plan>, sessions: usize, live: bool) {
    let held = BYTES.load(Ordering::Relaxed);
    let mut world = World::with(1, |config| config.max_sessions = 10_000);
    for index in 0..sessions {
        // Senders are spread over the 20 ms.
        let speaker = Some(Speaker { first: index * 7, count: usize::MAX });
        open(&mut world, plan, Wish { speaker, live, ..Wish::speaking() });
        if index % 5 == 4 {
            play(&mut world, Duration::from_millis(1), Duration::from_micros(250));
        }
    }
    let turn = Duration::from_micros(250);
    play(&mut world, Duration::from_secs(3), turn);
    let (calls, seconds) = (CALLS.load(Ordering::Relaxed), 4);
    let spent = play(&mut world, Duration::from_secs(seconds), turn);
    let calls = CALLS.load(Ordering::Relaxed) - calls;
    let held = BYTES.load(Ordering::Relaxed) - held;
    let each = (sessions as u64 * seconds) as f64;
    let channels = if live { "results+live" } else { "results" };
    println!(
        "{:<12} {sessions:>4} sessions, {channels:<12}: {:>8.1} us and {:>6.1} allocations a \
         stream-second, {:>6.1} KiB held",
        plan.name(),
        spent.as_secs_f64() * 1e6 / each,
        calls as f64 / each,
        held as f64 / 1024.0 / sessions as f64,
    );
}

fn main() {
    for sessions in [10, 100, 250] {
        for live in [true, false] {
            measure(&energy(), sessions, live);
        }
    }
    measure(&silero(), 250, true);
}
