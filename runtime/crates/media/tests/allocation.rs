//! The in-order path allocates nothing once it is warm.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Sender, receiver};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with a counter.
struct Counting;

// SAFETY: passes every call on to `System`, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise on `layout` holds for `System` too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// The only test of this file: another one's allocations would be counted too.
#[test]
fn packets_in_order_allocate_nothing_once_warm() {
    let packets = Sender::plain().packets(300);
    let mut receiver = receiver();
    let mut before = 0;
    for (index, packet) in packets.iter().enumerate() {
        if index == 100 {
            before = ALLOCATIONS.load(Ordering::Relaxed);
        }
        receiver.handle_rtp(packet.at, &packet.header, &packet.payload);
        assert!(receiver.poll_frame().is_some());
        assert!(receiver.poll_frame().is_none());
    }
    receiver.report(packets[299].at);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
}
