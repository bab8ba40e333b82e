use remotemedia_core::ErrorCode;

use crate::json;

/// `v` of every message.
pub const PROTOCOL_VERSION: u32 = 1;

/// What every result says about itself.
#[derive(Clone, Copy, Debug)]
pub struct ResultHeader<'a> {
    /// The session's id.
    pub session: &'a str,
    /// The participant whose audio it is about; empty when it is about the session.
    pub participant: &'a str,
    /// The participant's track; empty when it is about no track.
    pub stream: &'a str,
    /// The node that said it; empty when the session itself did.
    pub node: &'a str,
    /// One counter a session: a message sent on two channels has the same.
    pub seq: u64,
    /// Media time, microseconds: where the analysed window starts.
    pub pts_us: u64,
    /// RTP timestamp of the packet that completed the window.
    pub rtp_timestamp: u32,
    /// From that packet's arrival to the hand-over to the channel, microseconds.
    pub latency_us: u64,
}

/// How a message may be treated when the channel is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One of many, a newer one replaces it: may be coalesced, goes to `live` where there is one.
    Live,
    /// Never dropped: on `results`, with a copy on `live`.
    Event,
}

/// What a result says. Strings are written as JSON strings, whatever they hold.
#[derive(Clone, Copy, Debug)]
pub enum ResultBody<'a> {
    /// One analysed window.
    Vad {
        /// Whether speech is going on, after the node's thresholds.
        speech: bool,
        /// 0 to 1.
        probability: f32,
    },
    /// Speech began; the header's `pts_us` is the onset less the padding.
    SpeechStarted {
        /// Of the window that decided it, 0 to 1.
        probability: f32,
    },
    /// Speech ended; the header's `pts_us` is the end plus the padding.
    SpeechStopped {
        /// `pts_us` of the `SpeechStarted` that it closes.
        started_at_us: u64,
        /// From there to here.
        duration_us: u64,
    },
    /// Loudness since the last such message.
    Level {
        /// Root mean square, dB of full scale, written as -120 or more.
        rms_dbfs: f32,
        /// Highest sample, the same.
        peak_dbfs: f32,
    },
    /// What a user's node returned: one JSON value, copied as it is (see [`crate::is_json`]).
    Node(&'a str),
    /// Recognised text.
    Transcript {
        /// The text so far, or the whole.
        text: &'a str,
        /// False while it may still change.
        is_final: bool,
    },
    /// How the peer's media and channel are doing; once a second.
    Metrics(&'a Metrics),
    /// Something failed and the session goes on.
    Error {
        /// The stable code.
        code: ErrorCode,
        /// What happened and what to do.
        message: &'a str,
        /// The field or parameter at fault.
        field: Option<&'a str>,
        /// What would be right.
        hint: Option<&'a str>,
        /// Of a Python exception.
        traceback: Option<&'a str>,
    },
    /// The first message on a channel.
    Ready(&'a Ready<'a>),
    /// The last message of a session.
    Bye {
        /// Why, in words.
        reason: &'a str,
        /// Set when it ended by an error.
        code: Option<ErrorCode>,
    },
    /// Live results were replaced by newer ones because the reader is slow.
    Coalesced {
        /// Since the last such message.
        count: u64,
        /// Since the session began.
        total: u64,
    },
}

/// What a client learns when its channel opens.
#[derive(Clone, Copy, Debug)]
pub struct Ready<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The client's own participant id.
    pub participant: &'a str,
    /// False for the participant who created the session.
    pub joined: bool,
    /// How many there are now, this one included.
    pub participants: u32,
    /// The pipeline's nodes in its order.
    pub nodes: &'a [NodeInfo<'a>],
}

/// A node as [`Ready`] lists it.
#[derive(Clone, Copy, Debug)]
pub struct NodeInfo<'a> {
    /// The `node` of its results.
    pub id: &'a str,
    /// Its type: `vad`, `level`, `python`.
    pub kind: &'a str,
}

/// Figures of one peer since it connected, as reports of once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Interarrival jitter (RFC 3550, section 6.4.1), microseconds.
    pub jitter_us: u64,
    /// Packets that arrived in time to be used.
    pub packets_received: u64,
    /// Packets that never came (RFC 3550: expected less received, so duplicates make it negative).
    pub packets_lost: i64,
    /// Frames made up in place of lost packets.
    pub concealed: u64,
    /// Round trip where it was measured, microseconds.
    pub round_trip_us: Option<u64>,
    /// Live results replaced by newer ones.
    pub coalesced: u64,
    /// Messages and frames dropped, whatever the cause.
    pub dropped: u64,
}

impl ResultBody<'_> {
    /// Whether the message may be replaced by a newer one.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Vad { .. } | Self::Level { .. } | Self::Metrics(_) => Class::Live,
            Self::SpeechStarted { .. }
            | Self::SpeechStopped { .. }
            | Self::Node(_)
            | Self::Transcript { .. }
            | Self::Error { .. }
            | Self::Ready(_)
            | Self::Bye { .. }
            | Self::Coalesced { .. } => Class::Event,
        }
    }

    /// The message's `type`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Vad { .. } => "vad",
            Self::SpeechStarted { .. } => "speech_started",
            Self::SpeechStopped { .. } => "speech_stopped",
            Self::Level { .. } => "level",
            Self::Node(_) => "node",
            Self::Transcript { .. } => "transcript",
            Self::Metrics(_) => "metrics",
            Self::Error { .. } => "error",
            Self::Ready(_) => "ready",
            Self::Bye { .. } => "bye",
            Self::Coalesced { .. } => "coalesced",
        }
    }
}

/// Appends one message to `out`, without a newline. Allocates only when `out` must grow.
pub fn write_result(out: &mut Vec<u8>, header: &ResultHeader<'_>, body: &ResultBody<'_>) {
    out.extend_from_slice(b"{\"v\":1,\"type\":\"");
    out.extend_from_slice(body.type_name().as_bytes());
    out.extend_from_slice(b"\",\"node\":");
    json::string(out, header.node);
    out.extend_from_slice(b",\"session\":");
    json::string(out, header.session);
    out.extend_from_slice(b",\"participant\":");
    json::string(out, header.participant);
    out.extend_from_slice(b",\"stream\":");
    json::string(out, header.stream);
    out.extend_from_slice(b",\"seq\":");
    json::integer(out, header.seq);
    out.extend_from_slice(b",\"pts_ms\":");
    json::millis(out, header.pts_us);
    out.extend_from_slice(b",\"rtp_ts\":");
    json::integer(out, header.rtp_timestamp);
    out.extend_from_slice(b",\"latency_ms\":");
    json::millis(out, header.latency_us);
    out.extend_from_slice(b",\"data\":");
    write_data(out, body);
    out.push(b'}');
}

fn write_data(out: &mut Vec<u8>, body: &ResultBody<'_>) {
    match *body {
        ResultBody::Vad { speech, probability } => {
            out.extend_from_slice(b"{\"speech\":");
            boolean(out, speech);
            out.extend_from_slice(b",\"probability\":");
            write_probability(out, probability);
            out.push(b'}');
        }
        ResultBody::SpeechStarted { probability } => {
            out.extend_from_slice(b"{\"probability\":");
            write_probability(out, probability);
            out.push(b'}');
        }
        ResultBody::SpeechStopped { started_at_us, duration_us } => {
            out.extend_from_slice(b"{\"start_ms\":");
            json::millis(out, started_at_us);
            out.extend_from_slice(b",\"duration_ms\":");
            json::millis(out, duration_us);
            out.push(b'}');
        }
        ResultBody::Level { rms_dbfs, peak_dbfs } => {
            out.extend_from_slice(b"{\"rms_dbfs\":");
            write_decibels(out, rms_dbfs);
            out.extend_from_slice(b",\"peak_dbfs\":");
            write_decibels(out, peak_dbfs);
            out.push(b'}');
        }
        ResultBody::Node(value) => out.extend_from_slice(value.as_bytes()),
        ResultBody::Transcript { text, is_final } => {
            out.extend_from_slice(b"{\"text\":");
            json::string(out, text);
            out.extend_from_slice(b",\"final\":");
            boolean(out, is_final);
            out.push(b'}');
        }
        ResultBody::Metrics(metrics) => write_metrics(out, metrics),
        ResultBody::Error { code, message, field, hint, traceback } => {
            write_error(out, code, message, field, hint, traceback);
        }
        ResultBody::Ready(ready) => write_ready(out, ready),
        ResultBody::Bye { reason, code } => {
            out.extend_from_slice(b"{\"reason\":");
            json::string(out, reason);
            optional(out, "code", code.map(ErrorCode::as_str));
            out.push(b'}');
        }
        ResultBody::Coalesced { count, total } => {
            out.extend_from_slice(b"{\"count\":");
            json::integer(out, count);
            out.extend_from_slice(b",\"total\":");
            json::integer(out, total);
            out.push(b'}');
        }
    }
}

/// The `data` of errors, the same in results and in replies.
pub(crate) fn write_error(
    out: &mut Vec<u8>,
    code: ErrorCode,
    message: &str,
    field: Option<&str>,
    hint: Option<&str>,
    traceback: Option<&str>,
) {
    out.extend_from_slice(b"{\"code\":");
    json::string(out, code.as_str());
    out.extend_from_slice(b",\"message\":");
    json::string(out, message);
    optional(out, "field", field);
    optional(out, "hint", hint);
    optional(out, "traceback", traceback);
    out.push(b'}');
}

fn write_metrics(out: &mut Vec<u8>, metrics: &Metrics) {
    out.extend_from_slice(b"{\"jitter_ms\":");
    json::millis(out, metrics.jitter_us);
    out.extend_from_slice(b",\"packets_received\":");
    json::integer(out, metrics.packets_received);
    out.extend_from_slice(b",\"packets_lost\":");
    json::integer(out, metrics.packets_lost);
    out.extend_from_slice(b",\"concealed\":");
    json::integer(out, metrics.concealed);
    if let Some(round_trip_us) = metrics.round_trip_us {
        out.extend_from_slice(b",\"round_trip_ms\":");
        json::millis(out, round_trip_us);
    }
    out.extend_from_slice(b",\"coalesced\":");
    json::integer(out, metrics.coalesced);
    out.extend_from_slice(b",\"dropped\":");
    json::integer(out, metrics.dropped);
    out.push(b'}');
}

fn write_ready(out: &mut Vec<u8>, ready: &Ready<'_>) {
    out.extend_from_slice(b"{\"pipeline\":");
    json::string(out, ready.pipeline);
    out.extend_from_slice(b",\"participant\":");
    json::string(out, ready.participant);
    out.extend_from_slice(b",\"joined\":");
    boolean(out, ready.joined);
    out.extend_from_slice(b",\"participants\":");
    json::integer(out, ready.participants);
    out.extend_from_slice(b",\"nodes\":[");
    for (index, node) in ready.nodes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        json::string(out, node.id);
        out.extend_from_slice(b",\"kind\":");
        json::string(out, node.kind);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        json::string(out, value);
    }
}

fn write_probability(out: &mut Vec<u8>, probability: f32) {
    json::decimal::<4>(out, f64::from(probability.clamp(0.0, 1.0)));
}

fn write_decibels(out: &mut Vec<u8>, level: f32) {
    // The floor that level meters stop at; `max` makes it of NaN too.
    json::decimal::<2>(out, f64::from(level.max(-120.0)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn header<'a>() -> ResultHeader<'a> {
        ResultHeader {
            session: "s-1",
            participant: "p-1",
            stream: "audio",
            node: "vad",
            seq: 7,
            pts_us: 240_000,
            rtp_timestamp: 11_520,
            latency_us: 3_100,
        }
    }

    fn written(header: &ResultHeader<'_>, body: &ResultBody<'_>) -> String {
        let mut out = Vec::new();
        write_result(&mut out, header, body);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_and_their_order_are_fixed() {
        assert_eq!(
            written(&header(), &ResultBody::Vad { speech: true, probability: 0.97 }),
            r#"{"v":1,"type":"vad","node":"vad","session":"s-1","participant":"p-1","stream":"audio","seq":7,"pts_ms":240.0,"rtp_ts":11520,"latency_ms":3.1,"data":{"speech":true,"probability":0.97}}"#
        );
    }

    #[test]
    fn absent_fields_are_left_out() {
        let bye = written(&header(), &ResultBody::Bye { reason: "closed", code: None });
        assert!(bye.ends_with(r#""data":{"reason":"closed"}}"#), "{bye}");
    }

    #[test]
    fn only_windows_and_figures_may_be_coalesced() {
        assert_eq!(ResultBody::Vad { speech: false, probability: 0.0 }.class(), Class::Live);
        assert_eq!(ResultBody::Metrics(&Metrics::default()).class(), Class::Live);
        assert_eq!(ResultBody::Node("1").class(), Class::Event);
        assert_eq!(ResultBody::SpeechStarted { probability: 0.9 }.class(), Class::Event);
    }

    proptest! {
        #[test]
        fn whatever_the_values_it_is_json(
            node in any::<String>(), session in any::<String>(), seq in any::<u64>(),
            pts_us in any::<u64>(), latency_us in any::<u64>(), probability in any::<f32>(),
            rms_dbfs in any::<f32>(), message in any::<String>(),
        ) {
            let header = ResultHeader {
                node: &node, session: &session, seq, pts_us, latency_us, ..header()
            };
            let bodies = [
                ResultBody::Vad { speech: true, probability },
                ResultBody::Level { rms_dbfs, peak_dbfs: -rms_dbfs },
                ResultBody::Transcript { text: &message, is_final: true },
                ResultBody::Error {
                    code: ErrorCode::NodeFailed, message: &message, field: Some(&node),
                    hint: None, traceback: Some(&session),
                },
            ];
            for body in &bodies {
                let value: Value = serde_json::from_str(&written(&header, body)).unwrap();
                prop_assert_eq!(&value["node"], &Value::from(node.as_str()));
                prop_assert_eq!(&value["seq"], &Value::from(seq));
                prop_assert_eq!(&value["type"], &Value::from(body.type_name()));
            }
        }
    }
}
