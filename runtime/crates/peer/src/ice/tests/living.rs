//! A path over time: consent, changed addresses, restarts.

use std::time::Duration;

use super::link::{CLEAN, Link, Quality, address, agent, credentials};
use crate::ice::checklist::MAX_PAIRS;
use crate::ice::stun::{Key, Writer};
use crate::ice::{FailureReason, IceAgent, IceEvent, IceRole, StunOutcome};
use remotemedia_core::Micros;

const LEFT: &str = "192.0.2.1:1000";
const RIGHT: &str = "192.0.2.2:2000";
const LEFT_LATER: &str = "192.0.2.1:1111";
const RIGHT_LATER: &str = "203.0.113.9:2222";

fn connected(seed: u64) -> Link {
    let mut link = Link::pair(seed);
    assert!(link.run_until(100, Link::is_connected));
    link.run(100);
    link
}

#[test]
fn consent_is_asked_for_every_four_to_six_seconds() {
    let mut link = connected(1);
    let before = link.agents[0].stats().checks_sent;
    link.run(600_000);
    let checks = link.agents[0].stats().checks_sent - before;
    assert!((100..=150).contains(&checks), "{checks} in ten minutes");
    assert_eq!(link.agents[0].stats().round_trip, Some(Duration::from_micros(200)));
    assert!(link.agents.iter().all(|agent| agent.stats().path_changes == 0));
}

#[test]
fn a_lossy_link_keeps_its_path() {
    let mut link = connected(2);
    link.quality = Quality { loss: 0.1, duplication: 0.05, delay_us: (20_000, 80_000) };
    link.run(600_000);
    assert!(link.is_connected());
    assert_eq!([link.failure(0), link.failure(1)], [None, None]);
}

#[test]
fn silence_is_told_early_and_ends_the_agent_after_thirty_seconds() {
    let mut link = connected(3);
    let cut_at = link.now;
    link.cut_all();
    link.run(60_000);
    for side in 0..2 {
        let told = link.when(side, IceEvent::Disconnected).unwrap() - cut_at;
        assert!(told <= Duration::from_secs(7), "{told:?}");
        let (at, reason) = link.failure(side).unwrap();
        assert_eq!(reason, FailureReason::ConsentLost);
        let lasted = at - cut_at;
        assert!(lasted > Duration::from_secs(23) && lasted <= Duration::from_secs(30));
        assert_eq!(link.agents[side].poll_timeout(), None);
    }
}

#[test]
fn a_path_that_comes_back_is_told_again() {
    let mut link = connected(4);
    link.cut_all();
    link.run(15_000);
    assert_eq!(link.events[1].last().unwrap().1, IceEvent::Disconnected);
    link.quality = CLEAN;
    link.run(7_000);
    let path = link.agents[1].selected().unwrap();
    assert_eq!(link.events[1].last().unwrap().1, IceEvent::Selected(path));
    assert_eq!(path.remote, address(LEFT));
}

#[test]
fn the_nominating_side_is_followed_to_a_new_address() {
    let mut link = connected(5);
    link.seen_as.insert(address(LEFT), address(LEFT_LATER));
    let moved = |link: &Link| link.selected(1) == Some(address(LEFT_LATER));
    // The next consent check shows it.
    assert!(link.run_until(6_200, moved), "{:?}", link.events);
    assert!(link.agents[1].is_verified(address(LEFT_LATER)));
    link.run(60_000);
    assert!(link.is_connected());
    assert_eq!(link.agents[1].stats().path_changes, 1);
}

#[test]
fn the_other_side_is_followed_to_a_new_address() {
    for seed in 0..10 {
        let mut link = connected(seed);
        link.seen_as.insert(address(RIGHT), address(RIGHT_LATER));
        let moved = |link: &Link| link.selected(0) == Some(address(RIGHT_LATER));
        assert!(link.run_until(8_000, moved), "{:?}", link.events);
        link.run(60_000);
        assert!(link.is_connected());
    }
}

#[test]
fn another_pair_takes_over_when_the_path_dies() {
    for seed in 0..10 {
        let right = ["10.0.0.2:2", "10.0.0.3:2"];
        let mut link = Link::new(&["10.0.0.1:1"], &right, seed);
        link.describe(0);
        link.describe(1);
        assert!(link.run_until(100, Link::is_connected));
        link.run(500);
        assert_eq!(link.selected(0), Some(address(right[0])));
        link.cut("10.0.0.1:1", right[0]);
        let local = address(right[1]).ip();
        let moved = |link: &Link| {
            link.selected(0) == Some(address(right[1]))
                && link.agents[1].selected().is_some_and(|path| path.local == Some(local))
        };
        assert!(link.run_until(9_000, moved), "seed {seed}: {:?}", link.events);
        link.run(40_000);
        assert!(link.is_connected());
    }
}

/// Drives one agent by hand, as a peer of another make would.
struct Peer {
    agent: IceAgent,
    now: Micros,
    id: u8,
}

impl Peer {
    fn new() -> Self {
        let mut agent = agent("right", IceRole::Controlled, &[address(RIGHT)], 1);
        agent.set_remote(Micros::ZERO, credentials("left"));
        Peer { agent, now: Micros::ZERO, id: 0 }
    }

    fn request(&mut self, from: &str, priority: u32, nominate: bool) {
        self.id += 1;
        let bytes = Writer::request(&[self.id; 12])
            .username("ufragright", "ufragleft")
            .priority(priority)
            .role(true, 7)
            .use_candidate(nominate)
            .signed(&mut Key::new(&credentials("right").pwd));
        let outcome = self.agent.handle_stun(self.now, address(from), None, &bytes);
        assert_eq!(outcome, StunOutcome::Verified);
    }

    /// Answers the checks that are sent to one of `alive`.
    fn answer(&mut self, alive: &[&str]) {
        while let Some(transmit) = self.agent.poll_transmit() {
            if alive.iter().any(|a| address(a) == transmit.to) && transmit.payload[0] == 0 {
                let id = transmit.payload[8..20].try_into().unwrap();
                let answer = Writer::success(&id)
                    .mapped(address(RIGHT))
                    .signed(&mut Key::new(&credentials("left").pwd));
                self.agent.handle_stun(self.now, transmit.to, None, &answer);
            }
        }
    }

    fn wait(&mut self, millis: u64, alive: &[&str]) {
        let end = Micros(self.now.0 + millis * 1000);
        self.answer(alive);
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.agent.handle_timeout(at);
            self.answer(alive);
        }
        self.now = end;
    }

    fn remote(&self) -> Option<std::net::SocketAddr> {
        self.agent.selected().map(|path| path.remote)
    }
}

#[test]
fn nothing_is_sent_to_an_address_before_it_has_answered() {
    let mut peer = Peer::new();
    peer.request(LEFT, 100, true);
    assert!(peer.agent.is_verified(address(LEFT)));
    peer.wait(1_000, &[]);
    assert_eq!(peer.remote(), None);
    peer.request(LEFT, 100, true);
    peer.wait(1_000, &[LEFT]);
    assert_eq!(peer.remote(), Some(address(LEFT)));
}

#[test]
fn without_a_nomination_nothing_is_selected() {
    let mut peer = Peer::new();
    peer.request(LEFT, 100, false);
    assert_eq!(peer.agent.usable(), None);
    peer.wait(1_000, &[LEFT]);
    assert_eq!(peer.remote(), None);
    assert_eq!(peer.agent.usable().map(|path| path.remote), Some(address(LEFT)));
}

#[test]
fn a_later_nomination_is_followed_even_to_a_lower_priority() {
    let mut peer = Peer::new();
    peer.request(LEFT, 200, true);
    peer.wait(1_000, &[LEFT]);
    peer.request(LEFT_LATER, 100, true);
    peer.wait(10, &[LEFT, LEFT_LATER]);
    assert_eq!(peer.remote(), Some(address(LEFT_LATER)));
}

#[test]
fn of_an_aggressive_nomination_the_best_is_taken() {
    for order in [[LEFT, LEFT_LATER], [LEFT_LATER, LEFT]] {
        let mut peer = Peer::new();
        for from in order {
            peer.request(from, if from == LEFT { 200 } else { 100 }, true);
            peer.wait(20, &[LEFT, LEFT_LATER]);
        }
        peer.wait(1_000, &[LEFT, LEFT_LATER]);
        assert_eq!(peer.remote(), Some(address(LEFT)), "{order:?}");
    }
}

#[test]
fn a_silent_path_is_left_for_a_verified_one_without_a_nomination() {
    let mut peer = Peer::new();
    peer.request(LEFT, 200, true);
    peer.wait(3_000, &[LEFT]);
    peer.request(LEFT_LATER, 100, false);
    peer.wait(500, &[LEFT_LATER]);
    assert_eq!(peer.remote(), Some(address(LEFT)));
    peer.wait(700, &[LEFT_LATER]);
    assert_eq!(peer.remote(), Some(address(LEFT_LATER)));
}

#[test]
fn a_silent_path_is_not_left_for_one_that_is_silent_too() {
    let mut peer = Peer::new();
    peer.request(LEFT, 200, true);
    peer.request(LEFT_LATER, 100, false);
    peer.wait(3_000, &[LEFT, LEFT_LATER]);
    for _ in 0..10 {
        peer.request(LEFT_LATER, 100, false);
        peer.wait(500, &[]);
    }
    assert_eq!(peer.remote(), Some(address(LEFT)));
    peer.request(LEFT_LATER, 100, false);
    peer.wait(2_100, &[LEFT_LATER]);
    assert_eq!(peer.remote(), Some(address(LEFT_LATER)));
}

#[test]
fn a_living_path_is_not_left_without_a_nomination() {
    let mut peer = Peer::new();
    peer.request(LEFT, 100, true);
    peer.wait(3_000, &[LEFT]);
    for _ in 0..20 {
        peer.request(LEFT_LATER, 200, false);
        peer.wait(500, &[LEFT, LEFT_LATER]);
    }
    assert_eq!(peer.remote(), Some(address(LEFT)));
}

#[test]
fn an_address_that_is_silent_for_long_is_verified_no_more() {
    let mut peer = Peer::new();
    peer.request(LEFT, 100, true);
    peer.request(LEFT_LATER, 100, false);
    peer.wait(20_000, &[LEFT, LEFT_LATER]);
    assert!(peer.agent.is_verified(address(LEFT_LATER)));
    peer.wait(20_000, &[LEFT, LEFT_LATER]);
    assert!(!peer.agent.is_verified(address(LEFT_LATER)));
    assert!(peer.agent.is_verified(address(LEFT)));
}

#[test]
fn a_peer_on_ever_new_addresses_is_followed_and_bounded() {
    let mut peer = Peer::new();
    for port in 1..=(2 * MAX_PAIRS) {
        let from = format!("192.0.2.1:{port}");
        peer.request(&from, 100, true);
        peer.wait(600, &[&from]);
        assert_eq!(peer.remote(), Some(address(&from)));
    }
    assert!(peer.agent.verified().count() <= MAX_PAIRS);
}

fn restart(link: &mut Link) {
    for (side, other, theirs) in
        [(0, "left-again", "right-again"), (1, "right-again", "left-again")]
    {
        link.agents[side].restart(link.now, credentials(other), Some(credentials(theirs)));
    }
}

#[test]
fn a_restart_keeps_the_path_until_the_new_one_is_selected() {
    let mut link = connected(9);
    link.agents[1].restart(link.now, credentials("right-again"), Some(credentials("left-again")));
    assert_eq!(link.selected(1), Some(address(LEFT)));
    let ufrags: Vec<&str> = link.agents[1].local_ufrags().collect();
    assert_eq!(ufrags, ["ufragright-again", "ufragright"]);
    // The other side takes its time; the old path goes on with consent.
    link.run(50_000);
    assert_eq!(link.selected(1), Some(address(LEFT)));
    assert_eq!(link.failure(1), None);

    link.agents[0].restart(link.now, credentials("left-again"), Some(credentials("right-again")));
    let line = "candidate:1 1 udp 2130706431 192.0.2.2 2000 typ host";
    link.agents[0].add_remote_candidate(link.now, line).unwrap();
    link.run(1_000);
    for side in 0..2 {
        assert_eq!(link.agents[side].local_ufrags().count(), 1);
        assert!(link.agents[side].selected().is_some());
    }
    link.run(60_000);
    assert!(link.is_connected());
}

#[test]
fn a_restart_revives_a_failed_agent() {
    let mut link = connected(10);
    link.cut_all();
    link.run(40_000);
    assert!(link.failure(0).is_some() && link.failure(1).is_some());
    link.quality = CLEAN;
    restart(&mut link);
    link.describe(0);
    assert!(link.run_until(100, Link::is_connected));
}

#[test]
fn a_restart_without_an_answer_ends_with_the_old_path() {
    let mut link = connected(11);
    restart(&mut link);
    link.cut_all();
    let at = link.now;
    link.run(120_000);
    let (failed, reason) = link.failure(0).unwrap();
    assert_eq!(reason, FailureReason::NoPath);
    assert!(failed - at <= Duration::from_secs(37), "{failed}");
}
