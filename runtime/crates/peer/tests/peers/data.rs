use std::time::Duration;

use bytes::Bytes;
use remotemedia_core::Micros;
use remotemedia_peer::{PeerEvent, Reliability, SendError};

use crate::world::{ANSWERER, Link, OFFERER, World};

#[test]
fn several_channels_of_different_kinds_work_side_by_side() {
    for (seed, link) in [(40, Link::CLEAN), (41, Link::bad(0.05))] {
        let (mut world, reliable) = World::connected(seed, link);
        let live = world.open("live", false, Reliability::MaxLifetime(250));
        let once = world.open("once", true, Reliability::MaxRetransmits(0));
        for i in 0..100u32 {
            for id in [reliable, live, once] {
                let text = i.to_string();
                world.peers[ANSWERER].send(world.now, id, true, text.as_bytes()).unwrap();
            }
            world.pass(Duration::from_millis(20));
        }
        world.pass(Duration::from_secs(10));
        let expected: Vec<Bytes> = (0..100u32).map(|i| i.to_string().into()).collect();
        assert_eq!(world.messages(OFFERER, reliable), expected);
        let ordered = world.messages(OFFERER, once);
        let mut sorted = ordered.clone();
        sorted.sort_by_key(|text| std::str::from_utf8(text).unwrap().parse::<u32>().unwrap());
        assert_eq!(ordered, sorted);
        for id in [live, once] {
            assert!(world.messages(OFFERER, id).len() > 80);
            assert_eq!(world.peers[ANSWERER].buffered(id), 0);
        }
    }
}

#[test]
fn a_channel_is_told_with_its_label_and_kind() {
    let (mut world, _) = World::connected(42, Link::CLEAN);
    let id = world.open("live", false, Reliability::MaxLifetime(250));
    let expected = PeerEvent::ChannelOpen {
        id,
        label: "live".into(),
        protocol: String::new(),
        ordered: false,
        reliability: Reliability::MaxLifetime(250),
    };
    assert_eq!(world.events[ANSWERER].last(), Some(&expected));
}

#[test]
fn both_sides_open_channels_without_clashing() {
    let (mut world, ours) = World::connected(43, Link::CLEAN);
    let theirs = world.peers[ANSWERER]
        .open_channel(world.now, "theirs", true, Reliability::Reliable)
        .unwrap();
    assert_ne!(ours.0 % 2, theirs.0 % 2);
    world.pass(Duration::from_millis(100));
    world.peers[ANSWERER].send(world.now, theirs, true, b"x").unwrap();
    world.pass(Duration::from_millis(100));
    assert_eq!(world.messages(OFFERER, theirs).len(), 1);
}

#[test]
fn a_message_of_64_kib_passes_both_ways() {
    for (seed, link) in [(44, Link::CLEAN), (45, Link::bad(0.05))] {
        let (mut world, id) = World::connected(seed, link);
        let payload: Vec<u8> = (0..65_536u32).map(|i| (i * 31) as u8).collect();
        for side in [OFFERER, ANSWERER] {
            world.peers[side].send(world.now, id, false, &payload).unwrap();
        }
        let arrived = world.run(Duration::from_secs(20), |world| {
            [OFFERER, ANSWERER].iter().all(|side| world.messages(*side, id).len() == 1)
        });
        assert!(arrived, "{link:?}");
        assert_eq!(world.messages(OFFERER, id)[0], payload);
        assert_eq!(world.messages(ANSWERER, id)[0], payload);
    }
}

#[test]
fn results_over_a_bad_link_are_seldom_late() {
    let mut delays = Vec::new();
    for seed in 50..54 {
        let (mut world, id) = World::connected(seed, Link::bad(0.05));
        for _ in 0..400 {
            let sent_at = world.now;
            let text = format!("{:0240}", sent_at.0);
            world.peers[ANSWERER].send(world.now, id, true, text.as_bytes()).unwrap();
            let next = world.now + Duration::from_millis(20);
            let mut known = world.messages(OFFERER, id).len();
            while world.now < next {
                world.run(next - world.now, |world| world.messages(OFFERER, id).len() > known);
                let messages = world.messages(OFFERER, id);
                for message in &messages[known..] {
                    let sent: u64 = std::str::from_utf8(message).unwrap().parse().unwrap();
                    delays.push(world.now.0 - sent);
                }
                known = messages.len();
            }
        }
    }
    delays.sort_unstable();
    let at = |share: f64| Duration::from_micros(delays[(delays.len() as f64 * share) as usize]);
    let (p50, p95, p99) = (at(0.5), at(0.95), at(0.99));
    assert!(p50 < Duration::from_millis(20), "p50 {p50:?}");
    assert!(p95 < Duration::from_millis(250), "p95 {p95:?}");
    assert!(p99 < Duration::from_millis(600), "p99 {p99:?}");
}

#[test]
fn who_was_away_is_served_within_a_second_of_coming_back() {
    // Only what belongs to ICE (first byte 0 to 3) passes while the link is silent: the peers stay.
    let silent = |from: Micros, span| {
        move |now: Micros, _: usize, datagram: &[u8]| {
            now < from || now > from + span || datagram[0] <= 3
        }
    };
    for (seed, away) in [(60, 2), (61, 8), (62, 20)] {
        let (mut world, id) = World::connected(seed, Link::CLEAN);
        let away = Duration::from_secs(away);
        let back = world.now + away;
        world.filter = Box::new(silent(world.now, away));
        let mut sent = 0;
        while world.now < back {
            world.peers[ANSWERER].send(world.now, id, true, b"an event").unwrap();
            sent += 1;
            world.pass(Duration::from_millis(200));
        }
        assert_eq!(world.messages(OFFERER, id).len(), 0);
        let arrived =
            world.run(Duration::from_secs(60), |world| world.messages(OFFERER, id).len() == sent);
        let took = world.now.since(back);
        assert!(arrived && took < Duration::from_millis(1_500), "{away:?} away took {took:?}");
    }
}

#[test]
fn who_is_away_is_tried_once_a_second_at_most() {
    let (mut world, id) = World::connected(63, Link::CLEAN);
    world.filter = Box::new(|_, _, datagram| datagram[0] <= 3);
    world.peers[ANSWERER].send(world.now, id, true, b"an event").unwrap();
    world.pass(Duration::from_secs(15));
    // Consent checks are not among them.
    let sent = world.peers[ANSWERER].stats().datagrams_sent;
    world.pass(Duration::from_secs(10));
    let tries = world.peers[ANSWERER].stats().datagrams_sent - sent;
    assert!((9..=11).contains(&tries), "{tries} in 10 s");
}

#[test]
fn a_queue_that_is_full_says_so() {
    let (mut world, id) = World::connected(46, Link::CLEAN);
    let message = vec![7; 60 * 1024];
    let taken = (0..100)
        .take_while(|_| world.peers[OFFERER].send(world.now, id, false, &message).is_ok())
        .count();
    assert_eq!(world.peers[OFFERER].send(world.now, id, false, &message), Err(SendError::Full));
    assert_eq!(world.peers[OFFERER].buffered(id) / message.len(), taken);
    assert!(world.run(Duration::from_secs(20), |w| w.messages(ANSWERER, id).len() == taken));
}

#[test]
fn a_closed_channel_is_told_to_both() {
    let (mut world, id) = World::connected(47, Link::CLEAN);
    world.peers[ANSWERER].close_channel(world.now, id);
    world.pass(Duration::from_secs(1));
    for events in &world.events {
        assert_eq!(events.last(), Some(&PeerEvent::ChannelClosed { id }));
    }
}
