//! Offers: parsed, negotiated, answered; the answer must be one that we understand.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remotemedia_core::{AudioFormat, ChannelCount, SampleRate};
use remotemedia_peer::ice::{Candidate, Credentials};
use remotemedia_peer::sdp::{
    AnswerParams, Fingerprint, Limits, MediaWants, OwnSource, Want, build_answer, negotiate,
    parse_offer,
};

fuzz_target!(|text: &str| {
    let Ok(offer) = parse_offer(text, &Limits::default()) else { return };
    let wants = MediaWants { audio: Want::Optional, send: Some(ChannelCount::STEREO) };
    let Ok(agreed) = negotiate(&offer, &wants) else { return };
    let answer = build_answer(
        &offer,
        &agreed,
        &AnswerParams {
            credentials: &Credentials {
                ufrag: "abcd".into(),
                pwd: "abcdefghijklmnopqrstuv".into(),
            },
            fingerprint: Fingerprint([7; 32]),
            candidates: &[Candidate::host(([192, 0, 2, 1], 4000).into(), 65_535)],
            session_id: 1,
            session_version: 1,
            receive: AudioFormat { rate: SampleRate::HZ_16000, channels: ChannelCount::MONO },
            source: OwnSource { ssrc: 7, cname: "abcd" },
            max_message_size: 65_536,
        },
    );
    parse_offer(&answer, &Limits::default()).expect("our own answer");
});
