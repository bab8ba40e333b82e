//! What a plan accepts, and the order that it gives.

mod common;

use common::{compile, edge, manifest, mono, node, python, vad, vad_params};
use remotemedia_core::{ErrorCode, ManifestError};
use serde_json::{Value, json};

fn pass(id: &str) -> Value {
    node(id, "pass_through", json!({}), mono(16_000), Some(mono(16_000)))
}

fn error(nodes: &[Value], edges: &[(&str, &str)]) -> ManifestError {
    compile(&manifest(16_000, nodes, edges)).expect_err("the manifest is wrong")
}

fn vad_error(name: &str, value: Value) -> ManifestError {
    let mut params = vad_params("energy");
    params[name] = value;
    error(&[node("vad", "vad", params, mono(16_000), None)], &[("$source", "vad")])
}

#[test]
fn nodes_come_after_what_feeds_them_and_else_in_the_order_of_the_manifest() {
    let plan = compile(&manifest(
        16_000,
        &[pass("d"), pass("c"), pass("b"), pass("a")],
        &[("$source", "a"), ("a", "d"), ("$source", "c"), ("c", "b")],
    ))
    .unwrap();
    let order: Vec<&str> = plan.nodes().map(|node| node.id).collect();
    assert_eq!(order, ["c", "b", "a", "d"]);
    assert_eq!((plan.source_format().unwrap().rate.hz(), plan.has_python()), (16_000, false));
}

#[test]
fn a_cycle_is_refused_with_its_path() {
    let error = error(
        &[pass("in"), pass("a"), pass("b"), pass("c"), pass("behind")],
        &[("$source", "in"), ("c", "a"), ("a", "b"), ("b", "c"), ("c", "behind")],
    );
    assert_eq!((error.code, error.path.as_str()), (ErrorCode::GraphCycle, "nodes[1]"));
    assert_eq!(error.message, "a cycle: a -> b -> c -> a");
}

#[test]
fn a_node_that_feeds_itself_is_a_cycle() {
    assert_eq!(error(&[pass("a")], &[("a", "a")]).message, "a cycle: a -> a");
}

#[test]
fn unknown_kinds_and_wrong_runtimes_are_refused() {
    let unknown = error(&[node("x", "asr", json!({}), mono(16_000), None)], &[("$source", "x")]);
    assert_eq!(
        (unknown.code, unknown.path.as_str()),
        (ErrorCode::UnknownNodeType, "nodes[0].kind")
    );
    let mut lost = python("x");
    lost["runtime"] = json!("native");
    assert_eq!(error(&[lost], &[("$source", "x")]).path, "nodes[0].runtime");
}

#[test]
fn parameters_are_checked_strictly() {
    for (name, value) in [
        ("threshold", json!(1.01)),
        ("threshold", json!("0.5")),
        ("negative_threshold", json!(0.9)),
        ("min_speech_ms", json!(-1)),
        ("min_silence_ms", json!(1.5)),
        ("emit", json!("some")),
        ("engine", json!("webrtc")),
        ("threshold_db", json!(3)),
        ("tresh", json!(0.5)),
    ] {
        let error = vad_error(name, value.clone());
        assert_eq!(error.path, format!("nodes[0].params.{name}"), "{value}");
        assert_eq!(error.code, ErrorCode::InvalidParameter, "{name} {value}");
    }
}

#[test]
fn formats_that_a_node_cannot_take_are_refused() {
    let fast = node("vad", "vad", vad_params("silero"), mono(48_000), None);
    let error = compile(&manifest(48_000, &[fast], &[("$source", "vad")])).unwrap_err();
    assert_eq!(
        (error.code, error.path.as_str()),
        (ErrorCode::PortMismatch, "nodes[0].inputs[0].format")
    );
    let stereo = json!({"type": "audio", "rate": 8_000, "channels": 2});
    let resample = node("r", "resample", json!({"quality": "high"}), mono(16_000), Some(stereo));
    let error = compile(&manifest(16_000, &[resample], &[("$source", "r")])).unwrap_err();
    assert_eq!(error.path, "nodes[0].outputs[0].format");
}

#[test]
fn ports_are_fed_once_and_exist() {
    let twice = error(&[pass("a"), pass("b")], &[("$source", "a"), ("$source", "b"), ("a", "b")]);
    assert_eq!((twice.code, twice.path.as_str()), (ErrorCode::PortMismatch, "edges[2].to.port"));
    let mut wrong = manifest(16_000, &[pass("a")], &[]);
    wrong["edges"] = json!([edge("$source", "a")]);
    wrong["edges"][0]["to"]["port"] = json!("left");
    assert_eq!(compile(&wrong).unwrap_err().path, "edges[0].to.port");
    assert_eq!(error(&[pass("a"), pass("b")], &[("$source", "a")]).path, "nodes[1].inputs[0]");
}

#[test]
fn a_long_chain_compiles() {
    let nodes: Vec<Value> = (0..256).rev().map(|index| pass(&index.to_string())).collect();
    let names: Vec<String> = (0..256).map(|index| index.to_string()).collect();
    let mut edges = vec![("$source", "0")];
    edges.extend(names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())));
    let plan = compile(&manifest(16_000, &nodes, &edges)).unwrap();
    assert_eq!(plan.nodes().last().map(|node| node.id), Some("255"));
}

#[test]
fn energy_takes_any_rate_and_every_engine_compiles() {
    assert!(compile(&manifest(16_000, &[vad("v", "silero")], &[("$source", "v")])).is_ok());
    let fast = node("vad", "vad", vad_params("energy"), mono(48_000), None);
    assert!(compile(&manifest(48_000, &[fast], &[("$source", "vad")])).is_ok());
}
