use std::sync::Arc;

use remotemedia_core::ResolvedManifest;
use remotemedia_executor::Plan;
use serde_json::{Value, json};

fn plan(name: &str, rate: u32, nodes: &[Value], edges: &[(&str, &str)]) -> Arc<Plan> {
    let edges: Vec<Value> = edges
        .iter()
        .map(|(from, to)| {
            let port = if *from == "$source" { "input" } else { "out" };
            json!({"from": {"node": from, "port": port}, "to": {"node": to, "port": "in"}})
        })
        .collect();
    let manifest = json!({"version": "resolved/1", "name": name,
        "sources": [{"id": "input", "format": {"type": "audio", "rate": rate, "channels": 1}}],
        "nodes": nodes, "edges": edges});
    Arc::new(Plan::compile(&ResolvedManifest::from_json(&manifest.to_string()).unwrap()).unwrap())
}

fn node(id: &str, kind: &str, runtime: &str, rate: u32, params: Value) -> Value {
    let format = json!({"type": "audio", "rate": rate, "channels": 1});
    json!({"id": id, "kind": kind, "runtime": runtime, "params": params,
           "inputs": [{"port": "in", "format": format}],
           "outputs": [{"port": "out", "format": format}]})
}

fn vad(engine: &str) -> Value {
    let mut params = json!({"engine": engine, "threshold": 0.5, "negative_threshold": 0.35,
        "min_speech_ms": 100, "min_silence_ms": 100, "speech_pad_ms": 30, "emit": "all"});
    if engine == "energy" {
        params["threshold_db"] = json!(-30.0);
    }
    node("vad", "vad", "native", 16_000, params)
}

pub fn energy() -> Arc<Plan> {
    plan("mic-energy", 16_000, &[vad("energy")], &[("$source", "vad")])
}

pub fn silero() -> Arc<Plan> {
    plan("mic-vad", 16_000, &[vad("silero")], &[("$source", "vad")])
}

pub fn level() -> Arc<Plan> {
    let level = node("level", "level", "native", 48_000, json!({"interval_ms": 50}));
    plan("mic-level", 48_000, &[level], &[("$source", "level")])
}

/// The energy VAD with a Python node beside it.
pub fn python() -> Arc<Plan> {
    let params = json!({"entry": "user:shout", "mailbox_frames": 50, "mailbox_ms": 1000});
    plan(
        "mic-python",
        16_000,
        &[vad("energy"), node("shout", "python", "python", 16_000, params)],
        &[("$source", "vad"), ("$source", "shout")],
    )
}

/// A Python node with an output that a native node takes the text of, and one that nobody takes.
pub fn python_text() -> Arc<Plan> {
    let any = json!({"type": "any", "rate": 16_000, "channels": 1});
    let port = |name: &str, format: &Value| json!({"port": name, "format": format});
    let params = json!({"entry": "user:hear", "mailbox_frames": 50, "mailbox_ms": 1000});
    let hear = json!({"id": "hear", "kind": "python", "runtime": "python", "params": params,
        "inputs": [port("in", &any)], "outputs": [port("out", &any), port("text", &any)]});
    let data = json!({"type": "data"});
    let up = json!({"id": "up", "kind": "text", "runtime": "native",
        "params": {"operation": "uppercase"},
        "inputs": [port("in", &data)], "outputs": [port("out", &data)]});
    let manifest = json!({"version": "resolved/1", "name": "text",
        "sources": [{"id": "input", "format": {"type": "audio", "rate": 16_000, "channels": 1}}],
        "nodes": [hear, up],
        "edges": [{"from": {"node": "$source", "port": "input"}, "to": {"node": "hear", "port": "in"}},
                  {"from": {"node": "hear", "port": "text"}, "to": {"node": "up", "port": "in"}}]});
    Arc::new(Plan::compile(&ResolvedManifest::from_json(&manifest.to_string()).unwrap()).unwrap())
}

/// What comes in goes out at half the level.
pub fn echo() -> Arc<Plan> {
    let gain = node("half", "gain", "native", 16_000, json!({"gain_db": -6.020_6}));
    let sink = node("out", "sink", "native", 16_000, json!({}));
    plan("echo", 16_000, &[gain, sink], &[("$source", "half"), ("half", "out")])
}

/// A Python node that is heard.
pub fn talker() -> Arc<Plan> {
    let params = json!({"entry": "user:talk", "mailbox_frames": 50, "mailbox_ms": 1000});
    let talk = node("talk", "python", "python", 16_000, params);
    let sink = node("out", "sink", "native", 16_000, json!({}));
    plan("talker", 16_000, &[talk, sink], &[("$source", "talk"), ("talk", "out")])
}

/// A source for each format, with a node that takes it: text of data, the level of audio.
fn fed_by(name: &str, sources: &[(&str, Value)]) -> Arc<Plan> {
    let data = json!({"type": "data"});
    let mut nodes = Vec::new();
    let mut edges = Vec::new();
    for (id, format) in sources {
        let (kind, params, outputs) = match format == &data {
            true => (
                "text",
                json!({"operation": "uppercase"}),
                json!([{"port": "out", "format": data}]),
            ),
            false => ("level", json!({"interval_ms": 50}), json!([])),
        };
        let input = if kind == "text" { &data } else { format };
        nodes.push(json!({"id": format!("{kind}-{id}"), "kind": kind, "runtime": "native",
            "params": params, "inputs": [{"port": "in", "format": input}], "outputs": outputs}));
        edges.push(json!({"from": {"node": "$source", "port": id},
            "to": {"node": format!("{kind}-{id}"), "port": "in"}}));
    }
    let sources: Vec<Value> =
        sources.iter().map(|(id, format)| json!({"id": id, "format": format})).collect();
    let manifest = json!({"version": "resolved/1", "name": name, "sources": sources,
        "nodes": nodes, "edges": edges});
    Arc::new(Plan::compile(&ResolvedManifest::from_json(&manifest.to_string()).unwrap()).unwrap())
}

/// Nothing but data goes in.
pub fn text() -> Arc<Plan> {
    fed_by("text", &[("words", json!({"type": "data"}))])
}

/// Data and audio go in.
pub fn level_and_text() -> Arc<Plan> {
    let audio = json!({"type": "audio", "rate": 48_000, "channels": 1});
    fed_by("both", &[("words", json!({"type": "data"})), ("input", audio)])
}

/// Audio or data goes in, as who takes part likes.
pub fn anything() -> Arc<Plan> {
    let any = json!({"type": "any", "rate": 16_000, "channels": 1});
    let params = json!({"entry": "user:shout", "mailbox_frames": 50, "mailbox_ms": 1000});
    let shout = json!({"id": "shout", "kind": "python", "runtime": "python", "params": params,
        "inputs": [{"port": "in", "format": any}], "outputs": [{"port": "out", "format": any}]});
    let manifest = json!({"version": "resolved/1", "name": "anything",
        "sources": [{"id": "input", "format": any}], "nodes": [shout],
        "edges": [{"from": {"node": "$source", "port": "input"}, "to": {"node": "shout", "port": "in"}}]});
    Arc::new(Plan::compile(&ResolvedManifest::from_json(&manifest.to_string()).unwrap()).unwrap())
}

/// A Python node that hears one source and reads another, and a text node that reads that too.
pub fn hears_and_reads() -> Arc<Plan> {
    let audio = json!({"type": "audio", "rate": 16_000, "channels": 1});
    let data = json!({"type": "data"});
    let port = |name: &str, format: &Value| json!({"port": name, "format": format});
    let params = json!({"entry": "user:both", "mailbox_frames": 50, "mailbox_ms": 1000});
    let both = json!({"id": "both", "kind": "python", "runtime": "python", "params": params,
        "inputs": [port("audio", &audio), port("words", &data)], "outputs": []});
    let count = json!({"id": "count", "kind": "text", "runtime": "native",
        "params": {"operation": "length"}, "inputs": [port("in", &data)],
        "outputs": [port("out", &data)]});
    let manifest = json!({"version": "resolved/1", "name": "both",
        "sources": [{"id": "mic", "format": audio}, {"id": "more", "format": data},
                    {"id": "words", "format": data}],
        "nodes": [both, count, {"id": "add", "kind": "calculator", "runtime": "native",
            "params": {"operation": "add", "operand": 2.0}, "inputs": [port("in", &data)],
            "outputs": [port("out", &data)]}],
        "edges": [{"from": {"node": "$source", "port": "mic"}, "to": {"node": "both", "port": "audio"}},
                  {"from": {"node": "$source", "port": "words"}, "to": {"node": "both", "port": "words"}},
                  {"from": {"node": "$source", "port": "words"}, "to": {"node": "count", "port": "in"}},
                  {"from": {"node": "$source", "port": "more"}, "to": {"node": "add", "port": "in"}}]});
    Arc::new(Plan::compile(&ResolvedManifest::from_json(&manifest.to_string()).unwrap()).unwrap())
}

/// Two sources of audio: each is measured, and they are mixed, measured and heard; a Python node
/// takes both.
pub fn two() -> Arc<Plan> {
    let format = json!({"type": "audio", "rate": 16_000, "channels": 1});
    let any = json!({"type": "any", "rate": 16_000, "channels": 1});
    let port = |name: &str, format: &Value| json!({"port": name, "format": format});
    let edge = |from: (&str, &str), to: (&str, &str)| json!({"from": {"node": from.0, "port": from.1}, "to": {"node": to.0, "port": to.1}});
    let level = |id: &str| node(id, "level", "native", 16_000, json!({"interval_ms": 20}));
    let mut both = node("both", "mix", "native", 16_000, json!({"gains_db": [0, 0]}));
    both["inputs"] = json!([port("in-1", &format), port("in-2", &format)]);
    let params = json!({"entry": "user:hear", "mailbox_frames": 50, "mailbox_ms": 1000});
    let mut hear = node("hear", "python", "python", 16_000, params);
    hear["inputs"] = json!([port("left", &any), port("right", &any)]);
    hear["outputs"] = json!([port("out", &any)]);
    let manifest = json!({"version": "resolved/1", "name": "two",
    "sources": [{"id": "left", "format": format}, {"id": "right", "format": format}],
    "nodes": [level("level-left"), level("level-right"), both, level("level-both"),
        node("out", "sink", "native", 16_000, json!({})), vad("energy"), hear],
    "edges": [
        edge(("$source", "left"), ("level-left", "in")),
        edge(("$source", "right"), ("level-right", "in")),
        edge(("$source", "left"), ("both", "in-1")),
        edge(("$source", "right"), ("both", "in-2")),
        edge(("both", "out"), ("level-both", "in")),
        edge(("both", "out"), ("out", "in")),
        edge(("$source", "right"), ("vad", "in")),
        edge(("$source", "left"), ("hear", "left")),
        edge(("$source", "right"), ("hear", "right")),
    ]});
    Arc::new(Plan::compile(&ResolvedManifest::from_json(&manifest.to_string()).unwrap()).unwrap())
}
