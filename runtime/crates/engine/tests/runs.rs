//! Offline runs as a driver uses them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use remotemedia_core::{ErrorCode, Opaque, Payload, ResolvedManifest};
use remotemedia_engine::{
    NodeFailure, NodeValue, OfflineRun, PythonWork, RunConfig, RunDone, RunOutput, RunValue,
    run_offline,
};
use serde_json::{Value, json};

fn audio(channels: u8) -> Value {
    json!({"type": "audio", "rate": 16_000, "channels": channels})
}

fn any() -> Value {
    json!({"type": "any", "rate": 16_000, "channels": 1})
}

fn node(id: &str, kind: &str, params: Value, inputs: &[(&str, Value)], output: Value) -> Value {
    let inputs: Vec<Value> =
        inputs.iter().map(|(port, format)| json!({"port": port, "format": format})).collect();
    let runtime = if kind == "python" { "python" } else { "native" };
    json!({"id": id, "kind": kind, "runtime": runtime, "params": params, "inputs": inputs,
           "outputs": [{"port": "out", "format": output}]})
}

fn python(id: &str) -> Value {
    let params = json!({"entry": "user:node", "mailbox_frames": 50, "mailbox_ms": 1000});
    node(id, "python", params, &[("in", any())], any())
}

fn manifest(sources: &[(&str, Value)], nodes: &[Value], links: &[(&str, &str)]) -> String {
    let end = |text: &str| {
        let (node, port) = text.split_once('.').unwrap();
        json!({"node": node, "port": port})
    };
    let links: Vec<Value> =
        links.iter().map(|(from, to)| json!({"from": end(from), "to": end(to)})).collect();
    let sources: Vec<Value> =
        sources.iter().map(|(id, format)| json!({"id": id, "format": format})).collect();
    json!({"version": "resolved/1", "name": "test", "sources": sources, "nodes": nodes,
           "edges": links})
    .to_string()
}

fn start(manifest: &str) -> OfflineRun {
    OfflineRun::new(manifest, RunConfig::default()).unwrap()
}

/// A run of one Python node on any source.
fn one() -> OfflineRun {
    start(&manifest(&[("in", any())], &[python("node")], &[("$source.in", "node.in")]))
}

fn done(work: &PythonWork, value: impl Into<Value>) -> RunDone {
    let value = NodeValue::Data(Arc::new(value.into()));
    RunDone { token: work.token, result: Ok(vec![value.into()]), more: false, elapsed_ns: None }
}

fn events(outputs: &[RunOutput]) -> Vec<Value> {
    outputs
        .iter()
        .filter_map(|output| match &output.value {
            RunValue::Event(message) => Some(serde_json::from_str(message).unwrap()),
            _ => None,
        })
        .collect()
}

#[test]
fn stereo_of_any_length_is_cut_into_frames_and_comes_out_whole() {
    let gain = node("gain", "gain", json!({"gain_db": 0}), &[("in", audio(2))], audio(2));
    let text = manifest(&[("in", audio(2))], &[gain], &[("$source.in", "gain.in")]);
    let mut run = start(&text);
    let left: Vec<f32> = (0..1_000).map(|n| n as f32 / 1_000.0).collect();
    for (from, to) in [(0, 7), (7, 900), (900, 1_000)] {
        let planar: Vec<f32> =
            left[from..to].iter().copied().chain(left[from..to].iter().map(|s| -s)).collect();
        run.push_audio("in", &planar, None).unwrap();
    }
    run.end(None).unwrap();
    assert!(run.finished());
    let mut channels = [Vec::new(), Vec::new()];
    let mut times = Vec::new();
    for output in run.poll() {
        let RunValue::Audio { format, samples } = output.value else { panic!("audio alone") };
        assert_eq!((format.channels.get(), &*output.node, &*output.port), (2, "gain", "out"));
        times.push(output.pts_us);
        for (channel, samples) in channels.iter_mut().zip(samples.chunks(samples.len() / 2)) {
            channel.extend_from_slice(samples);
        }
    }
    assert_eq!(times, [0, 20_000, 40_000, 60_000]);
    assert_eq!(channels[0], left);
    assert!(channels[1].iter().zip(&left).all(|(right, left)| *right == -left));
}

#[test]
fn values_and_objects_come_to_python_and_back() {
    let mut run = one();
    let object = Opaque::new("object");
    run.push_data("in", Arc::new(json!({"a": 1}))).unwrap();
    run.push_opaque("in", &object).unwrap();
    run.push_audio("in", &[0.5; 480], None).unwrap();
    run.end(None).unwrap();
    let works = run.take_work(100);
    let payloads: Vec<Payload> = works.iter().map(|work| work.payload.clone()).collect();
    assert_eq!(
        payloads,
        [
            Payload::Data(Arc::new(json!({"a": 1}))),
            Payload::Opaque(object.clone()),
            Payload::Audio(vec![0.5; 320].into()),
            Payload::Audio(vec![0.5; 160].into()),
        ]
    );
    assert_eq!((run.pending(), run.finished(), &**run.name()), (5, false, "test"));
    let mut results: Vec<RunDone> = works.iter().skip(1).map(|work| done(work, "more")).collect();
    results.insert(
        0,
        RunDone {
            token: works[0].token,
            result: Ok(vec![
                NodeValue::Opaque(object.clone()).into(),
                NodeValue::Json("7".into()).into(),
            ]),
            more: false,
            elapsed_ns: None,
        },
    );
    run.complete(results).unwrap();
    let outputs = run.poll();
    assert_eq!(outputs[0].value, RunValue::Value(object));
    assert_eq!((&*outputs[0].port, outputs[0].pts_us), ("out", 0));
    let events = events(&outputs);
    assert_eq!(events[0]["data"], json!(7));
    let header = |name: &str| events[1][name].clone();
    assert_eq!(
        [header("session"), header("participant"), header("stream")],
        [json!("offline"), json!("p1"), json!("audio")]
    );
    assert_eq!((header("seq"), header("latency_ms")), (json!(1), json!(0.0)));
    let last = run.take_work(1).remove(0);
    assert!(last.end && last.port.is_empty());
    run.complete(vec![done(&last, "rest")]).unwrap();
    assert!(run.finished() && run.pending() == 0);
}

#[test]
fn several_sources_end_one_by_one() {
    let (params, inputs) = (json!({"gains_db": [0, 0]}), [("in-1", audio(1)), ("in-2", audio(1))]);
    let text = manifest(
        &[("a", audio(1)), ("b", audio(1))],
        &[node("mix", "mix", params, &inputs, audio(1))],
        &[("$source.a", "mix.in-1"), ("$source.b", "mix.in-2")],
    );
    let mut run = start(&text);
    run.push_audio("a", &[0.5; 640], None).unwrap();
    run.push_audio("b", &[0.25; 100], None).unwrap();
    assert!(run.poll().is_empty(), "no frame of the second is full");
    run.end(Some("b")).unwrap();
    run.end(Some("b")).unwrap();
    assert!(!run.finished());
    assert_eq!(run.push_audio("b", &[0.0], None).unwrap_err().field.as_deref(), Some("source"));
    run.end(None).unwrap();
    let samples: Vec<f32> = run
        .poll()
        .into_iter()
        .filter_map(|output| match output.value {
            RunValue::Audio { samples, .. } => Some(samples.to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!((samples.len(), samples[99], samples[100]), (640, 0.75, 0.5));
    assert!(run.finished());
}

#[test]
fn a_node_that_keeps_failing_ends_the_run() {
    let mut run = one();
    (0..6).for_each(|value| run.push_data("in", Arc::new(json!(value))).unwrap());
    let failed: Vec<RunDone> = run
        .take_work(6)
        .iter()
        .map(|work| RunDone {
            token: work.token,
            result: Err(NodeFailure { message: "no".into(), ..NodeFailure::default() }),
            more: false,
            elapsed_ns: None,
        })
        .collect();
    let error = run.complete(failed).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::NodeFailed, Some("node")));
    assert_eq!(events(&run.poll()).len(), 5, "what came before is there");
    assert_eq!(run.push_data("in", Arc::new(json!(1))).unwrap_err().code, ErrorCode::NodeFailed);
    assert!(run.take_work(10).is_empty());
}

#[test]
fn a_transient_failure_says_when_it_is_tried_again() {
    let mut run = one();
    run.push_data("in", Arc::new(json!(1))).unwrap();
    let work = run.take_work(1).remove(0);
    let failure = NodeFailure { message: "busy".into(), traceback: None, transient: true };
    let done = RunDone { token: work.token, result: Err(failure), more: false, elapsed_ns: None };
    run.complete(vec![done]).unwrap();
    assert!(run.retry_in_us().is_some_and(|wait| wait <= 120_000));
    assert_eq!(run.pending(), 1);
    run.interrupt();
    assert_eq!((run.retry_in_us(), run.pending()), (None, 0));
}

#[test]
fn wrong_calls_name_what_is_wrong() {
    let field = |config: RunConfig| OfflineRun::new("{}", config).unwrap_err().field.unwrap();
    assert_eq!(field(RunConfig::default()), "$");
    let text = manifest(
        &[("in", audio(2)), ("data", json!({"type": "data"}))],
        &[
            node("gain", "gain", json!({"gain_db": 0}), &[("in", audio(2))], audio(2)),
            node(
                "text",
                "text",
                json!({"operation": "strip"}),
                &[("in", json!({"type": "data"}))],
                json!({"type": "data"}),
            ),
        ],
        &[("$source.in", "gain.in"), ("$source.data", "text.in")],
    );
    for frame_ms in [0, 1_001] {
        let config = RunConfig { frame_ms, ..RunConfig::default() };
        assert_eq!(OfflineRun::new(&text, config).unwrap_err().field.unwrap(), "frame_ms");
    }
    let mut run = start(&text);
    let data = |value: Value| Arc::new(value);
    let errors = [
        run.push_audio("left", &[], None).unwrap_err(),
        run.push_audio("in", &[0.0; 3], None).unwrap_err(),
        run.push_audio("data", &[0.0], None).unwrap_err(),
        run.push_data("in", data(json!(1))).unwrap_err(),
        run.push_data("data", data(json!("x".repeat(70_000)))).unwrap_err(),
        run.push_opaque("data", &Opaque::new(1)).unwrap_err(),
        run.end(Some("left")).unwrap_err(),
    ];
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_deref().unwrap()).collect();
    assert_eq!(fields, ["source", "samples", "samples", "value", "value", "value", "source"]);
    assert_eq!(errors[0].code, ErrorCode::UnknownId);
    assert_eq!(run.audio_format("in").map(|format| format.channels.get()), Some(2));
    assert_eq!((run.audio_format("data"), run.audio_format("left")), (None, None));
}

#[test]
fn metrics_are_measured_when_asked_for() {
    let gain = node("gain", "gain", json!({"gain_db": 0}), &[("in", audio(1))], audio(1));
    let text = manifest(&[("in", audio(1))], &[gain], &[("$source.in", "gain.in")]);
    for metrics in [false, true] {
        let mut run =
            OfflineRun::new(&text, RunConfig { metrics, ..RunConfig::default() }).unwrap();
        run.push_audio("in", &[0.5; 16_000], None).unwrap();
        let counts: Vec<u64> = run.metrics().iter().map(|node| node.success_count).collect();
        assert_eq!(counts, if metrics { vec![50] } else { vec![] });
    }
}

#[test]
fn run_offline_gives_the_messages_of_a_run() {
    let level = node("level", "level", json!({"interval_ms": 50}), &[("in", audio(1))], audio(1));
    let text = manifest(&[("in", audio(1))], &[level], &[("$source.in", "level.in")]);
    let parsed = ResolvedManifest::from_json(&text).unwrap();
    let messages = run_offline(&parsed, &[0.5; 16_000], 20).unwrap();
    assert_eq!(messages.len(), 20);
    assert!(messages[1].contains("\"pts_ms\":50"), "{}", messages[1]);
    let text = manifest(&[("in", any())], &[python("node")], &[("$source.in", "node.in")]);
    let parsed = ResolvedManifest::from_json(&text).unwrap();
    assert_eq!(run_offline(&parsed, &[], 20).unwrap_err().code, ErrorCode::NotInThisVersion);
}
