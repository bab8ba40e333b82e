//! Data that clients send beside audio, or in its place: from a message to the source it is for.

use std::sync::Arc;

use remotemedia_core::{
    AudioFormat, ErrorCode, FrameMeta, Key, Micros, Piece, StreamId, check_value,
};
use remotemedia_executor::{MAX_STREAMS, Plan};
use serde_json::Value;

use crate::sessions::Sessions;
use crate::sources::Sources;

/// Why data is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) field: Option<&'static str>,
}

impl Refused {
    fn new(code: ErrorCode, message: impl Into<String>, field: &'static str) -> Refused {
        Refused { code, message: message.into(), field: Some(field) }
    }

    fn ending() -> Refused {
        let message = "the session is ending".into();
        Refused { code: ErrorCode::Conflict, message, field: None }
    }

    fn full() -> Refused {
        let message =
            format!("the session has {MAX_STREAMS} streams, which is the most that it may have");
        Refused { code: ErrorCode::ServerFull, message, field: None }
    }
}

impl Sessions {
    /// Hands data that came at `arrival` to a source, as the next frame of the participant's main
    /// stream. Gives the name of who took it.
    ///
    /// # Errors
    /// Nobody of that name takes data, it is too long, the session has too many streams or has ended.
    pub(crate) fn take_data(
        &mut self,
        now: Micros,
        arrival: Micros,
        key: Key,
        node: Option<&str>,
        data: Value,
    ) -> Result<Arc<str>, Refused> {
        let participant = self.peers.get(key).ok_or_else(Refused::ending)?;
        let session = self.sessions.get_mut(participant.session).ok_or_else(Refused::ending)?;
        let (source, name) = find(&session.plan, &session.sources, node)?;
        check_value(&data).map_err(|wrong| {
            Refused::new(ErrorCode::InvalidMessage, format!("it {wrong}"), "data")
        })?;
        let name = name.clone();
        let stream = session
            .main_stream(arrival, &mut self.executor, key, participant)
            .ok_or_else(Refused::full)?;
        let meta = meta(stream.id, stream.count(), stream.pts_us(arrival), arrival);
        let piece = Arc::new(data);
        self.executor.push_to(now, session.instance, source, &meta, Piece::Data(&piece));
        Ok(name)
    }
}

/// A frame of data: no packet brought it.
fn meta(stream: StreamId, seq: u64, pts_us: u64, arrival: Micros) -> FrameMeta {
    FrameMeta { arrival, ..FrameMeta::new(stream, seq, pts_us, AudioFormat::MONO_16K) }
}

/// The source that a name stands for, by its place among all, and the name. Without a name it is
/// the only source of data.
fn find<'a>(
    plan: &'a Plan,
    sources: &'a Sources,
    node: Option<&str>,
) -> Result<(usize, &'a Arc<str>), Refused> {
    let entries = entries(plan, sources);
    let Some(first) = entries.first() else {
        let message = "this pipeline takes no data: it has no source for it";
        return Err(Refused::new(ErrorCode::InvalidParameter, message, "type"));
    };
    let found = match node {
        Some(wanted) => entries.iter().find(|(_, name)| ***name == *wanted),
        None => Some(first).filter(|_| sources.data.len() == 1),
    };
    if let Some(found) = found {
        return Ok(*found);
    }
    let what = match node {
        None => "say which node",
        Some(wanted) if plan.has(wanted) => "no data goes in there",
        Some(_) => "no such node",
    };
    let names: Vec<&str> = entries.iter().map(|(_, name)| &***name).collect();
    let message = format!("{what}: data goes into {}", names.join(", "));
    Err(Refused::new(ErrorCode::InvalidParameter, message, "node"))
}

/// Every name that data may be sent to, with its source: the sources' own, then those of nodes that
/// have one source of data for themselves.
fn entries<'a>(plan: &'a Plan, sources: &'a Sources) -> Vec<(usize, &'a Arc<str>)> {
    let mut entries: Vec<_> =
        sources.data.iter().map(|source| (source.index, &source.id)).collect();
    for source in &sources.data {
        let mut nodes = plan.data_takers(source.index);
        let (Some(node), None) = (nodes.next(), nodes.next()) else { continue };
        let others = sources.data.iter().filter(|other| other.index != source.index);
        let mut others = others.flat_map(|other| plan.data_takers(other.index));
        if others.all(|other| other != node) && entries.iter().all(|(_, name)| *name != node) {
            entries.push((source.index, node));
        }
    }
    entries
}
