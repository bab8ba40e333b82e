use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{AudioFormat, ErrorCode};

/// The most nodes a pipeline may have.
pub const MAX_NODES: usize = 256;
/// The most connections a pipeline may have.
pub const MAX_EDGES: usize = 1_024;
/// The longest id or name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest resolved manifest, in bytes of JSON.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// The node id that stands for the pipeline's sources in an edge; the port is the source's id.
pub const SOURCE_NODE: &str = "$source";

const VERSION: &str = "resolved/1";

/// What is wrong with a manifest, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ManifestError {
    /// The stable code.
    pub code: ErrorCode,
    /// Path of the field: `nodes[2].params.threshold`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ManifestError {
    /// An error at `path`.
    pub fn new(code: ErrorCode, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, path: path.into(), message: message.into() }
    }
}

/// A manifest in which planning has made everything explicit: all that this runtime accepts.
///
/// ```json
/// {"version": "resolved/1", "name": "mic-vad",
///  "sources": [{"id": "input", "format": {"rate": 16000, "channels": 1}}],
///  "nodes": [{"id": "vad", "kind": "vad", "runtime": "native",
///             "params": {"engine": "energy", "...": "..."},
///             "input": {"rate": 16000, "channels": 1}, "output": {"rate": 16000, "channels": 1}}],
///  "edges": [{"from": {"node": "$source", "port": "input"}, "to": {"node": "vad", "port": "in"}}]}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedManifest {
    /// Always `resolved/1`.
    pub version: String,
    /// The pipeline's name.
    pub name: String,
    /// Where frames enter. Live, the first is fed by every incoming audio track.
    pub sources: Vec<Source>,
    /// The nodes, in the order that ties are broken in.
    pub nodes: Vec<ResolvedNode>,
    /// The connections.
    pub edges: Vec<Edge>,
}

/// A place where frames enter the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Unique among the sources.
    pub id: String,
    /// What the driver must deliver: Opus is decoded straight to it.
    pub format: AudioFormat,
}

/// Where a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// In this runtime.
    Native,
    /// In Python, reached by a lane.
    Python,
}

/// A node with everything decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedNode {
    /// Unique in the pipeline.
    pub id: String,
    /// The registered type: `resample`, `vad`, `level`, `pass_through`, `python`.
    pub kind: String,
    /// Where it runs.
    pub runtime: Runtime,
    /// All parameters of the kind, defaults filled in; the executor checks them strictly.
    pub params: serde_json::Value,
    /// What its input port takes.
    pub input: AudioFormat,
    /// What its output port gives; absent for a node that only reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<AudioFormat>,
}

/// A connection between two ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Where frames come from.
    pub from: PortRef,
    /// Where they go.
    pub to: PortRef,
}

/// A port of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRef {
    /// The node's id, or [`SOURCE_NODE`].
    pub node: String,
    /// The port's name: `in`, `out`, or the id of a source.
    pub port: String,
}

impl ResolvedManifest {
    /// Parses and checks the structure: sizes, names, references. Parameters and cycles are the
    /// executor's to check.
    ///
    /// # Errors
    /// [`ManifestError`] with the path of the first field that is wrong.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(invalid("$", format!("larger than {MAX_MANIFEST_BYTES} bytes")));
        }
        let manifest: Self =
            serde_json::from_str(text).map_err(|error| invalid("$", error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks what the types cannot say. See [`ResolvedManifest::from_json`].
    ///
    /// # Errors
    /// [`ManifestError`] with the path of the first field that is wrong.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.version != VERSION {
            return Err(invalid(
                "version",
                format!("expected \"{VERSION}\", got \"{}\"", self.version),
            ));
        }
        check_name("name", &self.name)?;
        check_count("sources", self.sources.len(), 1, 16)?;
        check_count("nodes", self.nodes.len(), 1, MAX_NODES)?;
        check_count("edges", self.edges.len(), 0, MAX_EDGES)?;
        let mut sources = HashMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            let path = format!("sources[{index}].id");
            check_name(&path, &source.id)?;
            if sources.insert(source.id.as_str(), source.format).is_some() {
                return Err(invalid(path, format!("\"{}\" is used twice", source.id)));
            }
        }
        let mut nodes = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let path = format!("nodes[{index}].id");
            check_name(&path, &node.id)?;
            if nodes.insert(node.id.as_str(), node).is_some() {
                return Err(invalid(path, format!("\"{}\" is used twice", node.id)));
            }
        }
        for (index, edge) in self.edges.iter().enumerate() {
            let from = if edge.from.node == SOURCE_NODE {
                sources.get(edge.from.port.as_str()).copied().ok_or_else(|| {
                    invalid(
                        format!("edges[{index}].from.port"),
                        format!("no source \"{}\"", edge.from.port),
                    )
                })?
            } else {
                let node = nodes.get(edge.from.node.as_str()).ok_or_else(|| {
                    invalid(
                        format!("edges[{index}].from.node"),
                        format!("no node \"{}\"", edge.from.node),
                    )
                })?;
                node.output.ok_or_else(|| {
                    invalid(
                        format!("edges[{index}].from.node"),
                        format!("\"{}\" has no output", edge.from.node),
                    )
                })?
            };
            let to = nodes.get(edge.to.node.as_str()).ok_or_else(|| {
                invalid(format!("edges[{index}].to.node"), format!("no node \"{}\"", edge.to.node))
            })?;
            if from != to.input {
                return Err(ManifestError::new(
                    ErrorCode::PortMismatch,
                    format!("edges[{index}]"),
                    format!(
                        "\"{}\" gives {} Hz, {} ch but \"{}\" takes {} Hz, {} ch",
                        edge.from.node,
                        from.rate.hz(),
                        from.channels.get(),
                        edge.to.node,
                        to.input.rate.hz(),
                        to.input.channels.get(),
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn invalid(path: impl Into<String>, message: impl Into<String>) -> ManifestError {
    ManifestError::new(ErrorCode::InvalidManifest, path, message)
}

fn check_name(path: &str, name: &str) -> Result<(), ManifestError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(invalid(path, format!("must have 1 to {MAX_NAME_BYTES} bytes")));
    }
    if name.chars().any(|c| c.is_control() || c == '$') {
        return Err(invalid(path, "must not have control characters or $"));
    }
    Ok(())
}

fn check_count(path: &str, count: usize, min: usize, max: usize) -> Result<(), ManifestError> {
    if (min..=max).contains(&count) {
        return Ok(());
    }
    Err(invalid(path, format!("must have {min} to {max} entries, has {count}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> serde_json::Value {
        serde_json::json!({
            "version": "resolved/1", "name": "mic-vad",
            "sources": [{"id": "input", "format": {"rate": 16000, "channels": 1}}],
            "nodes": [{"id": "vad", "kind": "vad", "runtime": "native", "params": {},
                       "input": {"rate": 16000, "channels": 1}}],
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
        assert_eq!(
            error_of(|m| m["edges"][0]["to"]["node"] = "asr".into()).path,
            "edges[0].to.node"
        );
        let mismatch = error_of(|m| m["nodes"][0]["input"]["rate"] = 48000.into());
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
}
