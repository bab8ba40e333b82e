//! Python nodes in a live session.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Wish, World, python, python_text};
use remotemedia_core::{Opaque, Payload};
use remotemedia_executor::{NodeFailure, NodeResult, NodeValue};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn values_arrive_as_node_results_about_their_frame() {
    let mut world = World::new(1);
    world.python = Box::new(|work| {
        let text = format!("{{\"seq\":{},\"who\":\"{}\"}}", work.meta.seq, work.participant);
        Some(Ok(vec![NodeValue::Json(text)]))
    });
    let plan = python();
    let first = world.open(&plan, Wish::speaking());
    let second = world.open(&plan, Wish::speaking());
    world.run(3 * SECOND);
    for index in [first, second] {
        let client = &world.clients[index];
        let values = client.of_type("node");
        assert!(values.len() > 100);
        for value in values {
            assert_eq!(value.json["node"], "shout");
            assert_eq!(value.json["data"]["who"], client.reply().participant.as_ref());
            let pts = value.json["data"]["seq"].as_f64().unwrap() * 20.0;
            assert_eq!(value.json["pts_ms"], pts);
        }
    }
}

#[test]
fn work_names_its_session_pipeline_and_stream() {
    let mut world = World::new(2);
    let client = world.open(&python(), Wish::speaking());
    world.run_until(3 * SECOND, |world| !world.held.is_empty());
    let work = &world.held[0];
    let reply = world.clients[client].reply();
    assert_eq!((&work.session, &work.participant), (&reply.session_id, &reply.participant));
    assert_eq!((&*work.pipeline, &*work.stream), ("mic-python", "audio"));
    let Payload::Audio(samples) = &work.payload else { panic!("no audio") };
    assert_eq!((&*work.node, &*work.entry, samples.len()), ("shout", "user:shout", 320));
}

#[test]
fn a_failure_is_an_error_with_its_traceback_and_the_session_goes_on() {
    let mut world = World::new(3);
    world.python = Box::new(|work| {
        Some(if work.meta.seq == 10 {
            Err(NodeFailure {
                message: "ValueError: ten".into(),
                traceback: Some("File \"shout.py\", line 3".into()),
                transient: false,
            })
        } else {
            Ok(vec![NodeValue::Json("1".into())])
        })
    });
    let client = world.open(&python(), Wish::speaking());
    world.run(2 * SECOND);
    let client = &world.clients[client];
    let errors = client.of_type("error");
    assert_eq!(errors.len(), 1);
    let error = &errors[0].json;
    assert_eq!((&error["node"], &error["pts_ms"]), (&"shout".into(), &200.0.into()));
    assert_eq!(error["data"]["code"], "RM-5001");
    assert!(error["data"]["traceback"].as_str().unwrap().contains("shout.py"));
    assert!(client.count("node") > 50 && client.count("vad") > 50);
}

#[test]
fn a_node_that_always_fails_is_rested_and_the_others_go_on() {
    let mut world = World::new(4);
    world.python = Box::new(|_| {
        Some(Err(NodeFailure { message: "no".into(), traceback: None, transient: false }))
    });
    let client = world.open(&python(), Wish::speaking());
    world.run(8 * SECOND);
    let client = &world.clients[client];
    assert_eq!(client.count("error"), 6, "five, and one try after five seconds");
    assert!(client.count("vad") > 300);
    let stats = world.server.get(world.now, &client.reply().session_id).unwrap();
    assert!(stats.graph.skipped > 200, "{:?}", stats.graph);
    let losses = world.server.losses();
    assert_eq!((losses.node_failed, losses.node_skipped), (6, stats.graph.skipped));
}

#[test]
fn a_node_that_never_answers_loses_frames_and_says_so() {
    let mut world = World::new(5);
    let client = world.open(&python(), Wish::speaking());
    world.run(5 * SECOND);
    let client = &world.clients[client];
    let errors = client.of_type("error");
    assert!((2..=5).contains(&errors.len()), "{}", errors.len());
    assert!(errors.iter().all(|one| one.json["data"]["code"] == "RM-5002"));
    assert!(client.count("vad") > 200);
    assert!(world.held.len() <= remotemedia_executor::MAX_IN_FLIGHT);
}

#[test]
fn frames_that_the_lane_loses_are_lost_by_their_node_and_the_next_are_handed_out() {
    let mut world = World::new(8);
    let client = world.open(&python(), Wish::speaking());
    for _ in 0..5 {
        world
            .run_until(3 * SECOND, |world| world.held.len() == remotemedia_executor::MAX_IN_FLIGHT);
        for work in std::mem::take(&mut world.held) {
            world.server.lose_lane(world.now, work.token);
        }
    }
    let client = &world.clients[client];
    assert!(client.of_type("error").iter().all(|one| one.json["data"]["code"] == "RM-5002"));
    let stats = world.server.get(world.now, &client.reply().session_id).unwrap();
    assert_eq!(stats.graph.overrun, 5 * remotemedia_executor::MAX_IN_FLIGHT as u64);
    assert_eq!(world.server.losses().node_overrun, 0, "the lane has counted them");
}

#[test]
fn a_result_larger_than_the_client_takes_is_counted_and_told_once_a_second() {
    let mut world = World::new(6);
    world.python =
        Box::new(|_| Some(Ok(vec![NodeValue::Json(format!("\"{}\"", "x".repeat(20_000)))])));
    let plan = python();
    let small = |sdp: String| sdp.replace("max-message-size:262144", "max-message-size:16384");
    let client = world.open_with(&plan, Wish::speaking(), small);
    let other = world.join(client, &plan, Wish::listening()).unwrap();
    world.run(4 * SECOND);
    let (client, other) = (&world.clients[client], &world.clients[other]);
    assert_eq!(client.count("node"), 0);
    let errors = client.of_type("error");
    assert!((3..=4).contains(&errors.len()), "{errors:?}");
    let error = &errors[0].json;
    assert_eq!((&error["data"]["code"], &error["node"]), (&"RM-4004".into(), &"shout".into()));
    let message = error["data"]["message"].as_str().unwrap();
    let sizes = message.contains("16384") && message.contains(" 20");
    assert!(message.contains("\"shout\"") && sizes, "{message}");
    assert!(client.count("vad") > 100, "the others go on");
    assert!(other.count("node") > 100 && other.count("error") == 0, "who takes it gets it");
    let stats = world.server.get(world.now, &client.reply().session_id).unwrap();
    let lost = stats.participants[0].too_large;
    assert!(lost > 100 && stats.participants[1].too_large == 0, "{lost}");
    assert_eq!(world.server.losses().results_too_large, lost);
}

#[test]
fn a_client_that_takes_next_to_nothing_is_not_told_for_ever() {
    let mut world = World::new(7);
    let tiny = |sdp: String| sdp.replace("max-message-size:262144", "max-message-size:20");
    let client = world.open_with(&python(), Wish::speaking(), tiny);
    world.run(3 * SECOND);
    assert_eq!(world.clients[client].received.len(), 0);
    assert!(world.server.losses().results_too_large > 100);
    assert_eq!(world.ends(), [""; 0]);
}

#[test]
fn values_go_by_their_ports_and_an_object_is_no_result() {
    let mut world = World::new(11);
    let results = || {
        let on = |port: &str, value: NodeValue| NodeResult { port: Some(port.into()), value };
        vec![
            on("text", NodeValue::Json("\"hello\"".into())),
            on("out", NodeValue::Data(Arc::new(serde_json::json!({"n": 1})))),
            on("out", NodeValue::Opaque(Opaque::new(1))),
        ]
    };
    let client = world.open(&python_text(), Wish::speaking());
    world.python = Box::new(|_| None);
    world.run_until(3 * SECOND, |world| world.held.len() > 3);
    for work in std::mem::take(&mut world.held) {
        world.server.complete_lane(world.now, work.token, Ok(results()));
    }
    world.run(SECOND);
    let client = &world.clients[client];
    let data = |node: &str| {
        let messages = client.of_type("node");
        let message = messages.iter().find(|message| message.json["node"] == node).unwrap();
        message.json["data"].clone()
    };
    assert_eq!((data("up"), data("hear")), ("HELLO".into(), serde_json::json!({"n": 1})));
    let error = client.of_type("error")[0].json.clone();
    assert_eq!((&error["node"], &error["data"]["code"]), (&"hear".into(), &"RM-5001".into()));
}
