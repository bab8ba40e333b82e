use std::time::Duration;

use remotemedia_core::Micros;
use remotemedia_peer::{CloseReason, PeerEvent};

use crate::world::{ANSWERER, Link, OFFERER, World, address};

#[test]
fn a_clean_link_connects_within_a_few_round_trips() {
    let mut world = World::new(1, Link::CLEAN);
    let start = world.now;
    world.connect();
    assert!(world.now - start < Duration::from_millis(100), "took {:?}", world.now - start);
    for (side, events) in world.events.iter().enumerate() {
        assert_eq!(events[0], PeerEvent::AddressLearnt(address(1 - side)));
        assert_eq!(events[1], PeerEvent::Connected);
    }
}

#[test]
fn bad_links_connect() {
    for loss in [0.05, 0.10] {
        let mut times: Vec<Duration> = (0..40)
            .map(|seed| {
                let start = Micros(1_000_000);
                let (world, _) = World::connected(seed, Link::bad(loss));
                world.now - start
            })
            .collect();
        times.sort();
        assert!(times[20] < Duration::from_millis(400), "loss {loss}: {times:?}");
        assert!(times[38] < Duration::from_secs(3), "loss {loss}: {times:?}");
    }
}

#[test]
fn a_lost_flight_of_the_handshake_is_repeated_soon() {
    let clean = {
        let mut world = World::new(3, Link::CLEAN);
        world.connect();
        world.now
    };
    for flight in 1..=5 {
        let mut world = World::new(3, Link::CLEAN);
        let mut last = usize::MAX;
        let mut flights = 0;
        let mut lost_at = None;
        // A flight is a run of DTLS datagrams of one side; only its first copy is lost.
        world.filter = Box::new(move |now, side, bytes| {
            if !(20..64).contains(&bytes[0]) {
                return true;
            }
            if side != last {
                last = side;
                flights += 1;
            }
            flights != flight || now != *lost_at.get_or_insert(now)
        });
        world.connect();
        let late = world.now - clean;
        assert!(late <= Duration::from_millis(400), "flight {flight}: {late:?} later");
    }
}

#[test]
fn another_certificate_is_refused_before_anything_passes() {
    let forge = |sdp: String| {
        let at = sdp.find("a=fingerprint:sha-256 ").unwrap() + 22;
        let digit = if &sdp[at..=at] == "0" { "1" } else { "0" };
        let wrong = format!("{digit}{}", &sdp[at + 1..at + 95]);
        sdp.replace(&sdp[at..at + 95], &wrong)
    };
    for deceived in [OFFERER, ANSWERER] {
        let mut world = if deceived == ANSWERER {
            World::with(4, Link::CLEAN, forge, |sdp| sdp)
        } else {
            World::with(4, Link::CLEAN, |sdp| sdp, forge)
        };
        let _ = world.peers[OFFERER].open_channel(
            world.now,
            "x",
            true,
            remotemedia_peer::Reliability::Reliable,
        );
        world.pass(Duration::from_secs(2));
        let events = &world.events[deceived];
        assert_eq!(events.last(), Some(&PeerEvent::Closed(CloseReason::FingerprintMismatch)));
        assert_eq!(events.len(), 2, "only the address was learnt: {events:?}");
        assert!(world.peers[deceived].poll_timeout().is_none());
        let other = &world.events[1 - deceived];
        assert_eq!(other.last(), Some(&PeerEvent::Closed(CloseReason::Remote)));
    }
}

#[test]
fn a_client_that_never_finishes_ice_times_out() {
    let mut world = World::new(5, Link::CLEAN);
    world.filter = Box::new(|_, _, _| false);
    world.pass(Duration::from_secs(31));
    for events in &world.events {
        assert_eq!(events.as_slice(), [PeerEvent::Closed(CloseReason::IceTimeout)]);
    }
    assert!(world.peers.iter().all(|peer| peer.poll_timeout().is_none()));
}

#[test]
fn a_client_that_never_finishes_dtls_times_out() {
    let mut world = World::new(6, Link::CLEAN);
    world.filter = Box::new(|_, _, bytes| bytes[0] < 20);
    world.pass(Duration::from_secs(31));
    for events in &world.events {
        let last = events.last();
        assert!(matches!(last, Some(PeerEvent::Closed(CloseReason::DtlsFailed(_)))), "{last:?}");
    }
}

#[test]
fn another_address_is_followed() {
    let (mut world, id) = World::connected(7, Link::CLEAN);
    let moved = "198.51.100.7:7777".parse().unwrap();
    world.addresses[OFFERER] = moved;
    let arrived = world.run(Duration::from_secs(20), |world| {
        world.find(ANSWERER, |e| (*e == PeerEvent::PathChanged(moved)).then_some(())).is_some()
    });
    assert!(arrived, "{:?}", world.events[ANSWERER]);
    for side in [OFFERER, ANSWERER] {
        world.peers[side].send(world.now, id, true, b"still here").unwrap();
    }
    world.pass(Duration::from_secs(2));
    assert_eq!(world.messages(ANSWERER, id).len(), 1);
    assert_eq!(world.messages(OFFERER, id).len(), 1);
    assert!(world.events[ANSWERER].contains(&PeerEvent::AddressLearnt(moved)));
}

#[test]
fn dtls_that_overtakes_the_first_check_is_held() {
    // The answering side's ClientHello reaches the offering side before the answer does.
    use crate::world::{EVERYTHING, WANTS, config};
    use remotemedia_peer::Peer;
    let now = Micros(0);
    let (mut offerer, offer) = Peer::offer(config(OFFERER, 8), now, EVERYTHING);
    let offer = offer.replace("actpass", "active");
    let (mut answerer, answer) = Peer::answer(config(ANSWERER, 8), now, &offer, &WANTS).unwrap();
    offerer.accept_answer(now, &answer).unwrap();
    // The offering side is the DTLS client: let its checks verify the path on its side alone.
    let mut hello = None;
    for _ in 0..20 {
        while let Some(transmit) = offerer.poll_transmit() {
            if transmit.payload[0] == 22 {
                hello = Some(transmit.payload);
            } else if hello.is_none() {
                answerer.handle_datagram(now, address(OFFERER), None, &transmit.payload);
            }
        }
        while let Some(transmit) = answerer.poll_transmit() {
            offerer.handle_datagram(now, address(ANSWERER), None, &transmit.payload);
        }
    }
    let hello = hello.expect("the client began");
    // A second answering side meets the hello first, then the checks.
    let (mut late, _) = Peer::answer(config(ANSWERER, 8), now, &offer, &WANTS).unwrap();
    late.handle_datagram(now, address(OFFERER), None, &hello);
    assert_eq!(late.stats().ignored, 0);
    let (mut again, _) = Peer::offer(config(OFFERER, 8), now, EVERYTHING);
    again.accept_answer(now, &answer).unwrap();
    let mut answered = false;
    for _ in 0..20 {
        while let Some(transmit) = again.poll_transmit() {
            if transmit.payload[0] < 4 {
                late.handle_datagram(now, address(OFFERER), None, &transmit.payload);
            }
        }
        while let Some(transmit) = late.poll_transmit() {
            answered |= transmit.payload[0] == 22;
            if transmit.payload[0] < 4 {
                again.handle_datagram(now, address(ANSWERER), None, &transmit.payload);
            }
        }
    }
    assert!(answered, "the held ClientHello was not answered");
}
