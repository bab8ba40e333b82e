//! Readers that do not keep up.

mod common;

use std::time::Duration;

use common::{Path, Wish, World, energy, level, ms, python};
use remotemedia_executor::NodeValue;
use remotemedia_session::Notification;

const SECOND: Duration = Duration::from_secs(1);

/// Checks and acknowledgements get through, messages do not.
fn stalled() -> Path {
    Path { largest_down: 130, ..Path::default() }
}

#[test]
fn a_reader_that_stalls_for_a_while_loses_windows_but_no_event() {
    let mut world = World::new(1);
    let client = world.open(&energy(), Wish { live: false, ..Wish::speaking() });
    world.run(2 * SECOND);
    world.clients[client].path = stalled();
    world.run(3 * SECOND);
    world.clients[client].path = Path::default();
    world.run(8 * SECOND);
    assert_eq!(world.ends(), [""; 0]);
    let client = &world.clients[client];
    let (starts, stops) = (client.count("speech_started"), client.count("speech_stopped"));
    assert!(starts >= 4 && starts - stops <= 1, "{starts} {stops}");
}

#[test]
fn a_reader_that_stalls_for_eight_seconds_is_served_before_the_tenth() {
    let mut world = World::new(6);
    let client = world.open(&energy(), Wish { live: false, ..Wish::speaking() });
    world.run(2 * SECOND);
    world.clients[client].path = stalled();
    world.run(8 * SECOND);
    world.clients[client].path = Path::default();
    let back = world.now;
    world.run(12 * SECOND);
    assert_eq!(world.ends(), [""; 0]);
    let client = &world.clients[client];
    let first = client.received.iter().find(|one| one.at > back).unwrap();
    assert!(first.at.since(back) < ms(1_100), "{:?}", first.at.since(back));
    let (starts, stops) = (client.count("speech_started"), client.count("speech_stopped"));
    assert!(starts >= 4 && starts - stops <= 1, "{starts} {stops}");
}

#[test]
fn a_reader_that_reads_nothing_for_ten_seconds_is_closed() {
    let mut world = World::new(2);
    let client = world.open(&energy(), Wish { live: false, ..Wish::speaking() });
    let id = world.clients[client].reply().session_id.clone();
    world.server.observe(&id, true).unwrap();
    world.run(2 * SECOND);
    world.clients[client].path = stalled();
    world.run(9 * SECOND);
    assert_eq!(world.ends(), [""; 0]);
    world.run(8 * SECOND);
    let ends = world.ends();
    assert!(ends.len() == 1 && ends[0].contains("too slowly"), "{ends:?}");
    world.assert_nothing_left();
    let bye = world.notifications.iter().any(|one| {
        matches!(one, Notification::Event { json, .. }
            if json.contains("\"bye\"") && json.contains("RM-3005"))
    });
    assert!(bye, "observers learn why");
}

#[test]
fn live_results_are_coalesced_at_256_kib_and_the_count_is_told() {
    let mut world = World::new(3);
    let client = world.open(&level(), Wish { live: false, ..Wish::speaking() });
    world.run(SECOND);
    let now = world.now;
    let often = r#"{"type":"configure","node":"level","params":{"interval_ms":10}}"#;
    world.clients[client].say(now, often);
    world.run(SECOND);
    world.clients[client].path = stalled();
    world.run(15 * SECOND);
    world.clients[client].path = Path::default();
    world.run(10 * SECOND);
    assert_eq!(world.ends(), [""; 0]);
    let client = &world.clients[client];
    let coalesced = client.of_type("coalesced");
    assert!(!coalesced.is_empty(), "nothing was told");
    let told: u64 = coalesced.iter().map(|one| one.json["data"]["count"].as_u64().unwrap()).sum();
    let stats = world.server.get(world.now, &client.reply().session_id).unwrap();
    assert_eq!(told, stats.participants[0].coalesced);
    assert!(told > 100, "{told}");
    let last = client.of_type("level").last().unwrap().at;
    assert!(world.now.since(last) < ms(100), "windows flow again");
}

#[test]
fn a_megabyte_of_events_ends_it_before_ten_seconds() {
    let mut world = World::new(4);
    world.python =
        Box::new(|_| Some(Ok(vec![NodeValue::Json(format!("\"{}\"", "x".repeat(50_000)))])));
    let client = world.open(&python(), Wish { live: false, ..Wish::speaking() });
    world.run_until(5 * SECOND, |world| world.clients[client].count("node") > 10);
    world.clients[client].path = stalled();
    world.run(3 * SECOND);
    let ends = world.ends();
    assert!(ends.len() == 1 && ends[0].contains("1 MiB"), "{ends:?}");
    world.assert_nothing_left();
}

#[test]
fn a_slow_listener_does_not_slow_down_the_speaker() {
    let mut world = World::new(5);
    let plan = energy();
    let speaker = world.open(&plan, Wish::speaking());
    let listener =
        world.join(speaker, &plan, Wish { path: Path::default(), ..Wish::listening() }).unwrap();
    world.run(2 * SECOND);
    world.clients[listener].path = stalled();
    world.run(20 * SECOND);
    let stats = world.server.list(world.now);
    assert_eq!((stats.len(), stats[0].participants.len()), (1, 1), "the listener was closed");
    let windows = world.clients[speaker].of_type("vad");
    assert!(windows.len() > 1_000);
    assert!(windows.iter().all(|one| one.json["latency_ms"].as_f64().unwrap() <= 1.0));
}
