//! Datagrams to a peer that waits for its first: STUN, DTLS, RTP and what is none of them.
//!
//! The input is a row of datagrams, each after its length in one byte.
#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use remotemedia_core::Micros;
use remotemedia_peer::sdp::{MediaWants, Want};
use remotemedia_peer::{Identity, Peer, PeerConfig, Seed};

const OFFER: &str = include_str!("../../crates/peer/tests/data/chromium-audio-data.sdp");

static SHARED: LazyLock<(Arc<Identity>, Instant)> =
    LazyLock::new(|| (Arc::new(Identity::generate().expect("a certificate")), Instant::now()));

fuzz_target!(|bytes: &[u8]| {
    let (identity, anchor) = &*SHARED;
    let ours: SocketAddr = ([192, 0, 2, 1], 4000).into();
    let theirs: SocketAddr = ([192, 0, 2, 2], 5000).into();
    let config = PeerConfig::new(identity.clone(), *anchor, Seed::guessable(1), vec![ours]);
    let mut now = Micros::ZERO;
    let wants = MediaWants::receive(Want::Required);
    let (mut peer, _) = Peer::answer(config, now, OFFER, &wants).expect("a browser's offer");
    let mut rest = bytes;
    while let [length, tail @ ..] = rest {
        let (datagram, next) = tail.split_at(usize::from(*length).min(tail.len()));
        peer.handle_datagram(now, theirs, Some(ours.ip()), datagram);
        while peer.poll_event().is_some() {}
        while peer.poll_transmit().is_some() {}
        now += Duration::from_millis(10);
        if peer.poll_timeout().is_some_and(|at| at <= now) {
            peer.handle_timeout(now);
        }
        rest = next;
    }
});
