//! How participants and sessions end. Whatever ends one goes through here.
//!
//! A participant: input stops, its streams are closed (speech under way is stopped and reported),
//! results under way are waited for, `bye` is said, and when the other side has it or 500 ms have
//! passed, the connection is closed and freed. One that is gone already, or too slow to be told
//! anything, is freed at once. A session ends with its last participant.

use std::time::Duration;

use remotemedia_core::{Key, Micros, StreamId};
use remotemedia_wire::ResultBody;

use crate::events::Notification;
use crate::participant::{End, Participant, Phase};
use crate::publish::{About, To};
use crate::sessions::Sessions;

/// From the beginning of a close to its end, at most.
pub const CLOSE_TIME: Duration = Duration::from_millis(500);

/// Of that, how long frames that Python holds are waited for.
const FINISH_TIME: Duration = Duration::from_millis(250);

impl Sessions {
    /// Every participant leaves; nobody may enter.
    pub(crate) fn begin_close(&mut self, now: Micros, key: Key, end: &End) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.closing.is_some() {
            return;
        }
        session.closing = Some(end.reason.clone());
        for participant in session.participants.clone() {
            self.leave(now, participant, end.clone());
        }
    }

    /// A participant begins to leave.
    pub(crate) fn leave(&mut self, now: Micros, key: Key, end: End) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        if !participant.is_active() {
            return;
        }
        participant.phase =
            Phase::Finishing { until: now + FINISH_TIME, limit: now + CLOSE_TIME, end };
        participant.control.clear();
        self.finishing.push(key);
        self.stop_input(now, key);
        self.touch(key);
    }

    /// Results may have come that a leaving participant waited for.
    pub(crate) fn check_finishing(&mut self) {
        let mut finishing = std::mem::take(&mut self.finishing);
        finishing.retain(|key| {
            let waits = |one: &Participant| matches!(one.phase, Phase::Finishing { .. });
            let waiting = self.peers.get(*key).is_some_and(waits);
            if waiting {
                self.touch(*key);
            }
            waiting
        });
        self.finishing = finishing;
    }

    /// Closes a participant's streams and tells what was still open in them.
    fn stop_input(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        let Some(session) = self.sessions.get_mut(participant.session) else { return };
        participant.tracks.clear();
        let streams: Vec<StreamId> = session.open_streams(key).map(|stream| stream.id).collect();
        for stream in streams {
            session.close_stream(now, &mut self.executor, stream);
        }
        self.publish_outputs(now);
    }

    /// Ends what tracks fed that a negotiation took away.
    pub(crate) fn close_unused_tracks(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        let Some(session) = self.sessions.get_mut(participant.session) else { return };
        let places = &participant.places;
        let gone = participant.tracks.extract_if(.., |track| places.of(&track.mid).is_none());
        let gone: Vec<_> = gone.map(|track| (track.stream, track.source)).collect();
        session.end_unused(now, &mut self.executor, key, participant, &gone);
        self.publish_outputs(now);
    }

    /// Goes on with what [`Sessions::leave`] began, or cuts off who cannot go on.
    pub(crate) fn advance_close(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        if let Some(end) = participant.failed.take() {
            self.cut(now, key, end);
            return;
        }
        if let Phase::Finishing { until, limit, ref end } = participant.phase {
            let end = end.clone();
            let instance = self.sessions.get(participant.session).map(|session| session.instance);
            let working = instance.is_some_and(|instance| self.executor.work_pending(instance) > 0);
            if working && now < until {
                return;
            }
            participant.phase = Phase::Saying { limit, end: end.clone() };
            self.say_bye(now, key, &end);
        }
        let Some(participant) = self.peers.get_mut(key) else { return };
        if let Phase::Saying { limit, ref end } = participant.phase {
            let end = end.clone();
            if now >= limit || participant.is_drained(now) {
                self.cut(now, key, end);
            }
        }
    }

    fn say_bye(&mut self, now: Micros, key: Key, end: &End) {
        let Some(participant) = self.peers.get(key) else { return };
        let (session, name) = (participant.session, participant.name.clone());
        let body = ResultBody::Bye { reason: &end.reason, code: end.code };
        self.publish(now, session, &About::participant(&name), &body, To::One(key));
    }

    /// Closes and frees a connection, now.
    pub(crate) fn cut(&mut self, now: Micros, key: Key, end: End) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        if !matches!(participant.phase, Phase::Saying { .. }) {
            participant.phase = Phase::Saying { limit: now, end: end.clone() };
            self.stop_input(now, key);
            // Told all the same: observers learn of it, and a live channel may still take it.
            self.say_bye(now, key, &end);
        }
        let Some(mut participant) = self.peers.remove(key) else { return };
        if let Some(voice) = &mut participant.voice {
            self.audio_lost += voice.take_lost();
        }
        participant.peer.close(now);
        while let Some(transmit) = participant.peer.poll_transmit() {
            self.farewell.push_back(transmit);
        }
        self.router.remove(key, participant.routes);
        self.timers.set(key, None);
        if self.by_pc.get(&participant.pc_id) == Some(&key) {
            self.by_pc.remove(&participant.pc_id);
        }
        let Some(session) = self.sessions.get_mut(participant.session) else { return };
        session.participants.retain(|other| *other != key);
        if session.participants.is_empty() {
            self.end_session(participant.session, end);
        }
    }

    fn end_session(&mut self, key: Key, end: End) {
        let Some(session) = self.sessions.remove(key) else { return };
        self.executor.remove(session.instance);
        self.by_instance.remove(&session.instance);
        self.by_id.remove(&session.id);
        self.notifications.push(Notification::SessionEnded {
            session: session.id,
            reason: session.closing.unwrap_or(end.reason),
        });
    }
}
