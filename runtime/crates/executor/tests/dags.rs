//! Random graphs: what is valid compiles, the order is the manifest's, hostile manifests are refused.

mod common;

use std::collections::HashMap;

use common::{any, compile, data, drain, graph, meta, ported, python_params, values};
use proptest::prelude::*;
use remotemedia_core::{ErrorCode, MAX_MANIFEST_BYTES, Micros, Piece, ResolvedManifest};
use remotemedia_executor::{Executor, ExecutorConfig};
use serde_json::{Value, json};
use std::sync::Arc;

/// By node: what feeds each of its inputs; `None` is the source.
type Feeds = Vec<Vec<Option<usize>>>;

fn manifest_of(feeds: &Feeds) -> Value {
    let names: Vec<String> = (0..16).map(|port| format!("i{port}")).collect();
    let nodes: Vec<Value> = feeds
        .iter()
        .enumerate()
        .map(|(at, inputs)| {
            let inputs: Vec<(&str, Value)> =
                (0..inputs.len()).map(|port| (names[port].as_str(), any(16_000))).collect();
            let params = python_params();
            ported(&format!("n{at}"), "python", params, &inputs, &[("out", any(16_000))])
        })
        .collect();
    let links: Vec<(String, String)> = feeds
        .iter()
        .enumerate()
        .flat_map(|(at, inputs)| {
            inputs.iter().enumerate().map(move |(port, from)| {
                let from = from.map_or("$source.in".to_owned(), |from| format!("n{from}.out"));
                (from, format!("n{at}.i{port}"))
            })
        })
        .collect();
    let links: Vec<(&str, &str)> =
        links.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    graph(&[("in", any(16_000))], &nodes, &links)
}

fn is_acyclic(feeds: &Feeds) -> bool {
    let mut done = vec![false; feeds.len()];
    for _ in 0..feeds.len() {
        for at in 0..feeds.len() {
            done[at] |= feeds[at].iter().all(|from| from.is_none_or(|from| done[from]));
        }
    }
    done.into_iter().all(|done| done)
}

fn any_feeds() -> impl Strategy<Value = Feeds> {
    (1_usize..14).prop_flat_map(|nodes| {
        let input = prop::option::weighted(0.8, 0..nodes);
        prop::collection::vec(prop::collection::vec(input, 1..4), nodes)
    })
}

/// Each node is fed by nodes of a lower number alone.
fn acyclic_feeds() -> impl Strategy<Value = Feeds> {
    any_feeds().prop_map(|mut feeds| {
        for (at, inputs) in feeds.iter_mut().enumerate() {
            for from in inputs {
                *from = from.filter(|_| at > 0).map(|from| from % at.max(1));
            }
        }
        feeds
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_graph_compiles_unless_it_has_a_cycle_and_then_one_is_named(feeds in any_feeds()) {
        match compile(&manifest_of(&feeds)) {
            Ok(plan) => {
                prop_assert!(is_acyclic(&feeds));
                let order: Vec<usize> =
                    plan.nodes().map(|node| node.id[1..].parse().unwrap()).collect();
                let place: HashMap<usize, usize> =
                    order.iter().enumerate().map(|(index, at)| (*at, index)).collect();
                for (index, at) in order.iter().enumerate() {
                    let ready = |at: usize| {
                        feeds[at].iter().flatten().all(|from| place[from] < index)
                    };
                    prop_assert!(ready(*at), "fed by what comes later");
                    let first = (0..*at).find(|other| place[other] > index && ready(*other));
                    prop_assert_eq!(first, None, "the manifest's order breaks ties");
                }
            }
            Err(error) => {
                prop_assert!(!is_acyclic(&feeds));
                prop_assert_eq!(error.code, ErrorCode::GraphCycle);
                let path = error.message.strip_prefix("a cycle: ").unwrap();
                let path: Vec<usize> =
                    path.split(" -> ").map(|name| name[1..].parse().unwrap()).collect();
                prop_assert_eq!(path.first(), path.last());
                for pair in path.windows(2) {
                    prop_assert!(feeds[pair[1]].contains(&Some(pair[0])), "{path:?}");
                }
            }
        }
    }

    #[test]
    fn instances_of_one_graph_never_mix(
        feeds in acyclic_feeds(),
        order in prop::collection::vec(0_usize..3, 1..12),
    ) {
        let plan = Arc::new(compile(&manifest_of(&feeds)).unwrap());
        let mut executor = Executor::new(ExecutorConfig::offline());
        let ids: Vec<_> = (0..3).map(|_| executor.create(plan.clone())).collect();
        ids.iter().for_each(|id| executor.open_stream(*id, common::STREAM));
        let mut results = vec![Vec::new(); 3];
        for (seq, who) in (0..).zip(order) {
            let frame = meta(16_000, common::STREAM, seq, 0);
            let value = Arc::new(json!(who));
            executor.push_to(Micros(0), ids[who], 0, &frame, Piece::Data(&value));
            // Each node hands on what it takes, so a wide graph may give very much.
            for _ in 0..64 {
                let Some(work) = executor.poll_work(Micros(0)) else { break };
                let remotemedia_core::Payload::Data(value) = work.payload else { unreachable!() };
                prop_assert_eq!(&*value, &json!(ids.iter().position(|id| *id == work.instance)));
                let value = remotemedia_executor::NodeValue::Data(value);
                executor.complete(Micros(0), work.token, Ok(vec![value.into()]));
            }
            for output in drain(&mut executor) {
                let who = ids.iter().position(|id| *id == output.instance).unwrap();
                results[who].extend(values(std::slice::from_ref(&output), &output.node));
            }
        }
        for (who, results) in results.iter().enumerate() {
            prop_assert!(results.iter().all(|result| *result == who.to_string()), "{results:?}");
        }
    }

    #[test]
    fn a_graph_ends_whatever_its_form(feeds in acyclic_feeds(), early in 0_usize..20) {
        let (mut executor, id) = common::offline(&manifest_of(&feeds));
        let mut ends = 0;
        executor.end_source(Micros(0), id, common::STREAM, None);
        for _ in 0..feeds.len() + early {
            let Some(work) = executor.poll_work(Micros(0)) else { break };
            ends += usize::from(work.end);
            executor.complete(Micros(0), work.token, Ok(Vec::new()));
        }
        prop_assert_eq!(ends, feeds.len(), "each node learns it once");
        prop_assert!(executor.has_ended(id, common::STREAM));
    }

    #[test]
    fn a_manifest_with_something_changed_is_refused_or_compiles(
        place in 0_usize..400, value in "[\\[\\]{}\",:0-9a-z$. -]{0,6}",
    ) {
        let mut text = manifest_of(&vec![vec![None], vec![Some(0), None]]).to_string();
        let at = place.min(text.len());
        text.replace_range(at..(at + value.len()).min(text.len()), &value);
        if let Ok(manifest) = ResolvedManifest::from_json(&text) {
            let _ = remotemedia_executor::Plan::compile(&manifest);
        }
    }
}

fn path_of(change: impl Fn(&mut Value)) -> String {
    let mut manifest = manifest_of(&vec![vec![None], vec![Some(0), None]]);
    change(&mut manifest);
    compile(&manifest).expect_err("the manifest is wrong").path
}

#[test]
fn hostile_manifests_are_refused_with_the_path() {
    let port = |name: &str| json!({"port": name, "format": any(16_000)});
    let many = || (0..17).map(|at| port(&format!("p{at}"))).collect::<Vec<_>>();
    assert_eq!(path_of(|m| m["nodes"][0]["inputs"] = json!(many())), "nodes[0].inputs");
    assert_eq!(path_of(|m| m["nodes"][0]["outputs"] = json!(many())), "nodes[0].outputs");
    assert_eq!(path_of(|m| m["nodes"][0]["inputs"] = json!([])), "nodes[0].inputs");
    let twice = json!([port("out"), port("out")]);
    assert_eq!(path_of(|m| m["nodes"][0]["outputs"] = twice.clone()), "nodes[0].outputs[1].port");
    for name in ["", "a\nb", "$x", &"x".repeat(65)] {
        let named = json!([port(name)]);
        assert_eq!(
            path_of(|m| m["nodes"][0]["outputs"] = named.clone()),
            "nodes[0].outputs[0].port"
        );
        assert_eq!(path_of(|m| m["nodes"][1]["id"] = json!(name)), "nodes[1].id");
        assert_eq!(path_of(|m| m["sources"][0]["id"] = json!(name)), "sources[0].id");
    }
    assert_eq!(path_of(|m| m["edges"][1]["from"]["port"] = json!("left")), "edges[1].from.port");
    assert_eq!(path_of(|m| m["edges"][1]["to"]["port"] = json!("left")), "edges[1].to.port");
    assert_eq!(path_of(|m| m["edges"][1]["to"]["node"] = json!("$source")), "edges[1].to.node");
    let again = |m: &mut Value| m["edges"][2]["to"]["port"] = json!("i0");
    assert_eq!(path_of(again), "edges[2].to.port");
    let unfed = |m: &mut Value| {
        m["edges"].as_array_mut().unwrap().pop();
    };
    assert_eq!(path_of(unfed), "nodes[1].inputs[1]");
    assert_eq!(
        path_of(|m| m["nodes"][0]["outputs"][0]["format"] = common::audio(8_000, 1)),
        "edges[1]"
    );
    let huge = |m: &mut Value| m["nodes"][0]["params"]["entry"] = json!("x".repeat(257));
    assert_eq!(path_of(huge), "nodes[0].params.entry");
    for number in [json!(-1), json!(1e300), json!(0.5), json!(u64::MAX), json!("50")] {
        let path = path_of(|m| m["nodes"][0]["params"]["mailbox_frames"] = number.clone());
        assert_eq!(path, "nodes[0].params.mailbox_frames");
        let rate = path_of(|m| m["sources"][0]["format"]["rate"] = number.clone());
        assert_eq!(rate, "$", "{number}");
    }
    let crowd = |m: &mut Value| {
        let source = json!({"id": "in", "format": data()});
        m["sources"] = json!(vec![source; 17]);
    };
    assert_eq!(path_of(crowd), "sources");
}

#[test]
fn deep_and_large_texts_are_refused() {
    let manifest = manifest_of(&vec![vec![None]]).to_string();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep = manifest.replace("\"user:node\"", &deep);
    assert_eq!(ResolvedManifest::from_json(&deep).unwrap_err().path, "$");
    let large = manifest.replace("user:node", &"x".repeat(MAX_MANIFEST_BYTES));
    assert_eq!(ResolvedManifest::from_json(&large).unwrap_err().path, "$");
}
