//! What sessions took is given back: a server that many came to and left holds no more than before.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Network, Wish, World, energy, level, ms, python, silero};
use remotemedia_executor::NodeValue;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with the bytes that are held.
struct Counting;

// SAFETY: passes every call on to `System`, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise on `layout` holds for `System` too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Ordering::Relaxed);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SECOND: Duration = Duration::from_secs(1);

/// Sessions of every kind begin and end in every way; returns the bytes that are held afterwards.
fn come_and_go(world: &mut World) -> usize {
    let leaver = world.open(&silero(), Wish::speaking());
    let dismissed = world.open(&python(), Wish::speaking());
    let listener = world.join(dismissed, &python(), Wish::listening()).unwrap();
    let vanished = world.open(&level(), Wish::speaking());
    let silent = world.open(&energy(), Wish { results: false, live: false, ..Wish::speaking() });
    world.run(SECOND);
    assert!(world.clients.iter().all(|client| client.connected.is_some()));
    let now = world.now;
    world.clients[leaver].peer.close(now);
    world.clients[vanished].gone = true;
    let id = world.clients[dismissed].reply().session_id.clone();
    world.server.close_session(now, &id, "enough").unwrap();
    let pc_id = world.clients[silent].reply().pc_id.clone();
    world.server.close_peer(now, &pc_id).unwrap();
    // One that never begins.
    world.open(&silero(), Wish::speaking());
    world.clients.last_mut().unwrap().gone = true;
    world.run(65 * SECOND);
    world.assert_nothing_left();
    assert_eq!(world.clients[listener].count("bye"), 1);
    // What the test itself keeps does not count.
    world.clients.clear();
    world.clients.shrink_to_fit();
    world.notifications = Vec::new();
    world.network = Network::new(1);
    HELD.load(Ordering::Relaxed)
}

// The only test of this file: another one's memory would be counted too.
#[test]
fn what_sessions_took_is_given_back() {
    let mut world = World::new(1);
    world.python = Box::new(|_| Some(Ok(vec![NodeValue::Json("1".into())])));
    world.run(ms(1));
    come_and_go(&mut world);
    let before = come_and_go(&mut world);
    for _ in 0..20 {
        assert_eq!(come_and_go(&mut world), before);
    }
}
