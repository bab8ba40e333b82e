use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const LATENCY: u64 = 5_000;

/// What the link does with a datagram: when it arrives, or not at all; twice if there are two.
type Link<'a> = dyn FnMut(usize, bool) -> Vec<u64> + 'a;

struct Side {
    dtls: Dtls,
    events: Vec<DtlsEvent>,
    outbox: Vec<Bytes>,
}

impl Side {
    fn new(identity: &Identity, is_client: bool, anchor: Instant) -> Self {
        Side {
            dtls: Dtls::new(identity, is_client, anchor),
            events: Vec::new(),
            outbox: Vec::new(),
        }
    }
}

/// Runs a handshake in virtual time until both sides are done or `limit` has passed.
fn handshake(link: &mut Link<'_>, limit: u64) -> (Side, Side, u64) {
    let anchor = Instant::now();
    let identities = [Identity::generate().unwrap(), Identity::generate().unwrap()];
    let mut sides =
        [Side::new(&identities[0], true, anchor), Side::new(&identities[1], false, anchor)];
    let mut flying: BTreeMap<(u64, usize), (usize, Bytes)> = BTreeMap::new();
    let mut now = Micros::ZERO;
    let mut sent = 0;
    let [client, _] = &mut sides;
    client.dtls.start(&identities[0], now, &mut client.outbox);
    loop {
        for (i, side) in sides.iter_mut().enumerate() {
            for datagram in side.outbox.drain(..) {
                for delay in link(sent, i == 0) {
                    flying.insert(
                        (now.0 + delay, sent * 2 + flying.len()),
                        (1 - i, datagram.clone()),
                    );
                }
                sent += 1;
            }
        }
        let done = sides.iter().all(|s| s.dtls.is_established());
        let arrival = flying.keys().next().map(|key| key.0);
        let timer = sides.iter().filter_map(|s| s.dtls.poll_timeout()).min().map(|at| at.0);
        let Some(next) = arrival.into_iter().chain(timer).min() else { break };
        if done || next > limit {
            break;
        }
        now = Micros(next.max(now.0));
        if arrival == Some(next) {
            let (_, (to, datagram)) = flying.pop_first().unwrap();
            let side = &mut sides[to];
            if let Some(events) = side.dtls.handle(now, &datagram, &mut side.outbox) {
                side.events.extend(events);
            }
        } else {
            for side in &mut sides {
                side.dtls.handle_timeout(now, &mut side.outbox);
            }
        }
    }
    let [client, server] = sides;
    (client, server, now.0)
}

fn assert_established(client: &Side, server: &Side, context: &str) {
    assert!(client.dtls.is_established(), "the client is not established: {context}");
    assert!(server.dtls.is_established(), "the server is not established: {context}");
    for side in [client, server] {
        assert_eq!(side.events.first(), Some(&DtlsEvent::Established), "{context}");
    }
}

#[test]
fn both_sides_export_the_same_keys() {
    let (client, server, _) = handshake(&mut |_, _| vec![LATENCY], 10_000_000);
    assert_established(&client, &server, "no loss");
    let (ours, theirs) = (client.dtls.srtp_keys().unwrap(), server.dtls.srtp_keys().unwrap());
    assert_eq!(ours.local, theirs.remote);
    assert_eq!(ours.remote, theirs.local);
    assert!(matches!(ours.profile, ProtectionProfile::AeadAes128Gcm));
    assert!(client.dtls.peer_certificate().is_some() && server.dtls.peer_certificate().is_some());
}

#[test]
fn any_single_loss_costs_one_short_interval() {
    let (_, _, lossless) = handshake(&mut |_, _| vec![LATENCY], 10_000_000);
    for lost in 0..12 {
        let mut link = |n: usize, _: bool| if n == lost { vec![] } else { vec![LATENCY] };
        let (client, server, took) = handshake(&mut link, 10_000_000);
        assert_established(&client, &server, &format!("datagram {lost} lost"));
        assert!(took <= lossless + 200_000, "datagram {lost} lost: took {took} us");
    }
}

#[test]
fn a_long_blackout_is_survived() {
    for lost_until in [4, 12, 20] {
        let mut link =
            |n: usize, _: bool| if n > 2 && n < lost_until { vec![] } else { vec![LATENCY] };
        let (client, server, _) = handshake(&mut link, 30_000_000);
        assert_established(&client, &server, &format!("lost until {lost_until}"));
    }
}

#[test]
fn heavy_loss_reordering_and_duplication_are_survived() {
    for seed in 0..40 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut link = |_: usize, _: bool| {
            let mut arrivals = Vec::new();
            if rng.random_bool(0.75) {
                arrivals.push(rng.random_range(1_000..60_000));
            }
            if rng.random_bool(0.1) {
                arrivals.push(rng.random_range(1_000..200_000));
            }
            arrivals
        };
        let (client, server, took) = handshake(&mut link, 30_000_000);
        assert_established(&client, &server, &format!("seed {seed}, took {took} us"));
    }
}

#[test]
fn data_that_overtakes_the_end_of_the_handshake_is_kept() {
    let anchor = Instant::now();
    let identities = [Identity::generate().unwrap(), Identity::generate().unwrap()];
    let mut client = Side::new(&identities[0], true, anchor);
    let mut server = Side::new(&identities[1], false, anchor);
    let now = Micros::ZERO;
    client.dtls.start(&identities[0], now, &mut client.outbox);
    while !server.dtls.is_established() {
        for datagram in std::mem::take(&mut client.outbox) {
            server.dtls.handle(now, &datagram, &mut server.outbox);
        }
        if server.dtls.is_established() {
            break;
        }
        for datagram in std::mem::take(&mut server.outbox) {
            client.dtls.handle(now, &datagram, &mut client.outbox);
        }
    }
    server.dtls.write(now, b"early", &mut server.outbox);
    let mut events = Vec::new();
    for datagram in std::mem::take(&mut server.outbox).iter().rev() {
        events.extend(client.dtls.handle(now, datagram, &mut client.outbox).unwrap());
    }
    assert_eq!(events, [DtlsEvent::Established, DtlsEvent::Data(Bytes::from_static(b"early"))]);
}

#[test]
fn data_and_goodbye_pass() {
    let (mut client, mut server, at) = handshake(&mut |_, _| vec![LATENCY], 10_000_000);
    let now = Micros(at);
    client.dtls.write(now, b"hello", &mut client.outbox);
    client.dtls.close(now, &mut client.outbox);
    let mut events = Vec::new();
    for datagram in client.outbox.drain(..) {
        events.extend(server.dtls.handle(now, &datagram, &mut server.outbox).unwrap());
    }
    assert_eq!(events, [DtlsEvent::Data(Bytes::from_static(b"hello")), DtlsEvent::PeerClosed]);
}

#[test]
fn forged_datagrams_do_not_disturb_a_connection() {
    let (mut client, mut server, at) = handshake(&mut |_, _| vec![LATENCY], 10_000_000);
    let now = Micros(at);
    let mut rng = SmallRng::seed_from_u64(7);
    for i in 0..2_000u32 {
        let mut junk: Vec<u8> = (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
        if i % 2 == 0 && junk.len() > 13 {
            let length = (junk.len() - 13) as u16;
            junk[0] = rng.random_range(20..24);
            junk[1..5].copy_from_slice(&[0xfe, 0xfd, 0, rng.random_range(0..3)]);
            junk[11..13].copy_from_slice(&length.to_be_bytes());
        }
        let events = server.dtls.handle(now, &junk, &mut server.outbox).unwrap_or_default();
        assert_eq!(events, []);
    }
    client.dtls.write(now, b"still here", &mut client.outbox);
    let datagram = client.outbox.pop().unwrap();
    let events = server.dtls.handle(now, &datagram, &mut server.outbox).unwrap();
    assert_eq!(events, [DtlsEvent::Data(Bytes::from_static(b"still here"))]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    /// Real handshakes in which one datagram is damaged before it arrives: no panic, and the
    /// undamaged copy behind it finds a working connection unless the damage was taken for truth.
    #[test]
    fn damaged_handshake_datagrams_never_panic(
        target in 0usize..10,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let anchor = Instant::now();
        let identities = [Identity::generate().unwrap(), Identity::generate().unwrap()];
        let mut sides =
            [Side::new(&identities[0], true, anchor), Side::new(&identities[1], false, anchor)];
        let mut now = Micros::ZERO;
        let mut count = 0;
        let [client, _] = &mut sides;
        client.dtls.start(&identities[0], now, &mut client.outbox);
        for _ in 0..30 {
            now += Duration::from_millis(20);
            for i in 0..2 {
                let sent: Vec<Bytes> = sides[i].outbox.drain(..).collect();
                let to = &mut sides[1 - i];
                for datagram in sent {
                    if count == target {
                        let mut bytes = datagram.to_vec();
                        for (at, value) in &damage {
                            let at = at.index(bytes.len());
                            bytes[at] = *value;
                        }
                        if shorten {
                            bytes.truncate(cut.index(bytes.len()));
                        }
                        to.dtls.handle(now, &bytes, &mut to.outbox);
                    }
                    to.dtls.handle(now, &datagram, &mut to.outbox);
                    count += 1;
                }
            }
            for side in &mut sides {
                side.dtls.handle_timeout(now, &mut side.outbox);
            }
        }
    }
}
