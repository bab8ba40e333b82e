use std::time::Duration;

use bytes::Bytes;
use remotemedia_core::{ChannelCount, ReceptionReport};
use remotemedia_peer::sdp::MediaWants;
use remotemedia_peer::{PeerEvent, RtpHeader, SendError, SenderReport};

use crate::world::{ANSWERER, Link, OFFERER, WANTS, World, address};

/// A pair of which the answering side sends too.
fn sending(seed: u64) -> (World, String) {
    let mut answer = String::new();
    let wants = MediaWants { send: Some(ChannelCount::MONO), ..WANTS };
    let mut world = World::wanting(seed, Link::CLEAN, &wants, |sdp| {
        answer.clone_from(&sdp);
        sdp
    });
    world.connect();
    (world, answer)
}

#[test]
fn packets_pass_both_ways() {
    let (mut world, answer) = sending(20);
    let ssrc = world.peers[ANSWERER].ssrc();
    assert!(answer.contains("a=sendrecv") && answer.contains(&format!("a=ssrc:{ssrc} cname:")));
    assert!(world.peers[ANSWERER].sending().is_some());
    world.pass(Duration::from_millis(50));
    for side in [OFFERER, ANSWERER] {
        world.send_rtp(side, 65_535, b"one");
        world.send_rtp(side, 0, b"two");
    }
    world.pass(Duration::from_millis(50));
    for side in [OFFERER, ANSWERER] {
        let packets = world.packets(1 - side);
        let header = RtpHeader {
            ssrc: world.peers[side].ssrc(),
            sequence_number: 65_535,
            timestamp: 65_535 * 960,
            payload_type: 111,
            marker: false,
        };
        assert_eq!(packets[0], (header, Bytes::from_static(b"one")));
        assert_eq!((packets[1].0.sequence_number, &packets[1].1[..]), (0, &b"two"[..]));
    }
}

#[test]
fn a_long_stream_over_a_bad_link_loses_only_what_the_link_lost() {
    let (mut world, _) = World::connected(21, Link::bad(0.05));
    for sequence_number in 0..500 {
        world.send_rtp(OFFERER, sequence_number, &[sequence_number as u8; 80]);
        world.pass(Duration::from_millis(20));
    }
    world.pass(Duration::from_millis(100));
    let mut arrived: Vec<u16> =
        world.packets(ANSWERER).iter().map(|(header, _)| header.sequence_number).collect();
    assert!((440..500).contains(&arrived.len()), "{} arrived", arrived.len());
    arrived.sort_unstable();
    let before = arrived.len();
    arrived.dedup();
    assert_eq!(arrived.len(), before, "a packet came twice");
}

#[test]
fn another_source_on_the_same_section_is_normal() {
    let (mut world, _) = World::connected(22, Link::CLEAN);
    for ssrc in [1, 2, 3] {
        let header = RtpHeader { ssrc, payload_type: 111, ..Default::default() };
        world.peers[OFFERER].send_rtp(world.now, &header, b"x").unwrap();
    }
    world.pass(Duration::from_millis(50));
    let sources: Vec<u32> = world.packets(ANSWERER).iter().map(|(h, _)| h.ssrc).collect();
    assert_eq!(sources, [1, 2, 3]);
}

#[test]
fn another_payload_type_is_not_handed_on() {
    let (mut world, _) = World::connected(23, Link::CLEAN);
    let header = RtpHeader { ssrc: 9, payload_type: 13, ..Default::default() };
    world.peers[OFFERER].send_rtp(world.now, &header, b"x").unwrap();
    world.pass(Duration::from_millis(50));
    assert!(world.packets(ANSWERER).is_empty());
    assert_eq!(world.peers[ANSWERER].stats().rtp_ignored, 1);
}

#[test]
fn a_repeated_or_forged_packet_is_refused() {
    let (mut world, _) = World::connected(24, Link::CLEAN);
    let caught = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let into = caught.clone();
    world.filter = Box::new(move |_, _, bytes| {
        if bytes[0] >= 128 {
            into.borrow_mut().push(bytes.to_vec());
        }
        true
    });
    world.send_rtp(OFFERER, 7, b"genuine");
    world.pass(Duration::from_millis(50));
    let packet = caught.borrow()[0].clone();
    let mut forged = packet.clone();
    forged[3] ^= 1;
    world.inject(ANSWERER, address(OFFERER), &packet);
    world.inject(ANSWERER, address(OFFERER), &forged);
    // From an address that nobody verified it is not even looked at.
    world.inject(ANSWERER, "203.0.113.9:9".parse().unwrap(), &packet);
    world.pass(Duration::from_millis(50));
    assert_eq!(world.packets(ANSWERER).len(), 1);
    assert_eq!(world.peers[ANSWERER].stats().rtp_ignored, 2);
}

#[test]
fn nothing_is_sent_before_the_connection_is_up() {
    let mut world = World::new(25, Link::CLEAN);
    let refused = world.peers[OFFERER].send_rtp(world.now, &RtpHeader::default(), b"x");
    assert_eq!(refused, Err(SendError::Closed));
}

#[test]
fn what_is_said_about_our_source_is_told_and_nothing_else() {
    let (mut world, _) = sending(29);
    let now = world.now;
    let ssrc = world.peers[ANSWERER].ssrc();
    let report =
        ReceptionReport { ssrc, fraction_lost: 9, cumulative_lost: -1, ..Default::default() };
    let other = ReceptionReport { ssrc: ssrc ^ 1, ..report };
    world.peers[OFFERER].send_reception_report(now, &[other, report, other]);
    let sent = SenderReport { ntp: 1 << 40, rtp_timestamp: 5, packets: 2, octets: 3 };
    world.peers[OFFERER].send_sender_report(now, &sent, &[other, report]);
    world.pass(Duration::from_millis(50));
    let told: Vec<_> = world.events[ANSWERER]
        .iter()
        .filter_map(|event| match event {
            PeerEvent::ReceptionReport(report) => Some(*report),
            _ => None,
        })
        .collect();
    assert_eq!(told, [report, report]);
    let found = world.find(ANSWERER, |event| match event {
        PeerEvent::SenderReport { ntp, rtp_timestamp, .. } => Some((*ntp, *rtp_timestamp)),
        _ => None,
    });
    assert_eq!(found, Some((1 << 40, 5)));
}

#[test]
fn a_receiver_report_is_understood() {
    // More reports than a packet can carry.
    let (mut world, _) = World::connected(26, Link::CLEAN);
    world.send_rtp(OFFERER, 1, b"x");
    world.pass(Duration::from_millis(50));
    let report = ReceptionReport { ssrc: world.peers[OFFERER].ssrc(), ..Default::default() };
    let before = world.peers[OFFERER].stats();
    world.peers[ANSWERER].send_reception_report(world.now, &[report; 40]);
    world.pass(Duration::from_millis(50));
    let after = world.peers[OFFERER].stats();
    assert_eq!(after.rtp_ignored, before.rtp_ignored);
    assert!(after.datagrams_received > before.datagrams_received);
    assert!(!world.events[OFFERER].iter().any(|e| matches!(e, PeerEvent::Bye { .. })));
}
