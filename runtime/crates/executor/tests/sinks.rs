//! Sinks: live audio for who hears the session, and Python nodes that wait for it.

mod common;

use common::{
    STREAM, audio, compile, drain, graph, heard, manifest, mono, node, plan, push_tone, python,
    python_params,
};
use remotemedia_core::{ErrorCode, Micros};
use remotemedia_executor::{
    Executor, ExecutorConfig, InstanceId, NodeFailure, NodeResult, NodeValue, OutputKind, Plan,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn sink(id: &str) -> Value {
    node(id, "sink", json!({}), mono(16_000), Some(mono(16_000)))
}

fn gain(id: &str, gain_db: f64) -> Value {
    node(id, "gain", json!({"gain_db": gain_db}), mono(16_000), Some(mono(16_000)))
}

fn start(plan: Arc<Plan>) -> (Executor, InstanceId) {
    let mut executor = Executor::new(ExecutorConfig::live());
    let id = executor.create(plan);
    executor.open_stream(id, STREAM);
    (executor, id)
}

fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}

#[test]
fn live_a_sink_puts_audio_out_and_nothing_else_does() {
    let nodes = [gain("quiet", -20.0), sink("out"), gain("loud", 20.0)];
    let plan = plan(16_000, &nodes, &[("$source", "quiet"), ("quiet", "out"), ("quiet", "loud")]);
    let sinks: Vec<_> = plan.sinks().map(|sink| (sink.id.to_string(), sink.python)).collect();
    assert_eq!(sinks, [("out".to_owned(), false)]);
    let (mut executor, id) = start(plan);
    push_tone(&mut executor, id, 16_000, 0.5, 0, 20);
    let outputs = drain(&mut executor);
    assert_eq!(outputs.len(), 1);
    let audio = heard(&outputs, "out", 0);
    assert_eq!((audio[0].0, audio[0].1.len()), (0, 320));
    // What comes later in the graph has not changed it.
    assert!((peak(&audio[0].1) - 0.05).abs() < 0.002);
}

#[test]
fn a_source_may_go_straight_to_a_sink() {
    let (mut executor, id) = start(plan(16_000, &[sink("out")], &[("$source", "out")]));
    push_tone(&mut executor, id, 16_000, 0.5, 0, 20);
    assert_eq!(heard(&drain(&mut executor), "out", 0).len(), 1);
}

#[test]
fn a_sink_takes_audio_alone() {
    for (input, output, path) in [
        (json!({"type": "data"}), json!({"type": "data"}), "nodes[0].inputs[0].format"),
        (mono(16_000), mono(48_000), "nodes[0].outputs[0].format"),
        (mono(16_000), audio(16_000, 2), "nodes[0].outputs[0].format"),
    ] {
        let sink = node("out", "sink", json!({}), input.clone(), Some(output));
        let manifest = graph(&[("input", input)], &[sink], &[("$source.input", "out.in")]);
        let error = compile(&manifest).unwrap_err();
        assert_eq!((error.code, error.path.as_str()), (ErrorCode::PortMismatch, path));
    }
    let sink = node("out", "sink", json!({"x": 1}), mono(16_000), Some(mono(16_000)));
    let error = compile(&manifest(16_000, &[sink], &[("$source", "out")])).unwrap_err();
    assert_eq!(error.path, "nodes[0].params.x");
}

/// Hears, then speaks; and another one that only listens.
fn speaking() -> Arc<Plan> {
    let any = json!({"type": "any", "rate": 16_000, "channels": 1});
    let speaker =
        |id: &str, out: Value| node(id, "python", python_params(), any.clone(), Some(out));
    let nodes = [
        speaker("hear", any.clone()),
        speaker("speak", mono(16_000)),
        gain("gain", 0.0),
        sink("out"),
        python("watch"),
    ];
    let edges = [
        ("$source", "hear"),
        ("hear", "speak"),
        ("speak", "gain"),
        ("gain", "out"),
        ("$source", "watch"),
    ];
    plan(16_000, &nodes, &edges)
}

/// A value for whoever takes one.
fn said() -> Result<Vec<NodeResult>, NodeFailure> {
    Ok(vec![NodeValue::Data(Arc::new(json!("hello"))).into()])
}

#[test]
fn only_the_node_whose_audio_is_heard_waits() {
    let plan = speaking();
    assert!(plan.sinks().all(|sink| sink.python));
    let (mut executor, id) = start(plan);
    executor.hold(id, true);
    let mut taken = Vec::new();
    for index in 0..4 {
        push_tone(&mut executor, id, 16_000, 0.5, index * 20_000, 20);
        while let Some(work) = executor.poll_work(Micros(index * 20_000)) {
            taken.push(work.node.to_string());
            executor.complete(Micros(index * 20_000), work.token, said());
        }
    }
    assert_eq!(taken.iter().filter(|node| *node == "hear").count(), 4);
    assert_eq!(taken.iter().filter(|node| *node == "watch").count(), 4);
    assert_eq!(taken.iter().filter(|node| *node == "speak").count(), 0);
    executor.hold(id, false);
    let works = std::iter::from_fn(|| executor.poll_work(Micros(80_000)));
    let nodes: Vec<_> = works.map(|work| work.node.to_string()).collect();
    assert_eq!(nodes, ["speak"; 4]);
}

#[test]
fn a_held_mailbox_loses_its_oldest_and_says_why() {
    let (mut executor, id) = start(speaking());
    executor.hold(id, true);
    for index in 0..80 {
        push_tone(&mut executor, id, 16_000, 0.5, index * 20_000, 20);
        while let Some(work) = executor.poll_work(Micros(index * 20_000)) {
            executor.complete(Micros(index * 20_000), work.token, said());
        }
    }
    let outputs = drain(&mut executor);
    let said = outputs.iter().find_map(|output| match &output.kind {
        OutputKind::Error { code: ErrorCode::NodeOverrun, message, .. } => Some(message.clone()),
        _ => None,
    });
    assert!(said.unwrap().contains("faster than it is heard"));
    // An interrupt empties it as ever.
    executor.interrupt(id);
    executor.hold(id, false);
    assert!(executor.poll_work(Micros(2_000_000)).is_none());
    assert_eq!(executor.work_pending(id), 0);
}
