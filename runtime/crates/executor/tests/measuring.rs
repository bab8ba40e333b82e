//! Nodes are measured with the clock that the driver gives.

mod common;

use std::cell::Cell;
use std::sync::Arc;

use common::{any, audio, compile, drain, graph, meta, ported, python_params, vad_params};
use remotemedia_core::Micros;
use remotemedia_executor::{Executor, ExecutorConfig, NodeFailure};
use serde_json::json;

thread_local! {
    static TIME: Cell<u64> = const { Cell::new(0) };
}

/// A clock on which each reading takes a microsecond.
fn clock() -> u64 {
    TIME.with(|time| {
        time.set(time.get() + 1_000);
        time.get()
    })
}

fn advance(ns: u64) {
    TIME.with(|time| time.set(time.get() + ns));
}

#[test]
fn nodes_are_counted_and_timed() {
    let mono = || audio(16_000, 1);
    let manifest = graph(
        &[("in", mono())],
        &[
            ported("vad", "vad", vad_params("silero"), &[("in", mono())], &[("out", mono())]),
            ported("python", "python", python_params(), &[("in", any(16_000))], &[]),
        ],
        &[("$source.in", "vad.in"), ("vad.out", "python.in")],
    );
    let config = ExecutorConfig { clock: Some(clock), ..ExecutorConfig::offline() };
    let mut executor = Executor::new(config);
    let id = executor.create(Arc::new(compile(&manifest).unwrap()));
    executor.open_stream(id, common::STREAM);
    for seq in 0..8 {
        executor.push(Micros(0), id, &meta(16_000, common::STREAM, seq, seq * 20_000), &[0.1; 320]);
        executor.run_batches(Micros(0));
    }
    for failed in 0..8 {
        let work = executor.poll_work(Micros(0)).unwrap();
        advance(100_000);
        let result = if failed == 7 { Err(NodeFailure::default()) } else { Ok(Vec::new()) };
        let elapsed = (failed < 4).then_some(50_000);
        executor.complete_timed(Micros(0), work.token, result, elapsed);
    }
    drain(&mut executor);
    let metrics = executor.metrics(id);
    let (vad, python) = (&metrics[0], &metrics[1]);
    assert_eq!((&*vad.node, vad.python, vad.success_count, vad.error_count), ("vad", false, 8, 0));
    // Eight calls and five windows of a microsecond each.
    assert_eq!(vad.execution_time_ns, 13_000);
    assert!((1_940..=2_060).contains(&vad.p50_ns), "five of eight frames fill a window: {vad:?}");
    assert_eq!((python.python, python.success_count, python.error_count), (true, 7, 1));
    assert_eq!(python.execution_time_ns, 4 * 50_000 + 4 * 101_000);
    assert!((97_000..=104_000).contains(&python.p95_ns), "{python:?}");
}

#[test]
fn without_a_clock_nothing_is_measured() {
    let mono = || audio(16_000, 1);
    let manifest = graph(
        &[("in", mono())],
        &[ported("pass", "pass_through", json!({}), &[("in", mono())], &[("out", mono())])],
        &[("$source.in", "pass.in")],
    );
    let (executor, id) = common::offline(&manifest);
    assert_eq!(executor.metrics(id), []);
}
