//! From outputs to channels and observers.

use std::sync::Arc;

use remotemedia_core::{ErrorCode, Key, Micros, StreamId};
use remotemedia_executor::{Output, OutputKind};
use remotemedia_wire::{Class, ResultBody, ResultHeader, write_result};

use crate::api::Audience;
use crate::events::Notification;
use crate::outbox::LiveKey;
use crate::participant::{Line, Participant};
use crate::sessions::Sessions;

/// What a message is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) participant: &'a str,
    pub(crate) stream_name: &'a str,
    pub(crate) stream: Option<StreamId>,
    pub(crate) node: &'a str,
    pub(crate) pts_us: u64,
    pub(crate) rtp_timestamp: u32,
    pub(crate) latency_us: u64,
}

impl<'a> About<'a> {
    /// About a participant rather than a stream.
    pub(crate) fn participant(participant: &'a str) -> About<'a> {
        About {
            participant,
            stream_name: "",
            stream: None,
            node: "",
            pts_us: 0,
            rtp_timestamp: 0,
            latency_us: 0,
        }
    }
}

/// Who gets a message; observers always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    All,
    One(Key),
}

impl Sessions {
    /// Hands everything that the nodes found to who should have it.
    pub(crate) fn publish_outputs(&mut self, now: Micros) {
        while let Some(output) = self.executor.poll_output() {
            self.publish_output(now, &output);
        }
    }

    fn publish_output(&mut self, now: Micros, output: &Output) {
        let Some(key) = self.by_instance.get(&output.instance).copied() else { return };
        let Some(session) = self.sessions.get(key) else { return };
        let Some(stream) = session.stream(output.meta.stream) else { return };
        let (owner, participant, name) =
            (stream.owner, stream.participant.clone(), stream.name.clone());
        let to = match session.audience {
            Audience::All => To::All,
            Audience::Own => To::One(owner),
        };
        let body = match &output.kind {
            OutputKind::Audio(frame) => return self.voice(now, key, output, frame),
            kind => result_body(kind),
        };
        let Some(body) = body else { return };
        let about = About {
            participant: &participant,
            stream_name: &name,
            stream: Some(output.meta.stream),
            node: &output.node,
            pts_us: output.meta.pts_us,
            rtp_timestamp: output.meta.rtp_timestamp,
            latency_us: now.since(output.meta.arrival).as_micros() as u64,
        };
        self.publish(now, key, &about, &body, to);
    }

    /// Writes a message once and hands it to its readers.
    pub(crate) fn publish(
        &mut self,
        now: Micros,
        session: Key,
        about: &About<'_>,
        body: &ResultBody<'_>,
        to: To,
    ) {
        let Some(session) = self.sessions.get_mut(session) else { return };
        session.seq += 1;
        let header = ResultHeader {
            session: &session.id,
            participant: about.participant,
            stream: about.stream_name,
            node: about.node,
            seq: session.seq,
            pts_us: about.pts_us,
            rtp_timestamp: about.rtp_timestamp,
            latency_us: about.latency_us,
        };
        self.text.clear();
        write_result(&mut self.text, &header, body);
        let class = body.class();
        let mut too_large = Vec::new();
        let live = LiveKey { kind: body.type_name(), node: about.node, stream: about.stream };
        for key in &session.participants {
            if matches!(to, To::One(only) if only != *key) {
                continue;
            }
            let Some(participant) = self.peers.get_mut(*key) else { continue };
            // `bye` is the last thing that anyone hears.
            if participant.is_told_bye() && !matches!(body, ResultBody::Bye { .. }) {
                continue;
            }
            if !participant.takes(self.text.len()) {
                self.results_too_large += 1;
                too_large.push(*key);
                continue;
            }
            match class {
                Class::Live => participant.send_live(now, live, &self.text),
                Class::Event => participant.send_event(now, &self.text),
            }
            if !participant.touched {
                participant.touched = true;
                self.touched.push_back(*key);
            }
        }
        if class == Class::Event || session.observed {
            let json: Arc<str> = String::from_utf8_lossy(&self.text).into();
            if class == Class::Event {
                session.ring.push(session.seq, json.clone());
            }
            if session.observed {
                self.notifications.push(Notification::Event {
                    session: session.id.clone(),
                    seq: session.seq,
                    json,
                });
            }
        }
        let bytes = self.text.len();
        for key in too_large {
            self.tell_too_large(now, key, about, body, bytes);
        }
    }

    /// Tells a client what it missed, once a second for each node.
    fn tell_too_large(
        &mut self,
        now: Micros,
        key: Key,
        about: &About<'_>,
        body: &ResultBody<'_>,
        bytes: usize,
    ) {
        if matches!(body, ResultBody::Error { code: ErrorCode::ResultTooLarge, .. }) {
            return;
        }
        let Some(participant) = self.peers.get_mut(key) else { return };
        let Some(largest) = participant.peer.largest_message() else { return };
        if !participant.tell_too_large(now, about.node) {
            return;
        }
        let of = match about.node {
            "" => format!("a message of type \"{}\"", body.type_name()),
            node => format!("a result of node \"{node}\""),
        };
        let error = ResultBody::Error {
            code: ErrorCode::ResultTooLarge,
            message: &format!(
                "{of} was left out: it has {bytes} bytes, you take {largest} at most"
            ),
            field: Some("max-message-size"),
            hint: Some("return less from the node, or offer a larger a=max-message-size"),
            traceback: None,
        };
        let session = participant.session;
        self.publish(now, session, about, &error, To::One(key));
    }

    /// Sends what waited for room, and says how much was replaced meanwhile.
    pub(crate) fn pump_outbox(&mut self, now: Micros, key: Key) {
        let Some(participant) = self.peers.get_mut(key) else { return };
        let Some(count) = participant.pump_outbox(now) else { return };
        let total = participant.outbox.stats().coalesced;
        let (session, name) = (participant.session, participant.name.clone());
        let body = ResultBody::Coalesced { count, total };
        self.publish(now, session, &About::participant(&name), &body, To::One(key));
    }
}

impl Participant {
    /// Whether a message of so many bytes fits; counted where it does not.
    fn takes(&mut self, bytes: usize) -> bool {
        let fits = self.peer.largest_message().is_none_or(|largest| bytes as u64 <= largest);
        if !fits {
            self.outbox.too_large();
        }
        fits
    }

    fn send_live(&mut self, now: Micros, key: LiveKey<'_>, text: &[u8]) {
        self.outbox.live(&mut Line { now, peer: &mut self.peer }, key, text);
    }

    fn send_event(&mut self, now: Micros, text: &[u8]) {
        let result = self.outbox.event(now, &mut Line { now, peer: &mut self.peer }, text);
        self.check(result);
    }

    /// Sends a reply on the results channel.
    pub(crate) fn send_reply(&mut self, now: Micros, text: &[u8]) {
        let result = self.outbox.reply(now, &mut Line { now, peer: &mut self.peer }, text);
        self.check(result);
    }

    pub(crate) fn release_backlog(&mut self, now: Micros) {
        let result = self.outbox.release_backlog(now, &mut Line { now, peer: &mut self.peer });
        self.check(result);
    }

    fn pump_outbox(&mut self, now: Micros) -> Option<u64> {
        match self.outbox.pump(now, &mut Line { now, peer: &mut self.peer }) {
            Ok(coalesced) => coalesced,
            Err(slow) => {
                self.check(Err(slow));
                None
            }
        }
    }

    /// Whether the other side has everything that must not be lost.
    pub(crate) fn is_drained(&mut self, now: Micros) -> bool {
        self.outbox.is_drained(&mut Line { now, peer: &mut self.peer })
    }
}

/// What a node's output is on the wire; `None` for audio and objects, which are no messages.
#[must_use]
pub fn result_body(kind: &OutputKind) -> Option<ResultBody<'_>> {
    Some(match kind {
        OutputKind::Vad { speech, probability } => {
            ResultBody::Vad { speech: *speech, probability: *probability }
        }
        OutputKind::SpeechStarted { probability } => {
            ResultBody::SpeechStarted { probability: *probability }
        }
        OutputKind::SpeechStopped { started_at_us, duration_us } => {
            ResultBody::SpeechStopped { started_at_us: *started_at_us, duration_us: *duration_us }
        }
        OutputKind::Level { rms_dbfs, peak_dbfs } => {
            ResultBody::Level { rms_dbfs: *rms_dbfs, peak_dbfs: *peak_dbfs }
        }
        OutputKind::Node(json) => ResultBody::Node(json),
        OutputKind::Error { code, message, traceback } => ResultBody::Error {
            code: *code,
            message,
            field: None,
            hint: None,
            traceback: traceback.as_deref(),
        },
        OutputKind::Audio(_) | OutputKind::Value(_) => return None,
    })
}
