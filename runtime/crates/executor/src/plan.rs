use std::sync::Arc;

use remotemedia_core::{
    AudioFormat, ErrorCode, ManifestError, ResolvedManifest, ResolvedNode, Runtime, SOURCE_NODE,
};

use crate::node::NodeType;
use crate::nodes::{self, PythonNode};

/// Where a node's input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The source with this index.
    Source(usize),
    /// What this node of the plan wrote.
    Node(usize),
}

/// What a node does with a chunk.
pub(crate) enum Action {
    /// It runs here.
    Native(Arc<dyn NodeType>),
    /// It waits in a mailbox for Python.
    Python(PythonNode),
}

pub(crate) struct PlanNode {
    pub(crate) id: Arc<str>,
    pub(crate) kind: Arc<str>,
    /// Where the audio that it takes was written: nodes that pass theirs on are skipped.
    pub(crate) input: Input,
    pub(crate) action: Action,
    pub(crate) output: Option<AudioFormat>,
    /// Its audio goes to no other node, and this is where it was written.
    pub(crate) sink: Option<Input>,
}

/// A graph checked and put in order: shared by all sessions of a pipeline.
pub struct Plan {
    name: Arc<str>,
    source: AudioFormat,
    pub(crate) nodes: Vec<PlanNode>,
}

/// What there is to know about a node of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeInfo<'a> {
    /// Its id in the pipeline.
    pub id: &'a str,
    /// Its registered kind.
    pub kind: &'a str,
    /// Whether it runs in Python.
    pub python: bool,
}

impl Plan {
    /// Checks parameters, ports and cycles, and orders the nodes so that each comes after what
    /// feeds it; the manifest's order breaks ties.
    ///
    /// # Errors
    /// [`ManifestError`] with the path of the first field that is wrong: what
    /// [`ResolvedManifest::check`] finds, unknown kinds, parameters out of range, ports that are
    /// not there or fed twice or not at all, and cycles with the nodes that form them.
    pub fn compile(manifest: &ResolvedManifest) -> Result<Plan, ManifestError> {
        manifest.check()?;
        let feeds = feeds(manifest)?;
        let order = order(manifest, &feeds)?;
        let mut place = vec![0; order.len()];
        for (index, position) in order.iter().enumerate() {
            place[*position] = index;
        }
        let mut fed = vec![false; order.len()];
        for feed in &feeds {
            if let Input::Node(from) = feed {
                fed[*from] = true;
            }
        }
        let mut compiled: Vec<PlanNode> = Vec::with_capacity(order.len());
        // Where each node's audio was written; for a node that passes its input on, further up.
        let mut written: Vec<Input> = Vec::with_capacity(order.len());
        for (index, position) in order.into_iter().enumerate() {
            let node = &manifest.nodes[position];
            let action = compile_node(node, position)?;
            let input = match feeds[position] {
                Input::Node(from) => written[place[from]],
                source => source,
            };
            let passes = matches!(&action, Action::Native(native) if native.passes());
            written.push(if passes { input } else { Input::Node(index) });
            compiled.push(PlanNode {
                id: node.id.as_str().into(),
                kind: node.kind.as_str().into(),
                input,
                action,
                output: node.outputs.first().and_then(|port| port.format.audio()),
                sink: (!node.outputs.is_empty() && !fed[position]).then(|| written[index]),
            });
        }
        Ok(Plan {
            name: manifest.name.as_str().into(),
            source: manifest.sources[0].format.audio().ok_or_else(|| {
                ManifestError::new(
                    ErrorCode::NotInThisVersion,
                    "sources[0].format",
                    "sources of data are not in this version",
                )
            })?,
            nodes: compiled,
        })
    }

    /// What incoming audio must be decoded to: the format of the first source.
    #[must_use]
    pub fn source_format(&self) -> AudioFormat {
        self.source
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The nodes in the order in which they run.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeInfo<'_>> {
        self.nodes.iter().map(|node| NodeInfo {
            id: &node.id,
            kind: &node.kind,
            python: matches!(node.action, Action::Python(_)),
        })
    }

    /// Whether any node runs in Python, so that the plan needs a lane.
    #[must_use]
    pub fn has_python(&self) -> bool {
        self.nodes().any(|node| node.python)
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("name", &self.name).field("nodes", &self.nodes.len()).finish()
    }
}

fn compile_node(node: &ResolvedNode, position: usize) -> Result<Action, ManifestError> {
    let path = format!("nodes[{position}]");
    for (side, count) in [("inputs", node.inputs.len()), ("outputs", node.outputs.len())] {
        if count > 1 {
            return Err(ManifestError::new(
                ErrorCode::NotInThisVersion,
                format!("{path}.{side}"),
                "several ports are not in this version",
            ));
        }
    }
    let Some(kind) = nodes::find(&node.kind) else {
        return Err(ManifestError::new(
            ErrorCode::UnknownNodeType,
            format!("{path}.kind"),
            format!("no kind \"{}\" here: there are {}", node.kind, nodes::names()),
        ));
    };
    if node.runtime != kind.runtime() {
        return Err(ManifestError::new(
            ErrorCode::InvalidManifest,
            format!("{path}.runtime"),
            match kind.runtime() {
                Runtime::Native => format!("\"{}\" runs natively", node.kind),
                Runtime::Python => format!("\"{}\" runs in Python", node.kind),
            },
        ));
    }
    kind.compile(node).map_err(|error| match error.name.as_str() {
        name if name.starts_with("inputs") || name.starts_with("outputs") => {
            ManifestError::new(ErrorCode::PortMismatch, format!("{path}.{name}"), error.message)
        }
        _ => error.at(&format!("{path}.params")),
    })
}

/// What feeds each node, by its position in the manifest.
fn feeds(manifest: &ResolvedManifest) -> Result<Vec<Input>, ManifestError> {
    let position = |id: &str| manifest.nodes.iter().position(|node| node.id == id);
    let mut feeds: Vec<Option<Input>> = vec![None; manifest.nodes.len()];
    for (index, edge) in manifest.edges.iter().enumerate() {
        let port = |side: &str, message: String| {
            ManifestError::new(
                ErrorCode::PortMismatch,
                format!("edges[{index}].{side}.port"),
                message,
            )
        };
        let from = if edge.from.node == SOURCE_NODE {
            Input::Source(
                manifest.sources.iter().position(|source| source.id == edge.from.port).unwrap_or(0),
            )
        } else {
            Input::Node(position(&edge.from.node).unwrap_or(0))
        };
        let to = position(&edge.to.node).unwrap_or(0);
        if feeds[to].replace(from).is_some() {
            return Err(port(
                "to",
                format!("\"{}\" is fed twice; mix the streams first", edge.to.node),
            ));
        }
    }
    feeds
        .into_iter()
        .enumerate()
        .map(|(index, feed)| {
            feed.ok_or_else(|| {
                ManifestError::new(
                    ErrorCode::InvalidManifest,
                    format!("nodes[{index}]"),
                    format!("nothing feeds \"{}\"", manifest.nodes[index].id),
                )
            })
        })
        .collect()
}

/// Positions in topological order; of several nodes that could come next, the first in the manifest.
fn order(manifest: &ResolvedManifest, feeds: &[Input]) -> Result<Vec<usize>, ManifestError> {
    let mut order = Vec::with_capacity(feeds.len());
    let mut placed = vec![false; feeds.len()];
    while order.len() < feeds.len() {
        let next = (0..feeds.len()).find(|position| {
            !placed[*position]
                && match feeds[*position] {
                    Input::Source(_) => true,
                    Input::Node(from) => placed[from],
                }
        });
        match next {
            Some(position) => {
                placed[position] = true;
                order.push(position);
            }
            None => return Err(cycle(manifest, feeds, &placed)),
        }
    }
    Ok(order)
}

/// Names the nodes of one cycle among those that could not be placed.
fn cycle(manifest: &ResolvedManifest, feeds: &[Input], placed: &[bool]) -> ManifestError {
    // Every unplaced node has an unplaced feeder, so walking up must come back somewhere.
    let mut path: Vec<usize> = Vec::new();
    let mut at = placed.iter().position(|placed| !placed).unwrap_or(0);
    while !path.contains(&at) {
        path.push(at);
        if let Input::Node(from) = feeds[at] {
            at = from;
        }
    }
    let start = path.iter().position(|position| *position == at).unwrap_or(0);
    let mut cycle: Vec<usize> = path[start..].to_vec();
    cycle.reverse();
    let first = cycle.iter().enumerate().min_by_key(|(_, position)| **position);
    let turn = first.map_or(0, |(index, _)| index);
    cycle.rotate_left(turn);
    cycle.push(cycle[0]);
    let names: Vec<&str> =
        cycle.iter().map(|position| manifest.nodes[*position].id.as_str()).collect();
    ManifestError::new(
        ErrorCode::GraphCycle,
        format!("nodes[{}]", cycle[0]),
        format!("a cycle: {}", names.join(" -> ")),
    )
}
