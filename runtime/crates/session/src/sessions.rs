use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use remotemedia_core::{Arena, ErrorCode, Key, Micros};
use remotemedia_executor::{Executor, ExecutorConfig, InstanceId, NodeFailure, NodeValue, Plan};
use remotemedia_media::{Receiver, ReceiverConfig};
use remotemedia_peer::sdp::{MediaWants, Want};
use remotemedia_peer::{Peer, PeerConfig, ReceptionReport, Transmit};
use remotemedia_wire::MAX_CONTROL_BYTES;
use rustc_hash::FxHashMap;

use crate::api::{LaneWork, LiveObjects, OfferReply, OfferRequest, SessionError, SessionsConfig};
use crate::events::{Notification, Notifications};
use crate::outbox::Outbox;
use crate::participant::{End, Participant, Phase, TICK};
use crate::router::{Router, Routes};
use crate::session::Session;
use crate::timers::Timers;

/// Recurrent model states from which on windows wait for each other: fewer would wait for nothing.
const GATHER_FROM: usize = 32;

/// Windows that are enough for a batch: more of them make it no cheaper.
const FULL_BATCH: usize = 8;

/// Everything of one reactor. See the crate's documentation for how it is driven.
pub struct Sessions {
    pub(crate) config: SessionsConfig,
    rng: StdRng,
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
            rng: StdRng::seed_from_u64(config.seed),
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
            text: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Opens a session, enters one, renegotiates a connection or replaces it.
    ///
    /// # Errors
    /// What is wrong with the offer (its SDP, no codec in common), `UnknownId` for a session that is
    /// not there, `Conflict` for a session that ends or an id that is taken, `ServerFull`,
    /// `Draining`. Nothing is left behind then.
    pub fn offer(
        &mut self,
        now: Micros,
        request: OfferRequest,
    ) -> Result<OfferReply, SessionError> {
        self.now = now;
        if self.draining {
            return Err(SessionError::new(
                ErrorCode::Draining,
                "the server is shutting down: try again in a moment",
            ));
        }
        match self.by_pc.get(request.pc_id.as_str()).copied() {
            Some(peer) if request.restart => self.restart(now, peer, &request),
            Some(peer) => self.renegotiate(now, peer, &request),
            None if request.new_session => self.create(now, &request),
            None => self.join(now, &request),
        }
    }

    fn create(&mut self, now: Micros, request: &OfferRequest) -> Result<OfferReply, SessionError> {
        if self.by_id.contains_key(request.session_id.as_str()) {
            return Err(SessionError::new(ErrorCode::Conflict, "the session's id is taken"));
        }
        if self.sessions.len() >= self.config.max_sessions {
            return Err(SessionError::new(
                ErrorCode::ServerFull,
                format!("all {} sessions are taken: try again later", self.config.max_sessions),
            ));
        }
        check_source(&request.plan)?;
        // A pipeline takes its audio from someone, and at first there is nobody else.
        let (peer, sdp) = self.answer(now, &request.sdp, Want::Required)?;
        let id: Arc<str> = request.session_id.as_str().into();
        let instance = self.executor.create(request.plan.clone());
        let session = Session::new(
            id.clone(),
            request.pipeline.clone(),
            request.plan.clone(),
            instance,
            request.audience,
            now,
        );
        let key = self.sessions.insert(session);
        self.by_id.insert(id.clone(), key);
        self.by_instance.insert(instance, key);
        self.notifications
            .push(Notification::SessionStarted { session: id, pipeline: request.pipeline.clone() });
        Ok(self.enter(now, key, Entry::new(request), peer, sdp))
    }

    fn join(&mut self, now: Micros, request: &OfferRequest) -> Result<OfferReply, SessionError> {
        let key = self
            .by_id
            .get(request.session_id.as_str())
            .copied()
            .ok_or_else(|| SessionError::unknown("session", &request.session_id))?;
        let max = self.config.max_participants;
        let session = self.sessions.get(key).ok_or_else(|| SessionError::unknown("session", ""))?;
        if session.closing.is_some() {
            return Err(SessionError::new(ErrorCode::Conflict, "the session is ending"));
        }
        if session.participants.len() >= max {
            return Err(SessionError::new(
                ErrorCode::ServerFull,
                format!("the session has {max} participants, which is the most that it may have"),
            ));
        }
        let (peer, sdp) = self.answer(now, &request.sdp, Want::Optional)?;
        Ok(self.enter(now, key, Entry::new(request), peer, sdp))
    }

    fn renegotiate(
        &mut self,
        now: Micros,
        key: Key,
        request: &OfferRequest,
    ) -> Result<OfferReply, SessionError> {
        let unknown = || SessionError::unknown("peer", &request.pc_id);
        let participant = self.peers.get_mut(key).ok_or_else(unknown)?;
        let session = self.sessions.get(participant.session).ok_or_else(unknown)?;
        if !participant.is_active() {
            return Err(SessionError::new(ErrorCode::Conflict, "the connection is closing"));
        }
        // Who has muted their track keeps their place.
        let wants = MediaWants { audio: Want::Optional };
        let sdp = participant.peer.renegotiate(now, &request.sdp, &wants)?;
        let reply = OfferReply {
            sdp,
            pc_id: participant.pc_id.clone(),
            session_id: session.id.clone(),
            participant: participant.name.clone(),
        };
        participant.outbox.expect_channel(participant.peer.has_data());
        for ufrag in participant.peer.local_ufrags() {
            self.router.add_ufrag(&mut participant.routes, key, ufrag);
        }
        self.close_unused_tracks(now, key);
        self.pump(now, key);
        Ok(reply)
    }

    /// The participant stays, with another connection.
    fn restart(
        &mut self,
        now: Micros,
        old: Key,
        request: &OfferRequest,
    ) -> Result<OfferReply, SessionError> {
        let unknown = || SessionError::unknown("peer", &request.pc_id);
        let participant = self.peers.get(old).ok_or_else(unknown)?;
        let session = participant.session;
        if self.sessions.get(session).is_none_or(|session| session.closing.is_some()) {
            return Err(SessionError::new(ErrorCode::Conflict, "the session is ending"));
        }
        let entry = Entry {
            pc_id: participant.pc_id.clone(),
            named: Some((participant.name.clone(), participant.joined)),
        };
        let want = if participant.joined { Want::Optional } else { Want::Required };
        let (peer, sdp) = self.answer(now, &request.sdp, want)?;
        let reply = self.enter(now, session, entry, peer, sdp);
        self.cut(now, old, End::new("replaced by a new connection"));
        Ok(reply)
    }

    fn answer(
        &mut self,
        now: Micros,
        offer: &str,
        audio: Want,
    ) -> Result<(Peer, String), SessionError> {
        let mut config = PeerConfig::new(
            self.config.identity.clone(),
            self.config.anchor,
            self.rng.next_u64(),
            self.config.candidates.clone(),
        );
        config.max_message_size = MAX_CONTROL_BYTES;
        Ok(Peer::answer(config, now, offer, &MediaWants { audio })?)
    }

    /// Makes a peer a participant.
    fn enter(
        &mut self,
        now: Micros,
        session_key: Key,
        entry: Entry,
        peer: Peer,
        sdp: String,
    ) -> OfferReply {
        let session = self.sessions.get_mut(session_key).expect("the caller found the session");
        let Entry { pc_id, named } = entry;
        let (name, joined) =
            named.unwrap_or_else(|| (session.name_participant(), !session.participants.is_empty()));
        let session_id = session.id.clone();
        let outbox = Outbox::new(peer.has_data());
        let key = self.peers.insert(Participant {
            session: session_key,
            pc_id: pc_id.clone(),
            name: name.clone(),
            joined,
            connected: false,
            peer,
            routes: Routes::default(),
            tracks: Vec::new(),
            outbox,
            control: VecDeque::new(),
            phase: Phase::Active,
            failed: None,
            next_tick: now + TICK,
            touched: false,
            sending: false,
            controls: 0,
            busy: 0,
            ignored: 0,
        });
        session.participants.push(key);
        if let Some(participant) = self.peers.get_mut(key) {
            for ufrag in participant.peer.local_ufrags() {
                self.router.add_ufrag(&mut participant.routes, key, ufrag);
            }
        }
        self.by_pc.insert(pc_id.clone(), key);
        self.pump(now, key);
        OfferReply { sdp, pc_id, session_id, participant: name }
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
            let stream = session.and_then(|session| session.stream(work.frame.meta.stream));
            if let (Some(session), Some(stream)) = (session, stream) {
                return Some(LaneWork {
                    token: work.token,
                    pipeline: session.pipeline.clone(),
                    session: session.id.clone(),
                    participant: stream.participant.clone(),
                    stream: stream.name.clone(),
                    node: work.node,
                    entry: work.entry,
                    frame: work.frame,
                });
            }
            // Nobody can be told about it any more.
            self.executor.complete(self.now, work.token, Ok(Vec::new()));
        }
        None
    }

    /// Takes what a Python node made of a frame; tokens of what has ended are ignored.
    pub fn complete_lane(
        &mut self,
        now: Micros,
        token: u64,
        result: Result<Vec<NodeValue>, NodeFailure>,
    ) {
        self.now = now;
        self.executor.complete(now, token, result);
    }

    /// What sessions, results and observers have to say next.
    pub fn poll_notification(&mut self) -> Option<Notification> {
        self.notifications.pop()
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

/// How a peer enters a session.
struct Entry {
    pc_id: Arc<str>,
    /// The participant that it goes on as, and whether that one had joined.
    named: Option<(Arc<str>, bool)>,
}

impl Entry {
    fn new(request: &OfferRequest) -> Entry {
        Entry { pc_id: request.pc_id.as_str().into(), named: None }
    }
}

/// Refuses a plan whose source no track can be decoded to.
fn check_source(plan: &Plan) -> Result<(), SessionError> {
    Receiver::new(ReceiverConfig::new(plan.source_format())).map(drop).map_err(|error| {
        SessionError::new(
            ErrorCode::NoCommonCodec,
            format!("the pipeline's source cannot be fed by a track: {error}"),
        )
    })
}
