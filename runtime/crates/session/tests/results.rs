//! Speech in, results out: to whom, in which order, how late.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Path, Speaker, Wish, World, energy, level, ms, silero};
use remotemedia_session::{Audience, Notification};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn speech_is_detected_and_reported_with_low_latency() {
    for plan in [energy(), silero()] {
        let mut world = World::new(1);
        let client = world.open(&plan, Wish::speaking());
        world.run(12 * SECOND);
        let client = &world.clients[client];
        let windows = client.of_type("vad");
        assert!(windows.len() > 300, "{}: {}", plan.name(), windows.len());
        let (starts, stops) = (client.count("speech_started"), client.count("speech_stopped"));
        assert!(starts >= 3 && stops >= 3, "{}: {starts} {stops}", plan.name());
        for window in &windows {
            let latency = window.json["latency_ms"].as_f64().unwrap();
            assert!(latency <= 1.0, "{latency} ms for a path without loss: {}", window.json);
        }
    }
}

#[test]
fn ready_comes_first_and_tells_what_runs() {
    let mut world = World::new(2);
    let client = world.open(&silero(), Wish::speaking());
    world.run(2 * SECOND);
    let client = &world.clients[client];
    let first = |channel: &str| {
        client.received.iter().find(|received| received.channel == channel).unwrap().json.clone()
    };
    let ready = first("results");
    assert_eq!((&ready["type"], &ready["seq"]), (&"ready".into(), &1.into()));
    assert_eq!(ready["data"]["pipeline"], "mic-vad");
    assert_eq!(ready["data"]["participant"], client.reply().participant.as_ref());
    assert_eq!(ready["data"]["nodes"][0]["id"], "vad");
    assert_eq!(ready["session"], client.reply().session_id.as_ref());
}

#[test]
fn windows_go_to_live_and_events_to_both() {
    let mut world = World::new(3);
    let client = world.open(&energy(), Wish::speaking());
    world.run(4 * SECOND);
    let client = &world.clients[client];
    let count = |kind: &str, channel: &str| {
        client.received.iter().filter(|one| one.kind() == kind && one.channel == channel).count()
    };
    assert_eq!(count("vad", "results"), 0);
    assert!(count("vad", "live") > 150);
    assert!(count("speech_started", "results") > 0);
    assert_eq!(count("speech_started", "results"), count("speech_started", "live"));
}

#[test]
fn without_a_live_channel_windows_go_to_results_in_order() {
    let mut world = World::new(4);
    let client = world.open(&energy(), Wish { live: false, ..Wish::speaking() });
    world.run(3 * SECOND);
    let seqs: Vec<u64> = world.clients[client]
        .received
        .iter()
        .map(|received| received.json["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.len() > 100);
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap or out of order");
}

#[test]
fn a_client_without_a_channel_is_no_error_and_observers_see_everything() {
    let mut world = World::new(5);
    let wish = Wish { results: false, live: false, ..Wish::speaking() };
    let client = world.open(&energy(), wish);
    let id = world.clients[client].reply().session_id.clone();
    world.server.observe(&id, true).unwrap();
    world.run(3 * SECOND);
    let events: Vec<serde_json::Value> = world
        .notifications
        .iter()
        .filter_map(|one| match one {
            Notification::Event { json, session, .. } if *session == id => {
                Some(serde_json::from_str(json).unwrap())
            }
            _ => None,
        })
        .collect();
    assert!(events.iter().filter(|event| event["type"] == "vad").count() > 100);
    assert!(events.iter().any(|event| event["type"] == "speech_started"));
    let stats = world.server.get(world.now, &id).unwrap();
    assert_eq!(stats.participants[0].channels, "none");
    assert_eq!(stats.participants[0].dropped, 0);
    assert_eq!(world.ends(), [""; 0]);
}

#[test]
fn who_observes_late_gets_the_events_of_before() {
    let mut world = World::new(6);
    let client = world.open(&energy(), Wish::speaking());
    world.run(4 * SECOND);
    let id = world.clients[client].reply().session_id.clone();
    assert!(!world.notifications.iter().any(|one| matches!(one, Notification::Event { .. })));
    world.server.observe(&id, true).unwrap();
    world.exchange();
    let kinds: Vec<bool> = world
        .notifications
        .iter()
        .filter_map(|one| match one {
            Notification::Event { json, .. } => Some(json.contains("speech_started")),
            _ => None,
        })
        .collect();
    assert!(kinds.contains(&true), "{kinds:?}");
    world.server.observe(&id, false).unwrap();
    let before = world.notifications.len();
    world.run(SECOND);
    assert_eq!(world.notifications.len(), before);
}

#[test]
fn metrics_come_each_second() {
    let mut world = World::new(7);
    let client = world.open(&energy(), Wish::speaking());
    world.run(5 * SECOND + ms(100));
    let client = &world.clients[client];
    let metrics = client.of_type("metrics");
    assert!((4..=5).contains(&metrics.len()), "{}", metrics.len());
    let last = &metrics.last().unwrap().json["data"];
    assert!(last["packets_received"].as_u64().unwrap() > 150, "{last}");
    assert_eq!(last["packets_lost"], 0);
}

#[test]
fn a_second_speaker_is_told_apart_and_both_see_all() {
    let mut world = World::new(8);
    let plan = energy();
    let first = world.open(&plan, Wish::speaking());
    world.run(SECOND);
    let speaker = Some(Speaker { first: 200, count: usize::MAX });
    let second = world.join(first, &plan, Wish { speaker, ..Wish::speaking() }).unwrap();
    world.run(3 * SECOND);
    let names = [first, second].map(|index| world.clients[index].reply().participant.to_string());
    assert_ne!(names[0], names[1]);
    for index in [first, second] {
        for name in &names {
            let about = world.clients[index]
                .of_type("vad")
                .iter()
                .filter(|received| received.json["participant"] == name.as_str())
                .count();
            assert!(about > 100, "client {index} saw {about} windows of {name}");
        }
    }
    let ready = &world.clients[second].of_type("ready")[0].json["data"];
    assert_eq!((&ready["joined"], &ready["participants"]), (&true.into(), &2.into()));
}

#[test]
fn a_listener_joins_without_audio() {
    let mut world = World::new(9);
    let plan = energy();
    let first = world.open(&plan, Wish::speaking());
    world.run(SECOND);
    let listener = world.join(first, &plan, Wish::listening()).unwrap();
    world.run(2 * SECOND);
    let listener = &world.clients[listener];
    assert!(listener.count("vad") > 50);
    assert!(listener.of_type("vad")[0].json["seq"].as_u64().unwrap() > 10, "nothing is replayed");
}

#[test]
fn the_audience_may_be_the_speaker_alone() {
    let mut world = World::new(10);
    let plan = energy();
    let own = Wish { audience: Audience::Own, ..Wish::speaking() };
    let first = world.open(&plan, own);
    world.run(SECOND);
    let listener = world.join(first, &plan, Wish::listening()).unwrap();
    world.run(2 * SECOND);
    assert!(world.clients[first].count("vad") > 50);
    assert_eq!(world.clients[listener].count("vad"), 0);
}

#[test]
fn every_session_gets_its_own_results_and_no_others() {
    let mut world = World::new(11);
    let plans = [energy(), level(), silero()];
    let count = 24;
    for index in 0..count {
        let path = Path { jitter_us: 3_000, ..Path::default() };
        let speaker = Some(Speaker { first: index * 17, count: usize::MAX });
        world.open(&plans[index % 3], Wish { speaker, path, ..Wish::speaking() });
    }
    world.run(4 * SECOND);
    for (index, client) in world.clients.iter().enumerate() {
        let kind = if index % 3 == 1 { "level" } else { "vad" };
        assert!(client.count(kind) > 60, "client {index} has {} of {kind}", client.count(kind));
        let other = if index % 3 == 1 { "vad" } else { "level" };
        assert_eq!(client.count(other), 0, "client {index} got a stranger's results");
        for received in &client.received {
            assert_eq!(received.json["session"], client.reply().session_id.as_ref());
        }
        // What came before the channel opened is not replayed; from then on nothing is missing.
        let mut seqs: Vec<u64> =
            client.received.iter().filter_map(|one| one.json["seq"].as_u64()).collect();
        seqs.sort_unstable();
        seqs.dedup();
        let first = client.of_type(kind)[0].json["seq"].as_u64().unwrap();
        seqs.retain(|seq| *seq >= first);
        assert_eq!(seqs.len() as u64, seqs.last().unwrap() - first + 1, "client {index}");
    }
}

#[test]
fn loss_and_reordering_lose_no_event_and_few_windows() {
    let mut world = World::new(12);
    let client = world.open(&energy(), Wish { path: Path::lossy(0.05), ..Wish::speaking() });
    world.run(20 * SECOND);
    world.clients[client].wish.speaker = None;
    world.run(3 * SECOND);
    let client = &world.clients[client];
    let reliable = |kind: &str| {
        client.received.iter().filter(|one| one.kind() == kind && one.channel == "results").count()
    };
    let stats = world.server.get(world.now, &client.reply().session_id).unwrap();
    let stream = &stats.participants[0].streams[0];
    assert!(stream.packets_lost > 10 && stream.recovered + stream.concealed > 10, "{stream:?}");
    assert_eq!(client.count("speech_started"), reliable("speech_started"));
    assert!(reliable("speech_started") >= 4);
    let windows = client.count("vad") as f64 / 1_000.0;
    assert!(windows > 0.9, "{windows} of the windows came");
}

#[test]
fn jitter_changes_when_results_come_and_not_what_they_say() {
    let run = |path: Path| {
        let mut world = World::new(13);
        let client = world.open(&silero(), Wish { path, live: false, ..Wish::speaking() });
        world.run(6 * SECOND);
        world.clients[client]
            .of_type("vad")
            .iter()
            .map(|one| (one.json["pts_ms"].to_string(), one.json["data"].to_string()))
            .collect::<BTreeMap<_, _>>()
    };
    let direct = run(Path::default());
    let jittery = run(Path { delay_us: 40_000, jitter_us: 25_000, ..Path::default() });
    let both: Vec<&String> = direct.keys().filter(|pts| jittery.contains_key(*pts)).collect();
    assert!(both.len() > 140, "{}", both.len());
    assert!(both.iter().all(|pts| direct[*pts] == jittery[*pts]));
}

#[test]
fn windows_of_many_sessions_are_gathered_and_still_come_soon() {
    let mut world = World::new(14);
    for index in 0..40 {
        let speaker = Some(Speaker { first: index * 13, count: usize::MAX });
        let path = Path { delay_us: 500 + index as u64 * 450, ..Path::default() };
        world.open(&silero(), Wish { speaker, path, ..Wish::speaking() });
    }
    world.run(3 * SECOND);
    for client in &world.clients {
        let windows = client.of_type("vad");
        assert!(windows.len() > 60);
        let late = windows.iter().filter(|one| one.json["latency_ms"].as_f64().unwrap() > 1.0);
        assert_eq!(late.count(), 0);
    }
}

#[test]
fn everyone_gets_in_over_lossy_paths() {
    let mut world = World::new(15);
    for _ in 0..12 {
        world.open(&energy(), Wish { path: Path::lossy(0.1), ..Wish::speaking() });
    }
    world.run(25 * SECOND);
    assert_eq!(world.ends(), [""; 0]);
    for (index, client) in world.clients.iter().enumerate() {
        assert_eq!(client.count("ready"), 1, "client {index}");
        assert!(client.count("vad") > 200, "client {index}");
    }
}

#[test]
fn speech_of_who_stops_sending_is_stopped() {
    let mut world = World::new(16);
    let client = world.open(&energy(), Wish::speaking());
    world.run_until(5 * SECOND, |world| {
        let client = &world.clients[client];
        client.count("speech_started") > client.count("speech_stopped")
    });
    world.clients[client].wish.speaker = None;
    world.run(4 * SECOND);
    let stopped = world.clients[client].of_type("speech_stopped");
    assert_eq!(stopped.len(), world.clients[client].count("speech_started"));
    // And goes on when it sends again.
    world.clients[client].wish.speaker = Some(Speaker::ENDLESS);
    world.clients[client].speak_again(world.now);
    let windows = world.clients[client].count("vad");
    world.run(SECOND);
    assert!(world.clients[client].count("vad") > windows + 40);
}
