//! Peers, media, executor and results of many sessions as one machine without I/O.
//!
//! [`Sessions`] is everything that one reactor owns. A driver (a reactor, or a test in virtual time)
//! does in each turn of its loop:
//!
//! 1. [`Sessions::handle_datagram`] for each datagram that came, and what else it was asked for:
//!    [`Sessions::offer`], [`Sessions::add_candidates`], [`Sessions::complete_lane`], ...
//! 2. [`Sessions::handle_timeout`] where [`Sessions::poll_timeout`] has passed.
//! 3. [`Sessions::turn`]: frames that came have run through the graph by now; Silero's windows run
//!    in one batch and results go to the channels.
//! 4. Drain [`Sessions::poll_transmit`] to the socket, [`Sessions::poll_lane`] to Python and
//!    [`Sessions::poll_notification`] to whoever observes.
//!
//! Nothing here looks at all sessions: peers that something happened to are in a list, deadlines in
//! a heap.
#![forbid(unsafe_code)]

mod api;
mod closing;
mod control;
mod data;
mod events;
mod input;
mod offers;
mod outbox;
mod participant;
mod publish;
mod router;
mod session;
mod sessions;
mod sources;
mod stats;
mod streams;
mod timers;
mod tracks;
mod voice;

pub use api::{
    Audience, LaneWork, LiveObjects, Losses, OfferReply, OfferRequest, SessionError, SessionsConfig,
};
pub use closing::CLOSE_TIME;
pub use events::{MAX_NOTIFICATIONS, MAX_RING_BYTES, MAX_RING_EVENTS, Notification};
pub use outbox::{MAX_BACKLOG, MAX_EVENT_AGE, MAX_EVENT_BYTES, MAX_LIVE_BYTES};
pub use participant::{MAX_CONTROL_WAITING, MAX_TRACKS, OFFER_INTERVAL, OFFERS_AT_ONCE};
pub use publish::result_body;
pub use sessions::Sessions;
pub use stats::{ParticipantStats, SessionStats, StreamStats, VoiceStats};
pub use voice::{MAX_ANSWER, MAX_WAITING};
