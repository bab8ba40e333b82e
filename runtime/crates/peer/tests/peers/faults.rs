use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::Rng;

use crate::world::{ANSWERER, Link, OFFERER, World, address};

#[test]
fn garbage_does_not_disturb_a_running_peer() {
    let (mut world, id) = World::connected(80, Link::CLEAN);
    for i in 0..3_000u32 {
        let length = world.rng.random_range(0..300);
        let mut junk: Vec<u8> = (0..length).map(|_| world.rng.random()).collect();
        if let Some(first) = junk.first_mut() {
            // Each protocol in turn.
            *first = [0, 1, 20, 21, 22, 23, 64, 128, 144, 191][i as usize % 10];
        }
        let side = i as usize % 2;
        let from = if i % 3 == 0 { "203.0.113.9:9".parse().unwrap() } else { address(1 - side) };
        world.inject(side, from, &junk);
    }
    world.send_rtp(OFFERER, 1, b"media");
    for side in [OFFERER, ANSWERER] {
        world.peers[side].send(world.now, id, true, b"data").unwrap();
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.packets(ANSWERER).len(), 1);
    assert_eq!(world.messages(ANSWERER, id).len(), 1);
    assert_eq!(world.messages(OFFERER, id).len(), 1);
    assert!(world.peers[ANSWERER].stats().ignored > 1_000);
}

#[test]
fn garbage_does_not_disturb_setting_up() {
    for seed in 0..10 {
        let mut world = World::new(seed, Link::CLEAN);
        let end = world.now + Duration::from_millis(200);
        while world.now < end {
            world.pass(Duration::from_millis(1));
            for side in 0..2 {
                let mut junk: Vec<u8> =
                    (0..world.rng.random_range(1..100)).map(|_| world.rng.random()).collect();
                if world.rng.random_bool(0.7) {
                    junk[0] = world.rng.random_range(20..24);
                }
                world.inject(side, address(1 - side), &junk);
            }
        }
        assert!(world.peers.iter().all(remotemedia_peer::Peer::is_connected), "seed {seed}");
    }
}

#[test]
fn packets_of_many_forged_sources_leave_nothing_behind() {
    let (mut world, _) = World::connected(82, Link::CLEAN);
    world.send_rtp(OFFERER, 1, b"first");
    world.pass(Duration::from_millis(50));
    for ssrc in 0..2_000u32 {
        let mut forged = vec![0x80, 111, 0, 1, 0, 0, 0, 0];
        forged.extend_from_slice(&ssrc.to_be_bytes());
        forged.extend_from_slice(&[0; 40]);
        world.inject(ANSWERER, address(OFFERER), &forged);
        forged[1] = 200;
        world.inject(ANSWERER, address(OFFERER), &forged);
    }
    world.send_rtp(OFFERER, 2, b"second");
    world.pass(Duration::from_millis(50));
    assert_eq!(world.packets(ANSWERER).len(), 2);
    assert_eq!(world.peers[ANSWERER].stats().rtp_ignored, 4_000);
}

/// All datagrams of a short life of two peers, by receiver.
fn recorded() -> Vec<(usize, Vec<u8>)> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let into = log.clone();
    let mut world = World::new(90, Link::CLEAN);
    world.filter = Box::new(move |_, side, bytes| {
        into.borrow_mut().push((1 - side, bytes.to_vec()));
        true
    });
    world.connect();
    let id = world.open("x", true, remotemedia_peer::Reliability::Reliable);
    world.send_rtp(OFFERER, 1, b"media");
    world.peers[ANSWERER].send(world.now, id, true, b"data").unwrap();
    world.peers[OFFERER].send_reception_report(world.now, &[]);
    world.pass(Duration::from_secs(1));
    drop(world);
    log.borrow().clone()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    /// Damaged copies of everything, before and after the real thing: nothing panics, and the peers
    /// connect and talk all the same.
    #[test]
    fn damaged_copies_never_disturb(
        seed in any::<u64>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let mut world = World::new(seed % 1_000, Link::CLEAN);
        let damaged = Rc::new(RefCell::new(Vec::new()));
        let into = damaged.clone();
        world.filter = Box::new(move |_, side, bytes| {
            let mut copy = bytes.to_vec();
            // Handshake messages in the clear could be damaged into others that end it: that
            // much anybody in the middle can do. All else is authenticated.
            if copy[0] != 22 {
                for (at, value) in &damage {
                    let at = at.index(copy.len());
                    copy[at] = *value;
                }
                if shorten {
                    copy.truncate(cut.index(copy.len()));
                }
                into.borrow_mut().push((1 - side, copy));
            }
            true
        });
        let mut connected = false;
        for _ in 0..300 {
            connected |= world.run(Duration::from_millis(5), |world| {
                world.peers.iter().all(remotemedia_peer::Peer::is_connected)
            });
            let copies: Vec<_> = damaged.borrow_mut().drain(..).collect();
            for (receiver, copy) in copies {
                world.inject(receiver, address(1 - receiver), &copy);
            }
            if connected {
                break;
            }
        }
        prop_assert!(connected, "{:?}", world.events);
        let id = world.open("x", true, remotemedia_peer::Reliability::Reliable);
        world.peers[ANSWERER].send(world.now, id, true, b"data").unwrap();
        world.pass(Duration::from_secs(1));
        prop_assert_eq!(world.messages(OFFERER, id).len(), 1);
    }

    /// Datagrams of another connection, in any order, whole and cut. Only messages of its handshake
    /// may do harm, as they cannot be told from those of this one.
    #[test]
    fn foreign_datagrams_never_panic(
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0usize..1500), 1..40),
    ) {
        let log = recorded();
        let mut world = World::new(91, Link::CLEAN);
        let mut harmless = true;
        for (pick, length) in picks {
            let (receiver, bytes) = &log[pick.index(log.len())];
            let end = bytes.len().min(length.max(1));
            harmless &= !(20..23).contains(&bytes[0]);
            world.inject(*receiver, address(1 - receiver), &bytes[..end]);
            world.pass(Duration::from_millis(3));
        }
        if harmless {
            world.connect();
        } else {
            world.pass(Duration::from_secs(31));
        }
    }
}
