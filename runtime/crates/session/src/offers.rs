//! From an offer to a participant.

use std::collections::VecDeque;
use std::sync::Arc;

use remotemedia_core::{AudioFormat, ErrorCode, Key, Micros};
use remotemedia_peer::sdp::MediaWants;
use remotemedia_peer::{Peer, PeerConfig, Seed};
use remotemedia_wire::MAX_CONTROL_BYTES;

use crate::api::{OfferReply, OfferRequest, SessionError};
use crate::events::Notification;
use crate::outbox::Outbox;
use crate::participant::{Allowance, End, Participant, Phase, TICK};
use crate::router::Routes;
use crate::session::Session;
use crate::sessions::Sessions;
use crate::sources::Sources;
use crate::streams::Places;
use crate::voice::{Sink, Voice, sent_channels};

impl Sessions {
    /// Opens a session, enters one, renegotiates a connection or replaces it.
    ///
    /// # Errors
    /// What is wrong with the offer (its SDP, no codec in common), `UnknownId` for a session that is
    /// not there, `Conflict` for a session that ends or an id that is taken, `ServerFull`,
    /// `TooManyOffers`, `Draining`. Nothing is left behind then.
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
        let known = self.by_pc.get(request.pc_id.as_str()).copied();
        if let Some(participant) = known.and_then(|key| self.peers.get_mut(key))
            && !participant.offers.take(now)
        {
            return Err(SessionError {
                hint: Some("wait a second before the next one".to_owned()),
                ..SessionError::new(
                    ErrorCode::TooManyOffers,
                    "offers on this connection follow each other too fast",
                )
            });
        }
        match known {
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
        // A pipeline takes its audio from someone, and at first there is nobody else.
        let sources = Sources::of(&request.plan)?;
        let send = sent_channels(&Sink::all(&request.plan));
        let wants = MediaWants { audio: sources.want(), send };
        let (peer, sdp) = self.answer(now, &request.sdp, wants, sources.receive())?;
        let id: Arc<str> = request.session_id.as_str().into();
        let instance = self.executor.create(request.plan.clone());
        let session = Session::new(
            id.clone(),
            request.pipeline.clone(),
            request.plan.clone(),
            sources,
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
        let receive = session.sources.receive();
        let wants = session.wants_of_others();
        let (peer, sdp) = self.answer(now, &request.sdp, wants, receive)?;
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
        let wants = session.wants_of_others();
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
        participant.place_tracks();
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
        let (mut wants, required, receive) = match self.sessions.get(session) {
            Some(session) if session.closing.is_none() => {
                let sources = &session.sources;
                (session.wants_of_others(), sources.want(), sources.receive())
            }
            _ => return Err(SessionError::new(ErrorCode::Conflict, "the session is ending")),
        };
        if !participant.joined {
            wants.audio = required;
        }
        let entry = Entry {
            pc_id: participant.pc_id.clone(),
            named: Some((participant.name.clone(), participant.joined)),
            offers: participant.offers,
        };
        let (peer, sdp) = self.answer(now, &request.sdp, wants, receive)?;
        let reply = self.enter(now, session, entry, peer, sdp);
        self.cut(now, old, End::new("replaced by a new connection"));
        Ok(reply)
    }

    fn answer(
        &mut self,
        now: Micros,
        offer: &str,
        wants: MediaWants,
        receive: AudioFormat,
    ) -> Result<(Peer, String), SessionError> {
        let mut config = PeerConfig::new(
            self.config.identity.clone(),
            self.config.anchor,
            Seed::draw(&mut self.rng),
            self.config.candidates.clone(),
        );
        config.max_message_size = MAX_CONTROL_BYTES;
        config.receive = receive;
        Ok(Peer::answer(config, now, offer, &wants)?)
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
        let Entry { pc_id, named, offers } = entry;
        let (name, joined) =
            named.unwrap_or_else(|| (session.name_participant(), !session.participants.is_empty()));
        let session_id = session.id.clone();
        let outbox = Outbox::new(peer.has_data());
        let voice = (!session.sinks.is_empty()).then(|| Voice::new(&peer, &mut self.rng));
        let key = self.peers.insert(Participant {
            session: session_key,
            pc_id: pc_id.clone(),
            name: name.clone(),
            joined,
            connected: false,
            peer,
            routes: Routes::default(),
            places: Places::default(),
            tracks: Vec::new(),
            voice,
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
            told_too_large: Vec::new(),
            offers,
        });
        session.participants.push(key);
        if let Some(participant) = self.peers.get_mut(key) {
            participant.place_tracks();
            for ufrag in participant.peer.local_ufrags() {
                self.router.add_ufrag(&mut participant.routes, key, ufrag);
            }
        }
        self.by_pc.insert(pc_id.clone(), key);
        self.pump(now, key);
        OfferReply { sdp, pc_id, session_id, participant: name }
    }
}

/// How a peer enters a session.
struct Entry {
    pc_id: Arc<str>,
    /// The participant that it goes on as, and whether that one had joined.
    named: Option<(Arc<str>, bool)>,
    /// What is left of that one's offers.
    offers: Allowance,
}

impl Entry {
    fn new(request: &OfferRequest) -> Entry {
        Entry { pc_id: request.pc_id.as_str().into(), named: None, offers: Allowance::default() }
    }
}

impl Session {
    /// Of who does not open the session.
    fn wants_of_others(&self) -> MediaWants {
        MediaWants { audio: self.sources.want_of_others(), send: sent_channels(&self.sinks) }
    }
}
