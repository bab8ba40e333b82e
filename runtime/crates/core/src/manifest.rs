use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Port, PortFormat};

/// The most nodes a pipeline may have.
pub const MAX_NODES: usize = 256;
/// The most connections a pipeline may have.
pub const MAX_EDGES: usize = 1_024;
/// The most sources a pipeline may have.
pub const MAX_SOURCES: usize = 16;
/// The most ports a node may have on one side.
pub const MAX_PORTS: usize = 16;
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
///  "sources": [{"id": "input", "format": {"type": "audio", "rate": 16000, "channels": 1}}],
///  "nodes": [{"id": "vad", "kind": "vad", "runtime": "native",
///             "params": {"engine": "energy", "...": "..."},
///             "inputs": [{"port": "in", "format": {"type": "audio", "rate": 16000, "channels": 1}}],
///             "outputs": [{"port": "out", "format": {"type": "audio", "rate": 16000, "channels": 1}}]}],
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
    /// What the driver must deliver: live, Opus is decoded straight to it.
    pub format: PortFormat,
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
    /// The registered type: `resample`, `vad`, `mix`, `python` and so on.
    pub kind: String,
    /// Where it runs.
    pub runtime: Runtime,
    /// All parameters of the kind, defaults filled in; the executor checks them strictly.
    pub params: serde_json::Value,
    /// What it takes: each port is fed by exactly one edge.
    pub inputs: Vec<Port>,
    /// What it gives: each port may feed any number of inputs. Empty for a node that only reports.
    pub outputs: Vec<Port>,
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
    /// The port's name, or the id of a source.
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
        check_count("sources", self.sources.len(), 1, MAX_SOURCES)?;
        check_count("nodes", self.nodes.len(), 1, MAX_NODES)?;
        check_count("edges", self.edges.len(), 0, MAX_EDGES)?;
        let mut given = Ports::new();
        let mut taken = Ports::new();
        let mut sources = HashMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            let path = format!("sources[{index}].id");
            check_name(&path, &source.id)?;
            if sources.insert(source.id.as_str(), source.format).is_some() {
                return Err(invalid(path, format!("\"{}\" is used twice", source.id)));
            }
        }
        given.insert(SOURCE_NODE, sources);
        for (index, node) in self.nodes.iter().enumerate() {
            let path = format!("nodes[{index}]");
            check_name(&format!("{path}.id"), &node.id)?;
            let inputs = check_ports(&format!("{path}.inputs"), &node.inputs, 1)?;
            let outputs = check_ports(&format!("{path}.outputs"), &node.outputs, 0)?;
            given.insert(&node.id, outputs);
            if taken.insert(&node.id, inputs).is_some() {
                return Err(invalid(
                    format!("{path}.id"),
                    format!("\"{}\" is used twice", node.id),
                ));
            }
        }
        self.check_edges(&given, &taken)
    }

    fn check_edges(&self, given: &Ports<'_>, taken: &Ports<'_>) -> Result<(), ManifestError> {
        let mut fed = HashSet::new();
        for (index, edge) in self.edges.iter().enumerate() {
            let path = format!("edges[{index}]");
            let from = find(given, &edge.from, &format!("{path}.from"))?;
            let to = find(taken, &edge.to, &format!("{path}.to"))?;
            if !from.feeds(to) {
                return Err(mismatch(
                    path,
                    format!(
                        "\"{}\" gives {from} but \"{}\" takes {to}",
                        edge.from.node, edge.to.node
                    ),
                ));
            }
            if !fed.insert((edge.to.node.as_str(), edge.to.port.as_str())) {
                return Err(mismatch(
                    format!("{path}.to.port"),
                    format!(
                        "\"{}\" of \"{}\" is fed twice; mix the streams first",
                        edge.to.port, edge.to.node
                    ),
                ));
            }
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let unfed = node
                .inputs
                .iter()
                .position(|input| !fed.contains(&(node.id.as_str(), input.port.as_str())));
            if let Some(port) = unfed {
                return Err(invalid(
                    format!("nodes[{index}].inputs[{port}]"),
                    format!("nothing feeds \"{}\" of \"{}\"", node.inputs[port].port, node.id),
                ));
            }
        }
        Ok(())
    }
}

/// Formats by node and port.
type Ports<'a> = HashMap<&'a str, HashMap<&'a str, PortFormat>>;

fn check_ports<'a>(
    path: &str,
    ports: &'a [Port],
    least: usize,
) -> Result<HashMap<&'a str, PortFormat>, ManifestError> {
    check_count(path, ports.len(), least, MAX_PORTS)?;
    let mut found = HashMap::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("{path}[{index}].port");
        check_name(&path, &port.port)?;
        if found.insert(port.port.as_str(), port.format).is_some() {
            return Err(invalid(path, format!("\"{}\" is used twice", port.port)));
        }
    }
    Ok(found)
}

fn find(ports: &Ports<'_>, wanted: &PortRef, path: &str) -> Result<PortFormat, ManifestError> {
    let node = ports
        .get(wanted.node.as_str())
        .ok_or_else(|| invalid(format!("{path}.node"), format!("no node \"{}\"", wanted.node)))?;
    node.get(wanted.port.as_str()).copied().ok_or_else(|| {
        let what = if wanted.node == SOURCE_NODE { "source" } else { "port" };
        let mut names: Vec<&str> = node.keys().copied().collect();
        names.sort_unstable();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        mismatch(format!("{path}.port"), format!("no {what} \"{}\": there is {names}", wanted.port))
    })
}

fn mismatch(path: String, message: String) -> ManifestError {
    ManifestError::new(ErrorCode::PortMismatch, path, message)
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
mod tests;
