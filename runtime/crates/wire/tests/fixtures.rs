//! One message of each kind, byte for byte, in `tests/data`.
//!
//! `server` holds what the writers give and is pinned here; `tests/test_message_schema.py`
//! validates the same files against `configs/schema/messages.schema.json`. `control` and
//! `control_refused` were written by hand: the parser and the schema agree on both. After a change
//! on purpose, `UPDATE_FIXTURES=1 cargo test -p remotemedia-wire --test fixtures` writes `server`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use remotemedia_core::ErrorCode;
use remotemedia_wire::{
    MessageId, Metrics, NodeInfo, Ready, Reply, ReplyBody, ResultBody, ResultHeader, parse_control,
    write_reply, write_result,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn result(seq: u64, node: &str, body: &ResultBody<'_>) -> String {
    let about_session = node.is_empty();
    let header = ResultHeader {
        session: "0b54f1a2c6d84e6f",
        participant: if about_session { "" } else { "7f1a2b3c4d5e6f70" },
        stream: if about_session { "" } else { "audio" },
        node,
        seq,
        pts_us: if about_session { 0 } else { 240_000 },
        rtp_timestamp: if about_session { 0 } else { 11_520 },
        latency_us: if about_session { 0 } else { 3_100 },
    };
    let mut out = Vec::new();
    write_result(&mut out, &header, body);
    String::from_utf8(out).unwrap()
}

fn reply(id: Option<&MessageId>, body: ReplyBody<'_>) -> String {
    let mut out = Vec::new();
    write_reply(&mut out, &Reply { id, body });
    String::from_utf8(out).unwrap()
}

fn messages() -> Vec<(&'static str, String)> {
    let nodes = [NodeInfo { id: "vad", kind: "vad" }, NodeInfo { id: "shout", kind: "python" }];
    let ready = Ready {
        pipeline: "mic-vad",
        participant: "7f1a2b3c4d5e6f70",
        joined: false,
        participants: 1,
        nodes: &nodes,
    };
    let metrics = Metrics {
        jitter_us: 1_250,
        packets_received: 4_990,
        packets_lost: 10,
        concealed: 10,
        round_trip_us: Some(412),
        coalesced: 3,
        dropped: 0,
    };
    let early = Metrics { packets_lost: -1, ..Metrics::default() };
    let error = ResultBody::Error {
        code: ErrorCode::NodeFailed,
        message: "ValueError: too \"loud\"",
        field: None,
        hint: None,
        traceback: Some("Traceback (most recent call last):\n  ...\nValueError: too \"loud\""),
    };
    let full_error = ResultBody::Error {
        code: ErrorCode::InvalidParameter,
        message: "must lie between 0 and 1",
        field: Some("params.threshold"),
        hint: Some("0.5"),
        traceback: None,
    };
    let number = MessageId::Number(3);
    let text = MessageId::Text("stop-1".to_owned());
    let t = serde_json::Number::from_f64(1718.25).unwrap();
    let refused = ReplyBody::Error {
        code: ErrorCode::InvalidMessage,
        message: "unknown field \"force\" in \"flush\"",
        field: Some("force"),
        hint: None,
    };
    let slow = ResultBody::Bye {
        reason: "the client reads too slowly",
        code: Some(ErrorCode::SlowReader),
    };
    vec![
        ("ready", result(0, "", &ResultBody::Ready(&ready))),
        ("vad", result(7, "vad", &ResultBody::Vad { speech: true, probability: 0.97 })),
        ("speech_started", result(8, "vad", &ResultBody::SpeechStarted { probability: 0.81234 })),
        (
            "speech_stopped",
            result(
                9,
                "vad",
                &ResultBody::SpeechStopped { started_at_us: 98_125, duration_us: 141_875 },
            ),
        ),
        ("level", result(10, "level", &ResultBody::Level { rms_dbfs: -23.456, peak_dbfs: -3.0 })),
        (
            "level_of_silence",
            result(
                11,
                "level",
                &ResultBody::Level { rms_dbfs: f32::NEG_INFINITY, peak_dbfs: f32::NAN },
            ),
        ),
        ("node", result(12, "shout", &ResultBody::Node(r#"{"loud":true,"words":["a","b"]}"#))),
        ("node_null", result(13, "shout", &ResultBody::Node("null"))),
        (
            "transcript",
            result(14, "asr", &ResultBody::Transcript { text: "grüß Gott", is_final: false }),
        ),
        ("metrics", result(15, "", &ResultBody::Metrics(&metrics))),
        ("metrics_early", result(16, "", &ResultBody::Metrics(&early))),
        ("error", result(17, "shout", &error)),
        ("error_full", result(18, "vad", &full_error)),
        ("coalesced", result(19, "", &ResultBody::Coalesced { count: 12, total: 40 })),
        ("bye", result(20, "", &ResultBody::Bye { reason: "closed by the client", code: None })),
        ("bye_slow_reader", result(21, "", &slow)),
        ("reply_pong", reply(Some(&number), ReplyBody::Pong { t: Some(&t) })),
        ("reply_pong_minimal", reply(None, ReplyBody::Pong { t: None })),
        ("reply_configured", reply(Some(&number), ReplyBody::Configured { node: "vad" })),
        ("reply_accepted", reply(Some(&number), ReplyBody::Accepted { node: "text-1" })),
        ("reply_interrupted", reply(Some(&text), ReplyBody::Interrupted)),
        ("reply_flushed", reply(Some(&text), ReplyBody::Flushed)),
        ("reply_error", reply(Some(&number), refused)),
    ]
}

#[test]
fn writers_give_the_pinned_bytes() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    for (name, message) in messages() {
        let path = folder("server").join(format!("{name}.json"));
        let message = format!("{message}\n");
        if update {
            std::fs::write(&path, &message).unwrap();
        }
        let pinned = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(message, pinned, "{}", path.display());
    }
}

#[test]
fn no_pinned_file_is_left_over() {
    let written: BTreeSet<String> =
        messages().iter().map(|(name, _)| format!("{name}.json")).collect();
    let present: BTreeSet<String> = std::fs::read_dir(folder("server"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(written, present);
}

fn each_in(name: &str, check: impl Fn(&Path, &[u8])) {
    let mut count = 0;
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        check(&path, &std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{name} is empty");
}

#[test]
fn good_control_messages_are_read() {
    each_in("control", |path, bytes| {
        let read = parse_control(bytes);
        assert!(read.is_ok(), "{}: {read:?}", path.display());
    });
}

#[test]
fn bad_control_messages_are_refused() {
    each_in("control_refused", |path, bytes| {
        let read = parse_control(bytes);
        assert!(read.is_err(), "{}: {read:?}", path.display());
    });
}
