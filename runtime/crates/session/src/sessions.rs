use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use remotemedia_core::{Arena, ErrorCode, Key, Micros, ReceptionReport};
use remotemedia_executor::{Executor, ExecutorConfig, InstanceId, NodeFailure, NodeResult};
use remotemedia_peer::Transmit;
use rustc_hash::FxHashMap;

use crate::api::{LaneWork, LiveObjects, SessionError, SessionsConfig};
use crate::events::{Notification, Notifications};
use crate::participant::{End, Participant};
use crate::router::Router;
use crate::session::Session;
use crate::timers::Timers;

/// Recurrent model states from which on windows wait for each other: fewer would wait for nothing.
const GATHER_FROM: usize = 32;

/// Windows that are enough for a batch: more of them make it no cheaper.
const FULL_BATCH: usize = 8;

/// Everything of one reactor. See the crate's documentation for how it is driven.
pub struct Sessions {
    pub(crate) config: SessionsConfig,
    pub(crate) rng: StdRng,
    pub(crate) now: Micros,
    pub(crate) executor: Executor,
    pub(crate) sessions: Arena<Session>,
    pub(crate) peers: Arena<Participant>,
    pub(crate) by_id: FxHashMap<Arc<str>, Key>,
    pub(crate) by_pc: FxHashMap<Arc<str>, Key>,
    pub(crate) by_instance: FxHashMap<InstanceId, Key>,
    pub(crate) router: Router,
    pub(crate) timers: Timers,
    /// Peers with control messages to answer; one may be in it more than once.
    pub(crate) controlled: Vec<Key>,
    /// Peers that wait for results before they are told `bye`.
    pub(crate) finishing: Vec<Key>,
    /// Peers that something happened to since the last turn.
    pub(crate) touched: VecDeque<Key>,
    /// Peers that may have datagrams to send.
    sending: VecDeque<Key>,
    /// The last datagrams of peers that are gone.
    pub(crate) farewell: VecDeque<Transmit>,
    pub(crate) notifications: Notifications,
    pub(crate) draining: bool,
    /// Results larger than their reader takes, over all sessions that ever were.
    pub(crate) results_too_large: u64,
    /// Audio that participants missed, over all that ever were; of those that are there as of their
    /// last second.
    pub(crate) audio_lost: Duration,
    /// The message being written.
    pub(crate) text: Vec<u8>,
    /// The reports being sent.
    pub(crate) reports: Vec<ReceptionReport>,
}

impl Sessions {
    /// A reactor's machine, without sessions.
    #[must_use]
    pub fn new(config: SessionsConfig, now: Micros) -> Sessions {
        let executor = Executor::new(ExecutorConfig {
            batch_wait: config.batch_wait,
            ..ExecutorConfig::live()
        });
        Sessions {
            rng: config.seed.generator(),
            config,
            now,
            executor,
            sessions: Arena::default(),
            peers: Arena::default(),
            by_id: FxHashMap::default(),
            by_pc: FxHashMap::default(),
            by_instance: FxHashMap::default(),
            router: Router::default(),
            timers: Timers::default(),
            controlled: Vec::new(),
            finishing: Vec::new(),
            touched: VecDeque::new(),
            sending: VecDeque::new(),
            farewell: VecDeque::new(),
            notifications: Notifications::default(),
            draining: false,
            results_too_large: 0,
            audio_lost: Duration::ZERO,
            text: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Adds remote candidates; an empty one says that there are no more.
    ///
    /// # Errors
    /// `UnknownId`, or what is wrong with the first candidate that is refused; those before it stay.
    pub fn add_candidates(
        &mut self,
        now: Micros,
        pc_id: &str,
        candidates: &[String],
    ) -> Result<(), SessionError> {
        self.now = now;
        let key = self.peer(pc_id)?;
        let Some(participant) = self.peers.get_mut(key) else { return Ok(()) };
        let added = candidates
            .iter()
            .try_for_each(|line| participant.peer.add_remote_candidate(now, line).map(drop));
        self.pump(now, key);
        Ok(added?)
    }

    /// Ends a session: its participants are told `bye` with the reason.
    ///
    /// # Errors
    /// `UnknownId`.
    pub fn close_session(
        &mut self,
        now: Micros,
        id: &str,
        reason: &str,
    ) -> Result<(), SessionError> {
        self.now = now;
        let key = self.session(id)?;
        self.begin_close(now, key, &End::new(reason));
        Ok(())
    }

    /// Ends a connection; its session ends with its last participant.
    ///
    /// # Errors
    /// `UnknownId`.
    pub fn close_peer(&mut self, now: Micros, pc_id: &str) -> Result<(), SessionError> {
        self.now = now;
        let key = self.peer(pc_id)?;
        self.leave(now, key, End::new("the connection was closed"));
        Ok(())
    }

    /// Switches on or off that a session's messages come as notifications too. Events of before
    /// come first, as far as they are kept.
    ///
    /// # Errors
    /// `UnknownId`.
    pub fn observe(&mut self, id: &str, on: bool) -> Result<(), SessionError> {
        let key = self.session(id)?;
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        if on && !session.observed {
            for (seq, json) in session.ring.iter() {
                self.notifications.push(Notification::Event {
                    session: session.id.clone(),
                    seq: *seq,
                    json: json.clone(),
                });
            }
        }
        session.observed = on;
        Ok(())
    }

    /// Refuses new offers and ends every session.
    pub fn drain(&mut self, now: Micros) {
        self.now = now;
        self.draining = true;
        let keys: Vec<Key> = self.sessions.iter().map(|(key, _)| key).collect();
        let end = End::error(ErrorCode::Draining, "the server is shutting down");
        for key in keys {
            self.begin_close(now, key, &end);
        }
    }

    /// Takes a datagram: `local` is the address that it was sent to, where the socket tells.
    pub fn handle_datagram(
        &mut self,
        now: Micros,
        from: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) {
        self.now = now;
        let Some(key) = self.router.route(now, from, local, bytes) else { return };
        if let Some(participant) = self.peers.get_mut(key) {
            participant.peer.handle_datagram(now, from, local, bytes);
            self.pump(now, key);
        }
    }

    /// Runs what is due. Call it when [`Sessions::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Micros) {
        self.now = now;
        while let Some(key) = self.timers.pop(now) {
            self.serve(now, key);
        }
    }

    /// Once a turn of the driver's loop, after its datagrams and timeouts: answers control
    /// messages, runs the batch and hands results to the channels.
    pub fn turn(&mut self, now: Micros) {
        self.process(now);
        self.deliver(now);
    }

    /// The first half of [`Sessions::turn`]: computes. A driver that reads its clock again before
    /// [`Sessions::deliver`] gets that time into `latency_ms`.
    pub fn process(&mut self, now: Micros) {
        self.now = now;
        self.answer_controls(now);
        self.check_finishing();
        let pending = self.executor.batch_pending();
        let due = self.executor.batch_deadline().is_some_and(|deadline| deadline <= now);
        if due || pending >= FULL_BATCH || self.executor.stats().model_states < GATHER_FROM {
            self.executor.run_batches(now);
        }
    }

    /// The second half of [`Sessions::turn`]: sends.
    pub fn deliver(&mut self, now: Micros) {
        self.now = now;
        loop {
            self.publish_outputs(now);
            let Some(key) = self.touched.pop_front() else { break };
            self.settle(now, key);
        }
    }

    /// When [`Sessions::handle_timeout`] and [`Sessions::turn`] have something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        let batch = self.executor.batch_deadline();
        self.timers.next().into_iter().chain(batch).min()
    }

    /// The next datagram to send. Datagrams to one destination come in a row.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(transmit) = self.farewell.pop_front() {
            return Some(transmit);
        }
        while let Some(key) = self.sending.front().copied() {
            if let Some(participant) = self.peers.get_mut(key) {
                if let Some(transmit) = participant.peer.poll_transmit() {
                    self.router.sent(self.now, key, &transmit.payload);
                    return Some(transmit);
                }
                // Sending started timers.
                participant.sending = false;
                self.timers.set(key, participant.deadline());
            }
            self.sending.pop_front();
        }
        None
    }

    /// The next frame for Python.
    pub fn poll_lane(&mut self) -> Option<LaneWork> {
        while let Some(work) = self.executor.poll_work(self.now) {
            let session =
                self.by_instance.get(&work.instance).and_then(|key| self.sessions.get(*key));
            let stream = session.and_then(|session| session.stream(work.meta.stream));
            if let (Some(session), Some(stream)) = (session, stream) {
                return Some(LaneWork {
                    token: work.token,
                    pipeline: session.pipeline.clone(),
                    session: session.id.clone(),
                    participant: stream.participant.clone(),
                    stream: stream.name.clone(),
                    node: work.node,
                    entry: work.entry,
                    port: work.port,
                    meta: work.meta,
                    payload: work.payload,
                });
            }
            // Nobody can be told about it any more.
            self.executor.complete(self.now, work.token, Ok(Vec::new()));
        }
        None
    }

    /// Takes some of what a Python node makes of a frame, which stays under way; tokens of what has
    /// ended are ignored.
    pub fn give_lane(&mut self, now: Micros, token: u64, results: Vec<NodeResult>) {
        self.now = now;
        self.executor.give(now, token, results);
    }

    /// Takes what a Python node made of a frame; tokens of what has ended are ignored.
    pub fn complete_lane(
        &mut self,
        now: Micros,
        token: u64,
        result: Result<Vec<NodeResult>, NodeFailure>,
    ) {
        self.now = now;
        self.executor.complete(now, token, result);
    }

    /// Takes back a frame that never reached its node: see [`Executor::lose_work`].
    pub fn lose_lane(&mut self, now: Micros, token: u64) {
        self.now = now;
        self.executor.lose_work(now, token);
    }

    /// What sessions, results and observers have to say next.
    pub fn poll_notification(&mut self) -> Option<Notification> {
        self.notifications.pop()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is alive.
    #[must_use]
    pub fn live(&self) -> LiveObjects {
        let executor = self.executor.stats();
        // An entry that outlived its object would be a leak too.
        LiveObjects {
            sessions: self.sessions.len().max(self.by_id.len()).max(self.by_instance.len()),
            peers: self.peers.len().max(self.by_pc.len()).max(self.timers.len()),
            instances: executor.instances,
            streams: executor.streams,
            addresses: self.router.addresses() + self.router.ufrags(),
            in_flight: executor.in_flight,
        }
    }

    /// Notes that something happened to a peer: it is settled at the end of the turn.
    pub(crate) fn touch(&mut self, key: Key) {
        if let Some(participant) = self.peers.get_mut(key)
            && !participant.touched
        {
            participant.touched = true;
            self.touched.push_back(key);
        }
    }

    /// The end of a turn for a peer that something happened to.
    fn settle(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        participant.touched = false;
        self.pump_outbox(now, key);
        self.advance_close(now, key);
        let Some(participant) = self.peers.get_mut(key) else { return };
        if !participant.sending {
            participant.sending = true;
            self.sending.push_back(key);
        }
        self.timers.set(key, participant.deadline());
    }

    fn peer(&self, pc_id: &str) -> Result<Key, SessionError> {
        self.by_pc.get(pc_id).copied().ok_or_else(|| SessionError::unknown("peer", pc_id))
    }

    pub(crate) fn session(&self, id: &str) -> Result<Key, SessionError> {
        self.by_id.get(id).copied().ok_or_else(|| SessionError::unknown("session", id))
    }
}
