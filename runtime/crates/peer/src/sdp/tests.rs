use proptest::prelude::*;
use remotemedia_core::{AudioFormat, ChannelCount, ErrorCode, SampleRate};

use super::*;
use crate::ice::{Candidate, Credentials};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/data/", $name, ".sdp"))
    };
}

const CHROMIUM: &str = fixture!("chromium-audio-data");
const FIREFOX: &str = fixture!("firefox-audio-data");
const AIORTC: &str = fixture!("aiortc-audio-data");
const LIBDATACHANNEL: &str = fixture!("libdatachannel-audio-data");
const PIPECAT: &str = fixture!("chromium-audio-video-screen-data");
const PIPECAT_FIREFOX: &str = fixture!("firefox-audio-video-screen-data");

const ALL: [&str; 9] = [
    CHROMIUM,
    FIREFOX,
    AIORTC,
    LIBDATACHANNEL,
    PIPECAT,
    PIPECAT_FIREFOX,
    fixture!("chromium-data"),
    fixture!("firefox-data"),
    fixture!("aiortc-answer"),
];

const WANTS: MediaWants = MediaWants::receive(Want::Required);

fn parse(text: &str) -> Offer {
    parse_offer(text, &Limits::default()).unwrap()
}

fn credentials() -> Credentials {
    Credentials { ufrag: "abcd".into(), pwd: "abcdefghijklmnopqrstuv".into() }
}

fn format(hz: u32, channels: u8) -> AudioFormat {
    AudioFormat {
        rate: SampleRate::new(hz).unwrap(),
        channels: ChannelCount::new(channels).unwrap(),
    }
}

fn answer_with(offer: &Offer, agreed: &Negotiated, receive: AudioFormat) -> String {
    let candidates = [
        Candidate::host("192.0.2.1:4000".parse().unwrap(), 65535),
        Candidate::host("[2001:db8::1]:4000".parse().unwrap(), 65534),
    ];
    let params = AnswerParams {
        credentials: &credentials(),
        fingerprint: Fingerprint([0xAB; 32]),
        candidates: &candidates,
        session_id: 7,
        session_version: 3,
        receive,
        source: OwnSource { ssrc: 4242, cname: "feed" },
        max_message_size: 65536,
    };
    build_answer(offer, agreed, &params)
}

fn answer(text: &str) -> String {
    let offer = parse(text);
    let agreed = negotiate(&offer, &WANTS).unwrap();
    answer_with(&offer, &agreed, format(48_000, 1))
}

fn refused(text: &str, wants: Want) -> SdpError {
    parse_offer(text, &Limits::default())
        .and_then(|offer| negotiate(&offer, &MediaWants::receive(wants)))
        .unwrap_err()
}

/// An offer with the lines that contain `what` left out.
fn without(text: &str, what: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| !line.contains(what));
    lines.collect()
}

#[test]
fn every_peer_is_understood() {
    for (text, payload_type, mid, candidates, max_message, level) in [
        (CHROMIUM, 111, "0", 8, 262_144, Some(1)),
        (FIREFOX, 109, "0", 8, 1_073_741_823, Some(1)),
        (AIORTC, 96, "0", 2, 262_144, Some(2)),
        (LIBDATACHANNEL, 111, "audio", 2, 262_144, None),
        (PIPECAT, 111, "0", 8, 262_144, Some(1)),
    ] {
        let agreed = negotiate(&parse(text), &WANTS).unwrap();
        assert_eq!(agreed.audio.len(), 1, "{text}");
        let audio = &agreed.audio[0];
        assert_eq!((audio.payload_type, audio.mid.as_str()), (payload_type, mid));
        assert_eq!(audio.direction, Direction::RecvOnly);
        assert_eq!(audio.level_extension, level);
        assert_eq!(audio.ssrcs.len(), 1);
        assert_eq!(agreed.remote.candidates.len(), candidates);
        assert_eq!(agreed.remote.fingerprints.len(), 1);
        assert_eq!(agreed.data.unwrap().max_message_size, max_message);
        assert!(agreed.dtls_client);
    }
}

#[test]
fn every_section_is_answered_in_order_with_its_mid() {
    for text in [PIPECAT, PIPECAT_FIREFOX] {
        let offer = parse(text);
        let agreed = negotiate(&offer, &WANTS).unwrap();
        use SectionUse::{Audio, Data, Inactive};
        assert_eq!(agreed.sections, [Audio(0), Inactive, Inactive, Data]);
        let answer = parse(&answer_with(&offer, &agreed, format(48_000, 1)));
        let mids: Vec<_> = answer.media.iter().map(|media| media.mid.as_deref()).collect();
        assert_eq!(mids, [Some("0"), Some("1"), Some("2"), Some("3")]);
        assert_eq!(answer.bundle, ["0", "1", "2", "3"]);
        let names: Vec<_> = answer.media.iter().map(|media| media.name.as_str()).collect();
        assert_eq!(names, ["audio", "video", "video", "application"]);
        assert!(answer.media.iter().all(|media| media.port == 9));
        assert_eq!(answer.media[1].direction, Direction::Inactive);
    }
}

#[test]
fn the_answer_to_chromium_reads_as_intended() {
    let expected = "v=0\r\n\
        o=- 7 3 IN IP4 127.0.0.1\r\n\
        s=-\r\n\
        t=0 0\r\n\
        a=group:BUNDLE 0 1\r\n\
        a=extmap-allow-mixed\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
        c=IN IP4 0.0.0.0\r\n\
        a=mid:0\r\n\
        a=ice-ufrag:abcd\r\n\
        a=ice-pwd:abcdefghijklmnopqrstuv\r\n\
        a=ice-options:trickle\r\n\
        a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:\
        AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n\
        a=setup:active\r\n\
        a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
        a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=recvonly\r\n\
        a=rtcp-mux\r\n\
        a=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=candidate:2733741012 1 udp 2130706431 192.0.2.1 4000 typ host\r\n\
        a=candidate:4180064542 1 udp 2130706175 2001:db8::1 4000 typ host\r\n\
        a=end-of-candidates\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        c=IN IP4 0.0.0.0\r\n\
        a=mid:1\r\n\
        a=ice-ufrag:abcd\r\n\
        a=ice-pwd:abcdefghijklmnopqrstuv\r\n\
        a=ice-options:trickle\r\n\
        a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:\
        AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n\
        a=setup:active\r\n\
        a=sctp-port:5000\r\n\
        a=max-message-size:65536\r\n";
    let answer = answer(CHROMIUM);
    for (line, expected) in answer.lines().zip(expected.lines()) {
        assert!(line == expected || line.starts_with("a=candidate"), "{line} / {expected}");
    }
    assert_eq!(answer.lines().count(), expected.lines().count());
}

#[test]
fn another_parser_reads_our_descriptions() {
    for text in ALL.into_iter().map(answer_or_skip).chain([Some(offer_text(2, true))]) {
        let Some(text) = text else { continue };
        let mut reader = std::io::Cursor::new(text.as_bytes());
        let session = rtc_sdp::SessionDescription::unmarshal(&mut reader).unwrap();
        assert_eq!(session.media_descriptions.len(), parse(&text).media.len());
    }
}

fn answer_or_skip(text: &str) -> Option<String> {
    let offer = parse(text);
    let agreed = negotiate(&offer, &MediaWants::receive(Want::Optional)).ok()?;
    Some(answer_with(&offer, &agreed, format(48_000, 2)))
}

#[test]
fn stereo_is_asked_for_on_purpose_alone() {
    let offer = parse(CHROMIUM);
    let agreed = negotiate(&offer, &WANTS).unwrap();
    assert!(!answer_with(&offer, &agreed, format(48_000, 1)).contains("stereo"));
    let stereo = answer_with(&offer, &agreed, format(48_000, 2));
    assert!(stereo.contains("useinbandfec=1;stereo=1\r\n"));
}

#[test]
fn no_more_bandwidth_is_asked_for_than_is_of_use() {
    let offer = parse(CHROMIUM);
    let agreed = negotiate(&offer, &WANTS).unwrap();
    for (hz, asked) in [(8_000, 8_000), (11_025, 12_000), (16_000, 16_000), (22_050, 24_000)] {
        let answer = answer_with(&offer, &agreed, format(hz, 1));
        assert!(answer.contains(&format!("useinbandfec=1;maxplaybackrate={asked}\r\n")), "{hz}");
    }
    for hz in [44_100, 48_000] {
        assert!(!answer_with(&offer, &agreed, format(hz, 1)).contains("maxplaybackrate"), "{hz}");
    }
}

#[test]
fn the_handshake_is_begun_by_whom_the_offer_lets() {
    for (theirs, ours) in [("actpass", "active"), ("passive", "active"), ("active", "passive")] {
        let text = CHROMIUM.replace("a=setup:actpass", &format!("a=setup:{theirs}"));
        assert!(answer(&text).contains(&format!("a=setup:{ours}\r\n")), "{theirs}");
    }
}

#[test]
fn session_level_attributes_count_where_a_section_has_none() {
    let own = parse(CHROMIUM);
    let lines = CHROMIUM.lines().filter(|line| {
        ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"].iter().any(|p| line.starts_with(p))
    });
    let common: Vec<&str> = lines.take(4).collect();
    let mut text = CHROMIUM.to_owned();
    for line in &common {
        text = without(&text, line);
    }
    let text = text.replace("a=extmap-allow-mixed", &common.join("\r\n"));
    let moved = negotiate(&parse(&text), &WANTS).unwrap();
    assert_eq!(moved.remote, negotiate(&own, &WANTS).unwrap().remote);
}

#[test]
fn a_missing_direction_means_both_ways() {
    let text = without(CHROMIUM, "a=sendrecv");
    assert_eq!(parse(&text).media[0].direction, Direction::SendRecv);
    let text = CHROMIUM.replace("a=extmap-allow-mixed", "a=sendonly").replace("a=sendrecv\r\n", "");
    assert_eq!(parse(&text).media[0].direction, Direction::SendOnly);
}

#[test]
fn what_is_needed_and_missing_is_named() {
    for (what, field) in [
        ("a=ice-ufrag", "media[0].ice-ufrag"),
        ("a=ice-pwd", "media[0].ice-pwd"),
        ("a=fingerprint", "media[0].fingerprint:sha-256"),
        ("a=rtcp-mux", "media[0].rtcp-mux"),
    ] {
        let error = refused(&without(CHROMIUM, what), Want::Required);
        assert_eq!(error.code, ErrorCode::InvalidSdp);
        assert_eq!(error.field.as_deref(), Some(field), "{error}");
    }
    // Without a mid a section is no member of the group.
    let error = refused(&without(CHROMIUM, "a=mid:0"), Want::Required);
    assert_eq!(error.code, ErrorCode::NoCommonCodec);
}

#[test]
fn lines_that_cannot_be_read_are_named() {
    for (from, to, complaint) in [
        ("v=0", "v=1", "line 1 of the description: the first line is not v=0"),
        ("s=-", "nonsense", "line 3 of the description: not of the form letter=value"),
        ("a=setup:actpass", "a=setup:holdconn", "setup is none of actpass, active and passive"),
        ("sha-256 86", "sha-256 8G", "the fingerprint is not 32 pairs of hexadecimal digits"),
        ("a=ice-ufrag:jntT", "a=ice-ufrag:j", "ice-ufrag is not 4 to 256 characters"),
        ("m=audio 51650 ", "m=audio 516500 ", "the port is not a number in range"),
        ("m=audio 51650 ", "m=audio ", "the port is not a number in range"),
        ("opus/48000/2", "opus/fast", "the rate of rtpmap is not a number in range"),
        ("a=sctp-port:5000", "a=sctp-port:70000", "sctp-port is not a number in range"),
        ("a=mid:1", "a=mid:0", "two media sections have the same mid"),
        ("a=mid:0", "a=mid:a\rb", "it holds a control character"),
    ] {
        assert!(CHROMIUM.contains(from), "{from}");
        let error = parse_offer(&CHROMIUM.replacen(from, to, 1), &Limits::default()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidSdp);
        assert!(error.message.contains(complaint), "{error} / {complaint}");
        assert!(error.field.is_some());
    }
    for text in ["", "\r\n\r\n", "v=0\r\n"] {
        let error = parse_offer(text, &Limits::default()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidSdp, "{text:?}");
    }
}

#[test]
fn audio_that_cannot_be_received_is_told_apart() {
    let code = ErrorCode::NoCommonCodec;
    for (text, complaint) in [
        (fixture!("chromium-data").to_owned(), "the offer has none"),
        (CHROMIUM.replace("opus/48000/2", "speex/16000"), "with the codec Opus"),
        (CHROMIUM.replace("a=sendrecv", "a=recvonly"), "none that it can receive is sent"),
    ] {
        let error = refused(&text, Want::Required);
        assert_eq!(error.code, code);
        assert!(error.message.contains(complaint), "{error}");
        // The data channel alone will do where audio is not required.
        let agreed = negotiate(&parse(&text), &MediaWants::receive(Want::Optional)).unwrap();
        assert!(agreed.audio.is_empty() && agreed.data.is_some());
    }
    let video_only = "v=0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n\
                      a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n";
    assert_eq!(refused(video_only, Want::Required).code, code);
    assert_eq!(refused(video_only, Want::None).code, code);
}

/// The answer's audio sections to an offer, where we have audio of so many channels to send.
fn sent(text: &str, audio: Want, channels: u8) -> (Vec<Media>, String) {
    let offer = parse(text);
    let wants = MediaWants { audio, send: Some(ChannelCount::new(channels).unwrap()) };
    let agreed = negotiate(&offer, &wants).unwrap();
    let answer = answer_with(&offer, &agreed, format(16_000, 1));
    let media = parse(&answer).media;
    (media.into_iter().filter(|media| media.kind == MediaKind::Audio).collect(), answer)
}

#[test]
fn who_receives_gets_our_source() {
    for (text, payload_type) in
        [(CHROMIUM, 111), (FIREFOX, 109), (AIORTC, 96), (LIBDATACHANNEL, 111), (PIPECAT, 111)]
    {
        let both = text.replace("a=sendonly\r\n", "a=sendrecv\r\n");
        let (audio, answer) = sent(&both, Want::Required, 1);
        assert_eq!(audio[0].direction, Direction::SendRecv, "{answer}");
        assert_eq!(
            (audio[0].codecs[0].payload_type, &audio[0].ssrcs[..]),
            (payload_type, &[4242][..])
        );
        assert!(audio[0].rtcp_mux);
        assert!(answer.contains("a=msid:feed feed-audio\r\na=ssrc:4242 cname:feed\r\n"));
        assert!(audio[0].codecs[0].fmtp.contains("useinbandfec=1"));
        assert!(!answer.contains("sprop-stereo"));
        // Only one section carries it.
        assert!(audio[1..].iter().all(|media| media.ssrcs.is_empty()));
        let only = both.replace("a=sendrecv\r\n", "a=recvonly\r\n");
        let (audio, _) = sent(&only, Want::Optional, 1);
        assert_eq!((audio[0].direction, audio[0].ssrcs.len()), (Direction::SendOnly, 1));
        let none = both.replace("a=sendrecv\r\n", "a=sendonly\r\n");
        let (audio, answer) = sent(&none, Want::Required, 1);
        assert_eq!(audio[0].direction, Direction::RecvOnly);
        assert!(!answer.contains("a=ssrc") && !answer.contains("a=msid"));
    }
}

#[test]
fn what_only_receives_is_no_audio_where_audio_is_required() {
    let text = CHROMIUM.replace("a=sendrecv", "a=recvonly").replace("a=sendonly", "a=recvonly");
    let wants = MediaWants { audio: Want::Required, send: Some(ChannelCount::MONO) };
    assert_eq!(negotiate(&parse(&text), &wants).unwrap_err().code, ErrorCode::NoCommonCodec);
    // Without audio to send nothing has changed: the section idles.
    let agreed = negotiate(&parse(&text), &MediaWants::receive(Want::Optional)).unwrap();
    assert_eq!(agreed.sections[0], SectionUse::Inactive);
}

#[test]
fn a_pipeline_without_audio_input_sends_only() {
    let (audio, _) = sent(&CHROMIUM.replace("a=sendonly", "a=sendrecv"), Want::None, 1);
    assert_eq!(audio[0].direction, Direction::SendOnly);
}

#[test]
fn stereo_is_sent_to_who_asks_for_it() {
    let both = CHROMIUM.replace("a=sendonly", "a=sendrecv");
    let asking = both.replace("useinbandfec=1", "useinbandfec=1; Stereo=1");
    assert_ne!(both, asking);
    for (text, channels, stereo) in [(&both, 2, false), (&asking, 1, false), (&asking, 2, true)] {
        let offer = parse(text);
        let send = Some(ChannelCount::new(channels).unwrap());
        let agreed = negotiate(&offer, &MediaWants { audio: Want::Required, send }).unwrap();
        assert_eq!(agreed.audio[0].stereo, stereo);
        let answer = answer_with(&offer, &agreed, format(16_000, 1));
        assert_eq!(answer.contains("sprop-stereo=1"), stereo);
    }
}

#[test]
fn wishes_are_read_as_far_as_they_make_sense() {
    let wishes = OpusWishes::parse(
        "minptime=10; useinbandfec=1;STEREO=1 ; maxaveragebitrate=20000;maxplaybackrate=16000",
    );
    let expected =
        OpusWishes { stereo: true, fec: true, max_bitrate: Some(20_000), max_rate: Some(16_000) };
    assert_eq!(wishes, expected);
    let nonsense = "stereo=2;useinbandfec;maxaveragebitrate=1;maxplaybackrate=99999999999;;=;a=b=c";
    assert_eq!(OpusWishes::parse(nonsense), OpusWishes::default());
    assert_eq!(OpusWishes::parse(""), OpusWishes::default());
}

#[test]
fn an_offer_without_a_data_channel_is_good() {
    let text = &CHROMIUM[..CHROMIUM.find("m=application").unwrap()];
    let text = text.replace("BUNDLE 0 1", "BUNDLE 0");
    let agreed = negotiate(&parse(&text), &WANTS).unwrap();
    assert_eq!((agreed.audio.len(), agreed.data), (1, None));
}

#[test]
fn without_a_group_one_section_is_accepted() {
    let text = without(CHROMIUM, "a=group:BUNDLE");
    let offer = parse(&text);
    let agreed = negotiate(&offer, &WANTS).unwrap();
    assert_eq!(agreed.sections, [SectionUse::Audio(0), SectionUse::Rejected]);
    let answer = answer_with(&offer, &agreed, format(48_000, 1));
    assert!(!answer.contains("BUNDLE"));
    assert!(answer.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
}

#[test]
fn what_makes_no_sense_is_rejected_and_the_transport_moves_on() {
    // The first section is stopped, so that the second one carries the transport.
    let text = PIPECAT.replacen("m=audio 41550", "m=audio 0", 1);
    let offer = parse(&text);
    let agreed = negotiate(&offer, &MediaWants::receive(Want::Optional)).unwrap();
    assert_eq!(agreed.sections[0], SectionUse::Rejected);
    assert_eq!(agreed.remote.candidates, offer.media[1].candidates);
    let answer = parse(&answer_with(&offer, &agreed, format(48_000, 1)));
    assert_eq!(answer.bundle, ["1", "2", "3"]);
    assert_eq!(answer.media[0].port, 0);
    assert_eq!((answer.media[0].candidates.len(), answer.media[1].candidates.len()), (0, 2));

    let strange = "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:9\r\nm=audio 9 RTP/AVP 0\r\na=mid:10\r\n";
    let offer = parse(&format!("{}{strange}", CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 0 1 9 10")));
    let agreed = negotiate(&offer, &WANTS).unwrap();
    assert_eq!(agreed.sections[2..], [SectionUse::Rejected; 2]);
    assert!(
        answer_with(&offer, &agreed, format(48_000, 1))
            .contains("m=text 0 UDP/TLS/RTP/SAVPF 98\r\n")
    );
}

#[test]
fn several_microphones_are_several_streams() {
    let second = CHROMIUM
        [CHROMIUM.find("m=audio").unwrap()..CHROMIUM.find("m=application").unwrap()]
        .replace("a=mid:0", "a=mid:2")
        .replace("111", "112");
    let text = format!("{}{second}", CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 0 1 2"));
    let agreed = negotiate(&parse(&text), &WANTS).unwrap();
    let heard: Vec<_> = agreed.audio.iter().map(|a| (a.mid.as_str(), a.payload_type)).collect();
    assert_eq!(heard, [("0", 111), ("2", 112)]);
}

#[test]
fn a_renegotiation_tells_whether_ice_restarts() {
    let first = negotiate(&parse(CHROMIUM), &WANTS).unwrap().remote;
    let again = negotiate(&parse(&CHROMIUM.replace("-2122", "-9")), &WANTS).unwrap().remote;
    assert!(!first.is_restarted_by(&again));
    let text = CHROMIUM.replace("a=ice-ufrag:jntT", "a=ice-ufrag:else");
    assert!(first.is_restarted_by(&negotiate(&parse(&text), &WANTS).unwrap().remote));
}

#[test]
fn sizes_are_bounded() {
    let limits = Limits { bytes: 100, lines: 4, media: 1 };
    let refused = |text: &str| parse_offer(text, &limits).unwrap_err().message;
    assert!(refused(&"v".repeat(101)).contains("longer than 100 bytes"));
    assert!(refused("v=0\ns=-\ns=-\ns=-\ns=-\n").contains("more than 4 lines"));
    assert!(refused("v=0\nm=audio 9 x 0\nm=audio 9 x 0\n").contains("more than 1 media section"));
    // A flood of attributes is cut short, not kept.
    let mut text = CHROMIUM.to_owned();
    for i in 0..5000 {
        text.push_str(&format!("a=candidate:1 1 udp 1 192.0.2.1 {i} typ host\r\na=ssrc:{i} x\r\n"));
    }
    let limits = Limits { bytes: 1 << 20, lines: 20_000, media: 32 };
    let media = &parse_offer(&text, &limits).unwrap().media[1];
    assert!(media.candidates.len() <= 65 && media.ssrcs.len() <= MAX_SSRCS);
}

#[test]
fn line_ends_without_a_carriage_return_will_do() {
    assert_eq!(parse(&CHROMIUM.replace("\r\n", "\n")), parse(CHROMIUM));
}

fn offer_text(audio: usize, data: bool) -> String {
    let section =
        OfferAudio { direction: Direction::SendOnly, ssrc: 99, receive: format(48_000, 2) };
    build_offer(&OfferParams {
        credentials: &credentials(),
        fingerprint: Fingerprint([1; 32]),
        candidates: &[Candidate::host("192.0.2.9:5000".parse().unwrap(), 65535)],
        session_id: 1,
        session_version: 1,
        cname: "caller",
        audio: &vec![section; audio],
        data,
        max_message_size: 1000,
    })
}

#[test]
fn our_own_offer_is_answered_and_agreed_on_by_both() {
    let text = offer_text(2, true);
    let offer = parse(&text);
    let there = negotiate(&offer, &WANTS).unwrap();
    let answer = answer_with(&offer, &there, format(48_000, 1));
    let here = parse_answer(&answer, &offer, &Limits::default()).unwrap();
    assert_eq!(here.sections, there.sections);
    assert_ne!(here.dtls_client, there.dtls_client);
    assert_eq!(here.audio.len(), 2);
    assert!(here.audio.iter().all(|audio| audio.direction == Direction::SendOnly));
    assert_eq!(there.audio[0].ssrcs, [99]);
    assert_eq!(here.audio[1].payload_type, there.audio[1].payload_type);
    assert_eq!(here.audio[0].mid_extension, there.audio[0].mid_extension);
    assert_eq!(here.remote.credentials, credentials());
    assert_eq!(here.remote.candidates.len(), 2);
    assert!(here.remote.end_of_candidates);
    assert_eq!(there.remote.candidates.len(), 1);
    assert_eq!(
        (there.data.unwrap().max_message_size, here.data.unwrap().max_message_size),
        (1000, 65536)
    );
}

#[test]
fn an_answer_of_aiortc_is_understood() {
    let offer = parse(AIORTC);
    let agreed = parse_answer(fixture!("aiortc-answer"), &offer, &Limits::default()).unwrap();
    assert!(!agreed.dtls_client);
    assert_eq!(agreed.audio[0].direction, Direction::SendOnly);
    assert_eq!(agreed.sections, [SectionUse::Audio(0), SectionUse::Data]);
}

#[test]
fn an_answer_that_does_not_fit_the_offer_is_refused() {
    let offer = parse(&offer_text(1, true));
    let good = answer(&offer_text(1, true));
    let refused = |text: &str| parse_answer(text, &offer, &Limits::default()).unwrap_err();
    let cut = &good[..good.find("m=application").unwrap()];
    assert_eq!(refused(cut).field.as_deref(), Some("media"));
    assert_eq!(refused(&good.replace("a=mid:1", "a=mid:5")).field.as_deref(), Some("media[1]"));
    let text = good.replace("a=setup:active", "a=setup:actpass");
    assert_eq!(refused(&text).field.as_deref(), Some("media[0].setup"));
    let text = good.replace("BUNDLE 0 1", "BUNDLE 0");
    assert_eq!(refused(&text).field.as_deref(), Some("media[1].mid"));
    let text = good.replace("m=audio 9", "m=audio 0").replace("m=application 9", "m=application 0");
    assert_eq!(refused(&text).code, ErrorCode::NoCommonCodec);
    let text = good.replace("opus/48000/2", "PCMU/8000");
    assert_eq!(refused(&text).code, ErrorCode::NoCommonCodec);
}

/// Whatever parses can be negotiated and answered, and the answer parses.
fn survives(text: &str) {
    let Ok(offer) = parse_offer(text, &Limits::default()) else { return };
    let wants = MediaWants { audio: Want::Optional, send: Some(ChannelCount::STEREO) };
    let Ok(agreed) = negotiate(&offer, &wants) else { return };
    let answer = answer_with(&offer, &agreed, format(48_000, 2));
    let answer = parse_offer(&answer, &Limits::default()).unwrap();
    assert_eq!(answer.media.len(), offer.media.len());
    for (ours, theirs) in answer.media.iter().zip(&offer.media) {
        assert_eq!((&ours.mid, &ours.name), (&theirs.mid, &theirs.name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_text_never_panics(text in "(v=0\r?\n)?([a-z]=[ -~]{0,40}\r?\n){0,20}\\PC{0,40}") {
        survives(&text);
    }

    #[test]
    fn truncated_descriptions_never_panic(which in 0usize..9, at in any::<prop::sample::Index>()) {
        let text = ALL[which];
        survives(&text[..at.index(text.len() + 1)]);
    }

    #[test]
    fn damaged_descriptions_never_panic(
        which in 0usize..9,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0u8..128), 1..8),
    ) {
        let mut bytes = ALL[which].as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        survives(&String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn shuffled_lines_never_panic(which in 0usize..9, swaps in prop::collection::vec(any::<[prop::sample::Index; 2]>(), 1..12)) {
        let mut lines: Vec<&str> = ALL[which].split_inclusive('\n').collect();
        for [a, b] in swaps {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            if a.min(b) > 0 {
                lines.swap(a, b);
            }
        }
        survives(&lines.concat());
    }
}
