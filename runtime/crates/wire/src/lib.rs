//! Result and control messages: bytes to types and back.
//!
//! A session writes its results with [`write_result`] into a buffer that it keeps, reads what
//! clients send with [`parse_control`], and answers each with [`write_reply`]. Everything is JSON
//! text in UTF-8, one object a message; `configs/schema/messages.schema.json` describes them all
//! and a test holds the two together.
//!
//! The crate is pure and also builds for `wasm32-unknown-unknown`.
#![forbid(unsafe_code)]

mod control;
mod json;
mod reply;
mod result;

pub use control::{
    Control, ControlError, MAX_CONTROL_BYTES, MAX_CONTROL_DEPTH, MAX_ID_BYTES, MessageId,
    parse_control,
};
pub use json::is_json;
pub use reply::{Reply, ReplyBody, write_reply};
pub use result::{
    Class, Metrics, NodeInfo, PROTOCOL_VERSION, Ready, ResultBody, ResultHeader, write_result,
};
