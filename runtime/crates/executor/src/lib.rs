//! Compiled graphs of nodes as a machine without I/O.
//!
//! A [`Plan`] is a resolved manifest checked and put in order. An [`Executor`] holds the instances
//! of all sessions of one driver (a reactor, an offline run, a test) and does nothing by itself:
//!
//! 1. [`Executor::create`] an instance of a plan, [`Executor::open_stream`] for each track.
//! 2. [`Executor::push`] audio of the first source, or any frame of any source with
//!    [`Executor::push_to`]: native nodes run inside the call, each stream with its own state.
//! 3. Once a turn [`Executor::run_batches`] (Silero windows of all instances run together), then
//!    drain [`Executor::poll_output`].
//! 4. Drain [`Executor::poll_work`] to wherever Python runs and bring back what it made with
//!    [`Executor::complete`]; what it gives before it is done with a frame, with
//!    [`Executor::give`].
//! 5. Live, end a source with [`Executor::end_source`] for as long as nothing comes to it. Offline,
//!    end all of them and go on until [`Executor::has_ended`]; call [`Executor::handle_timeout`]
//!    when [`Executor::poll_timeout`] comes: failed frames are tried again then.
//!
//! A frame is audio, a JSON value or an object of a Python node. What a node gives on a port goes to
//! every connected input that takes its type; what none takes is an [`Output`], live but for audio
//! that is not a sink's.
//!
//! Time is an argument everywhere; the order of outputs depends on the order of calls alone.
#![forbid(unsafe_code)]

mod chance;
mod ends;
mod executor;
mod hold;
mod instance;
mod lost;
mod mailbox;
mod metrics;
mod node;
mod nodes;
mod order;
mod output;
mod params;
mod parts;
mod plan;
mod walk;
mod windows;
mod work;

pub use executor::{Clock, Executor, ExecutorConfig, ExecutorStats, MAX_STREAMS};
pub use instance::{InstanceId, InstanceStats, RunFailure};
pub use lost::NodeLosses;
pub use mailbox::{BREAKER_FAILURES, BREAKER_PAUSE, MAX_IN_FLIGHT, RETRY_PAUSES};
pub use metrics::NodeMetrics;
pub use output::{NodeFailure, NodeResult, NodeValue, Output, OutputKind, PythonWork};
pub use plan::{NodeInfo, Plan, SinkInfo};
