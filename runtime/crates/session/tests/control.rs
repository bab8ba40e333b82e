//! What clients ask for over the channel.

mod common;

use std::time::Duration;

use common::{Wish, World, ask, energy, python};
use remotemedia_executor::NodeValue;
use remotemedia_session::Notification;

const SECOND: Duration = Duration::from_secs(1);

fn start(seed: u64) -> (World, usize) {
    let mut world = World::new(seed);
    let client = world.open(&energy(), Wish::speaking());
    world.run(SECOND);
    (world, client)
}

#[test]
fn a_ping_is_answered_with_its_id_and_time() {
    let (mut world, client) = start(1);
    let pong = ask(&mut world, client, r#"{"type":"ping","id":"a","t":12.5}"#);
    assert_eq!(
        (&pong["type"], &pong["id"], &pong["t"]),
        (&"pong".into(), &"a".into(), &12.5.into())
    );
}

#[test]
fn configure_changes_what_is_live() {
    let (mut world, client) = start(2);
    let text = r#"{"type":"configure","id":1,"node":"vad","params":{"emit":"events"}}"#;
    assert_eq!(ask(&mut world, client, text)["type"], "configured");
    let before = world.clients[client].count("vad");
    world.run(2 * SECOND);
    assert!(world.clients[client].count("vad") <= before + 1);
}

#[test]
fn configure_reaches_nothing_else() {
    let (mut world, client) = start(3);
    for (params, field) in [
        (r#"{"engine":"silero"}"#, "params.engine"),
        (r#"{"threshold":7}"#, "params.threshold"),
        (r#"{"entry":"os:system"}"#, "params.entry"),
    ] {
        let text = format!(r#"{{"type":"configure","node":"vad","params":{params}}}"#);
        let error = ask(&mut world, client, &text);
        assert_eq!((&error["type"], &error["data"]["field"]), (&"error".into(), &field.into()));
    }
    let text = r#"{"type":"configure","node":"nobody","params":{}}"#;
    assert_eq!(ask(&mut world, client, text)["data"]["field"], "node");
}

#[test]
fn flush_brings_results_before_its_answer() {
    let (mut world, client) = start(4);
    world.run_until(3 * SECOND, |world| {
        let client = &world.clients[client];
        client.count("speech_started") > client.count("speech_stopped")
    });
    let stops = world.clients[client].count("speech_stopped");
    assert_eq!(ask(&mut world, client, r#"{"type":"flush"}"#)["type"], "flushed");
    assert_eq!(world.clients[client].count("speech_stopped"), stops + 1);
}

#[test]
fn flush_is_about_the_own_streams_alone() {
    let (mut world, speaker) = start(6);
    let listener = world.join(speaker, &energy(), Wish::listening()).unwrap();
    world.run(SECOND);
    world.run_until(3 * SECOND, |world| {
        let speaker = &world.clients[speaker];
        speaker.count("speech_started") > speaker.count("speech_stopped")
    });
    let stops = world.clients[speaker].count("speech_stopped");
    assert_eq!(ask(&mut world, listener, r#"{"type":"flush"}"#)["type"], "flushed");
    assert_eq!(world.clients[speaker].count("speech_stopped"), stops);
}

#[test]
fn interrupt_drops_what_python_holds() {
    let mut world = World::new(5);
    let client = world.open(&python(), Wish::speaking());
    world.run_until(3 * SECOND, |world| world.held.len() > 3);
    assert_eq!(ask(&mut world, client, r#"{"type":"interrupt"}"#)["type"], "interrupted");
    let told = world.notifications.iter();
    assert_eq!(
        told.filter(|one| matches!(one, Notification::Interrupted { epoch: 1, .. })).count(),
        1
    );
    for work in std::mem::take(&mut world.held) {
        let value = NodeValue::Json("\"old\"".into());
        world.server.complete_lane(world.now, work.token, Ok(vec![value.into()]));
    }
    world.python = Box::new(|_| Some(Ok(vec![NodeValue::Json("\"new\"".into())])));
    world.run(SECOND);
    let client = &world.clients[client];
    let old = client.of_type("node").iter().filter(|one| one.json["data"] == "old").count();
    // Frames that were taken between the interrupt and its answer may be among those held.
    assert!(old <= 1, "{old}");
    assert!(client.count("node") > 10);
}

#[test]
fn who_is_being_closed_is_told_so() {
    let mut world = World::new(9);
    let client = world.open(&python(), Wish::speaking());
    world.run_until(3 * SECOND, |world| world.held.len() > 3);
    let session = world.clients[client].reply().session_id.to_string();
    world.server.close_session(world.now, &session, "enough").unwrap();
    let error = ask(&mut world, client, r#"{"type":"flush","id":8}"#);
    assert_eq!((&error["data"]["code"], &error["id"]), (&"RM-2005".into(), &8.into()));
    world.run(SECOND);
    assert_eq!(world.ends(), ["enough"]);
}

#[test]
fn hostile_messages_are_answered_and_harm_nobody() {
    let (mut world, client) = start(7);
    let deep = format!("{{\"type\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let long = format!("{{\"type\":\"{}\"}}", "x".repeat(60_000));
    for text in ["", "x", "{}", "[]", "ping: 1", r#"{"type":"ping","x":1}"#, &deep, &long] {
        let error = ask(&mut world, client, text);
        assert_eq!((&error["type"], &error["data"]["code"]), (&"error".into(), &"RM-4001".into()));
    }
    let before = world.clients[client].count("vad");
    world.run(SECOND);
    assert!(world.clients[client].count("vad") > before + 40);
}

#[test]
fn a_flood_is_answered_busy_and_ends_nothing() {
    let (mut world, client) = start(8);
    let now = world.now;
    for index in 0..500 {
        world.clients[client].say(now, &format!(r#"{{"type":"ping","id":{index}}}"#));
    }
    world.run(3 * SECOND);
    let client = &world.clients[client];
    let busy = client.of_type("error").len();
    assert_eq!(client.count("pong") + busy, 500);
    assert!(busy > 0, "all came one by one");
    assert!(client.of_type("error").iter().all(|one| one.json["data"]["code"] == "RM-4002"));
    assert_eq!(world.ends(), [""; 0]);
}
