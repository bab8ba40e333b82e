//! Which buffers a walk writes.

use remotemedia_core::{AudioFormat, FrameMeta, Micros, ResolvedManifest, StreamId};
use serde_json::{Value, json};

use crate::{Executor, ExecutorConfig, InstanceId, OutputKind, Plan};

fn format(rate: u32) -> Value {
    json!({"type": "audio", "rate": rate, "channels": 1})
}

fn node(id: &str, kind: &str, params: Value, input: u32) -> Value {
    json!({"id": id, "kind": kind, "runtime": "native", "params": params,
           "inputs": [{"port": "in", "format": format(input)}],
           "outputs": [{"port": "out", "format": format(16_000)}]})
}

fn gain(id: &str, gain_db: i32) -> Value {
    node(id, "gain", json!({"gain_db": gain_db}), 16_000)
}

fn level(id: &str) -> Value {
    node(id, "level", json!({"interval_ms": 20}), 16_000)
}

fn vad(id: &str) -> Value {
    let params = json!({"engine": "energy", "threshold": 0.5, "negative_threshold": 0.35,
        "min_speech_ms": 100, "min_silence_ms": 100, "speech_pad_ms": 30, "emit": "events",
        "threshold_db": -45.0});
    node(id, "vad", params, 16_000)
}

/// An offline executor with one stream of a graph; links are `from > to`.
fn run(rate: u32, nodes: &[Value], links: &[&str]) -> (Executor, InstanceId, usize) {
    let edges: Vec<Value> = links
        .iter()
        .map(|link| {
            let (from, to) = link.split_once(" > ").expect("a link has two ends");
            let port = if from == "$source" { "input" } else { "out" };
            json!({"from": {"node": from, "port": port}, "to": {"node": to, "port": "in"}})
        })
        .collect();
    let manifest = json!({"version": "resolved/1", "name": "test", "nodes": nodes, "edges": edges,
        "sources": [{"id": "input", "format": format(rate)}]});
    let manifest = ResolvedManifest::from_json(&manifest.to_string()).expect("it is valid");
    let plan = Plan::compile(&manifest).expect("it compiles");
    let slots = plan.slots;
    let mut executor = Executor::new(ExecutorConfig::offline());
    let id = executor.create(plan.into());
    executor.open_stream(id, StreamId(0));
    (executor, id, slots)
}

/// Pushes 20 ms of ones.
fn push(executor: &mut Executor, id: InstanceId, seq: u64, rate: u32) {
    let format = AudioFormat { rate: rate.try_into().expect("a rate"), ..AudioFormat::MONO_16K };
    let meta = FrameMeta::new(StreamId(0), seq, seq * 20_000, format);
    executor.push(Micros(0), id, &meta, &vec![1.0; rate as usize / 50]);
}

/// The audio that came out, and the peaks that were measured.
fn drain(executor: &mut Executor) -> (Vec<f32>, Vec<f32>) {
    let (mut audio, mut peaks) = (Vec::new(), Vec::new());
    while let Some(output) = executor.poll_output() {
        match output.kind {
            OutputKind::Audio(frame) => audio.extend_from_slice(&frame.samples),
            OutputKind::Level { peak_dbfs, .. } => peaks.push(peak_dbfs),
            _ => {}
        }
    }
    (audio, peaks)
}

#[test]
fn a_chain_writes_each_frame_once() {
    let chain = [vad("vad"), gain("gain", -20), level("level")];
    let pass = node("pass", "pass_through", json!({}), 16_000);
    let links = ["$source > vad", "vad > gain", "gain > level", "level > pass"];
    let (mut executor, id, slots) = run(16_000, &[&chain[..], &[pass]].concat(), &links);
    assert_eq!(slots, 1);
    push(&mut executor, id, 0, 16_000);
    let (audio, peaks) = drain(&mut executor);
    assert_eq!(audio, [0.1; 320]);
    assert!(peaks.iter().all(|peak| (peak + 20.0).abs() < 1e-3) && peaks.len() == 1, "{peaks:?}");
}

#[test]
fn a_chain_changes_its_frames_where_they_lie() {
    let resample = node("r", "resample", json!({"quality": "low"}), 48_000);
    let nodes = [resample, vad("vad"), gain("gain", -20), level("level"), gain("more", -20)];
    let links = ["$source > r", "r > vad", "vad > gain", "gain > level", "level > more"];
    let (mut executor, id, slots) = run(48_000, &nodes, &links);
    assert_eq!(slots, 1);
    let mut places = Vec::new();
    for seq in 0..5 {
        push(&mut executor, id, seq, 48_000);
        places.push(executor.shared.signals[0].samples.as_ptr());
    }
    // The first frame is shorter: the filter looks ahead.
    assert!(places[1..].iter().all(|place| *place == places[1]));
    let (audio, peaks) = drain(&mut executor);
    assert!(audio[100..].iter().all(|sample| (sample - 0.01).abs() < 1e-4), "{audio:?}");
    assert!((peaks[3] + 20.0).abs() < 0.1, "{peaks:?}");
}

#[test]
fn what_others_still_read_is_not_changed() {
    let first = gain("first", 0);
    for (nodes, slots) in [
        // In the order in which they run: the level reads before the gain writes, or after.
        ([first.clone(), level("level"), gain("gain", -20)], 1),
        ([first.clone(), gain("gain", -20), level("level")], 2),
    ] {
        let links = ["$source > first", "first > level", "first > gain"];
        let (mut executor, id, used) = run(16_000, &nodes, &links);
        push(&mut executor, id, 0, 16_000);
        let (audio, peaks) = drain(&mut executor);
        assert_eq!((used, peaks), (slots, vec![0.0]));
        assert!(audio.iter().filter(|sample| **sample == 0.1).count() == 320, "{audio:?}");
    }
}

#[test]
fn two_that_change_the_same_audio_do_not_meet() {
    let nodes = [gain("first", 0), gain("left", -20), gain("right", -40)];
    let links = ["$source > first", "first > left", "first > right"];
    let (mut executor, id, slots) = run(16_000, &nodes, &links);
    assert_eq!(slots, 2);
    push(&mut executor, id, 0, 16_000);
    let (audio, _) = drain(&mut executor);
    assert_eq!(audio, [[0.1; 320], [0.01; 320]].concat());
}
