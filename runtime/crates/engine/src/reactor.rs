//! One reactor: a thread that owns a media socket and the sessions on it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::ErrorCode;
use remotemedia_peer::{Identity, Seed};
use remotemedia_session::{Notification, OfferRequest, Sessions, SessionsConfig};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::addresses;
use crate::clock::Clock;
use crate::command::{Answer, Command};
use crate::config::EngineConfig;
use crate::lane::{LaneDone, LaneItem};
use crate::outlets::Outlets;
use crate::published::Published;
use crate::socket::{Batch, MediaSocket, ReceiveBuffers, SendRun};
use crate::{EngineError, EngineStartError};

/// Batches received before the sessions run: bounds how long one turn can take under a flood.
const MAX_BATCHES_PER_TURN: usize = 16;

/// Turns begin at least this far apart: packets of many sessions that come one by one share the cost
/// of a turn (a wake-up, a look at every queue). What comes after a pause is served at once.
const MIN_TURN: Duration = Duration::from_micros(500);

/// How long a Silero window may wait for those of other sessions: gains a third of the CPU where
/// there are many, costs nothing where there are few.
const BATCH_WAIT: Duration = Duration::from_millis(1);

/// A reactor, on its own thread.
pub(crate) struct Reactor {
    index: u8,
    port: u16,
    clock: Clock,
    socket: MediaSocket,
    sessions: Sessions,
    commands: mpsc::Receiver<Command>,
    outlets: Arc<Outlets>,
    published: Arc<Published>,
    buffers: ReceiveBuffers,
    /// Runs that the kernel had no room for, two at most: nothing is taken from the sessions
    /// before they are sent.
    waiting: VecDeque<SendRun>,
    spare: Vec<u8>,
}

/// What a reactor is made from.
pub(crate) struct ReactorParts {
    pub(crate) index: u8,
    pub(crate) port: u16,
    pub(crate) seed: Seed,
    pub(crate) clock: Clock,
    pub(crate) identity: Arc<Identity>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) published: Arc<Published>,
}

impl Reactor {
    /// Binds the socket. Must run inside the reactor's runtime.
    pub(crate) fn new(
        parts: ReactorParts,
        config: &EngineConfig,
    ) -> Result<Self, EngineStartError> {
        let socket = MediaSocket::bind(config.bind, parts.port)
            .map_err(|source| EngineStartError::Bind { port: parts.port, source })?;
        let port = socket.port().map_err(EngineStartError::Io)?;
        let candidates = addresses::candidates(
            config.bind,
            &config.advertised_addresses,
            config.loopback,
            socket.has_ipv6(),
            port,
        )
        .map_err(EngineStartError::Io)?;
        let now = parts.clock.now();
        let sessions = Sessions::new(
            SessionsConfig {
                identity: parts.identity,
                candidates,
                anchor: parts.clock.anchor(),
                seed: parts.seed,
                max_sessions: config.limits.max_sessions,
                max_participants: config.limits.max_participants,
                batch_wait: BATCH_WAIT,
            },
            now,
        );
        Ok(Self {
            index: parts.index,
            port,
            clock: parts.clock,
            socket,
            sessions,
            commands: parts.commands,
            outlets: parts.outlets,
            published: parts.published,
            buffers: ReceiveBuffers::new(),
            waiting: VecDeque::new(),
            spare: Vec::new(),
        })
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        let mut next_turn = std::time::Instant::now();
        loop {
            let deadline = self.sessions.poll_timeout().map(|at| self.clock.instant(at).into());
            if let Some(deadline) = deadline
                && timer.deadline() != deadline
            {
                timer.as_mut().reset(deadline);
            }
            let mut command = None;
            tokio::select! {
                received = self.commands.recv() => match received {
                    Some(received) => command = Some(received),
                    None => return,
                },
                _ = self.socket.readable() => {}
                _ = self.socket.writable(), if !self.waiting.is_empty() => {}
                () = &mut timer, if deadline.is_some() => {}
            }
            let woken = std::time::Instant::now();
            if let Some(early) = next_turn.checked_duration_since(woken) {
                // The thread is the reactor's own, and its timers are coarser than this.
                std::thread::sleep(early);
            }
            next_turn = woken.max(next_turn) + MIN_TURN;
            self.receive();
            while let Some(next) = command.take().or_else(|| self.commands.try_recv().ok()) {
                if matches!(next, Command::Stop) {
                    self.transmit();
                    return;
                }
                self.obey(next);
            }
            let now = self.clock.now();
            for token in self.outlets.take_lost(self.index) {
                self.sessions.lose_lane(now, token);
            }
            self.sessions.handle_timeout(now);
            self.sessions.process(now);
            // Read again: `latency_ms` is to hold what processing took.
            self.sessions.deliver(self.clock.now());
            self.transmit();
            self.hand_out();
        }
    }

    fn receive(&mut self) {
        for _ in 0..MAX_BATCHES_PER_TURN {
            let now = self.clock.now();
            let sessions = &mut self.sessions;
            let received = self.socket.receive(&mut self.buffers, |from, local, datagram| {
                sessions.handle_datagram(now, from, local, datagram);
            });
            match received {
                Ok(Batch::Full) => {}
                Ok(Batch::Last) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An ICMP answer to something sent earlier: consent decides whether a peer is gone.
                Err(error) => log::debug!("receive: {error}"),
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(run) = self.waiting.pop_front() {
            if let Err(run) = self.send(run) {
                self.waiting.push_front(run);
                return;
            }
        }
        let max_segments = self.socket.max_segments();
        let mut run: Option<SendRun> = None;
        while let Some(transmit) = self.sessions.poll_transmit() {
            if run.as_mut().is_some_and(|run| run.extend(&transmit, max_segments)) {
                continue;
            }
            let next = SendRun::start(&transmit, std::mem::take(&mut self.spare));
            if let Some(full) = run.replace(next)
                && let Err(full) = self.send(full)
            {
                self.waiting.push_back(full);
                self.waiting.extend(run);
                return;
            }
        }
        if let Some(last) = run
            && let Err(last) = self.send(last)
        {
            self.waiting.push_back(last);
        }
    }

    /// Sends a run; gives it back when the kernel has no room.
    fn send(&mut self, run: SendRun) -> Result<(), SendRun> {
        match self.socket.send(&run) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(run),
            // Unreachable networks and the like: to the protocols above it is a lost datagram.
            Err(error) => log::debug!("send: {error}"),
            Ok(()) => {}
        }
        self.spare = run.into_buffer();
        Ok(())
    }

    fn hand_out(&mut self) {
        // Work goes first: who hears that a session has ended finds its last frames in the lane.
        let mut work = VecDeque::new();
        while let Some(item) = self.sessions.poll_lane() {
            work.push_back(LaneItem { reactor: self.index, work: item });
        }
        if !work.is_empty() {
            self.outlets.push_work(work);
        }
        let mut news = VecDeque::new();
        while let Some(notification) = self.sessions.poll_notification() {
            news.push_back(notification);
        }
        if !news.is_empty() {
            self.outlets.notifications.push_all(news, Notification::may_go);
        }
        self.published.publish(&self.sessions);
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        // A caller that gave up waiting has dropped its end of `reply`: nothing to tell it.
        match command {
            Command::Offer { request, known, reply } => {
                let _ = reply.send(self.offer(*request, known));
            }
            Command::AddCandidates { pc_id, candidates, reply } => {
                let done = self.sessions.add_candidates(now, &pc_id, &candidates);
                let _ = reply.send(done.map_err(EngineError::from));
            }
            Command::ClosePeer { pc_id, reply } => {
                let done = self.sessions.close_peer(now, &pc_id);
                let _ = reply.send(done.map_err(EngineError::from));
            }
            Command::CloseSession { session_id, reason, reply } => {
                let done = self.sessions.close_session(now, &session_id, &reason);
                let _ = reply.send(done.map_err(EngineError::from));
            }
            Command::Stats { session_id: None, reply } => {
                let all = self.sessions.list(now).into_iter().map(to_json).collect();
                let _ = reply.send(all);
            }
            Command::Stats { session_id: Some(id), reply } => {
                let one = self
                    .sessions
                    .get(now, &id)
                    .ok_or_else(|| EngineError::unknown_id("session", &id));
                let _ = reply.send(one.and_then(to_json).map(|stats| vec![stats]));
            }
            Command::Observe { session_id, on, reply } => {
                let done = self.sessions.observe(&session_id, on);
                let _ = reply.send(done.map_err(EngineError::from));
            }
            Command::CompleteLane(done) => {
                for LaneDone { token, result, more } in done {
                    match result {
                        Ok(results) if more => self.sessions.give_lane(now, token.work, results),
                        result => self.sessions.complete_lane(now, token.work, result),
                    }
                }
            }
            Command::LiveObjects(reply) => {
                let _ = reply.send(Ok(self.sessions.live()));
            }
            Command::Drain => self.sessions.drain(now),
            Command::Stop => unreachable!("handled by the loop"),
        }
    }

    fn offer(&mut self, request: OfferRequest, known: bool) -> Result<Answer, EngineError> {
        if known && !self.sessions.has_peer(&request.pc_id) {
            return Err(EngineError::unknown_id("peer", &request.pc_id)
                .with_field("pc_id")
                .with_hint("it may have ended: make a new offer"));
        }
        let reply = self.sessions.offer(self.clock.now(), request)?;
        Ok(Answer {
            sdp: reply.sdp,
            pc_id: reply.pc_id.to_string(),
            session_id: reply.session_id.to_string(),
            participant: reply.participant.to_string(),
        })
    }

    /// The port that media comes to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn to_json(stats: impl serde::Serialize) -> Result<serde_json::Value, EngineError> {
    serde_json::to_value(stats)
        .map_err(|error| EngineError::new(ErrorCode::Internal, error.to_string()))
}
