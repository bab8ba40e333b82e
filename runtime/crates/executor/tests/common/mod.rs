//! Plans and frames for the tests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use remotemedia_core::{
    AudioFormat, ChannelCount, FrameMeta, ManifestError, Micros, ResolvedManifest, SampleRate,
    StreamId,
};
use remotemedia_executor::{Executor, InstanceId, Output, Plan};
use serde_json::{Value, json};

pub const STREAM: StreamId = StreamId(0);

pub fn mono(rate: u32) -> Value {
    json!({"type": "audio", "rate": rate, "channels": 1})
}

pub fn node(id: &str, kind: &str, params: Value, input: Value, output: Option<Value>) -> Value {
    let runtime = if kind == "python" { "python" } else { "native" };
    let port = |name: &str, format: Value| json!({"port": name, "format": format});
    let outputs: Vec<Value> = output.into_iter().map(|format| port("out", format)).collect();
    json!({"id": id, "kind": kind, "runtime": runtime, "params": params,
           "inputs": [port("in", input)], "outputs": outputs})
}

pub fn audio(rate: u32, channels: u8) -> Value {
    json!({"type": "audio", "rate": rate, "channels": channels})
}

pub fn data() -> Value {
    json!({"type": "data"})
}

pub fn any(rate: u32) -> Value {
    json!({"type": "any", "rate": rate, "channels": 1})
}

/// A node with named ports.
pub fn ported(
    id: &str,
    kind: &str,
    params: Value,
    inputs: &[(&str, Value)],
    outputs: &[(&str, Value)],
) -> Value {
    let ports = |ports: &[(&str, Value)]| -> Vec<Value> {
        ports.iter().map(|(port, format)| json!({"port": port, "format": format})).collect()
    };
    let runtime = if kind == "python" { "python" } else { "native" };
    json!({"id": id, "kind": kind, "runtime": runtime, "params": params,
           "inputs": ports(inputs), "outputs": ports(outputs)})
}

pub fn python_params() -> Value {
    json!({"entry": "user:node", "mailbox_frames": 50, "mailbox_ms": 1000})
}

/// A manifest with links as `node.port`.
pub fn graph(sources: &[(&str, Value)], nodes: &[Value], links: &[(&str, &str)]) -> Value {
    let end = |text: &str| {
        let (node, port) = text.split_once('.').unwrap();
        json!({"node": node, "port": port})
    };
    let edges: Vec<Value> =
        links.iter().map(|(from, to)| json!({"from": end(from), "to": end(to)})).collect();
    let sources: Vec<Value> =
        sources.iter().map(|(id, format)| json!({"id": id, "format": format})).collect();
    json!({"version": "resolved/1", "name": "test", "sources": sources, "nodes": nodes,
           "edges": edges})
}

/// An offline executor with one stream of a graph.
pub fn offline(manifest: &Value) -> (Executor, InstanceId) {
    let mut executor = Executor::new(remotemedia_executor::ExecutorConfig::offline());
    let id = executor.create(Arc::new(compile(manifest).unwrap()));
    executor.open_stream(id, STREAM);
    (executor, id)
}

/// A frame with so many channels.
pub fn meta_of(rate: u32, channels: u8, seq: u64, pts_us: u64) -> FrameMeta {
    let mut meta = meta(rate, STREAM, seq, pts_us);
    meta.format.channels = ChannelCount::new(channels).unwrap();
    meta
}

/// What a node put out by a port: where the audio begins, and its samples.
pub fn heard(outputs: &[Output], node: &str, port: u8) -> Vec<(u64, Vec<f32>)> {
    outputs
        .iter()
        .filter(|output| *output.node == *node && output.port == Some(port))
        .filter_map(|output| match &output.kind {
            remotemedia_executor::OutputKind::Audio(frame) => {
                Some((output.meta.pts_us, frame.samples.to_vec()))
            }
            _ => None,
        })
        .collect()
}

/// The values that a node put out, and the messages of its errors.
pub fn values(outputs: &[Output], node: &str) -> Vec<String> {
    outputs
        .iter()
        .filter(|output| *output.node == *node)
        .filter_map(|output| match &output.kind {
            remotemedia_executor::OutputKind::Node(json) => Some(json.to_string()),
            remotemedia_executor::OutputKind::Error { message, .. } => Some(message.clone()),
            _ => None,
        })
        .collect()
}

pub fn edge(from: &str, to: &str) -> Value {
    let (node, port) = if from == "$source" { ("$source", "input") } else { (from, "out") };
    json!({"from": {"node": node, "port": port}, "to": {"node": to, "port": "in"}})
}

pub fn manifest(rate: u32, nodes: &[Value], edges: &[(&str, &str)]) -> Value {
    let edges: Vec<Value> = edges.iter().map(|(from, to)| edge(from, to)).collect();
    json!({"version": "resolved/1", "name": "test",
           "sources": [{"id": "input", "format": mono(rate)}], "nodes": nodes, "edges": edges})
}

pub fn compile(manifest: &Value) -> Result<Plan, ManifestError> {
    Plan::compile(&ResolvedManifest::from_json(&manifest.to_string())?)
}

pub fn plan(rate: u32, nodes: &[Value], edges: &[(&str, &str)]) -> Arc<Plan> {
    Arc::new(compile(&manifest(rate, nodes, edges)).unwrap())
}

pub fn vad_params(engine: &str) -> Value {
    let mut params = json!({"engine": engine, "threshold": 0.5, "negative_threshold": 0.35,
        "min_speech_ms": 100, "min_silence_ms": 100, "speech_pad_ms": 30, "emit": "all"});
    if engine == "energy" {
        params["threshold_db"] = json!(-45.0);
    }
    params
}

pub fn vad(id: &str, engine: &str) -> Value {
    node(id, "vad", vad_params(engine), mono(16_000), Some(mono(16_000)))
}

pub fn python(id: &str) -> Value {
    let params = json!({"entry": "user:shout", "mailbox_frames": 50, "mailbox_ms": 1000});
    node(id, "python", params, mono(16_000), Some(mono(16_000)))
}

pub fn format(rate: u32) -> AudioFormat {
    AudioFormat { rate: SampleRate::new(rate).unwrap(), channels: ChannelCount::MONO }
}

/// A frame that arrives when it ends.
pub fn meta(rate: u32, stream: StreamId, seq: u64, pts_us: u64) -> FrameMeta {
    FrameMeta {
        rtp_timestamp: (pts_us * 48 / 1000) as u32,
        arrival: Micros(pts_us + 20_000),
        ..FrameMeta::new(stream, seq, pts_us, format(rate))
    }
}

pub fn tone(rate: u32, amplitude: f32, ms: u64, start_us: u64) -> Vec<f32> {
    let count = u64::from(rate) * ms / 1_000;
    let first = u64::from(rate) * start_us / 1_000_000;
    (first..first + count)
        .map(|n| amplitude * (std::f32::consts::TAU * 440.0 * n as f32 / rate as f32).sin())
        .collect()
}

pub fn drain(executor: &mut Executor) -> Vec<Output> {
    std::iter::from_fn(|| executor.poll_output()).collect()
}

/// Pushes `ms` of a tone from `start_us` in frames of 20 ms.
pub fn push_tone(
    executor: &mut Executor,
    id: InstanceId,
    rate: u32,
    amplitude: f32,
    start_us: u64,
    ms: u64,
) {
    for index in 0..ms / 20 {
        let pts_us = start_us + index * 20_000;
        let frame = meta(rate, STREAM, pts_us / 20_000, pts_us);
        let samples = tone(rate, amplitude, 20, pts_us);
        executor.push(Micros(pts_us + 20_000), id, &frame, &samples);
    }
}
