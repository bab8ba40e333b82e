//! Times graphs as a reactor drives them: `cargo bench -p remotemedia-executor`.
//!
//! Figures are microseconds of one core per second of one stream, the least of several rounds.

use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use remotemedia_core::{AudioFormat, FrameMeta, Micros, ResolvedManifest, StreamId};
use remotemedia_executor::{Clock, Executor, ExecutorConfig, Plan};
use serde_json::{Value, json};

const STREAM: StreamId = StreamId(0);

fn vad(engine: &str) -> Value {
    let mut params = json!({"engine": engine, "threshold": 0.5, "negative_threshold": 0.35,
        "min_speech_ms": 250, "min_silence_ms": 100, "speech_pad_ms": 30, "emit": "all"});
    if engine == "energy" {
        params["threshold_db"] = json!(-45.0);
    }
    let format = json!({"type": "audio", "rate": 16_000, "channels": 1});
    json!({"id": "vad", "kind": "vad", "runtime": "native", "params": params,
           "inputs": [{"port": "in", "format": format}], "outputs": []})
}

fn plan(engine: &str) -> Arc<Plan> {
    let manifest = json!({"version": "resolved/1", "name": "bench",
        "sources": [{"id": "input", "format": {"type": "audio", "rate": 16_000, "channels": 1}}],
        "nodes": [vad(engine)],
        "edges": [{"from": {"node": "$source", "port": "input"}, "to": {"node": "vad", "port": "in"}}]});
    let manifest =
        ResolvedManifest::from_json(&manifest.to_string()).expect("the manifest is valid");
    Arc::new(Plan::compile(&manifest).expect("the plan compiles"))
}

/// One second of `streams` streams, a batch after every `gather` frames.
fn second(
    executor: &mut Executor,
    ids: &[remotemedia_executor::InstanceId],
    at: u64,
    gather: usize,
) {
    let samples: [f32; 320] = std::array::from_fn(|n| 0.2 * (n as f32 * 0.17).sin());
    for frame in 0..50 {
        let seq = at * 50 + frame;
        for (index, id) in ids.iter().enumerate() {
            let meta = FrameMeta {
                arrival: Micros(seq * 20_000),
                ..FrameMeta::new(STREAM, seq, seq * 20_000, AudioFormat::MONO_16K)
            };
            executor.push(Micros(seq * 20_000), *id, &meta, &samples);
            if index % gather == gather - 1 {
                executor.run_batches(Micros(seq * 20_000));
            }
        }
        executor.run_batches(Micros(seq * 20_000));
        while let Some(output) = executor.poll_output() {
            black_box(output);
        }
    }
}

fn nanos() -> u64 {
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    ANCHOR.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn measure(engine: &str, streams: usize, gather: usize, clock: Option<Clock>) {
    let plan = plan(engine);
    let mut executor = Executor::new(ExecutorConfig { clock, ..ExecutorConfig::live() });
    let ids: Vec<_> = (0..streams).map(|_| executor.create(plan.clone())).collect();
    ids.iter().for_each(|id| executor.open_stream(*id, STREAM));
    let least = (0..8)
        .map(|at| {
            let start = Instant::now();
            second(&mut executor, &ids, at, gather);
            start.elapsed().as_secs_f64() * 1e6 / streams as f64
        })
        .fold(f64::INFINITY, f64::min);
    let metrics = if clock.is_some() { ", metrics" } else { "" };
    println!(
        "{engine:<8} {streams:>4} streams, batch after {gather:>3} frames{metrics}: {least:>8.1} us"
    );
}

fn main() {
    // A second has 50 frames.
    measure("energy", 250, 250, None);
    measure("energy", 250, 250, Some(nanos));
    for gather in [1, 8, 16, 64, 250] {
        measure("silero", 250, gather, None);
    }
    measure("silero", 1, 1, None);
}
