use remotemedia_core::ErrorCode;

use crate::control::MessageId;
use crate::json;
use crate::result::write_error;

/// The answer to one control message. It has neither `seq` nor `session`, which tells its errors
/// from those among the results.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The message's id, echoed; left out when it had none.
    pub id: Option<&'a MessageId>,
    /// The answer.
    pub body: ReplyBody<'a>,
}

/// What became of a control message.
#[derive(Clone, Copy, Debug)]
pub enum ReplyBody<'a> {
    /// To `ping`.
    Pong {
        /// The ping's `t`, echoed.
        t: Option<&'a serde_json::Number>,
    },
    /// To `configure`: the parameters apply from the next window on.
    Configured {
        /// The node.
        node: &'a str,
    },
    /// To `input`: the nodes have it. What those that run natively made of it has been sent.
    Accepted {
        /// The node or source that took it.
        node: &'a str,
    },
    /// To `interrupt`: older output is dropped from here on.
    Interrupted,
    /// To `flush`: pending events have been sent.
    Flushed,
    /// The message was refused.
    Error {
        /// The stable code.
        code: ErrorCode,
        /// What is wrong and what to do.
        message: &'a str,
        /// The field at fault.
        field: Option<&'a str>,
        /// What would be right.
        hint: Option<&'a str>,
    },
}

/// Appends one reply to `out`, without a newline.
pub fn write_reply(out: &mut Vec<u8>, reply: &Reply<'_>) {
    let name: &[u8] = match reply.body {
        ReplyBody::Pong { .. } => b"pong",
        ReplyBody::Configured { .. } => b"configured",
        ReplyBody::Accepted { .. } => b"accepted",
        ReplyBody::Interrupted => b"interrupted",
        ReplyBody::Flushed => b"flushed",
        ReplyBody::Error { .. } => b"error",
    };
    out.extend_from_slice(b"{\"v\":1,\"type\":\"");
    out.extend_from_slice(name);
    out.push(b'"');
    match reply.id {
        Some(MessageId::Number(number)) => {
            out.extend_from_slice(b",\"id\":");
            json::integer(out, *number);
        }
        Some(MessageId::Text(text)) => {
            out.extend_from_slice(b",\"id\":");
            json::string(out, text);
        }
        None => {}
    }
    match reply.body {
        ReplyBody::Pong { t: Some(t) } => {
            out.extend_from_slice(b",\"t\":");
            // Numbers that were parsed from JSON print as JSON.
            out.extend_from_slice(t.to_string().as_bytes());
        }
        ReplyBody::Configured { node } | ReplyBody::Accepted { node } => {
            out.extend_from_slice(b",\"node\":");
            json::string(out, node);
        }
        ReplyBody::Error { code, message, field, hint } => {
            out.extend_from_slice(b",\"data\":");
            write_error(out, code, message, field, hint, None);
        }
        ReplyBody::Pong { t: None } | ReplyBody::Interrupted | ReplyBody::Flushed => {}
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(id: Option<&MessageId>, body: ReplyBody<'_>) -> String {
        let mut out = Vec::new();
        write_reply(&mut out, &Reply { id, body });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pong_echoes_id_and_time() {
        let t = serde_json::Number::from_f64(12.5).unwrap();
        assert_eq!(
            written(Some(&MessageId::Number(3)), ReplyBody::Pong { t: Some(&t) }),
            r#"{"v":1,"type":"pong","id":3,"t":12.5}"#
        );
    }

    #[test]
    fn an_error_names_the_field() {
        let body = ReplyBody::Error {
            code: ErrorCode::InvalidMessage,
            message: "unknown field",
            field: Some("nodes"),
            hint: None,
        };
        assert_eq!(
            written(None, body),
            r#"{"v":1,"type":"error","data":{"code":"RM-4001","message":"unknown field","field":"nodes"}}"#
        );
    }
}
