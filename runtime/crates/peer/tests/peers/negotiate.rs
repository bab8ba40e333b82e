use std::time::Duration;

use remotemedia_core::{ErrorCode, Micros};
use remotemedia_peer::sdp::{MediaWants, Want};
use remotemedia_peer::{OfferWants, Peer, PeerEvent, RtpHeader};

use crate::world::{ANSWERER, EVERYTHING, Link, OFFERER, WANTS, World, config};

/// The lines of a description that a new one must keep.
fn keeps<'a>(sdp: &'a str, prefix: &str) -> Vec<&'a str> {
    sdp.lines().filter(|line| line.starts_with(prefix)).collect()
}

/// Connects and returns the descriptions too.
fn connected() -> (World, String, String) {
    let (mut offer, mut answer) = (String::new(), String::new());
    let mut world = World::with(
        100,
        Link::CLEAN,
        |sdp| {
            offer.clone_from(&sdp);
            sdp
        },
        |sdp| {
            answer.clone_from(&sdp);
            sdp
        },
    );
    world.connect();
    (world, offer, answer)
}

#[test]
fn the_same_offer_again_changes_nothing_but_the_version() {
    let (mut world, offer, answer) = connected();
    let again = world.peers[ANSWERER].renegotiate(world.now, &offer, &WANTS).unwrap();
    for prefix in ["a=ice-", "a=fingerprint", "a=setup", "a=mid", "m=", "a=candidate"] {
        assert_eq!(keeps(&again, prefix), keeps(&answer, prefix), "{prefix}");
    }
    let version = |sdp: &str| -> u64 {
        let origin = sdp.lines().find(|line| line.starts_with("o=")).unwrap();
        origin.split(' ').nth(2).unwrap().parse().unwrap()
    };
    assert_eq!(version(&again), version(&answer) + 1);
    world.send_rtp(OFFERER, 1, b"still here");
    world.pass(Duration::from_millis(50));
    assert_eq!(world.packets(ANSWERER).len(), 1);
}

#[test]
fn another_source_may_be_told() {
    let (mut world, offer, _) = connected();
    let ssrc = world.peers[OFFERER].ssrc();
    let changed = offer.replace(&ssrc.to_string(), "424242");
    world.peers[ANSWERER].renegotiate(world.now, &changed, &WANTS).unwrap();
    let header = RtpHeader { ssrc: 424_242, payload_type: 111, ..Default::default() };
    world.peers[OFFERER].send_rtp(world.now, &header, b"x").unwrap();
    world.pass(Duration::from_millis(50));
    assert_eq!(world.packets(ANSWERER)[0].0.ssrc, 424_242);
}

#[test]
fn another_certificate_is_a_conflict_and_nothing_changes() {
    let (mut world, offer, _) = connected();
    let (_, stranger) = Peer::offer(config(ANSWERER, 7), world.now, EVERYTHING);
    let theirs = keeps(&stranger, "a=fingerprint")[0];
    let ours = keeps(&offer, "a=fingerprint")[0];
    let changed = offer.replace(ours, theirs);
    let error = world.peers[ANSWERER].renegotiate(world.now, &changed, &WANTS).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.field.as_deref(), Some("fingerprint"));
    world.send_rtp(OFFERER, 1, b"still here");
    world.pass(Duration::from_millis(50));
    assert_eq!(world.packets(ANSWERER).len(), 1);
}

#[test]
fn other_ice_credentials_restart_ice_and_media_goes_on() {
    let (mut world, offer, answer) = connected();
    let ufrag = keeps(&offer, "a=ice-ufrag:")[0];
    let pwd = keeps(&offer, "a=ice-pwd:")[0];
    let restart = offer
        .replace(ufrag, "a=ice-ufrag:restarted")
        .replace(pwd, "a=ice-pwd:restartedrestartedrestarted");
    let again = world.peers[ANSWERER].renegotiate(world.now, &restart, &WANTS).unwrap();
    assert_ne!(keeps(&again, "a=ice-ufrag"), keeps(&answer, "a=ice-ufrag"));
    assert_eq!(world.peers[ANSWERER].local_ufrags().count(), 2);
    // The offering side does not follow here: what was in use stays in use.
    world.send_rtp(OFFERER, 1, b"still here");
    world.pass(Duration::from_millis(50));
    assert_eq!(world.packets(ANSWERER).len(), 1);
    assert!(world.peers[ANSWERER].is_connected());
}

#[test]
fn data_channels_may_be_added_later() {
    let now = Micros(0);
    let audio_alone = OfferWants { data: false, ..EVERYTHING };
    let (_, offer) = Peer::offer(config(OFFERER, 9), now, audio_alone);
    let (answerer, _) = Peer::answer(config(ANSWERER, 9), now, &offer, &WANTS).unwrap();
    assert!(!answerer.has_data());
    assert_eq!(answerer.audio().len(), 1);
    let (_, offer) = Peer::offer(config(OFFERER, 9), now, EVERYTHING);
    let mut answerer = answerer;
    answerer.renegotiate(now, &offer, &WANTS).unwrap();
    assert!(answerer.has_data());
}

#[test]
fn bad_offers_name_what_is_wrong() {
    let now = Micros(0);
    let (_, offer) = Peer::offer(config(OFFERER, 10), now, EVERYTHING);
    let required = MediaWants::receive(Want::Required);
    for (sdp, code) in [
        ("hello".to_owned(), ErrorCode::InvalidSdp),
        (offer.replace("a=fingerprint", "a=no-fingerprint"), ErrorCode::InvalidSdp),
        (offer.replace("opus/48000/2", "vp8/90000"), ErrorCode::NoCommonCodec),
    ] {
        let error = Peer::answer(config(ANSWERER, 10), now, &sdp, &required).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(!error.message.is_empty());
    }
}

#[test]
fn an_answer_is_taken_once() {
    let (mut world, _, answer) = connected();
    let error = world.peers[OFFERER].accept_answer(world.now, &answer).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
}

#[test]
fn a_closed_peer_does_not_negotiate() {
    let (mut world, offer, _) = connected();
    let now = world.now;
    world.peers[ANSWERER].close(now);
    let error = world.peers[ANSWERER].renegotiate(now, &offer, &WANTS).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
}

#[test]
fn candidates_may_trickle_in() {
    let without_candidates = |sdp: String| -> String {
        let kept = sdp.lines().filter(|line| !line.starts_with("a=candidate"));
        kept.map(|line| format!("{line}\r\n")).collect()
    };
    let mut world = World::with(101, Link::CLEAN, without_candidates, without_candidates);
    world.pass(Duration::from_millis(200));
    assert!(world.events.iter().all(Vec::is_empty));
    let line = "candidate:1 1 udp 2130706431 192.0.2.2 5001 typ host";
    world.peers[OFFERER].add_remote_candidate(world.now, line).unwrap();
    world.connect();
    assert!(world.events[ANSWERER].contains(&PeerEvent::Connected));
}
