//! Frames, formats, time, the resolved manifest and error codes shared by every crate.
//!
//! Everything here is plain data: no clock is read, no randomness drawn, nothing does I/O. The
//! crate also builds for `wasm32-unknown-unknown`.
#![forbid(unsafe_code)]

mod arena;
mod code;
mod format;
mod frame;
mod manifest;
mod payload;
mod port;
mod rtcp;
mod time;

pub use arena::{Arena, Key};
pub use code::ErrorCode;
pub use format::{AudioFormat, ChannelCount, FormatError, SampleRate};
pub use frame::{AudioFrame, FrameMeta, StreamId};
pub use manifest::{
    Edge, MAX_EDGES, MAX_MANIFEST_BYTES, MAX_NAME_BYTES, MAX_NODES, MAX_PORTS, MAX_SOURCES,
    ManifestError, PortRef, ResolvedManifest, ResolvedNode, Runtime, SOURCE_NODE, Source,
};
pub use payload::{
    MAX_VALUE_BYTES, MAX_VALUE_DEPTH, Opaque, Payload, Piece, check_value, check_value_text,
};
pub use port::{Port, PortFormat};
pub use rtcp::ReceptionReport;
pub use time::Micros;
