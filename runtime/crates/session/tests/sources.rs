//! What feeds a session: no track, one, or several.

mod common;

use std::time::Duration;

use common::{Wish, World, anything, level_and_text, text};
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
