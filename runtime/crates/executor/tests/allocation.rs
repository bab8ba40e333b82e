//! Native graphs allocate nothing once they are warm.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{STREAM, meta, mono, node, plan, tone, vad};
use remotemedia_core::Micros;
use remotemedia_executor::{Executor, ExecutorConfig};
use serde_json::json;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_native_graph_does_not_allocate() {
    let resample =
        node("r", "resample", json!({"quality": "high"}), mono(48_000), Some(mono(16_000)));
    let level = node("level", "level", json!({"interval_ms": 50}), mono(48_000), None);
    let plan = plan(
        48_000,
        &[resample, level, vad("energy", "energy"), vad("silero", "silero")],
        &[("$source", "r"), ("$source", "level"), ("r", "energy"), ("energy", "silero")],
    );
    let mut executor = Executor::new(ExecutorConfig::live());
    let ids: Vec<_> = (0..8).map(|_| executor.create(plan.clone())).collect();
    ids.iter().for_each(|id| executor.open_stream(*id, STREAM));
    let samples = tone(48_000, 0.3, 20, 0);
    let mut outputs = 0;
    let mut turn = |index: u64| {
        for id in &ids {
            let frame = meta(48_000, STREAM, index, index * 20_000);
            executor.push(Micros(index * 20_000), *id, &frame, &samples);
        }
        executor.run_batches(Micros(index * 20_000));
        while executor.poll_output().is_some() {
            outputs += 1;
        }
    };
    (0..50).for_each(&mut turn);
    let before = COUNT.with(Cell::get);
    (50..200).for_each(&mut turn);
    assert_eq!(COUNT.with(Cell::get) - before, 0);
    assert!(outputs > 1_000);
}
