//! Data that clients send by messages.

mod common;

use std::time::Duration;

use common::{Wish, World, anything, ask, energy, hears_and_reads, level_and_text, ms, text};
use proptest::prelude::*;
use remotemedia_core::Payload;
use remotemedia_executor::NodeValue;
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

fn input(data: &Value) -> String {
    json!({"type": "input", "data": data}).to_string()
}

fn input_to(node: &str, data: &Value) -> String {
    json!({"type": "input", "node": node, "data": data}).to_string()
}

fn start(seed: u64) -> (World, usize) {
    let mut world = World::new(seed);
    let client = world.open(&text(), Wish::listening());
    world.run_until(SECOND, |world| world.clients[client].count("ready") == 1);
    (world, client)
}

#[test]
fn what_native_nodes_make_of_data_comes_before_the_answer() {
    let (mut world, client) = start(1);
    let reply = ask(&mut world, client, r#"{"type":"input","id":"a","data":{"text":"grüße"}}"#);
    assert_eq!(reply, json!({"v": 1, "type": "accepted", "id": "a", "node": "words"}));
    let results = world.clients[client].of_type("node");
    let result = &results[0].json;
    assert_eq!(
        (results.len(), &result["data"], &result["node"]),
        (1, &"GRÜSSE".into(), &"text-words".into())
    );
    assert_eq!((&result["stream"], &result["participant"]), (&"data".into(), &"p1".into()));
    assert_eq!((&result["pts_ms"], &result["rtp_ts"]), (&0.0.into(), &0.into()));
}

#[test]
fn a_node_that_alone_takes_the_data_of_a_source_may_be_named() {
    let (mut world, client) = start(2);
    for name in ["words", "text-words"] {
        let reply = ask(&mut world, client, &input_to(name, &json!("a")));
        assert_eq!((&reply["type"], &reply["node"]), (&"accepted".into(), &name.into()));
    }
    assert_eq!(world.clients[client].count("node"), 2);
}

#[test]
fn what_a_node_cannot_use_is_its_error_and_the_data_was_taken() {
    let (mut world, client) = start(3);
    assert_eq!(ask(&mut world, client, &input(&json!(7)))["type"], "accepted");
    let errors = world.clients[client].of_type("error");
    assert_eq!((errors.len(), &errors[0].json["node"]), (1, &"text-words".into()));
    assert_eq!(errors[0].json["data"]["code"], "RM-5001");
}

#[test]
fn media_time_goes_on_with_the_clock() {
    let (mut world, client) = start(4);
    for pause in [0, 250, 1_000] {
        world.run(ms(pause));
        ask(&mut world, client, &input(&json!("x")));
    }
    let results = world.clients[client].of_type("node");
    let pts: Vec<f64> = results.iter().map(|one| one.json["pts_ms"].as_f64().unwrap()).collect();
    assert_eq!(pts[0], 0.0);
    assert!((250.0..300.0).contains(&pts[1]) && (1_250.0..1_350.0).contains(&pts[2]), "{pts:?}");
}

#[test]
fn latency_counts_from_the_arrival_of_the_message() {
    let mut world = World::new(5);
    let client = world.open(&anything(), Wish::listening());
    world.run_until(SECOND, |world| world.clients[client].count("ready") == 1);
    assert_eq!(ask(&mut world, client, &input(&json!([1, 2])))["type"], "accepted");
    world.run(ms(120));
    let work = world.held.pop().unwrap();
    assert!(matches!(&work.payload, Payload::Data(value) if **value == json!([1, 2])));
    assert_eq!((&*work.stream, &*work.port, work.meta.seq), ("audio", "in", 0));
    let done = vec![NodeValue::Json("\"done\"".into()).into()];
    world.server.complete_lane(world.now, work.token, Ok(done));
    world.run_until(SECOND, |world| world.clients[client].count("node") == 1);
    let result = world.clients[client].of_type("node")[0].json.clone();
    let latency = result["latency_ms"].as_f64().unwrap();
    assert!((120.0..160.0).contains(&latency), "{latency}");
}

#[test]
fn audio_and_data_are_one_stream_of_a_node_with_two_inputs() {
    let mut world = World::new(6);
    let client = world.open(&hears_and_reads(), Wish::speaking());
    world.run_until(SECOND, |world| world.held.len() > 10);
    let reply = ask(&mut world, client, &input_to("words", &json!("hello")));
    assert_eq!(reply["type"], "accepted");
    assert_eq!(world.clients[client].of_type("node")[0].json["data"], 5);
    world.run(ms(100));
    let at = world.held.iter().position(|work| &*work.port == "words").unwrap();
    let (before, word, after) = (&world.held[at - 1], &world.held[at], &world.held[at + 1]);
    assert_eq!((&*before.port, &*after.port), ("audio", "audio"));
    for work in &world.held {
        assert_eq!((&work.stream, work.meta.stream), (&word.stream, word.meta.stream));
    }
    assert_eq!((before.meta.seq + 1, word.meta.seq + 1), (word.meta.seq, after.meta.seq));
    let distance = word.meta.pts_us.abs_diff(before.meta.pts_us);
    assert!(distance < 100_000, "{distance}");
    assert_eq!(world.server.live().streams, 1);
}

#[test]
fn data_goes_to_the_stream_of_who_sent_it() {
    let (mut world, first) = start(7);
    let second = world.join(first, &text(), Wish::listening()).unwrap();
    world.run_until(SECOND, |world| world.clients[second].count("ready") == 1);
    for turn in 0..10 {
        for (index, who) in [(first, "a"), (second, "b")] {
            let now = world.now;
            world.clients[index].say(now, &input(&json!(format!("{who}{turn}"))));
        }
        world.run(ms(7));
    }
    world.run(ms(200));
    for (name, letter) in [("p1", "A"), ("p2", "B")] {
        let said: Vec<String> = world.clients[first]
            .of_type("node")
            .iter()
            .filter(|one| one.json["participant"] == name)
            .map(|one| one.json["data"].as_str().unwrap().to_owned())
            .collect();
        let expected: Vec<String> = (0..10).map(|turn| format!("{letter}{turn}")).collect();
        assert_eq!(said, expected);
    }
    assert_eq!(world.server.live().streams, 2);
    assert_eq!(world.clients[first].count("accepted"), 10);
    let stats = world.server.get(world.now, &world.clients[first].reply().session_id).unwrap();
    assert_eq!(stats.graph.frames, 20);
}

#[test]
fn who_leaves_takes_their_stream_along() {
    let (mut world, client) = start(8);
    ask(&mut world, client, &input(&json!("x")));
    assert_eq!(ask(&mut world, client, r#"{"type":"flush"}"#)["type"], "flushed");
    assert_eq!(world.server.live().streams, 1);
    let now = world.now;
    world.clients[client].peer.close(now);
    world.run(SECOND);
    world.assert_nothing_left();
}

#[test]
fn errors_name_the_field_and_who_takes_data() {
    let mut world = World::new(9);
    let both = world.open(&hears_and_reads(), Wish::speaking());
    let one = world.open(&level_and_text(), Wish::speaking());
    let none = world.open(&energy(), Wish::speaking());
    world.run(SECOND);
    let long: Value = vec![1e5; 12_000].into();
    for (client, text, code, field, words) in [
        (
            both,
            input(&json!(1)),
            "RM-1003",
            "node",
            "say which node: data goes into more, words, add",
        ),
        (
            both,
            input_to("both", &json!(1)),
            "RM-1003",
            "node",
            "no data goes in there: data goes into more",
        ),
        (
            both,
            input_to("mic", &json!(1)),
            "RM-1003",
            "node",
            "no data goes in there: data goes into more",
        ),
        (
            one,
            input_to("level-input", &json!(1)),
            "RM-1003",
            "node",
            "data goes into words, text-words",
        ),
        (
            one,
            input_to("wrods", &json!(1)),
            "RM-1003",
            "node",
            "no such node: data goes into words",
        ),
        (one, r#"{"type":"input","node":"words"}"#.into(), "RM-4001", "data", "missing"),
        (one, r#"{"type":"input","node":7,"data":1}"#.into(), "RM-4001", "node", "a string"),
        (one, input(&long).replace("100000.0", "1E5"), "RM-4001", "data", "more than 61440 bytes"),
        (none, input(&json!(1)), "RM-1003", "type", "takes no data"),
        (none, input_to("vad", &json!(1)), "RM-1003", "type", "takes no data"),
    ] {
        let error = ask(&mut world, client, &text);
        assert_eq!(
            (&error["data"]["code"], &error["data"]["field"]),
            (&code.into(), &field.into())
        );
        let message = error["data"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(ask(&mut world, both, &input_to("add", &json!(1)))["node"], "add");
    assert_eq!(world.clients[both].of_type("node")[0].json["data"], 3.0);
}

#[test]
fn a_flood_of_data_is_bounded_and_harms_nobody() {
    let mut world = World::new(10);
    let client = world.open(&anything(), Wish::listening());
    let other = world.open(&text(), Wish::listening());
    world.run_until(SECOND, |world| world.clients[other].count("ready") == 1);
    let now = world.now;
    let word: Value = "x".repeat(200).into();
    for _ in 0..500 {
        world.clients[client].say(now, &input(&word));
    }
    assert_eq!(ask(&mut world, other, &input(&word))["type"], "accepted");
    world.run(3 * SECOND);
    let (client, most) = (&world.clients[client], 50 + remotemedia_executor::MAX_IN_FLIGHT);
    let busy =
        client.of_type("error").iter().filter(|one| one.json["data"]["code"] == "RM-4002").count();
    assert_eq!(client.count("accepted") + busy, 500);
    assert!(world.held.len() <= most, "{}", world.held.len());
    assert_eq!(world.ends(), [""; 0]);
}

/// JSON of any shape, and now and then of none.
fn data() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| value.to_string()),
        any::<String>().prop_map(|value| json!(value).to_string()),
    ];
    leaf.prop_recursive(40, 60, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            ("[a-z\"\\\\]{0,3}", inner)
                .prop_map(|(key, value)| format!("{{{}:{value}}}", json!(key))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_answered_whatever_it_holds(
        seed in any::<u64>(),
        messages in prop::collection::vec(
            (prop::option::of(prop_oneof![Just("words".to_owned()), "[a-z-]{0,70}"]), data()),
            1..40,
        ),
    ) {
        let mut world = World::new(seed);
        let client = world.open(&hears_and_reads(), Wish::speaking());
        world.python = Box::new(|work| match &work.payload {
            Payload::Data(value) => Some(Ok(vec![NodeValue::Data(value.clone())])),
            _ => Some(Ok(Vec::new())),
        });
        world.run_until(SECOND, |world| world.clients[client].count("ready") == 1);
        for (node, data) in &messages {
            let node = node.as_ref().map(|node| format!("\"node\":\"{node}\",")).unwrap_or_default();
            let reply = ask(&mut world, client, &format!("{{\"type\":\"input\",{node}\"data\":{data}}}"));
            prop_assert!(reply["type"] == "accepted" || reply["type"] == "error");
        }
        prop_assert_eq!(world.ends(), [""; 0]);
        world.clients[client].gone = true;
        world.run(Duration::from_secs(65));
        world.assert_nothing_left();
    }
}

#[test]
fn a_session_has_so_many_streams_and_no_more() {
    let mut world = World::with(11, |config| config.max_participants = 70);
    let first = world.open(&text(), Wish::listening());
    world.run_until(SECOND, |world| world.clients[first].count("ready") == 1);
    ask(&mut world, first, &input(&json!("x")));
    for _ in 1..remotemedia_executor::MAX_STREAMS {
        let other = world.join(first, &text(), Wish::listening()).unwrap();
        world.run_until(SECOND, |world| world.clients[other].count("ready") == 1);
        let now = world.now;
        world.clients[other].say(now, &input(&json!("x")));
    }
    world.run(ms(100));
    let last = world.join(first, &text(), Wish::listening()).unwrap();
    world.run_until(SECOND, |world| world.clients[last].count("ready") == 1);
    let error = ask(&mut world, last, &input(&json!("x")));
    assert_eq!(error["data"]["code"], "RM-6001");
    assert_eq!(world.server.live().streams, remotemedia_executor::MAX_STREAMS);
    assert_eq!(ask(&mut world, first, &input(&json!("y")))["type"], "accepted");
}
