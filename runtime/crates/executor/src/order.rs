//! What feeds what, and the order that follows.

use std::collections::HashMap;

use remotemedia_core::{ErrorCode, ManifestError, ResolvedManifest, SOURCE_NODE};

/// Where an input's frames come from, by positions in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// The source with this index.
    Source(usize),
    /// A port of a node.
    Node { position: usize, port: usize },
}

/// What feeds each input of each node. The manifest was checked: every name is there and every
/// input is fed once.
pub(crate) fn feeds(manifest: &ResolvedManifest) -> Vec<Vec<Feed>> {
    let positions: HashMap<&str, usize> =
        manifest.nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
    let mut feeds: Vec<Vec<Feed>> =
        manifest.nodes.iter().map(|node| vec![Feed::Source(0); node.inputs.len()]).collect();
    for edge in &manifest.edges {
        let feed = if edge.from.node == SOURCE_NODE {
            let source = manifest.sources.iter().position(|source| source.id == edge.from.port);
            Feed::Source(source.unwrap_or(0))
        } else {
            let position = positions[edge.from.node.as_str()];
            let outputs = &manifest.nodes[position].outputs;
            let port = outputs.iter().position(|port| port.port == edge.from.port).unwrap_or(0);
            Feed::Node { position, port }
        };
        let to = positions[edge.to.node.as_str()];
        let inputs = &manifest.nodes[to].inputs;
        let port = inputs.iter().position(|port| port.port == edge.to.port).unwrap_or(0);
        feeds[to][port] = feed;
    }
    feeds
}

/// Positions in topological order; of several nodes that could come next, the first in the manifest.
pub(crate) fn order(
    manifest: &ResolvedManifest,
    feeds: &[Vec<Feed>],
) -> Result<Vec<usize>, ManifestError> {
    let mut order = Vec::with_capacity(feeds.len());
    let mut placed = vec![false; feeds.len()];
    while order.len() < feeds.len() {
        let next = (0..feeds.len()).find(|position| {
            !placed[*position]
                && feeds[*position].iter().all(|feed| match feed {
                    Feed::Source(_) => true,
                    Feed::Node { position, .. } => placed[*position],
                })
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
fn cycle(manifest: &ResolvedManifest, feeds: &[Vec<Feed>], placed: &[bool]) -> ManifestError {
    // Every unplaced node has an unplaced feeder, so walking up must come back somewhere.
    let mut path: Vec<usize> = Vec::new();
    let mut at = placed.iter().position(|placed| !placed).unwrap_or(0);
    while !path.contains(&at) {
        path.push(at);
        let unplaced = feeds[at].iter().find_map(|feed| match feed {
            Feed::Node { position, .. } if !placed[*position] => Some(*position),
            _ => None,
        });
        at = unplaced.unwrap_or(at);
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
