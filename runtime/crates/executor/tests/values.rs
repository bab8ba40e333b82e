//! Values on edges: which inputs they reach, and what becomes of those that nobody takes.

mod common;

use std::sync::Arc;

use common::{
    any, audio, compile, data, drain, graph, meta, offline, ported, python_params, values,
};
use remotemedia_core::{ErrorCode, Micros, Opaque, Payload, Piece};
use remotemedia_executor::{
    Executor, ExecutorConfig, InstanceId, NodeResult, NodeValue, OutputKind, PythonWork,
};
use serde_json::{Value, json};

fn text(id: &str, operation: &str) -> Value {
    let params = json!({"operation": operation});
    ported(id, "text", params, &[("in", data())], &[("out", data())])
}

fn python(id: &str, inputs: &[&str], outputs: &[(&str, Value)]) -> Value {
    let inputs: Vec<(&str, Value)> = inputs.iter().map(|name| (*name, any(16_000))).collect();
    ported(id, "python", python_params(), &inputs, outputs)
}

fn push(executor: &mut Executor, id: InstanceId, source: usize, value: &Value) {
    let frame = meta(16_000, common::STREAM, 0, 0);
    executor.push_to(Micros(0), id, source, &frame, Piece::Data(&Arc::new(value.clone())));
}

fn on(port: &str, value: NodeValue) -> NodeResult {
    NodeResult { port: Some(port.into()), value }
}

fn works(executor: &mut Executor) -> Vec<PythonWork> {
    std::iter::from_fn(|| executor.poll_work(Micros(0))).collect()
}

#[test]
fn values_go_through_native_nodes_and_come_out_as_results() {
    let manifest = graph(
        &[("words", data())],
        &[text("up", "uppercase"), text("count", "length"), text("back", "reverse")],
        &[("$source.words", "up.in"), ("up.out", "count.in"), ("up.out", "back.in")],
    );
    let (mut executor, id) = offline(&manifest);
    push(&mut executor, id, 0, &json!("grüße"));
    push(&mut executor, id, 0, &json!(7));
    push(&mut executor, id, 0, &json!({"text": "a"}));
    let outputs = drain(&mut executor);
    assert_eq!(values(&outputs, "count"), ["6", "1"]);
    assert_eq!(values(&outputs, "back"), ["\"ESSÜRG\"", "\"A\""]);
    assert_eq!(values(&outputs, "up"), ["a text node takes a text or {\"text\": ...}"]);
    assert_eq!(executor.instance_stats(id).unwrap().failures, 1);
    let port = |node: &str| outputs.iter().find(|output| *output.node == *node).unwrap().port;
    assert_eq!((port("count"), port("up")), (Some(0), None));
}

#[test]
fn each_frame_goes_to_the_inputs_that_take_its_type_and_else_is_a_result() {
    let level =
        ported("level", "level", json!({"interval_ms": 20}), &[("in", audio(16_000, 1))], &[]);
    let manifest = graph(
        &[("mic", audio(16_000, 1))],
        &[
            python("split", &["in"], &[("out", any(16_000)), ("other", any(16_000))]),
            level,
            text("up", "uppercase"),
            python("last", &["in"], &[]),
        ],
        &[
            ("$source.mic", "split.in"),
            ("split.out", "level.in"),
            ("split.other", "up.in"),
            ("up.out", "last.in"),
        ],
    );
    let (mut executor, id) = offline(&manifest);
    executor.push(Micros(0), id, &meta(16_000, common::STREAM, 0, 0), &[0.5; 320]);
    let work = executor.poll_work(Micros(0)).unwrap();
    assert_eq!((&*work.port, &work.payload), ("in", &Payload::Audio(vec![0.5; 320].into())));
    let object = Opaque::new("an object");
    let audio = || NodeValue::Audio { channels: 1, samples: vec![0.5; 320].into() };
    let results = vec![
        audio().into(),
        NodeValue::Json("{\"a\":1}".into()).into(),
        on("other", NodeValue::Data(Arc::new(json!("b")))),
        on("other", NodeValue::Json("\"c\"".into())),
        on("other", NodeValue::Opaque(object.clone())),
        on("other", audio()),
    ];
    executor.complete(Micros(0), work.token, Ok(results));
    let outputs = drain(&mut executor);
    let seen: Vec<(&str, Option<u8>, &str)> = outputs
        .iter()
        .map(|output| {
            let kind = match &output.kind {
                OutputKind::Level { .. } => "level",
                OutputKind::Node(json) => json,
                OutputKind::Value(value) if *value == object => "object",
                OutputKind::Audio(_) => "audio",
                other => panic!("{other:?}"),
            };
            (&*output.node, output.port, kind)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("level", None, "level"),
            ("split", Some(0), "{\"a\":1}"),
            ("split", Some(1), "object"),
            ("split", Some(1), "audio"),
        ]
    );
    let taken: Vec<Payload> = works(&mut executor).into_iter().map(|work| work.payload).collect();
    let text = |text: &str| Payload::Data(Arc::new(json!(text)));
    assert_eq!(taken, [text("B"), text("C")]);
}

#[test]
fn a_python_node_with_several_inputs_is_told_by_which_a_frame_came() {
    let manifest = graph(
        &[("a", data()), ("b", any(16_000))],
        &[python("join", &["left", "right"], &[])],
        &[("$source.a", "join.left"), ("$source.b", "join.right")],
    );
    let (mut executor, id) = offline(&manifest);
    let object = Opaque::new(vec![1_u8]);
    push(&mut executor, id, 1, &json!(1));
    push(&mut executor, id, 0, &json!(2));
    let frame = meta(16_000, common::STREAM, 0, 0);
    executor.push_to(Micros(0), id, 1, &frame, Piece::Opaque(&object));
    executor.push_to(Micros(0), id, 0, &frame, Piece::Opaque(&object));
    let seen: Vec<(String, Payload)> = works(&mut executor)
        .into_iter()
        .map(|work| (work.port.to_string(), work.payload))
        .collect();
    let number = |number: i32| Payload::Data(Arc::new(json!(number)));
    assert_eq!(
        seen,
        [
            ("right".to_owned(), number(1)),
            ("left".to_owned(), number(2)),
            ("right".to_owned(), Payload::Opaque(object)),
        ]
    );
    assert_eq!(executor.instance_stats(id).unwrap().refused, 1, "a source of data takes data");
}

#[test]
fn pass_through_hands_on_whatever_it_takes_and_a_vad_audio_alone() {
    let vad = {
        let (mono, params) = (audio(16_000, 1), common::vad_params("energy"));
        ported("vad", "vad", params, &[("in", mono.clone())], &[("out", mono)])
    };
    let pass = {
        let any = any(16_000);
        ported("pass", "pass_through", json!({}), &[("in", any.clone())], &[("out", any)])
    };
    let manifest = graph(
        &[("in", any(16_000))],
        &[pass, vad, python("behind", &["pass", "vad"], &[])],
        &[
            ("$source.in", "pass.in"),
            ("pass.out", "vad.in"),
            ("pass.out", "behind.pass"),
            ("vad.out", "behind.vad"),
        ],
    );
    let (mut executor, id) = offline(&manifest);
    push(&mut executor, id, 0, &json!(1));
    executor.push(Micros(0), id, &meta(16_000, common::STREAM, 0, 0), &[0.5; 320]);
    let ports: Vec<String> =
        works(&mut executor).iter().map(|work| work.port.to_string()).collect();
    assert_eq!(ports, ["pass", "pass", "vad"]);
}

#[test]
fn live_an_object_that_nobody_takes_is_an_error() {
    let manifest = graph(
        &[("in", audio(16_000, 1))],
        &[python("node", &["in"], &[("out", any(16_000))])],
        &[("$source.in", "node.in")],
    );
    let mut executor = Executor::new(ExecutorConfig::live());
    let id = executor.create(Arc::new(compile(&manifest).unwrap()));
    executor.open_stream(id, common::STREAM);
    executor.push(Micros(0), id, &meta(16_000, common::STREAM, 0, 0), &[0.5; 320]);
    let work = executor.poll_work(Micros(0)).unwrap();
    executor.complete(Micros(0), work.token, Ok(vec![NodeValue::Opaque(Opaque::new(1)).into()]));
    let kind = drain(&mut executor).remove(0).kind;
    let OutputKind::Error { code, message, .. } = kind else { panic!("{kind:?}") };
    assert_eq!(code, ErrorCode::NodeFailed);
    assert!(message.contains("not JSON"), "{message}");
}

#[test]
fn results_for_no_port_or_of_the_wrong_kind_are_failures() {
    let manifest = graph(
        &[("in", data())],
        &[python("node", &["in"], &[("data", data()), ("sound", any(16_000))])],
        &[("$source.in", "node.in")],
    );
    let deep = (0..40).fold(json!(1), |value, _| json!([value]));
    for (result, says) in [
        (on("left", NodeValue::Json("1".into())), "there is data, sound"),
        (on("data", NodeValue::Audio { channels: 1, samples: vec![0.0].into() }), "no output"),
        (NodeValue::Data(Arc::new(deep)).into(), "deep"),
        (NodeValue::Data(Arc::new(json!("x".repeat(70_000)))).into(), "bytes"),
        (NodeValue::Json("[".repeat(33) + &"]".repeat(33)).into(), "deep"),
    ] {
        let (mut executor, id) = offline(&manifest);
        push(&mut executor, id, 0, &json!(1));
        let work = executor.poll_work(Micros(0)).unwrap();
        executor.complete(Micros(0), work.token, Ok(vec![result]));
        let outputs = drain(&mut executor);
        assert!(values(&outputs, "node")[0].contains(says), "{outputs:?}");
        assert_eq!(outputs.len(), 1);
    }
}
