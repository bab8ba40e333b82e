use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use remotemedia_core::ErrorCode;
use remotemedia_peer::{Identity, Seed};
use remotemedia_session::{Audience, LiveObjects, Losses, Notification, OfferRequest};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::command::{Answer, Command, MAX_WAITING_COMMANDS, Reply};
use crate::config::{EngineConfig, Limits};
use crate::ids::{PEER_PREFIX, SESSION_PREFIX, fresh_id, parse_reactor, random};
use crate::lane::{LaneDone, LaneItem};
use crate::outlets::Outlets;
use crate::pipelines::Pipelines;
use crate::published::Published;
use crate::reactor::{Reactor, ReactorParts};
use crate::{EngineError, EngineStartError};

/// How long a caller waits for a reactor before it is told that something is wrong.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Work items waiting for Python over all sessions. The executor's mailboxes bound each node; this
/// bounds their sum: beyond it the oldest item goes, a frame that its node's mailbox has lost.
const MAX_WAITING_LANE_ITEMS: usize = 16_384;

/// Notifications waiting for the control plane: beyond it the oldest event of an observed session
/// goes, counted; beginnings and ends of sessions stay.
const MAX_WAITING_NOTIFICATIONS: usize = 16_384;

/// A request to open, renegotiate, replace or join.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The session description.
    pub sdp: String,
    /// Which pipeline; may be left out when only one is served, or when joining.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// The connection to renegotiate or to replace.
    #[serde(default)]
    pub pc_id: Option<String>,
    /// The session to enter.
    #[serde(default)]
    pub join: Option<String>,
    /// Replace the connection that `pc_id` names.
    #[serde(default)]
    pub restart_pc: bool,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// What is alive.
    pub live: LiveObjects,
    /// What was lost since the start.
    pub dropped: Dropped,
}

/// What was lost since the start, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// By the sessions.
    #[serde(flatten)]
    pub sessions: Losses,
    /// Work for Python nodes that nobody fetched in time, whoever lost it.
    pub lane_items: u64,
}

#[derive(Debug)]
struct ReactorHandle {
    commands: mpsc::Sender<Command>,
    published: Arc<Published>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

/// Reactors, their sockets and the pipelines they serve.
///
/// Every method may be called from any thread. Those that ask a reactor block until it answered,
/// microseconds to a few milliseconds; none needs the caller to hold a lock or an interpreter.
#[derive(Debug)]
pub struct Engine {
    reactors: Vec<ReactorHandle>,
    pipelines: Pipelines,
    outlets: Arc<Outlets>,
    limits: Limits,
    draining: AtomicBool,
}

impl Engine {
    /// Binds the sockets and starts the reactors.
    ///
    /// # Errors
    /// [`EngineStartError`] when a port cannot be bound, a thread not started or a certificate not
    /// made.
    pub fn start(config: &EngineConfig) -> Result<Self, EngineStartError> {
        let clock = Clock::start();
        let identity = Arc::new(
            Identity::generate().map_err(|error| EngineStartError::Identity(error.to_string()))?,
        );
        let (items, reactors) = (MAX_WAITING_LANE_ITEMS, config.reactor_count());
        let outlets = Outlets::new(items, MAX_WAITING_NOTIFICATIONS, reactors);
        let outlets = Arc::new(outlets.map_err(EngineStartError::Io)?);
        let mut engine = Self {
            reactors: Vec::new(),
            pipelines: Pipelines::default(),
            outlets: Arc::clone(&outlets),
            limits: config.limits,
            draining: AtomicBool::new(false),
        };
        for index in 0..reactors {
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            let (commands, inbox) = mpsc::channel(MAX_WAITING_COMMANDS);
            let published = Arc::new(Published::default());
            let parts = ReactorParts {
                index,
                port: match config.media_ports.0 {
                    0 => 0,
                    first => first + u16::from(index),
                },
                seed: Seed::new(random()?),
                clock,
                identity: Arc::clone(&identity),
                commands: inbox,
                outlets: Arc::clone(&outlets),
                published: Arc::clone(&published),
            };
            let (thread, port) = spawn(parts, config.clone())?;
            engine.reactors.push(ReactorHandle { commands, published, port, thread: Some(thread) });
        }
        Ok(engine)
    }

    /// The UDP ports that media comes to, one a reactor.
    pub fn media_ports(&self) -> Vec<u16> {
        self.reactors.iter().map(|reactor| reactor.port).collect()
    }

    /// Serves a pipeline under `name`; a running one of that name keeps its plan until its
    /// sessions end.
    ///
    /// # Errors
    /// The manifest's error, with the path of the field.
    pub fn add_pipeline(&self, name: &str, resolved_json: &str) -> Result<(), EngineError> {
        self.pipelines.add(name, resolved_json)
    }

    /// Negotiates a peer connection.
    ///
    /// # Errors
    /// What is wrong with the offer; nothing is left behind then.
    pub fn offer(&self, offer: Offer) -> Result<Answer, EngineError> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(EngineError::stopped());
        }
        let index = self.place(&offer)?;
        // One that enters a session or names a connection runs what runs there already.
        let running = offer.join.is_some() || offer.pc_id.is_some();
        let (pipeline, plan) = self.pipelines.find(offer.pipeline.as_deref(), running)?;
        let known = offer.pc_id.is_some();
        let pc_id = match offer.pc_id {
            Some(id) => id,
            None => fresh_id(PEER_PREFIX, index)?,
        };
        let new_session = offer.join.is_none();
        let session_id = match offer.join {
            Some(id) => id,
            None => fresh_id(SESSION_PREFIX, index)?,
        };
        let request = OfferRequest {
            pc_id,
            session_id,
            new_session,
            plan,
            pipeline,
            sdp: offer.sdp,
            restart: offer.restart_pc,
            audience: Audience::All,
        };
        self.ask(index, |reply| Command::Offer { request: Box::new(request), known, reply })
    }

    /// Which reactor an offer goes to: that of the connection or session it names, else the one
    /// with the fewest sessions.
    fn place(&self, offer: &Offer) -> Result<usize, EngineError> {
        if let Some(pc_id) = &offer.pc_id {
            return self.reactor_of(pc_id, "peer");
        }
        if let Some(session_id) = &offer.join {
            return self.reactor_of(session_id, "session");
        }
        let loads: Vec<usize> =
            self.reactors.iter().map(|reactor| reactor.published.sessions()).collect();
        if loads.iter().sum::<usize>() >= self.limits.max_sessions {
            return Err(EngineError::new(
                ErrorCode::ServerFull,
                format!("all {} sessions are taken", self.limits.max_sessions),
            )
            .with_hint("try again later"));
        }
        Ok((0..loads.len()).min_by_key(|index| loads[*index]).unwrap_or(0))
    }

    /// Adds candidates that trickled in; an empty one says that there are no more.
    ///
    /// # Errors
    /// Unknown id, a candidate that cannot be parsed, or too many of them.
    pub fn add_candidates(&self, pc_id: &str, candidates: Vec<String>) -> Result<(), EngineError> {
        let index = self.reactor_of(pc_id, "peer")?;
        self.ask(index, |reply| Command::AddCandidates {
            pc_id: pc_id.to_owned(),
            candidates,
            reply,
        })
    }

    /// Ends a connection; its session ends with its last participant.
    ///
    /// # Errors
    /// Unknown id.
    pub fn close_peer(&self, pc_id: &str) -> Result<(), EngineError> {
        let index = self.reactor_of(pc_id, "peer")?;
        self.ask(index, |reply| Command::ClosePeer { pc_id: pc_id.to_owned(), reply })
    }

    /// Ends a session; its participants are told `bye` with the reason.
    ///
    /// # Errors
    /// Unknown id.
    pub fn close_session(&self, session_id: &str, reason: &str) -> Result<(), EngineError> {
        let index = self.reactor_of(session_id, "session")?;
        self.ask(index, |reply| Command::CloseSession {
            session_id: session_id.to_owned(),
            reason: reason.to_owned(),
            reply,
        })
    }

    /// State and statistics of every session.
    ///
    /// # Errors
    /// When a reactor does not answer.
    pub fn sessions(&self) -> Result<Vec<serde_json::Value>, EngineError> {
        let mut all = Vec::new();
        for index in 0..self.reactors.len() {
            all.extend(self.ask(index, |reply| Command::Stats { session_id: None, reply })?);
        }
        Ok(all)
    }

    /// State and statistics of one session.
    ///
    /// # Errors
    /// Unknown id.
    pub fn session(&self, session_id: &str) -> Result<serde_json::Value, EngineError> {
        let index = self.reactor_of(session_id, "session")?;
        let id = Some(session_id.to_owned());
        let stats = self.ask(index, |reply| Command::Stats { session_id: id, reply })?;
        stats.into_iter().next().ok_or_else(|| EngineError::unknown_id("session", session_id))
    }

    /// Switches on or off that a session's results come as notifications too.
    ///
    /// # Errors
    /// Unknown id.
    pub fn observe(&self, session_id: &str, on: bool) -> Result<(), EngineError> {
        let index = self.reactor_of(session_id, "session")?;
        let session_id = session_id.to_owned();
        self.ask(index, |reply| Command::Observe { session_id, on, reply })
    }

    /// Readable while notifications wait.
    pub fn notification_fd(&self) -> RawFd {
        self.outlets.notifications.fd()
    }

    /// Takes up to `max` notifications.
    pub fn poll_notifications(&self, max: usize) -> Vec<Notification> {
        self.outlets.notifications.drain(max)
    }

    /// Readable while work for Python waits.
    pub fn lane_fd(&self) -> RawFd {
        self.outlets.lane.fd()
    }

    /// Takes up to `max` items of work for Python nodes.
    pub fn poll_lane(&self, max: usize) -> Vec<LaneItem> {
        self.outlets.lane.drain(max)
    }

    /// Gives results back, each to the reactor that waits for it. Work of a session that has ended
    /// meanwhile is ignored.
    pub fn complete_lane(&self, done: Vec<LaneDone>) {
        let mut batches: Vec<Vec<LaneDone>> = Vec::new();
        batches.resize_with(self.reactors.len(), Vec::new);
        for item in done {
            if let Some(batch) = batches.get_mut(usize::from(item.token.reactor)) {
                batch.push(item);
            }
        }
        for (reactor, batch) in self.reactors.iter().zip(batches) {
            if !batch.is_empty() {
                // A stopped reactor has no sessions that could miss their results.
                let _ = reactor.commands.blocking_send(Command::CompleteLane(batch));
            }
        }
    }

    /// Counts of what lives on all reactors.
    ///
    /// # Errors
    /// When a reactor does not answer.
    pub fn live_objects(&self) -> Result<LiveObjects, EngineError> {
        let mut total = LiveObjects::default();
        for index in 0..self.reactors.len() {
            total += self.ask(index, Command::LiveObjects)?;
        }
        Ok(total)
    }

    /// Figures for metrics, as of each reactor's last turn. Never waits, not even for a reactor
    /// that hangs.
    pub fn counters(&self) -> Counters {
        let mut live = LiveObjects::default();
        let mut lost = Losses::default();
        for reactor in &self.reactors {
            live += reactor.published.live();
            lost += reactor.published.losses();
        }
        lost.notifications += self.outlets.notifications.dropped();
        Counters {
            live,
            dropped: Dropped { sessions: lost, lane_items: self.outlets.lane.dropped() },
        }
    }

    /// Refuses new offers, says `bye` to everyone and waits until all sessions are gone, at most
    /// `timeout`. True when none is left.
    ///
    /// # Errors
    /// When a reactor does not answer.
    pub fn drain(&self, timeout: Duration) -> Result<bool, EngineError> {
        self.draining.store(true, Ordering::Relaxed);
        for reactor in &self.reactors {
            let _ = reactor.commands.blocking_send(Command::Drain);
        }
        let give_up = Instant::now() + timeout;
        loop {
            if self.live_objects()?.sessions == 0 {
                return Ok(true);
            }
            if Instant::now() >= give_up {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn reactor_of(&self, id: &str, kind: &str) -> Result<usize, EngineError> {
        parse_reactor(id)
            .filter(|index| *index < self.reactors.len())
            .ok_or_else(|| EngineError::unknown_id(kind, id))
    }

    fn ask<T>(
        &self,
        index: usize,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, EngineError> {
        let (reply, answer) = std_mpsc::sync_channel(1);
        self.reactors[index]
            .commands
            .blocking_send(command(reply))
            .map_err(|_| EngineError::stopped())?;
        answer.recv_timeout(REPLY_TIMEOUT).map_err(|error| match error {
            std_mpsc::RecvTimeoutError::Disconnected => EngineError::stopped(),
            std_mpsc::RecvTimeoutError::Timeout => EngineError::new(
                ErrorCode::Internal,
                format!("reactor {index} did not answer in {} s", REPLY_TIMEOUT.as_secs()),
            ),
        })?
    }
}

impl Drop for Engine {
    /// Stops the reactors at once and waits for their threads; [`Engine::drain`] first is polite.
    fn drop(&mut self) {
        for reactor in &self.reactors {
            let _ = reactor.commands.blocking_send(Command::Stop);
        }
        for reactor in &mut self.reactors {
            if let Some(thread) = reactor.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn spawn(
    parts: ReactorParts,
    config: EngineConfig,
) -> Result<(JoinHandle<()>, u16), EngineStartError> {
    let (started, outcome) = std_mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(format!("rm-reactor-{}", parts.index))
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(EngineStartError::Io(error)));
                    return;
                }
            };
            runtime.block_on(async move {
                match Reactor::new(parts, &config) {
                    Ok(reactor) => {
                        let _ = started.send(Ok(reactor.port()));
                        reactor.run().await;
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            });
        })
        .map_err(EngineStartError::Io)?;
    let port = outcome.recv().map_err(|_| {
        EngineStartError::Io(std::io::Error::other("the reactor ended while it started"))
    })??;
    Ok((thread, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ReactorCount;

    #[test]
    fn who_names_a_connection_that_is_not_there_gets_no_other_one() {
        let config = EngineConfig { bind: Some([127, 0, 0, 1].into()), ..EngineConfig::default() };
        let engine = Engine::start(&config).unwrap();
        engine.add_pipeline("level", &crate::pipelines::tests::level(&["input"])).unwrap();
        for pc_id in ["pc_", "s_00", &fresh_id(PEER_PREFIX, 0).unwrap()] {
            for restart_pc in [false, true] {
                let offer = Offer {
                    sdp: "v=0\r\n".to_owned(),
                    pipeline: Some("level".to_owned()),
                    pc_id: Some(pc_id.to_owned()),
                    join: None,
                    restart_pc,
                };
                assert_eq!(engine.offer(offer).unwrap_err().code, ErrorCode::UnknownId);
            }
        }
        assert_eq!(engine.live_objects().unwrap(), LiveObjects::default());
    }

    fn one_reactor() -> Engine {
        let config = EngineConfig {
            bind: Some([127, 0, 0, 1].into()),
            reactors: ReactorCount::Fixed(1),
            ..EngineConfig::default()
        };
        Engine::start(&config).unwrap()
    }

    #[test]
    fn counters_do_not_wait_for_a_reactor_that_hangs() {
        let mut engine = one_reactor();
        // Its commands are no longer taken, and no more fit.
        let (commands, _inbox) = mpsc::channel(1);
        commands.try_send(Command::Drain).unwrap();
        engine.reactors[0].published.publish_for_test(7);
        let running = std::mem::replace(&mut engine.reactors[0].commands, commands);
        let counters = engine.counters();
        engine.reactors[0].commands = running;
        assert_eq!(counters.live.sessions, 7);
    }

    #[test]
    fn counters_tell_what_the_last_turn_left() {
        let engine = one_reactor();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"nobody's", ("127.0.0.1", engine.media_ports()[0])).unwrap();
        // Each question takes a turn.
        let told = (0..10_000).any(|_| {
            engine.live_objects().unwrap();
            engine.counters().dropped.sessions.stray_datagrams == 1
        });
        assert!(told, "{:?}", engine.counters());
    }
}
