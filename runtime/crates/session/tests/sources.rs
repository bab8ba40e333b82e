//! What feeds a session: no track, one, or several.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{Path, Received, Wish, World, anything, level_and_text, ms, text, two};
use remotemedia_core::ErrorCode;
use remotemedia_peer::sdp::Direction;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_pipeline_that_takes_data_needs_no_audio() {
    let mut world = World::new(1);
    let plan = text();
    let client = world.open(&plan, Wish::listening());
    world.run_until(SECOND, |world| world.clients[client].count("ready") == 1);
    let joined = world.join(client, &plan, Wish::listening()).unwrap();
    world.run_until(SECOND, |world| world.clients[joined].count("ready") == 1);
    let offer = world.clients[client].offer.clone();
    world.offer_again(client, &plan, offer.clone(), false).unwrap();
    world.offer_again(client, &plan, offer, true).unwrap();
}

#[test]
fn audio_that_a_pipeline_has_no_use_for_is_answered_and_not_received() {
    let mut world = World::new(2);
    let client = world.open(&text(), Wish::speaking());
    let answer = &world.clients[client].reply().sdp;
    assert!(answer.contains("a=inactive") && !answer.contains("m=audio 0 "), "{answer}");
    world.run(SECOND);
    assert_eq!(world.clients[client].count("ready"), 1);
    assert_eq!(world.server.live().streams, 0);
    let deaf = Wish { results: false, live: false, ..Wish::speaking() };
    let refused = world.try_open(&text(), deaf).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NoCommonCodec, "nothing is left to do: {refused}");
}

#[test]
fn a_source_of_audio_beside_one_of_data_needs_audio() {
    let mut world = World::new(3);
    let plan = level_and_text();
    let refused = world.try_open(&plan, Wish::listening()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NoCommonCodec);
    let client = world.open(&plan, Wish::speaking());
    world.run(SECOND);
    let levels = world.clients[client].of_type("level");
    assert!(levels.len() > 10, "the track feeds the source that takes it");
    assert_eq!(
        (&levels[0].json["stream"], &levels[0].json["node"]),
        (&"audio".into(), &"level-input".into())
    );
    let offer = world.clients[client].offer.replace("a=sendonly", "a=inactive");
    world.offer_again(client, &plan, offer, false).unwrap();
}

#[test]
fn a_source_that_takes_anything_takes_audio_where_it_is_offered() {
    let mut world = World::new(4);
    let plan = anything();
    let quiet = world.open(&plan, Wish::listening());
    let loud = world.open(&plan, Wish { audio: Some(Direction::SendOnly), ..Wish::speaking() });
    world.run(SECOND);
    assert_eq!(world.clients[quiet].count("ready"), 1);
    assert_eq!(world.clients[loud].count("ready"), 1);
    assert_eq!(world.server.live().streams, 1);
    assert!(!world.held.is_empty());
}

/// The first tone, and the second.
const HZ: [f32; 2] = [440.0, 1_250.0];

/// A client whose tracks are one that whistles and `further` that may.
fn whistling(further: usize) -> Wish {
    Wish { further, ..Wish::whistling(HZ[0]) }
}

/// Results of a node.
fn of<'a>(world: &'a World, client: usize, node: &str) -> Vec<&'a Received> {
    let levels = world.clients[client].of_type("level").into_iter();
    levels.filter(|level| level.json["node"] == node).collect()
}

fn latency(result: &Received) -> f64 {
    result.json["latency_ms"].as_f64().unwrap_or(f64::NAN)
}

fn pts(result: &Received) -> f64 {
    result.json["pts_ms"].as_f64().unwrap_or(f64::NAN)
}

/// The second tone begins.
fn whistle(world: &mut World, client: usize, track: usize) {
    let now = world.now;
    world.clients[client].tracks[track].whistle(now, HZ[1]);
}

/// Runs for a second and says how loud the two tones were in its second half.
fn heard(world: &mut World, client: usize) -> [f32; 2] {
    world.run(SECOND);
    HZ.map(|hz| world.clients[client].ear.level(hz, 8_000))
}

#[test]
fn two_tracks_are_the_two_sources_of_one_stream() {
    let mut world = World::new(5);
    let client = world.open(&two(), whistling(1));
    world.run_until(SECOND, |world| world.clients[client].connected.is_some());
    whistle(&mut world, client, 0);
    let [left, right] = heard(&mut world, client);
    assert!((left - 0.4).abs() < 0.05 && (right - 0.4).abs() < 0.05, "{left} {right}");
    for node in ["level-left", "level-right", "level-both"] {
        let levels = of(&world, client, node);
        assert!(levels.len() > 40, "{node}: {}", levels.len());
        assert!(levels.iter().all(|level| level.json["stream"] == "audio"));
    }
    assert_eq!(world.server.live().streams, 1);
    let id = world.clients[client].reply().session_id.to_string();
    let tracks = world.server.get(world.now, &id).unwrap().participants.remove(0).streams;
    let named: Vec<_> = tracks.iter().map(|track| (&*track.stream, &*track.source)).collect();
    assert_eq!(named, [("audio", "left"), ("audio", "right")]);
}

#[test]
fn a_track_that_begins_later_lies_where_its_first_packet_came() {
    let mut world = World::new(6);
    let client = world.open(&two(), whistling(1));
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    world.run(ms(313));
    let asked = world.now;
    whistle(&mut world, client, 0);
    world.run(SECOND);
    let first = of(&world, client, "level-right")[0];
    // The first frame of the other came at once, and lies at zero.
    let zero = of(&world, client, "level-left")[0];
    let later = first.at.since(zero.at).as_secs_f64() * 1e3;
    assert!((pts(first) - pts(zero) - later).abs() < 0.1, "{} after {later}", pts(first));
    assert!((later - 313.0).abs() < 21.0 && first.at > asked, "{later}");
}

#[test]
fn frames_of_both_sources_are_counted_together() {
    let mut world = World::new(7);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let frames = seen.clone();
    world.python = Box::new(move |work| {
        frames.borrow_mut().push((work.port.to_string(), work.meta.seq, work.meta.pts_us));
        Some(Ok(Vec::new()))
    });
    let client = world.open(&two(), whistling(1));
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    whistle(&mut world, client, 0);
    world.run(SECOND);
    let seen = seen.borrow();
    let counted: Vec<u64> = seen.iter().map(|(_, seq, _)| *seq).collect();
    assert_eq!(counted, (0..seen.len() as u64).collect::<Vec<_>>());
    for port in ["left", "right"] {
        let times: Vec<u64> =
            seen.iter().filter(|frame| frame.0 == port).map(|frame| frame.2).collect();
        assert!(times.len() > 40, "{port}: {}", times.len());
        assert!(times.windows(2).all(|pair| pair[1].abs_diff(pair[0] + 20_000) <= 1), "{port}");
    }
}

#[test]
fn who_sends_one_track_waits_for_no_other() {
    let mut world = World::new(8);
    let client = world.open(&two(), whistling(0));
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right < 0.01, "{left} {right}");
    let levels = of(&world, client, "level-both");
    assert!(levels.len() > 40 && levels.iter().all(|level| latency(level) < 30.0));
}

#[test]
fn a_track_that_never_sends_is_waited_for_no_longer_than_two_seconds() {
    let mut world = World::new(9);
    let client = world.open(&two(), whistling(1));
    world.run(ms(3_500));
    let mut late = of(&world, client, "level-both");
    late.retain(|level| pts(level) > 3_000.0);
    assert!(!late.is_empty() && late.iter().all(|level| latency(level) < 30.0), "{late:?}");
    whistle(&mut world, client, 0);
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right > 0.3, "it takes part when it comes: {left} {right}");
}

#[test]
fn a_track_that_is_taken_away_ends_its_source_and_begins_anew() {
    let mut world = World::new(10);
    let plan = two();
    let client = world.open(&plan, whistling(1));
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    whistle(&mut world, client, 0);
    world.run(SECOND);
    assert!(world.clients[client].count("speech_started") == 1);
    // The second track goes; the first one's section comes first.
    let offer = world.clients[client].offer.clone();
    let without = offer.replace("a=sendonly", "a=inactive");
    world.clients[client].tracks[0].hush();
    let now = world.now;
    world.offer_again(client, &plan, without, false).unwrap();
    world.run(ms(100));
    assert_eq!(world.clients[client].count("speech_stopped"), 1, "speech under way is stopped");
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right < 0.01, "{left} {right}");
    let after: Vec<f64> = of(&world, client, "level-both")
        .into_iter()
        .filter(|level| level.at > now + ms(50))
        .map(latency)
        .collect();
    assert!(after.len() > 40 && after.iter().all(|latency| *latency < 30.0), "{after:?}");
    // It comes back, in its old place.
    world.offer_again(client, &plan, offer, false).unwrap();
    whistle(&mut world, client, 0);
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right > 0.3, "{left} {right}");
    assert_eq!(world.clients[client].count("speech_started"), 2);
    assert_eq!(world.server.live().streams, 1, "the stream was there all the time");
}

#[test]
fn the_stream_goes_with_its_last_track() {
    let mut world = World::new(11);
    let plan = two();
    let client = world.open(&plan, whistling(1));
    world.run(SECOND);
    let offer = world.clients[client].offer.clone();
    let gone = offer.replace("a=sendrecv", "a=inactive");
    world.clients[client].hush();
    world.offer_again(client, &plan, gone, false).unwrap();
    world.run(ms(100));
    assert_eq!(world.server.live().streams, 0);
    whistle(&mut world, client, 0);
    world.run(SECOND);
    let rights = of(&world, client, "level-right");
    assert!(rights.len() > 40, "the other one keeps its place");
    assert_eq!((rights[0].json["stream"].as_str(), pts(rights[0])), (Some("audio"), 0.0));
}

#[test]
fn a_quiet_track_ends_its_source_alone_until_it_is_heard_again() {
    let mut world = World::new(12);
    let client = world.open(&two(), whistling(1));
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    whistle(&mut world, client, 0);
    world.run(SECOND);
    world.clients[client].tracks[0].hush();
    world.run(ms(3_200));
    assert_eq!(world.clients[client].count("speech_stopped"), 1);
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right < 0.01, "{left} {right}");
    assert!(latency(of(&world, client, "level-both").last().unwrap()) < 30.0);
    whistle(&mut world, client, 0);
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right > 0.3, "{left} {right}");
    assert!(latency(of(&world, client, "level-both").last().unwrap()) < 30.0);
}

#[test]
fn a_track_whose_time_stood_still_while_it_paused_is_aligned_anew() {
    let mut world = World::new(15);
    let client = world.open(&two(), whistling(1));
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    whistle(&mut world, client, 0);
    world.run(SECOND);
    world.clients[client].tracks[0].hush();
    world.run(ms(600));
    // Its timestamps go on from where they were.
    whistle(&mut world, client, 0);
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right > 0.3, "{left} {right}");
    assert!(latency(of(&world, client, "level-both").last().unwrap()) < 30.0);
    let last =
        ["level-left", "level-right"].map(|node| pts(of(&world, client, node).last().unwrap()));
    assert!((last[0] - last[1]).abs() < 41.0, "{last:?}");
}

#[test]
fn a_track_of_which_half_a_second_is_lost_stays_where_it_was() {
    let mut world = World::new(18);
    let client = world.open(&two(), whistling(1));
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    whistle(&mut world, client, 0);
    world.run(SECOND);
    let apart = |world: &World| {
        let last = |node: &str| of(world, client, node).pop().map(|one| (one.at, pts(one)));
        let (left, right) = (last("level-left").unwrap(), last("level-right").unwrap());
        let since = |at: remotemedia_core::Micros| at.0 as f64 / 1e3;
        (right.1 - since(right.0)) - (left.1 - since(left.0))
    };
    let before = apart(&world);
    world.clients[client].tracks[0].hush();
    world.run(ms(500));
    world.clients[client].tracks[0].lose(25);
    whistle(&mut world, client, 0);
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.3 && right > 0.3, "{left} {right}");
    assert!((apart(&world) - before).abs() < 30.0, "{} {before}", apart(&world));
    assert!(latency(of(&world, client, "level-both").last().unwrap()) < 60.0);
}

#[test]
fn the_third_and_fourth_track_are_the_next_stream() {
    let mut world = World::new(13);
    let client = world.open(&two(), whistling(3));
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    whistle(&mut world, client, 2);
    world.run(ms(500));
    let rights = of(&world, client, "level-right");
    assert!(rights.len() > 20 && rights.iter().all(|one| one.json["stream"] == "audio-2"));
    whistle(&mut world, client, 0);
    whistle(&mut world, client, 1);
    world.run(ms(500));
    let streams = |node: &str| {
        let levels = of(&world, client, node);
        ["audio", "audio-2"]
            .map(|stream| levels.iter().filter(|level| level.json["stream"] == stream).count() > 20)
    };
    assert_eq!(streams("level-left"), [true, true]);
    assert_eq!(streams("level-right"), [true, true]);
    assert_eq!(world.server.live().streams, 2);
}

#[test]
fn each_participant_has_streams_of_their_own() {
    let mut world = World::new(14);
    let plan = two();
    let first = world.open(&plan, whistling(1));
    let second = world.join(first, &plan, whistling(1)).unwrap();
    world.run_until(SECOND, |world| world.clients[second].connected.is_some());
    whistle(&mut world, second, 0);
    let [left, right] = heard(&mut world, second);
    assert!(left > 0.3 && right > 0.3, "{left} {right}");
    let rights = of(&world, first, "level-right");
    assert!(rights.len() > 40);
    let name = world.clients[second].reply().participant.to_string();
    assert!(rights.iter().all(|level| level.json["participant"] == *name));
    assert_eq!(world.server.live().streams, 2);
    for client in [first, second] {
        let now = world.now;
        world.clients[client].peer.close(now);
    }
    world.run(SECOND);
    world.assert_nothing_left();
}

#[test]
fn the_stream_that_messages_feed_outlives_its_tracks() {
    let mut world = World::new(16);
    let plan = level_and_text();
    let client = world.open(&plan, Wish::speaking());
    world.run(SECOND);
    let say = |world: &mut World, text: &str| {
        let now = world.now;
        world.clients[client].say(now, &format!(r#"{{"type":"input","data":"{text}"}}"#));
        world.run(ms(100));
    };
    say(&mut world, "before");
    let gone = world.clients[client].offer.replace("a=sendonly", "a=inactive");
    world.clients[client].hush();
    world.offer_again(client, &plan, gone, false).unwrap();
    say(&mut world, "after");
    let said: Vec<_> = world.clients[client].of_type("node");
    let texts: Vec<_> = said.iter().map(|one| one.json["data"].as_str()).collect();
    assert_eq!(texts, [Some("BEFORE"), Some("AFTER")]);
    assert!(said.iter().all(|one| one.json["stream"] == "audio"));
    assert!((pts(said[1]) - pts(said[0]) - 100.0).abs() < 5.0, "its time goes on");
    assert_eq!(world.server.live().streams, 1);
}

#[test]
fn jitter_moves_a_track_by_no_more_than_itself() {
    let mut world = World::new(17);
    let path = Path { delay_us: 5_000, jitter_us: 15_000, ..Path::default() };
    let client = world.open(&two(), Wish { path, ..whistling(1) });
    world.run_until(SECOND, |world| !of(world, client, "level-left").is_empty());
    world.run(ms(200));
    whistle(&mut world, client, 0);
    let sent = world.now;
    world.run(SECOND);
    let began = world.clients[client].connected.unwrap();
    let first = of(&world, client, "level-right")[0];
    let wanted = sent.since(began).as_secs_f64() * 1e3;
    assert!((pts(first) - wanted).abs() < 16.0 + 20.0, "{} for {wanted}", pts(first));
    let [left, right] = heard(&mut world, client);
    assert!(left > 0.2 && right > 0.2, "{left} {right}");
}
