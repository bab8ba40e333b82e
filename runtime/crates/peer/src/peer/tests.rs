//! What needs a look inside; the rest is tested from outside in `tests/peers`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotemedia_core::Micros;

use super::{MAX_EVENTS, OfferWants, Peer, PeerConfig, PeerEvent};
use crate::media::write_report;
use crate::sdp::{Direction, MediaWants, Want};
use crate::{Identity, RtpHeader, Seed, SenderReport};

const ADDRESSES: [([u8; 4], u16); 2] = [([192, 0, 2, 1], 5001), ([192, 0, 2, 2], 5002)];

/// Hands over all that is under way, both ways, until nothing is left.
fn settle(peers: &mut [Peer; 2], now: Micros) {
    loop {
        let mut quiet = true;
        for side in 0..2 {
            while let Some(transmit) = peers[side].poll_transmit() {
                quiet = false;
                let from = SocketAddr::from(ADDRESSES[side]);
                peers[1 - side].handle_datagram(now, from, None, &transmit.payload);
            }
        }
        if quiet {
            return;
        }
    }
}

fn connected() -> ([Peer; 2], Micros) {
    let identity = Arc::new(Identity::generate().unwrap());
    let anchor = Instant::now();
    let config = |side: usize| {
        let address = SocketAddr::from(ADDRESSES[side]);
        PeerConfig::new(Arc::clone(&identity), anchor, Seed::guessable(side as u64), vec![address])
    };
    let mut now = Micros(1_000_000);
    let wants = OfferWants { audio: Some(Direction::SendOnly), data: true };
    let (mut offerer, offer) = Peer::offer(config(0), now, wants);
    let (answerer, answer) =
        Peer::answer(config(1), now, &offer, &MediaWants::receive(Want::Required)).unwrap();
    offerer.accept_answer(now, &answer).unwrap();
    let mut peers = [offerer, answerer];
    for _ in 0..100 {
        settle(&mut peers, now);
        now += Duration::from_millis(5);
        peers.iter_mut().for_each(|peer| peer.handle_timeout(now));
    }
    assert!(peers.iter().all(Peer::is_connected));
    for peer in &mut peers {
        while peer.poll_event().is_some() {}
    }
    (peers, now)
}

fn send_media(peers: &mut [Peer; 2], now: Micros, sequence_number: u16) {
    let header = RtpHeader {
        ssrc: peers[0].ssrc(),
        sequence_number,
        payload_type: 111,
        ..Default::default()
    };
    peers[0].send_rtp(now, &header, b"media").unwrap();
}

#[test]
fn sender_reports_and_farewells_are_told_with_their_section() {
    let (mut peers, now) = connected();
    let ssrc = peers[0].ssrc();
    let mut compound = Vec::new();
    let sent =
        SenderReport { ntp: 0x1122_3344_5566_7788, rtp_timestamp: 960, ..Default::default() };
    write_report(&mut compound, ssrc, "a", Some(&sent), &[]);
    compound.extend_from_slice(&[0x81, 203, 0, 1]);
    compound.extend_from_slice(&ssrc.to_be_bytes());
    // And one of a source that nobody knows.
    write_report(&mut compound, 4711, "b", Some(&sent), &[]);
    let sealed = peers[0].srtp.as_mut().unwrap().protect_rtcp(&compound).unwrap();
    peers[0].out.push_back(sealed);
    settle(&mut peers, now);
    let mid: Arc<str> = "0".into();
    let report = PeerEvent::SenderReport {
        mid: mid.clone(),
        ssrc,
        ntp: 0x1122_3344_5566_7788,
        rtp_timestamp: 960,
    };
    assert_eq!(peers[1].poll_event(), Some(report));
    assert_eq!(peers[1].poll_event(), Some(PeerEvent::Bye { mid, ssrc }));
    assert_eq!(peers[1].poll_event(), None);
}

#[test]
fn events_that_nobody_fetches_are_bounded() {
    let (mut peers, now) = connected();
    for i in 0..MAX_EVENTS + 100 {
        send_media(&mut peers, now, i as u16);
        settle(&mut peers, now);
    }
    assert_eq!(peers[1].events.len(), MAX_EVENTS);
    assert_eq!(peers[1].stats().ignored, 100);
    while peers[1].poll_event().is_some() {}
    send_media(&mut peers, now, 5_000);
    settle(&mut peers, now);
    assert!(matches!(peers[1].poll_event(), Some(PeerEvent::Rtp { .. })));
}

#[test]
fn what_is_queued_to_send_is_bounded() {
    let (mut peers, now) = connected();
    for i in 0..2 * super::MAX_OUT {
        send_media(&mut peers, now, i as u16);
    }
    assert_eq!(peers[0].out.len(), super::MAX_OUT);
}
