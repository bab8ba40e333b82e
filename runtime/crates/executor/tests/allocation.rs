//! Native graphs allocate nothing once they are warm.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{STREAM, audio, compile, graph, meta, meta_of, mono, node, plan, ported, tone, vad};
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
fn a_warm_graph_with_several_ports_does_not_allocate() {
    let (mono, stereo) = (audio(16_000, 1), audio(16_000, 2));
    let sides = [("left", mono.clone()), ("right", mono.clone())];
    let inputs = [("in-1", mono.clone()), ("in-2", mono.clone())];
    let same = |id: &str, kind: &str, params: serde_json::Value| {
        ported(id, kind, params, &[("in", mono.clone())], &[("out", mono.clone())])
    };
    let manifest = graph(
        &[("input", stereo.clone())],
        &[
            ported("split", "split", json!({}), &[("in", stereo)], &sides),
            same("gain", "gain", json!({"gain_db": -3})),
            same("buffer", "buffer", json!({"duration_ms": 50, "overlap_ms": 10})),
            ported("mix", "mix", json!({"gains_db": [0, -6]}), &inputs, &[("out", mono.clone())]),
            vad("energy", "energy"),
            same("level", "level", json!({"interval_ms": 50})),
        ],
        &[
            ("$source.input", "split.in"),
            ("split.left", "gain.in"),
            ("gain.out", "mix.in-1"),
            ("split.right", "mix.in-2"),
            ("mix.out", "energy.in"),
            ("gain.out", "buffer.in"),
            ("buffer.out", "level.in"),
        ],
    );
    let config = ExecutorConfig { clock: Some(|| 0), ..ExecutorConfig::live() };
    let mut executor = Executor::new(config);
    let id = executor.create(std::sync::Arc::new(compile(&manifest).unwrap()));
    executor.open_stream(id, STREAM);
    let mut outputs = 0;
    let mut turn = |index: u64| {
        let frame = meta_of(16_000, 2, index, index * 20_000);
        executor.push(Micros(index * 20_000), id, &frame, &[0.25; 640]);
        while executor.poll_output().is_some() {
            outputs += 1;
        }
    };
    (0..50).for_each(&mut turn);
    let before = COUNT.with(Cell::get);
    (50..200).for_each(&mut turn);
    assert_eq!(COUNT.with(Cell::get) - before, 0);
    assert!(outputs > 250, "{outputs}");
}

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
