use super::*;

fn example() -> serde_json::Value {
    serde_json::json!({
        "version": "resolved/1", "name": "mic-vad",
        "sources": [{"id": "input", "format": {"type": "audio", "rate": 16000, "channels": 1}}],
        "nodes": [{"id": "vad", "kind": "vad", "runtime": "native", "params": {},
                   "inputs": [{"port": "in", "format": {"type": "audio", "rate": 16000, "channels": 1}}],
                   "outputs": []}],
        "edges": [{"from": {"node": "$source", "port": "input"},
                   "to": {"node": "vad", "port": "in"}}]
    })
}

fn error_of(edit: impl Fn(&mut serde_json::Value)) -> ManifestError {
    let mut value = example();
    edit(&mut value);
    ResolvedManifest::from_json(&value.to_string()).unwrap_err()
}

#[test]
fn a_good_manifest_round_trips() {
    let manifest = ResolvedManifest::from_json(&example().to_string()).unwrap();
    let again = serde_json::to_string(&manifest).unwrap();
    assert_eq!(ResolvedManifest::from_json(&again).unwrap(), manifest);
}

#[test]
fn errors_name_the_field() {
    assert_eq!(error_of(|m| m["version"] = "v1".into()).path, "version");
    assert_eq!(error_of(|m| m["nodes"] = serde_json::json!([])).path, "nodes");
    assert_eq!(error_of(|m| m["nodes"][0]["id"] = "".into()).path, "nodes[0].id");
    assert_eq!(error_of(|m| m["edges"][0]["to"]["node"] = "asr".into()).path, "edges[0].to.node");
    let mismatch = error_of(|m| m["nodes"][0]["inputs"][0]["format"]["rate"] = 48000.into());
    assert_eq!((mismatch.code, mismatch.path.as_str()), (ErrorCode::PortMismatch, "edges[0]"));
}

#[test]
fn unknown_fields_and_duplicates_are_refused() {
    assert!(error_of(|m| m["extra"] = 1.into()).message.contains("extra"));
    let twice = error_of(|m| {
        let node = m["nodes"][0].clone();
        m["nodes"].as_array_mut().unwrap().push(node);
    });
    assert_eq!(twice.path, "nodes[1].id");
}

#[test]
fn a_huge_or_deep_text_is_refused() {
    let huge = " ".repeat(MAX_MANIFEST_BYTES + 1);
    assert!(ResolvedManifest::from_json(&huge).is_err());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(ResolvedManifest::from_json(&deep).is_err());
}
