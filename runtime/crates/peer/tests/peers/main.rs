//! Two peers, one offering and one answering, over a link in virtual time.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod close;
mod connect;
mod data;
mod faults;
mod media;
mod negotiate;
mod world;
