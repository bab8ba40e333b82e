//! Messages that nobody should have sent.

use proptest::prelude::*;
use remotemedia_core::Micros;

use super::link::{Link, address, agent, credentials};
use crate::Transmit;
use crate::ice::stun::{Class, Key, Message, Writer};
use crate::ice::{IceAgent, IceRole, StunOutcome, is_stun, stun_local_ufrag};

const LEFT: &str = "192.0.2.1:1000";
const RIGHT: &str = "192.0.2.2:2000";

fn right() -> IceAgent {
    let mut agent = agent("right", IceRole::Controlled, &[address(RIGHT)], 1);
    agent.set_remote(Micros::ZERO, credentials("left"));
    agent
}

fn request() -> Writer {
    Writer::request(&[9; 12]).username("ufragright", "ufragleft").priority(1).role(true, 5)
}

/// Gives one message to a fresh agent that must refuse it, and returns the answer's code.
fn refusal(message: &[u8], expected: StunOutcome) -> Option<u16> {
    let mut agent = right();
    let outcome = agent.handle_stun(Micros::ZERO, address(LEFT), None, message);
    assert_eq!(outcome, expected);
    assert!(!agent.is_verified(address(LEFT)));
    assert_eq!(agent.selected(), None);
    let answer = agent.poll_transmit();
    assert_eq!(agent.poll_transmit(), None, "a check was triggered");
    answer.map(|Transmit { payload, .. }| {
        let answer = Message::parse(&payload).unwrap();
        assert_eq!((answer.class, answer.transaction), (Class::Error, [9; 12]));
        answer.error.unwrap()
    })
}

#[test]
fn a_wrong_integrity_is_refused_and_nothing_learnt() {
    let message = request().use_candidate(true).signed(&mut Key::new("wrong"));
    assert_eq!(refusal(&message, StunOutcome::Refused), Some(401));
}

#[test]
fn a_missing_integrity_or_user_name_is_a_bad_request() {
    assert_eq!(refusal(&request().unsigned(), StunOutcome::Refused), Some(400));
    let message = Writer::request(&[9; 12]).signed(&mut Key::new(&credentials("right").pwd));
    assert_eq!(refusal(&message, StunOutcome::Refused), Some(400));
}

#[test]
fn both_halves_of_the_user_name_must_fit() {
    for (ours, theirs) in [("ufragright", "other"), ("other", "ufragleft"), ("ufragright", "")] {
        let message = Writer::request(&[9; 12])
            .username(ours, theirs)
            .signed(&mut Key::new(&credentials("right").pwd));
        assert_eq!(refusal(&message, StunOutcome::Refused), Some(401), "{ours}:{theirs}");
    }
}

#[test]
fn an_attribute_that_must_be_understood_is_named() {
    let mut agent = right();
    let message = {
        // 0x0003 is CHANGE-REQUEST, which ICE does not use.
        let bytes = request().signed(&mut Key::new("x"));
        let mut plain = bytes[..bytes.len() - 32].to_vec();
        plain.extend_from_slice(&[0, 3, 0, 4, 0, 0, 0, 0]);
        sign(plain, &credentials("right").pwd)
    };
    let outcome = agent.handle_stun(Micros::ZERO, address(LEFT), None, &message);
    assert_eq!(outcome, StunOutcome::Ignored);
    let answer = agent.poll_transmit().unwrap();
    assert_eq!(Message::parse(&answer.payload).unwrap().error, Some(420));
    assert!(!agent.is_verified(address(LEFT)));
}

/// Signs attributes written by hand, with `rtc-stun`.
fn sign(plain: Vec<u8>, password: &str) -> Vec<u8> {
    use rtc_stun::crypto::default_provider;
    use rtc_stun::fingerprint::FINGERPRINT;
    use rtc_stun::integrity::MessageIntegrity;
    use rtc_stun::message::{Message, Setter};
    let mut message = Message::new();
    let mut plain = plain;
    let length = (plain.len() - 20) as u16;
    plain[2..4].copy_from_slice(&length.to_be_bytes());
    message.unmarshal_binary(&plain).unwrap();
    let provider = default_provider().unwrap();
    MessageIntegrity::new_short_term_integrity_with_provider(password.into(), provider.crypto())
        .add_to(&mut message)
        .unwrap();
    FINGERPRINT.add_to(&mut message).unwrap();
    message.raw
}

#[test]
fn refusals_are_bounded() {
    let mut agent = right();
    let message = request().signed(&mut Key::new("wrong"));
    let mut answers = 0;
    for i in 0..10_000 {
        agent.handle_stun(Micros(i * 100), address(LEFT), None, &message);
        while agent.poll_transmit().is_some() {
            answers += 1;
        }
    }
    assert!((10..=18).contains(&answers), "{answers} within a second");
    assert_eq!(agent.stats().unverified, 10_000);
    assert_eq!(agent.stats().refusals_withheld, 10_000 - answers);
}

#[test]
fn the_queue_is_bounded_when_nobody_drains_it() {
    let mut agent = right();
    let message = request().signed(&mut Key::new(&credentials("right").pwd));
    for i in 0..1_000 {
        agent.handle_stun(Micros(i), address(LEFT), None, &message);
    }
    let mut queued = 0;
    while agent.poll_transmit().is_some() {
        queued += 1;
    }
    assert!(queued <= 64);
    assert!(agent.stats().transmits_dropped > 900);
}

#[test]
fn answers_that_were_not_asked_for_are_ignored() {
    let mut agent = right();
    let message = Writer::success(&[9; 12])
        .mapped(address(RIGHT))
        .signed(&mut Key::new(&credentials("left").pwd));
    let outcome = agent.handle_stun(Micros::ZERO, address(LEFT), None, &message);
    assert_eq!(outcome, StunOutcome::Ignored);
    assert!(!agent.is_verified(address(LEFT)));
}

#[test]
fn an_answer_from_elsewhere_or_with_a_wrong_integrity_proves_nothing() {
    let mut agent = right();
    let line = "candidate:1 1 udp 2130706431 192.0.2.1 1000 typ host";
    agent.add_remote_candidate(Micros::ZERO, line).unwrap();
    let begin = agent.poll_timeout().unwrap();
    agent.handle_timeout(begin);
    let check = agent.poll_transmit().unwrap();
    let id = check.payload[8..20].try_into().unwrap();
    let answer = |password: &str| {
        Writer::success(&id).mapped(address(RIGHT)).signed(&mut Key::new(password))
    };
    let right_answer = answer(&credentials("left").pwd);
    let elsewhere = address("192.0.2.66:1000");
    for (from, bytes) in [(address(LEFT), answer("wrong")), (elsewhere, right_answer.clone())] {
        let outcome = agent.handle_stun(begin, from, None, &bytes);
        assert_eq!(outcome, StunOutcome::Ignored);
        assert!(!agent.is_verified(from));
    }
    let outcome = agent.handle_stun(begin, address(LEFT), None, &right_answer);
    assert_eq!(outcome, StunOutcome::Verified);
}

#[test]
fn the_router_finds_the_user_fragment_in_requests_alone() {
    let bytes = request().unsigned();
    assert!(is_stun(&bytes));
    assert_eq!(stun_local_ufrag(&bytes), Some("ufragright"));
    assert_eq!(stun_local_ufrag(&Writer::success(&[1; 12]).unsigned()), None);
    assert_eq!(stun_local_ufrag(&bytes[..bytes.len() - 1]), None);
    assert!(!is_stun(&bytes[..19]));
    assert!(!is_stun(&[22; 40]));
}

#[test]
fn a_flood_of_garbage_does_not_disturb_a_connection() {
    let mut link = Link::pair(1);
    assert!(link.run_until(100, Link::is_connected));
    let wrong = request().use_candidate(true).signed(&mut Key::new("wrong"));
    for i in 0..30_000u64 {
        let from = address(&format!("198.51.100.1:{}", 1 + i % 60_000));
        link.agents[1].handle_stun(link.now, from, None, &wrong);
        link.run(1);
    }
    assert_eq!(link.selected(1), Some(address(LEFT)));
    assert_eq!(link.agents[1].verified().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn garbage_is_never_verified(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut agent = right();
        let outcome = agent.handle_stun(Micros::ZERO, address(LEFT), None, &bytes);
        prop_assert_eq!(outcome, StunOutcome::Ignored);
        let _ = stun_local_ufrag(&bytes);
    }

    #[test]
    fn a_damaged_request_is_never_verified(at in 0usize..100, xor in 1u8.., cut in 0usize..100) {
        let mut bytes = request().signed(&mut Key::new(&credentials("right").pwd)).to_vec();
        let end = bytes.len();
        bytes[at % end] ^= xor;
        let outcome = right().handle_stun(Micros::ZERO, address(LEFT), None, &bytes);
        prop_assert_ne!(outcome, StunOutcome::Verified);
        let whole = request().signed(&mut Key::new(&credentials("right").pwd));
        let outcome = right().handle_stun(Micros::ZERO, address(LEFT), None, &whole[..cut % end]);
        prop_assert_eq!(outcome, StunOutcome::Ignored);
    }
}
