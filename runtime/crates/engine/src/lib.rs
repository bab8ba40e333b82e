//! Reactors, sockets, timers and lanes: the only crate with I/O and threads.
//!
//! An [`Engine`] runs reactors: threads that each own one UDP port and the sessions on it. A
//! reactor's turn is always the same: receive a batch, obey commands, run the sessions
//! (`remotemedia-session`, a machine without I/O), send a batch, hand out work for Python nodes
//! and notifications. It never waits for Python and takes no lock on a frame's way.
//!
//! Drive it so: [`Engine::start`], [`Engine::add_pipeline`], [`Engine::offer`]; watch
//! [`Engine::notification_fd`] and [`Engine::lane_fd`] from an event loop and drain what they
//! announce; [`Engine::drain`] and drop it at the end. An [`OfflineRun`] drives the same executor
//! over what is at hand.
#![forbid(unsafe_code)]

mod addresses;
mod clock;
mod command;
mod config;
mod engine;
mod error;
mod ids;
mod lane;
mod offline;
mod outlets;
mod pipelines;
mod published;
mod queue;
mod reactor;
mod socket;

pub use command::Answer;
pub use config::{EngineConfig, Limits, ReactorCount};
pub use engine::{Counters, Dropped, Engine, Offer};
pub use error::{EngineError, EngineStartError};
pub use lane::{LaneDone, LaneItem, LaneToken};
pub use offline::{
    OfflineRun, RunConfig, RunDone, RunOutput, RunValue, check_manifest, run_offline,
};
pub use remotemedia_executor::{NodeFailure, NodeMetrics, NodeResult, NodeValue, PythonWork};
pub use remotemedia_session::{LaneWork, LiveObjects, Notification};
