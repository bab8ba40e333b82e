//! Audio back: who hears what, how it is paced, and what ends it.

mod common;

use std::time::Duration;

use common::{Path, Wish, World, echo, energy, ms, talker};
use remotemedia_core::{ErrorCode, Micros, ReceptionReport};
use remotemedia_executor::NodeValue;
use remotemedia_peer::sdp::Direction;
use remotemedia_session::{LaneWork, MAX_ANSWER, MAX_WAITING, VoiceStats};

const SECOND: Duration = Duration::from_secs(1);

fn stats(world: &mut World, client: usize) -> VoiceStats {
    let reply = world.clients[client].reply().clone();
    let session = world.server.get(world.now, &reply.session_id).expect("it runs");
    let mut all = session.participants.into_iter();
    let found = all.find(|one| one.participant == reply.participant);
    found.and_then(|one| one.voice).expect("it hears")
}

#[test]
fn a_tone_comes_back_at_its_level_and_without_gaps() {
    let mut world = World::new(1);
    let client = world.open(&echo(), Wish::whistling(440.0));
    world.run(5 * SECOND);
    let ear = &world.clients[client].ear;
    assert!((ear.level(440.0, 48_000) - 0.2).abs() < 0.01, "{}", ear.level(440.0, 48_000));
    assert!(ear.packets.len() > 240, "{} packets", ear.packets.len());
    for pair in ear.packets.windows(2) {
        let [(before, first), (after, second)] = pair else { unreachable!() };
        assert_eq!(after.since(*before), ms(20));
        assert_eq!(second.sequence_number, first.sequence_number.wrapping_add(1));
        assert_eq!(second.timestamp, first.timestamp.wrapping_add(960));
    }
    assert!(ear.packets[0].1.marker && ear.packets[1..].iter().all(|(_, header)| !header.marker));
    assert_eq!(ear.concealed, 0);
    let stats = stats(&mut world, client);
    assert_eq!((stats.underruns, stats.overrun_ms, stats.packets_lost), (0, 0.0, 0));
    assert!((stats.round_trip_ms.unwrap() - 1.0).abs() < 0.2, "{:?}", stats.round_trip_ms);
}

#[test]
fn reports_tell_the_time_of_the_stream() {
    let mut world = World::new(2);
    let client = world.open(&echo(), Wish::whistling(440.0));
    world.run(10 * SECOND);
    let ear = &world.clients[client].ear;
    assert!((8..=10).contains(&ear.reports.len()), "{} reports", ear.reports.len());
    let (sent, header) = ear.packets[0];
    for (at, rtp_timestamp) in &ear.reports {
        let passed = at.since(sent).as_micros() as i64 * 48 / 1_000;
        let told = i64::from(rtp_timestamp.wrapping_sub(header.timestamp) as i32);
        assert!((told - passed).abs() <= 96, "{told} for {passed}");
    }
}

#[test]
fn loss_is_reported_and_answered_with_copies() {
    let mut world = World::new(3);
    let wish = Wish { tone: None, path: Path::lossy(0.1), ..Wish::whistling(0.0) };
    let client = world.open(&echo(), wish);
    world.run(20 * SECOND);
    let stats = stats(&mut world, client);
    assert!(stats.packets_lost > 30 && stats.packets_sent > 800, "{stats:?}");
    assert!(stats.jitter_ms > 1.0);
    let ear = &world.clients[client].ear;
    let made_up = ear.concealed as f64 / 50.0 / 20.0;
    // Most of a tenth lost each way comes back from copies; jitter of 30 ms costs some.
    assert!(made_up < 0.12, "{made_up}");
}

#[test]
fn each_hears_what_was_made_of_their_own_and_a_listener_hears_all() {
    let mut world = World::new(4);
    let plan = echo();
    let low = world.open(&plan, Wish::whistling(300.0));
    let high = world.join(low, &plan, Wish::whistling(1_200.0)).unwrap();
    let listener = world.join(low, &plan, Wish::hearing()).unwrap();
    let mute = world.join(low, &plan, Wish::listening()).unwrap();
    world.run(5 * SECOND);
    for (client, expected) in [(low, (0.2, 0.0)), (high, (0.0, 0.2)), (listener, (0.2, 0.2))] {
        let ear = &world.clients[client].ear;
        let (found, other) = (ear.level(300.0, 32_000), ear.level(1_200.0, 32_000));
        assert!((found - expected.0).abs() < 0.02, "{client}: 300 Hz at {found}");
        assert!((other - expected.1).abs() < 0.02, "{client}: 1,200 Hz at {other}");
    }
    assert!(world.clients[mute].ear.packets.is_empty());
}

#[test]
fn a_pipeline_without_a_sink_sends_nothing() {
    let mut world = World::new(5);
    let client = world.open(&energy(), Wish::whistling(440.0));
    world.run(2 * SECOND);
    assert!(world.clients[client].ear.packets.is_empty());
    assert!(world.clients[client].count("vad") > 50);
    assert_eq!(world.clients[client].peer.audio()[0].direction, Direction::SendOnly);
}

/// Answers the frames whose number is in `when` with so much of a tone.
fn beep(when: &'static [u64], length: Duration) -> impl FnMut(&LaneWork) -> Option<NodeResults> {
    move |work| {
        let mut values = Vec::new();
        if when.contains(&work.meta.seq) {
            let count = length.as_millis() as usize * 16;
            let step = std::f32::consts::TAU * 440.0 / 16_000.0;
            let samples: Vec<f32> = (0..count).map(|n| 0.4 * (step * n as f32).sin()).collect();
            values.push(NodeValue::Audio { channels: 1, samples: samples.into() });
        }
        Some(Ok(values))
    }
}

type NodeResults = Result<Vec<NodeValue>, remotemedia_executor::NodeFailure>;

#[test]
fn what_is_made_at_once_is_heard_in_time_and_whole() {
    let mut world = World::new(6);
    world.python = Box::new(beep(&[50], 3 * SECOND));
    let client = world.open(&talker(), Wish::whistling(440.0));
    world.run(6 * SECOND);
    let ear = &world.clients[client].ear;
    // 150 packets of it, then the end of the talk spurt.
    assert!((150..=166).contains(&ear.packets.len()), "{} packets", ear.packets.len());
    assert!(ear.packets.windows(2).all(|pair| pair[1].0.since(pair[0].0) == ms(20)));
    assert!(
        (ear.level(440.0, ear.samples.len()) * ear.samples.len() as f32 / 48_000.0 - 0.4).abs()
            < 0.02
    );
    let stats = stats(&mut world, client);
    assert_eq!((stats.underruns, stats.overrun_ms, stats.waiting_ms), (0, 0.0, 0.0));
}

#[test]
fn a_node_that_makes_too_much_waits() {
    let mut world = World::new(7);
    // For 20 ms of sound a second of it.
    world.python = Box::new(|_| {
        let samples = vec![0.1; 16_000];
        Some(Ok(vec![NodeValue::Audio { channels: 1, samples: samples.into() }]))
    });
    let client = world.open(&talker(), Wish::whistling(440.0));
    world.run(30 * SECOND);
    let stats = stats(&mut world, client);
    let most = MAX_WAITING.as_secs_f64() * 1e3 + 1_001.0;
    assert!(stats.waiting_ms > most - 2_100.0 && stats.waiting_ms <= most, "{stats:?}");
    let reply = world.clients[client].reply().clone();
    let graph = world.server.get(world.now, &reply.session_id).unwrap().graph;
    assert!(graph.python_frames < 45, "{graph:?}");
    assert!(graph.overrun > 1_000);
    let errors = world.clients[client].of_type("error");
    assert!(
        errors.iter().all(|error| error.json["data"]["code"] == ErrorCode::NodeOverrun.as_str())
    );
    assert!(!errors.is_empty());
}

#[test]
fn an_answer_without_an_end_is_cut() {
    let mut world = World::new(9);
    world.python = Box::new(|work| {
        let second = || NodeValue::Audio { channels: 1, samples: vec![0.1; 16_000].into() };
        let seconds = if work.meta.seq == 50 { 400 } else { 0 };
        Some(Ok(std::iter::repeat_with(second).take(seconds).collect()))
    });
    let client = world.open(&talker(), Wish::whistling(440.0));
    world.run(2 * SECOND);
    let waiting_ms = stats(&mut world, client).waiting_ms;
    let most_ms = MAX_ANSWER.as_secs_f64() * 1e3;
    assert!(waiting_ms > most_ms - 2_000.0 && waiting_ms <= most_ms, "{waiting_ms}");
    let lost = world.server.losses().audio_packets;
    assert!((99 * 50..=100 * 50).contains(&lost), "{lost}");
}

#[test]
fn an_interrupt_silences_at_once() {
    let mut world = World::new(8);
    world.python = Box::new(beep(&[50], 5 * SECOND));
    let client = world.open(&talker(), Wish::whistling(440.0));
    world.run(2 * SECOND);
    let before = world.clients[client].ear.packets.len();
    assert!(before > 20);
    let now = world.now;
    world.clients[client].say(now, r#"{"type":"interrupt","id":1}"#);
    world.run(2 * SECOND);
    assert_eq!(world.clients[client].count("interrupted"), 1);
    let ear = &world.clients[client].ear;
    assert!(ear.packets.len() - before <= 18, "{}", ear.packets.len() - before);
    // 60 ms later all is silent: way there, the packet under way, its fade, way back.
    let heard = (before + 4) * 320;
    assert!(ear.samples[heard..].iter().all(|sample| sample.abs() < 0.01));
    assert!(stats(&mut world, client).interrupted_ms > 100.0);
}

#[test]
fn an_interrupt_of_one_leaves_the_others_theirs() {
    let mut world = World::new(9);
    world.python = Box::new(beep(&[50], 5 * SECOND));
    let plan = talker();
    let one = world.open(&plan, Wish::whistling(440.0));
    let two = world.join(one, &plan, Wish::whistling(440.0)).unwrap();
    world.run(3 * SECOND);
    let now = world.now;
    world.clients[one].say(now, r#"{"type":"interrupt"}"#);
    world.run(SECOND);
    let from = world.now;
    world.run(SECOND);
    let since = |client: usize| {
        world.clients[client].ear.packets.iter().filter(|(at, _)| *at > from).count()
    };
    assert_eq!((since(one), since(two)), (0, 50));
}

#[test]
fn renegotiation_goes_on_with_source_and_numbers() {
    let mut world = World::new(10);
    let plan = echo();
    let client = world.open(&plan, Wish::whistling(440.0));
    world.run(2 * SECOND);
    let offer = world.clients[client].offer.clone();
    let again = world.offer_again(client, &plan, offer.clone(), false).unwrap();
    assert!(again.sdp.contains("a=sendrecv"));
    world.run(SECOND);
    // Muted, as it were: only sends now.
    let deaf = offer.replace("a=sendrecv", "a=sendonly");
    let answer = world.offer_again(client, &plan, deaf, false).unwrap();
    assert!(answer.sdp.contains("a=recvonly") && !answer.sdp.contains("a=ssrc"));
    world.run(ms(50));
    let before = world.clients[client].ear.packets.len();
    world.run(SECOND);
    assert_eq!(world.clients[client].ear.packets.len(), before);
    world.offer_again(client, &plan, offer, false).unwrap();
    world.run(SECOND);
    let packets = &world.clients[client].ear.packets;
    assert!(packets.len() > before + 45);
    for (index, pair) in packets.windows(2).enumerate() {
        let [(earlier, first), (later, second)] = pair else { unreachable!() };
        assert_eq!(second.ssrc, first.ssrc);
        assert_eq!(second.sequence_number, first.sequence_number.wrapping_add(1), "{index}");
        let passed = later.since(*earlier).as_micros() as i64 * 48 / 1_000;
        let told = i64::from(second.timestamp.wrapping_sub(first.timestamp));
        assert!((told - passed).abs() <= 120);
    }
}

#[test]
fn reports_about_others_and_nonsense_change_nothing() {
    let mut world = World::new(11);
    let client = world.open(&echo(), Wish::whistling(440.0));
    let forged = ReceptionReport { fraction_lost: 255, cumulative_lost: 99, ..Default::default() };
    world.clients[client].ear.forged =
        (1..20).map(|ssrc| ReceptionReport { ssrc, ..forged }).collect();
    world.run(3 * SECOND);
    assert_eq!(stats(&mut world, client).packets_lost, 0);
    let packets = world.clients[client].ear.packets.len();
    world.run(SECOND);
    assert_eq!(world.clients[client].ear.packets.len(), packets + 50);
}

#[test]
fn who_comes_later_hears_from_then_on_and_nobody_waits_for_who_is_gone() {
    let mut world = World::new(12);
    world.python = Box::new(beep(&[50], 8 * SECOND));
    let plan = talker();
    let speaker = world.open(&plan, Wish::whistling(440.0));
    let listener = world.join(speaker, &plan, Wish::hearing()).unwrap();
    world.run(3 * SECOND);
    let late = world.join(speaker, &plan, Wish::hearing()).unwrap();
    world.clients[listener].gone = true;
    world.run(3 * SECOND);
    let from = Micros(world.now.0 - 1_000_000);
    for client in [speaker, late] {
        let packets = &world.clients[client].ear.packets;
        let lately: Vec<_> = packets.iter().filter(|(at, _)| *at > from).collect();
        assert_eq!(lately.len(), 50);
    }
    assert!(world.clients[late].ear.packets.len() < 150);
}

#[test]
fn closing_in_the_middle_of_a_sentence_leaves_nothing() {
    for way in 0..3 {
        let mut world = World::new(13);
        world.python = Box::new(beep(&[50, 60, 70], 8 * SECOND));
        let client = world.open(&talker(), Wish::whistling(440.0));
        world.run(3 * SECOND);
        let reply = world.clients[client].reply().clone();
        match way {
            0 => world.server.close_session(world.now, &reply.session_id, "enough").unwrap(),
            1 => world.clients[client].peer.close(world.now),
            _ => world.clients[client].gone = true,
        }
        world.run(40 * SECOND);
        world.assert_nothing_left();
    }
}
