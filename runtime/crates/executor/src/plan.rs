use std::ops::Range;
use std::sync::Arc;

use remotemedia_core::{
    AudioFormat, ErrorCode, ManifestError, Piece, PortFormat, ResolvedManifest, ResolvedNode,
    Runtime,
};

use crate::node::NodeType;
use crate::nodes::{self, PythonNode};
use crate::order::{Feed, feeds, order};

/// Where the frames of an input were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// They were pushed to the source with this index.
    Source(usize),
    /// Into this signal of a walk: each output of each node that writes has one.
    Slot(usize),
}

/// Which types of frames pass somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types {
    audio: bool,
    data: bool,
    opaque: bool,
}

impl Types {
    const NONE: Types = Types { audio: false, data: false, opaque: false };

    fn of(format: PortFormat) -> Types {
        Types {
            audio: format.audio().is_some(),
            data: format.carries_data(),
            opaque: format.carries_anything(),
        }
    }

    fn and(self, other: Types) -> Types {
        Types {
            audio: self.audio && other.audio,
            data: self.data && other.data,
            opaque: self.opaque && other.opaque,
        }
    }

    fn or(self, other: Types) -> Types {
        Types {
            audio: self.audio || other.audio,
            data: self.data || other.data,
            opaque: self.opaque || other.opaque,
        }
    }

    fn without(self, other: Types) -> Types {
        Types {
            audio: self.audio && !other.audio,
            data: self.data && !other.data,
            opaque: self.opaque && !other.opaque,
        }
    }

    pub(crate) fn has(self, piece: Piece<'_>) -> bool {
        match piece {
            Piece::Audio(_) => self.audio,
            Piece::Data(_) => self.data,
            Piece::Opaque(_) => self.opaque,
        }
    }
}

/// What ends an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feeder {
    /// The source with this index.
    Source(usize),
    /// This node of the plan.
    Node(usize),
}

/// An input of a node.
pub(crate) struct Inlet {
    pub(crate) name: Arc<str>,
    pub(crate) format: PortFormat,
    /// Nodes that pass theirs on are skipped.
    pub(crate) origin: Origin,
    pub(crate) feeder: Feeder,
    /// What of the origin's frames reaches it.
    pub(crate) takes: Types,
}

/// An output of a node.
pub(crate) struct Outlet {
    pub(crate) name: Arc<str>,
    pub(crate) format: PortFormat,
    /// Where its frames were written: for a node that passes its input on, further up.
    pub(crate) origin: Origin,
    /// What of the origin's frames goes out here.
    gives: Types,
    /// What some input takes.
    taken: Types,
}

impl Outlet {
    /// Frames that no input takes: they are results.
    pub(crate) fn results(&self) -> Types {
        self.gives.without(self.taken)
    }

    pub(crate) fn is_taken(&self, piece: Piece<'_>) -> bool {
        self.taken.has(piece)
    }
}

/// What a node does with a frame.
pub(crate) enum Action {
    /// It runs here.
    Native(Arc<dyn NodeType>),
    /// It waits in a mailbox for Python.
    Python(PythonNode),
}

pub(crate) struct PlanNode {
    pub(crate) id: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) inputs: Vec<Inlet>,
    pub(crate) outputs: Vec<Outlet>,
    /// Its own signals: none for a node that passes its input on, or changes it where it lies.
    pub(crate) slots: Range<usize>,
    /// The signal that it changes where it lies.
    pub(crate) changes: Option<usize>,
    /// Its audio is for whoever hears the session.
    pub(crate) sink: bool,
    /// It is a Python node that feeds a sink, with no other one between.
    pub(crate) voices: bool,
    pub(crate) action: Action,
}

/// A graph checked and put in order: shared by all sessions of a pipeline.
pub struct Plan {
    name: Arc<str>,
    sources: Vec<(Arc<str>, PortFormat)>,
    pub(crate) nodes: Vec<PlanNode>,
    pub(crate) slots: usize,
}

/// Where audio leaves the graph for whoever hears the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkInfo<'a> {
    /// Its id in the pipeline.
    pub id: &'a Arc<str>,
    /// The format of its audio.
    pub format: AudioFormat,
    /// A Python node makes its audio, so that there may be more of it than time passes.
    pub python: bool,
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
    /// [`ResolvedManifest::check`] finds, unknown kinds, parameters out of range, ports that a kind
    /// does not have, and cycles with the nodes that form them.
    pub fn compile(manifest: &ResolvedManifest) -> Result<Plan, ManifestError> {
        manifest.check()?;
        let feeds = feeds(manifest);
        let order = order(manifest, &feeds)?;
        let mut place = vec![0; order.len()];
        for (index, position) in order.iter().enumerate() {
            place[*position] = index;
        }
        let mut plan = Plan {
            name: manifest.name.as_str().into(),
            sources: manifest
                .sources
                .iter()
                .map(|source| (source.id.as_str().into(), source.format))
                .collect(),
            nodes: Vec::with_capacity(order.len()),
            slots: 0,
        };
        for (index, position) in order.iter().enumerate() {
            let node = &manifest.nodes[*position];
            let action = compile_node(node, *position)?;
            let later = order[index + 1..].iter().flat_map(|position| &feeds[*position]);
            plan.append(node, action, &feeds[*position], later, &place);
        }
        for index in 0..plan.nodes.len() {
            if plan.nodes[index].sink {
                for voice in plan.voices_of(index) {
                    plan.nodes[voice].voices = plan.is_python(voice);
                }
            }
        }
        Ok(plan)
    }

    /// Appends a node; `later` is what feeds those that come after it.
    fn append<'a>(
        &mut self,
        node: &ResolvedNode,
        action: Action,
        feeds: &[Feed],
        later: impl Iterator<Item = &'a Feed>,
        place: &[usize],
    ) {
        let mut inputs: Vec<Inlet> = Vec::with_capacity(feeds.len());
        for (port, feed) in node.inputs.iter().zip(feeds) {
            let wanted = Types::of(port.format);
            let (origin, feeder, gives) = match *feed {
                Feed::Source(index) => {
                    let (_, format) = self.sources[index];
                    (Origin::Source(index), Feeder::Source(index), Types::of(format))
                }
                Feed::Node { position, port } => {
                    let outlet = &mut self.nodes[place[position]].outputs[port];
                    outlet.taken = outlet.taken.or(wanted.and(outlet.gives));
                    (outlet.origin, Feeder::Node(place[position]), outlet.gives)
                }
            };
            inputs.push(Inlet {
                name: port.port.as_str().into(),
                format: port.format,
                origin,
                feeder,
                takes: wanted.and(gives),
            });
        }
        let passes = matches!(&action, Action::Native(native) if native.passes());
        let changes = match (&action, inputs.first().map(|input| input.origin)) {
            (Action::Native(native), Some(Origin::Slot(slot)))
                if native.changes() && !self.is_read(slot, later, place) =>
            {
                Some(slot)
            }
            _ => None,
        };
        let first = self.slots;
        if !passes && changes.is_none() {
            self.slots += node.outputs.len();
        }
        let outlet = |(index, port): (usize, &remotemedia_core::Port)| {
            let given = Types::of(port.format);
            let (origin, gives) = match &inputs[0] {
                input if passes => (input.origin, given.and(input.takes)),
                _ => (Origin::Slot(changes.unwrap_or(first + index)), given),
            };
            let name = port.port.as_str().into();
            Outlet { name, format: port.format, origin, gives, taken: Types::NONE }
        };
        let outputs = node.outputs.iter().enumerate().map(outlet).collect();
        self.nodes.push(PlanNode {
            id: node.id.as_str().into(),
            kind: node.kind.as_str().into(),
            inputs,
            outputs,
            slots: first..self.slots,
            changes,
            sink: node.kind == nodes::SINK,
            voices: false,
            action,
        });
    }

    /// Whether one of `feeds` reads the signal with this slot. Nodes that pass it on and are not
    /// there yet need no look: they read it themselves.
    fn is_read<'a>(
        &self,
        slot: usize,
        mut feeds: impl Iterator<Item = &'a Feed>,
        place: &[usize],
    ) -> bool {
        feeds.any(|feed| match *feed {
            Feed::Source(_) => false,
            Feed::Node { position, port } => self
                .nodes
                .get(place[position])
                .is_some_and(|node| node.outputs[port].origin == Origin::Slot(slot)),
        })
    }

    /// The format of audio of the first source, unless that takes data alone.
    #[must_use]
    pub fn source_format(&self) -> Option<AudioFormat> {
        self.sources[0].1.audio()
    }

    /// The sources in the order of the manifest: id and what they take.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, PortFormat)> {
        self.sources.iter().map(|(id, format)| (id, *format))
    }

    /// Whether a source or a node has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.sources.iter().any(|(id, _)| **id == *name)
            || self.nodes.iter().any(|node| *node.id == *name)
    }

    /// The nodes that data pushed to the source with this index reaches, in the order in which they
    /// run.
    pub fn data_takers(&self, source: usize) -> impl Iterator<Item = &Arc<str>> {
        let takes = move |inlet: &Inlet| inlet.feeder == Feeder::Source(source) && inlet.takes.data;
        self.nodes.iter().filter(move |node| node.inputs.iter().any(takes)).map(|node| &node.id)
    }

    pub(crate) fn source(&self, index: usize) -> Option<PortFormat> {
        self.sources.get(index).map(|(_, format)| *format)
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

    /// The sinks in the order in which they run.
    pub fn sinks(&self) -> impl Iterator<Item = SinkInfo<'_>> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.sink).filter_map(|(index, node)| {
            let python = self.voices_of(index).any(|voice| self.is_python(voice));
            Some(SinkInfo { id: &node.id, format: node.inputs[0].format.audio()?, python })
        })
    }

    /// A node and those before it, as far as the last Python nodes on the way.
    fn voices_of(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        let mut reached = vec![false; self.nodes.len()];
        reached[index] = true;
        // What feeds a node comes before it.
        for at in (0..=index).rev() {
            if !reached[at] || self.is_python(at) {
                continue;
            }
            for inlet in &self.nodes[at].inputs {
                if let Feeder::Node(before) = inlet.feeder {
                    reached[before] = true;
                }
            }
        }
        reached.into_iter().enumerate().filter_map(|(at, reached)| reached.then_some(at))
    }

    fn is_python(&self, index: usize) -> bool {
        matches!(self.nodes[index].action, Action::Python(_))
    }

    /// The name of an output port by its number, as [`crate::Output::port`] gives it.
    #[must_use]
    pub fn output_name(&self, node: &str, port: u8) -> Option<Arc<str>> {
        let node = self.nodes.iter().find(|other| *other.id == *node)?;
        node.outputs.get(usize::from(port)).map(|outlet| outlet.name.clone())
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
