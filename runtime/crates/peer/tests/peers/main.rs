//! Two peers, one offering and one answering, over a link in virtual time.

mod close;
mod connect;
mod data;
mod faults;
mod media;
mod world;
