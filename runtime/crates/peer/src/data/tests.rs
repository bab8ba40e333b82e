//! Two sides over a link in virtual time, without DTLS between them.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::SendError;
use bytes::Bytes;
use remotemedia_core::Micros;
use std::time::{Duration, Instant};

struct World {
    now: Micros,
    sides: [Channels; 2],
    flying: BTreeMap<(u64, u64), (usize, Bytes)>,
    sent: u64,
    rng: SmallRng,
    loss: f64,
    events: [Vec<ChannelEvent>; 2],
}

impl World {
    fn new(seed: u64, loss: f64, begin: [u64; 2]) -> World {
        let config = |dtls_client| ChannelsConfig {
            anchor: Instant::now(),
            mtu: 1191,
            receive_message: 256 * 1024,
            send_message: 256 * 1024,
            max_buffered: 1024 * 1024,
            dtls_client,
        };
        World {
            now: Micros::ZERO,
            sides: [
                Channels::new(config(true), Micros(begin[0])),
                Channels::new(config(false), Micros(begin[1])),
            ],
            flying: BTreeMap::new(),
            sent: 0,
            rng: SmallRng::seed_from_u64(seed),
            loss,
            events: [Vec::new(), Vec::new()],
        }
    }

    fn flush(&mut self) {
        for i in 0..2 {
            while let Some(packet) = self.sides[i].poll_packet(self.now) {
                self.sent += 1;
                let copies = if self.loss > 0.0 && self.rng.random_bool(0.02) { 2 } else { 1 };
                for _ in 0..copies {
                    if self.rng.random_bool(self.loss) {
                        continue;
                    }
                    let jitter = if self.loss > 0.0 { self.rng.random_range(0..6_000) } else { 0 };
                    let at = self.now.0 + 10_000 + jitter;
                    let key = (at, self.flying.len() as u64 + self.sent * 4096);
                    self.flying.insert(key, (1 - i, packet.clone()));
                }
            }
            while let Some(event) = self.sides[i].poll_event() {
                self.events[i].push(event);
            }
        }
    }

    /// Runs until `until` holds or the time is over; tells whether it holds.
    fn run(&mut self, span: Duration, mut until: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + span;
        loop {
            self.flush();
            if until(self) {
                return true;
            }
            let arrival = self.flying.keys().next().map(|key| Micros(key.0));
            let timer = self.sides.iter().filter_map(Channels::poll_timeout).min();
            let next = arrival.into_iter().chain(timer).min();
            match next {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return false;
                }
            }
            if arrival.is_some_and(|at| at <= self.now) {
                let (_, (to, packet)) = self.flying.pop_first().unwrap();
                self.sides[to].handle(self.now, &packet);
            } else {
                for side in &mut self.sides {
                    side.handle_timeout(self.now);
                }
            }
        }
    }

    /// Opens a channel from side 0 and waits until both know it.
    fn open(&mut self, label: &str, ordered: bool, reliability: Reliability) -> ChannelId {
        let id = self.sides[0].open(self.now, label, ordered, reliability).unwrap();
        let opened = self.run(Duration::from_secs(20), |world| {
            world.events.iter().all(|events| {
                events.iter().any(|e| matches!(e, ChannelEvent::Open { id: i, .. } if *i == id))
            })
        });
        assert!(opened, "channel {label} does not open: {:?}", self.events);
        id
    }

    fn messages(&self, side: usize) -> Vec<Bytes> {
        let of = |e: &ChannelEvent| match e {
            ChannelEvent::Message { data, .. } => Some(data.clone()),
            _ => None,
        };
        self.events[side].iter().filter_map(of).collect()
    }
}

#[test]
fn a_channel_opens_with_its_label_and_kind() {
    let mut world = World::new(1, 0.0, [0, 1_000_000]);
    let id = world.open("live", false, Reliability::MaxLifetime(250));
    for events in &world.events {
        let expected = ChannelEvent::Open {
            id,
            label: "live".into(),
            protocol: String::new(),
            ordered: false,
            reliability: Reliability::MaxLifetime(250),
        };
        assert_eq!(*events, [expected]);
    }
}

#[test]
fn either_side_or_both_may_begin() {
    for begin in [[0, 9_000_000], [9_000_000, 0], [0, 0], [0, 3_000], [3_000, 0]] {
        let mut world = World::new(2, 0.0, begin);
        world.open("x", true, Reliability::Reliable);
        assert!(world.now < Micros(200_000), "{begin:?} took {}", world.now);
    }
}

#[test]
fn the_handshake_survives_loss_reordering_and_duplication() {
    let mut slow = 0;
    for seed in 0..60 {
        let mut world = World::new(seed, 0.2, [seed % 3 * 5_000, seed % 2 * 100_000]);
        world.open("x", true, Reliability::Reliable);
        slow += usize::from(world.now > Micros(3_000_000));
    }
    assert!(slow <= 3, "{slow} of 60 took more than 3 s");
}

#[test]
fn who_followed_begins_between_the_other_sides_repetitions() {
    let mut world = World::new(11, 0.0, [0, 100_000]);
    world.run(Duration::ZERO, |_| false);
    let (_, (_, init)) = world.flying.pop_first().unwrap();
    let follower = &mut world.sides[1];
    follower.handle(Micros::ZERO, &init);
    let begun_at = loop {
        let now = follower.poll_timeout().unwrap();
        follower.handle_timeout(now);
        let mut packets = std::iter::from_fn(|| follower.poll_packet(now));
        // The first chunk's type: INIT.
        if packets.any(|packet| packet[12] == 1) {
            break now;
        }
    };
    for repetition_s in [1.0, 3.0, 6.0, 7.0] {
        let apart = (begun_at.0 as f64 / 1e6 - repetition_s).abs();
        assert!(apart >= 1.0, "begun at {begun_at}, as the other side repeats");
    }
}

#[test]
fn reliable_messages_arrive_in_order_over_a_bad_link() {
    let mut world = World::new(3, 0.1, [0, 100_000]);
    let id = world.open("results", true, Reliability::Reliable);
    for i in 0..200u32 {
        world.sides[0].send(world.now, id, true, i.to_string().as_bytes()).unwrap();
        let next = world.now + Duration::from_millis(20);
        world.run(next - world.now, |_| false);
    }
    world.run(Duration::from_secs(10), |world| world.messages(1).len() == 200);
    let expected: Vec<Bytes> = (0..200u32).map(|i| i.to_string().into()).collect();
    assert_eq!(world.messages(1), expected);
}

#[test]
fn lost_messages_of_limited_life_hold_nothing_up() {
    let mut world = World::new(4, 0.1, [0, 100_000]);
    let id = world.open("live", false, Reliability::MaxLifetime(250));
    let none = world.open("once", false, Reliability::MaxRetransmits(0));
    for i in 0..300u32 {
        let channel = if i % 2 == 0 { id } else { none };
        world.sides[0].send(world.now, channel, true, i.to_string().as_bytes()).unwrap();
        let next = world.now + Duration::from_millis(10);
        world.run(next - world.now, |_| false);
    }
    world.run(Duration::from_secs(3), |_| false);
    let arrived = world.messages(1).len();
    assert!((240..300).contains(&arrived), "{arrived} of 300 arrived");
    assert_eq!(world.sides[0].buffered_total(), 0);
}

#[test]
fn large_messages_pass_both_ways() {
    for loss in [0.0, 0.05] {
        let mut world = World::new(5, loss, [0, 100_000]);
        let id = world.open("x", true, Reliability::Reliable);
        let payload: Vec<u8> = (0..64 * 1024u32).map(|i| (i * 7) as u8).collect();
        for side in &mut world.sides {
            side.send(world.now, id, false, &payload).unwrap();
        }
        let arrived = world.run(Duration::from_secs(30), |world| {
            (0..2).all(|i| world.messages(i).first().is_some_and(|data| *data == payload))
        });
        assert!(arrived, "loss {loss}");
    }
}

#[test]
fn empty_messages_keep_their_kind() {
    let mut world = World::new(6, 0.0, [0, 100_000]);
    let id = world.open("x", true, Reliability::Reliable);
    world.sides[1].send(world.now, id, true, b"").unwrap();
    world.sides[1].send(world.now, id, false, b"").unwrap();
    world.run(Duration::from_secs(1), |_| false);
    let expected = [true, false].map(|text| ChannelEvent::Message { id, text, data: Bytes::new() });
    assert_eq!(world.events[0][1..], expected);
}

#[test]
fn a_full_queue_says_so_and_drains() {
    let mut world = World::new(7, 0.0, [0, 100_000]);
    let id = world.open("x", true, Reliability::Reliable);
    world.run(Duration::from_secs(1), |_| false);
    let message = vec![1; 100 * 1024];
    let mut taken = 0;
    while world.sides[0].send(world.now, id, false, &message).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 10);
    assert_eq!(world.sides[0].send(world.now, id, false, &message), Err(SendError::Full));
    assert_eq!(world.sides[0].buffered(id), taken * message.len());
    assert!(world.run(Duration::from_secs(20), |world| world.messages(1).len() == taken));
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(world.sides[0].buffered(id), 0);
    assert_eq!(
        world.sides[0].send(world.now, id, false, &vec![0; 256 * 1024 + 1]),
        Err(SendError::TooLarge)
    );
}

#[test]
fn a_closed_channel_closes_on_both_sides_and_its_number_is_free_again() {
    let mut world = World::new(8, 0.0, [0, 100_000]);
    let id = world.open("x", true, Reliability::Reliable);
    world.sides[1].close_channel(world.now, id);
    world.run(Duration::from_secs(2), |_| false);
    for events in &world.events {
        assert_eq!(events.last(), Some(&ChannelEvent::Closed { id }));
    }
    assert_eq!(world.sides[0].send(world.now, id, true, b"x"), Err(SendError::Closed));
    let other = world.open("y", true, Reliability::Reliable);
    world.sides[0].send(world.now, other, true, b"again").unwrap();
    assert!(world.run(Duration::from_secs(1), |world| world.messages(1).len() == 1));
}

#[test]
fn an_abort_is_told() {
    let mut world = World::new(9, 0.0, [0, 100_000]);
    world.open("x", true, Reliability::Reliable);
    world.sides[0].abort(world.now);
    world.run(Duration::from_secs(1), |_| false);
    assert!(matches!(world.events[1].last(), Some(ChannelEvent::Lost { by_user: true, .. })));
    assert!(world.sides.iter().all(|side| side.poll_timeout().is_none()));
}

#[test]
fn channels_are_bounded() {
    let mut world = World::new(10, 0.0, [0, 100_000]);
    for _ in 0..channels::MAX_CHANNELS {
        world.sides[0].open(world.now, "x", true, Reliability::Reliable).unwrap();
    }
    let refused = world.sides[0].open(world.now, "x", true, Reliability::Reliable);
    assert_eq!(refused, Err(SendError::Full));
    world.run(Duration::from_secs(5), |_| false);
    assert_eq!(world.events[1].len(), channels::MAX_CHANNELS);
}

#[test]
fn damaged_packets_neither_panic_nor_grow_anything() {
    for seed in 0..100 {
        let mut world = World::new(seed, 0.0, [0, 50_000]);
        let id = world.open("x", true, Reliability::Reliable);
        let mut rng = SmallRng::seed_from_u64(seed);
        let other = world.open("live", false, Reliability::MaxLifetime(100));
        for step in 0..40 {
            if step == 20 {
                world.sides[0].close_channel(world.now, id);
            }
            for side in &mut world.sides {
                let _ = side.send(world.now, id, false, &[3; 3_000]);
                let _ = side.send(world.now, other, true, b"{}");
            }
            world.flush();
            // What is under way is damaged and sealed again, as a hostile peer could.
            let packets: Vec<_> = world.flying.values().cloned().collect();
            for (to, packet) in packets {
                let mut bytes = packet.to_vec();
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(12..bytes.len());
                    bytes[at] = if rng.random_bool(0.5) { rng.random() } else { 0xff };
                }
                if rng.random_bool(0.2) {
                    bytes.truncate(rng.random_range(12..=bytes.len()));
                }
                packet::seal(&mut bytes);
                world.sides[to].handle(world.now, &bytes.into());
            }
            world.run(Duration::from_millis(30), |_| false);
        }
    }
}
