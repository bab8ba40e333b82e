//! From nothing to a path.

use proptest::prelude::*;

use super::link::{Link, Quality, address, agent, credentials};
use crate::ice::{
    CandidateUse, FailureReason, IceEvent, IceRole, MAX_REMOTE_CANDIDATES, Path, StunOutcome,
};
use remotemedia_core::Micros;

const LEFT: &str = "192.0.2.1:1000";
const RIGHT: &str = "192.0.2.2:2000";

#[test]
fn connects_within_three_round_trips() {
    let mut link = Link::pair(1);
    assert!(link.run_until(50, Link::is_connected), "{:?}", link.events);
    // One way takes 0.1 ms: check, answer, nomination, answer.
    assert!(link.now <= Micros(600), "{}", link.now);
    assert_eq!(link.selected(0), Some(address(RIGHT)));
    assert_eq!(link.selected(1), Some(address(LEFT)));
}

#[test]
fn tells_checking_then_selected_once() {
    let mut link = Link::pair(1);
    link.run(3000);
    for (side, remote, local) in [(0, RIGHT, LEFT), (1, LEFT, RIGHT)] {
        let path = Path { remote: address(remote), local: Some(address(local).ip()) };
        let events: Vec<IceEvent> = link.events[side].iter().map(|(_, event)| *event).collect();
        assert_eq!(events, [IceEvent::Checking, IceEvent::Selected(path)]);
    }
}

#[test]
fn connects_over_a_bad_link() {
    let mut slowest = Micros::ZERO;
    for seed in 0..60 {
        let mut link = Link::pair(seed);
        link.quality = Quality { loss: 0.2, duplication: 0.1, delay_us: (1_000, 60_000) };
        assert!(link.run_until(5_000, Link::is_connected), "seed {seed}: {:?}", link.events);
        slowest = slowest.max(link.now);
    }
    assert!(slowest < Micros(3_000_000), "{slowest}");
}

#[test]
fn the_answering_side_alone_knowing_the_addresses_suffices() {
    let mut link = Link::new(&[LEFT], &[RIGHT], 3);
    link.agents[0].set_remote(link.now, credentials("right"));
    // What a browser page without microphone offers.
    let name = "candidate:1 1 udp 2113937151 a1b2c3.local 1000 typ host ufrag ufragleft";
    link.agents[1].set_remote(link.now, credentials("left"));
    let used = link.agents[1].add_remote_candidate(link.now, name);
    assert_eq!(used, Ok(CandidateUse::LeftToReflexive));
    let line = "a=candidate:1 1 udp 2130706431 192.0.2.2 2000 typ host";
    assert_eq!(link.agents[0].add_remote_candidate(link.now, line), Ok(CandidateUse::Checked));
    assert_eq!(link.agents[0].add_remote_candidate(link.now, line), Ok(CandidateUse::Duplicate));
    assert_eq!(link.agents[0].add_remote_candidate(link.now, ""), Ok(CandidateUse::End));
    assert!(link.run_until(50, Link::is_connected));
    assert_eq!(link.selected(1), Some(address(LEFT)));
}

#[test]
fn the_answering_side_waits_for_the_first_check() {
    let mut link = Link::new(&[LEFT], &[RIGHT], 4);
    link.describe(1);
    link.run(99);
    assert_eq!(link.agents[1].stats().checks_sent, 0);
    link.run(2);
    assert_eq!(link.agents[1].stats().checks_sent, 1);
}

#[test]
fn checks_that_come_before_the_answer_are_answered_and_used() {
    let mut link = Link::new(&[LEFT], &[RIGHT], 4);
    link.describe(1);
    link.run(150);
    assert_eq!(link.agents[0].stats().requests_answered, 1);
    assert!(link.agents[0].is_verified(address(RIGHT)));
    assert_eq!(link.agents[0].stats().checks_sent, 0);
    link.agents[0].set_remote(link.now, credentials("right"));
    assert!(link.run_until(50, Link::is_connected));
}

#[test]
fn the_pair_of_the_highest_priority_is_nominated() {
    for seed in 0..20 {
        let left = ["10.0.0.1:1", "[2001:db8::1]:1"];
        let right = ["10.0.0.2:2", "[2001:db8::2]:2", "10.0.0.3:2"];
        let mut link = Link::new(&left, &right, seed);
        link.quality.delay_us = (500, 3_000);
        link.describe(0);
        link.describe(1);
        assert!(link.run_until(100, Link::is_connected));
        link.run(100);
        assert_eq!(link.selected(0), Some(address(right[0])), "seed {seed}");
        assert_eq!(link.selected(1), Some(address(left[0])), "seed {seed}");
        assert_eq!(link.agents[0].stats().path_changes, 0);
    }
}

#[test]
fn a_pair_that_does_not_work_delays_nothing_for_long() {
    let right = ["10.0.0.2:2", "10.0.0.3:2"];
    let mut link = Link::new(&["10.0.0.1:1"], &right, 5);
    link.cut("10.0.0.1:1", right[0]);
    link.describe(0);
    link.describe(1);
    assert!(link.run_until(50, Link::is_connected), "{:?}", link.events);
    assert_eq!(link.selected(0), Some(address(right[1])));
}

#[test]
fn a_conflict_of_roles_is_resolved_by_the_tie_breaker() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for seed in 0..10 {
            let addresses = [vec![address(LEFT)], vec![address(RIGHT)]];
            let mut link = Link::with_roles(addresses, [role, role], seed);
            link.quality = Quality { loss: 0.05, duplication: 0.05, delay_us: (100, 20_000) };
            link.describe(0);
            link.describe(1);
            assert!(link.run_until(3_000, Link::is_connected), "{role:?}, seed {seed}");
            link.run(2_000);
            // The right one has the larger tie-breaker.
            assert_eq!(link.agents[1].role(), IceRole::Controlling, "{role:?}, seed {seed}");
            assert_eq!(link.agents[0].role(), IceRole::Controlled, "{role:?}, seed {seed}");
        }
    }
}

#[test]
fn fails_after_the_set_up_time_without_a_path() {
    let mut link = Link::pair(6);
    link.cut_all();
    link.run(60_000);
    for side in 0..2 {
        assert_eq!(link.failure(side), Some((Micros(30_000_000), FailureReason::NoPath)));
        assert_eq!(link.agents[side].poll_timeout(), None);
        assert_eq!(link.agents[side].selected(), None);
    }
}

#[test]
fn fails_after_the_set_up_time_without_a_description() {
    let mut link = Link::new(&[LEFT], &[RIGHT], 6);
    link.run(60_000);
    assert_eq!(link.failure(0), Some((Micros(30_000_000), FailureReason::NoPath)));
    assert_eq!(link.sent, 0);
}

#[test]
fn a_way_that_opens_late_is_found() {
    let mut link = Link::pair(7);
    link.cut(LEFT, RIGHT);
    link.run(20_000);
    assert!(!link.is_connected());
    link.cut.clear();
    assert!(link.run_until(5_000, Link::is_connected));
}

#[test]
fn strange_addresses_are_not_checked_for_ever() {
    let mut link = Link::pair(7);
    link.cut_all();
    for port in 1..=60 {
        let line = format!("candidate:1 1 udp 2130706431 198.51.100.7 {port} typ host");
        link.agents[1].add_remote_candidate(link.now, &line).unwrap();
    }
    link.run(40_000);
    let sent = link.agents[1].stats().checks_sent;
    assert!(sent < 9 * 61 + 9 * 8 * 4, "{sent}");
}

#[test]
fn useless_candidates_are_counted_and_left_alone() {
    let mut agent = agent("left", IceRole::Controlled, &[address(LEFT)], 1);
    agent.set_remote(Micros::ZERO, credentials("right"));
    for line in [
        "candidate:1 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active",
        "candidate:1 2 udp 1 192.0.2.9 9 typ host",
        "candidate:1 1 udp 1 2001:db8::9 9 typ host",
        "candidate:1 1 udp 1 127.0.0.1 9 typ host",
        "candidate:1 1 udp 1 0.0.0.0 9 typ host",
        "candidate:1 1 udp 1 224.0.0.1 9 typ host",
        "candidate:1 1 udp 1 255.255.255.255 9 typ host",
        "candidate:1 1 udp 1 192.0.2.9 0 typ host",
        "candidate:1 1 udp 1 192.0.2.9 9 typ host ufrag older",
    ] {
        let used = agent.add_remote_candidate(Micros::ZERO, line);
        assert_eq!(used, Ok(CandidateUse::Ignored), "{line}");
    }
    assert_eq!(agent.poll_transmit(), None);
}

#[test]
fn hundreds_of_candidates_are_refused_and_harm_nothing() {
    let mut link = Link::pair(8);
    link.describe(1);
    let mut refused = 0;
    for port in 1..=500 {
        let line = format!("candidate:1 1 udp 2130706431 198.51.100.7 {port} typ host");
        refused += usize::from(link.agents[1].add_remote_candidate(link.now, &line).is_err());
    }
    // The true candidate was told twice.
    assert_eq!(refused, 500 - (MAX_REMOTE_CANDIDATES - 2));
    assert!(link.run_until(100, Link::is_connected));
    let sent = link.agents[1].stats().checks_sent;
    link.run(3_000);
    // With a path in use, checks of the others end.
    assert!(link.agents[1].stats().checks_sent - sent < 10);
}

#[test]
fn checks_are_paced() {
    let mut agent = agent("left", IceRole::Controlling, &[address(LEFT)], 1);
    agent.set_remote(Micros::ZERO, credentials("right"));
    for port in 1..=60 {
        let line = format!("candidate:1 1 udp 2130706431 198.51.100.7 {port} typ host");
        agent.add_remote_candidate(Micros::ZERO, &line).unwrap();
    }
    let mut sent = 0;
    while let Some(at) = agent.poll_timeout().filter(|at| *at < Micros(99_000)) {
        agent.handle_timeout(at);
        while agent.poll_transmit().is_some() {
            sent += 1;
        }
        assert!(sent <= 5 + at.0 / 10_000, "{sent} at {at}");
    }
    assert!(sent > 10);
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let mut link = Link::new(&["10.0.0.1:1"], &["10.0.0.2:2", "10.0.0.3:2"], 9);
    link.agents[0].set_remote(link.now, credentials("right"));
    link.agents[1].set_remote(link.now, credentials("left"));
    // Only the address that the right side's routing table would not choose is known.
    let line = "candidate:1 1 udp 2130706431 10.0.0.3 2 typ host";
    link.agents[0].add_remote_candidate(link.now, line).unwrap();
    assert!(link.run_until(50, Link::is_connected));
    let path = Path { remote: address("10.0.0.1:1"), local: Some(address("10.0.0.3:2").ip()) };
    assert_eq!(link.agents[1].selected(), Some(path));
}

#[test]
fn connects_without_knowing_our_own_addresses() {
    // A driver without packet information gives no local address.
    let mut agents = [
        agent("left", IceRole::Controlling, &[address(LEFT)], 1),
        agent("right", IceRole::Controlled, &[address(RIGHT)], 2),
    ];
    agents[0].set_remote(Micros::ZERO, credentials("right"));
    agents[1].set_remote(Micros::ZERO, credentials("left"));
    let line = "candidate:1 1 udp 2130706431 192.0.2.2 2000 typ host";
    agents[0].add_remote_candidate(Micros::ZERO, line).unwrap();
    for round in 0..6 {
        let (sender, from) = if round % 2 == 0 { (0, LEFT) } else { (1, RIGHT) };
        while let Some(transmit) = agents[sender].poll_transmit() {
            assert_eq!(transmit.from, None);
            let bytes = &transmit.payload;
            agents[1 - sender].handle_stun(Micros(round), address(from), None, bytes);
        }
    }
    let path = Path { remote: address(LEFT), local: None };
    assert_eq!(agents[1].selected(), Some(path));
}

#[test]
fn addresses_in_ipv6_clothes_are_the_same_addresses() {
    let mut link = Link::pair(1);
    let request = link.agents[0].poll_transmit();
    assert_eq!(request, None, "the harness drained it");
    let mut right = agent("right", IceRole::Controlled, &[address(RIGHT)], 2);
    let mut left = agent("left", IceRole::Controlling, &[address(LEFT)], 2);
    left.set_remote(Micros::ZERO, credentials("right"));
    let line = "candidate:1 1 udp 2130706431 192.0.2.2 2000 typ host";
    left.add_remote_candidate(Micros::ZERO, line).unwrap();
    let request = left.poll_transmit().unwrap();
    let mapped = address("[::ffff:192.0.2.1]:1000");
    let outcome = right.handle_stun(Micros::ZERO, mapped, None, &request.payload);
    assert_eq!(outcome, StunOutcome::Verified);
    assert!(right.is_verified(mapped) && right.is_verified(address(LEFT)));
    assert_eq!(right.poll_transmit().unwrap().to, address(LEFT));
    link.run(1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn two_agents_agree_whatever_the_network_does(
        seed in any::<u32>(),
        loss in 0.0..0.3f64,
        duplication in 0.0..0.3f64,
        jitter in 100u64..150_000,
        lefts in 1usize..4,
        rights in 1usize..4,
        roles in prop::array::uniform2(any::<bool>()),
    ) {
        let side = |net: u8, count: usize| -> Vec<_> {
            (1..=count).map(|n| address(&format!("10.{net}.0.{n}:500{net}"))).collect()
        };
        let role = |on| if on { IceRole::Controlling } else { IceRole::Controlled };
        let mut link =
            Link::with_roles([side(1, lefts), side(2, rights)], roles.map(role), u64::from(seed));
        link.quality = Quality { loss, duplication, delay_us: (100, jitter) };
        link.describe(0);
        link.describe(1);
        prop_assert!(link.run_until(20_000, Link::is_connected));
        // Let late nominations arrive on a quiet network; then both must use the same addresses.
        link.quality = super::link::CLEAN;
        link.run(10_000);
        let paths = [0, 1].map(|side| link.agents[side].selected().unwrap());
        prop_assert_eq!(Some(paths[0].remote.ip()), paths[1].local);
        prop_assert_eq!(Some(paths[1].remote.ip()), paths[0].local);
        prop_assert_ne!(link.agents[0].role(), link.agents[1].role());
    }
}
