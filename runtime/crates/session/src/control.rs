//! What clients ask for over a channel, and the answer to each.

use bytes::Bytes;
use remotemedia_core::{ErrorCode, Key, Micros};
use remotemedia_peer::ChannelId;
use remotemedia_wire::{Control, ControlError, Reply, ReplyBody, parse_control, write_reply};
use serde_json::Value;

use crate::events::Notification;
use crate::sessions::Sessions;

/// A control message that has come and is answered in the next turn.
pub(crate) struct WaitingControl {
    pub(crate) arrival: Micros,
    pub(crate) channel: ChannelId,
    pub(crate) data: Bytes,
}

impl Sessions {
    /// Answers the control messages that wait.
    pub(crate) fn answer_controls(&mut self, now: Micros) {
        let mut peers = std::mem::take(&mut self.controlled);
        for key in peers.drain(..) {
            while let Some(waiting) =
                self.peers.get_mut(key).and_then(|participant| participant.control.pop_front())
            {
                self.answer_control(now, key, &waiting);
            }
        }
        self.controlled = peers;
    }

    fn answer_control(&mut self, now: Micros, key: Key, waiting: &WaitingControl) {
        let WaitingControl { arrival, channel, ref data } = *waiting;
        let Some(participant) = self.peers.get_mut(key) else { return };
        participant.controls += 1;
        let Some(session) = self.sessions.get(participant.session) else { return };
        let instance = session.instance;
        match parse_control(data) {
            Err(error) => self.reply_error(now, key, channel, &error),
            Ok(control) if !participant.is_active() => {
                let body = ReplyBody::Error {
                    code: ErrorCode::Conflict,
                    message: "the connection is closing",
                    field: None,
                    hint: None,
                };
                self.reply(now, key, channel, &Reply { id: control.id(), body });
            }
            Ok(Control::Ping { id, t }) => {
                let body = ReplyBody::Pong { t: t.as_ref() };
                self.reply(now, key, channel, &Reply { id: id.as_ref(), body });
            }
            Ok(Control::Interrupt { id }) => {
                let epoch = self.executor.interrupt(instance);
                let told = Notification::Interrupted { session: session.id.clone(), epoch };
                self.notifications.push(told);
                self.interrupt_voices(now, key);
                let body = ReplyBody::Interrupted;
                self.reply(now, key, channel, &Reply { id: id.as_ref(), body });
            }
            Ok(Control::Flush { id }) => {
                // Their own streams only: the others go on speaking.
                for stream in session.open_streams(key) {
                    self.executor.flush_stream(now, instance, stream.id);
                }
                // What came out of it goes before the answer.
                self.publish_outputs(now);
                let body = ReplyBody::Flushed;
                self.reply(now, key, channel, &Reply { id: id.as_ref(), body });
            }
            Ok(Control::Configure { id, node, params }) => {
                match self.executor.configure(instance, &node, &Value::Object(params)) {
                    Ok(()) => {
                        let body = ReplyBody::Configured { node: &node };
                        self.reply(now, key, channel, &Reply { id: id.as_ref(), body });
                    }
                    Err(error) => {
                        let body = ReplyBody::Error {
                            code: error.code,
                            message: &error.message,
                            field: Some(&error.path),
                            hint: None,
                        };
                        self.reply(now, key, channel, &Reply { id: id.as_ref(), body });
                    }
                }
            }
            Ok(Control::Input { id, node, data }) => {
                let taken = self.take_data(now, arrival, key, node.as_deref(), data);
                // What the native nodes made of it goes before the answer.
                self.publish_outputs(now);
                let body = match &taken {
                    Ok(node) => ReplyBody::Accepted { node },
                    Err(refused) => ReplyBody::Error {
                        code: refused.code,
                        message: &refused.message,
                        field: refused.field,
                        hint: None,
                    },
                };
                self.reply(now, key, channel, &Reply { id: id.as_ref(), body });
            }
        }
    }

    /// Too many wait: the message is answered unread.
    pub(crate) fn refuse_control(&mut self, now: Micros, key: Key, channel: ChannelId) {
        if let Some(participant) = self.peers.get_mut(key) {
            participant.busy += 1;
        }
        let body = ReplyBody::Error {
            code: ErrorCode::Busy,
            message: "too many messages wait: send the next when this one is answered",
            field: None,
            hint: None,
        };
        self.reply(now, key, channel, &Reply { id: None, body });
    }

    fn reply_error(&mut self, now: Micros, key: Key, channel: ChannelId, error: &ControlError) {
        let body = ReplyBody::Error {
            code: error.code,
            message: &error.message,
            field: error.field.as_deref(),
            hint: None,
        };
        self.reply(now, key, channel, &Reply { id: error.id.as_ref(), body });
    }

    /// On the results channel where there is one, whichever the message came on.
    fn reply(&mut self, now: Micros, key: Key, channel: ChannelId, reply: &Reply<'_>) {
        self.text.clear();
        write_reply(&mut self.text, reply);
        let Some(participant) = self.peers.get_mut(key) else { return };
        if participant.outbox.results().is_some() {
            participant.send_reply(now, &self.text);
        } else if participant.peer.send(now, channel, true, &self.text).is_err() {
            participant.ignored += 1;
        }
        self.touch(key);
    }
}
