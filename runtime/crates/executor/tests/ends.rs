//! Offline: the end of the input, further tries, the breaker, interrupts.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{any, audio, data, drain, graph, heard, meta, offline, ported, python_params, values};
use remotemedia_core::{Micros, Piece};
use remotemedia_executor::{
    BREAKER_FAILURES, Executor, InstanceId, NodeFailure, NodeResult, NodeValue, PythonWork,
    RETRY_PAUSES,
};
use serde_json::{Value, json};

type Result = std::result::Result<Vec<NodeResult>, NodeFailure>;

const NOW: Micros = Micros(0);

fn python(id: &str, inputs: &[&str]) -> Value {
    let inputs: Vec<(&str, Value)> = inputs.iter().map(|name| (*name, any(16_000))).collect();
    ported(id, "python", python_params(), &inputs, &[("out", any(16_000))])
}

/// One source of values into a Python node.
fn one() -> (Executor, InstanceId) {
    offline(&graph(&[("in", data())], &[python("node", &["in"])], &[("$source.in", "node.in")]))
}

fn push(executor: &mut Executor, id: InstanceId, value: u32) {
    let frame = meta(16_000, common::STREAM, u64::from(value), 0);
    executor.push_to(NOW, id, 0, &frame, Piece::Data(&Arc::new(json!(value))));
}

fn end(executor: &mut Executor, id: InstanceId, source: Option<usize>) {
    executor.end_source(NOW, id, common::STREAM, source);
}

fn works(executor: &mut Executor, now: Micros) -> Vec<PythonWork> {
    std::iter::from_fn(|| executor.poll_work(now)).collect()
}

fn number(value: u64) -> Result {
    Ok(vec![NodeValue::Data(Arc::new(json!(value))).into()])
}

fn failure(transient: bool) -> Result {
    Err(NodeFailure { message: "OSError: busy".into(), traceback: None, transient })
}

#[test]
fn the_end_comes_to_a_python_node_after_all_its_frames() {
    let (mut executor, id) = one();
    (0..3).for_each(|value| push(&mut executor, id, value));
    end(&mut executor, id, None);
    let held = works(&mut executor, NOW);
    assert!(held.iter().all(|work| !work.end) && held.len() == 3);
    for work in &held {
        assert!(executor.poll_work(NOW).is_none(), "the end waits for what is under way");
        executor.complete(NOW, work.token, number(1));
    }
    let last = works(&mut executor, NOW);
    assert!(last.len() == 1 && last[0].end && last[0].port.is_empty());
    assert!(!executor.has_ended(id, common::STREAM));
    executor.complete(NOW, last[0].token, number(9));
    assert!(executor.has_ended(id, common::STREAM));
    assert_eq!(values(&drain(&mut executor), "node"), ["1", "1", "1", "9"]);
}

#[test]
fn what_stands_behind_a_python_node_ends_after_it() {
    let buffer = {
        let (mono, params) = (audio(16_000, 1), json!({"duration_ms": 100, "overlap_ms": 0}));
        ported("buffer", "buffer", params, &[("in", mono.clone())], &[("out", mono)])
    };
    let manifest = graph(
        &[("in", audio(16_000, 1))],
        &[python("node", &["in"]), buffer],
        &[("$source.in", "node.in"), ("node.out", "buffer.in")],
    );
    let (mut executor, id) = offline(&manifest);
    executor.push(NOW, id, &meta(16_000, common::STREAM, 0, 0), &[0.5; 320]);
    end(&mut executor, id, None);
    let sound = |samples: &[f32]| {
        Ok(vec![NodeValue::Audio { channels: 1, samples: samples.into() }.into()])
    };
    let work = executor.poll_work(NOW).unwrap();
    executor.complete(NOW, work.token, sound(&[0.25; 320]));
    assert!(drain(&mut executor).is_empty());
    let work = executor.poll_work(NOW).unwrap();
    assert!(work.end && work.meta.pts_us == 20_000, "the end lies behind the last frame");
    executor.complete(NOW, work.token, sound(&[0.75; 80]));
    let mut expected = vec![0.25; 320];
    expected.extend([0.75; 80]);
    assert_eq!(heard(&drain(&mut executor), "buffer", 0), [(0, expected)]);
    assert!(executor.has_ended(id, common::STREAM));
}

#[test]
fn a_node_with_several_inputs_ends_with_the_last_of_them() {
    let manifest = graph(
        &[("a", data()), ("b", data())],
        &[python("join", &["left", "right"]), python("behind", &["in"])],
        &[("$source.a", "join.left"), ("$source.b", "join.right"), ("join.out", "behind.in")],
    );
    let (mut executor, id) = offline(&manifest);
    end(&mut executor, id, Some(1));
    assert!(executor.poll_work(NOW).is_none());
    push(&mut executor, id, 1);
    let work = executor.poll_work(NOW).unwrap();
    executor.complete(NOW, work.token, number(5));
    let behind = executor.poll_work(NOW).unwrap();
    end(&mut executor, id, Some(0));
    let last = works(&mut executor, NOW);
    assert_eq!(
        last.iter().map(|work| (&*work.node, work.end)).collect::<Vec<_>>(),
        [("join", true)]
    );
    executor.complete(NOW, last[0].token, Ok(Vec::new()));
    assert!(executor.poll_work(NOW).is_none(), "the node behind has a frame under way");
    executor.complete(NOW, behind.token, Ok(Vec::new()));
    let last = executor.poll_work(NOW).unwrap();
    assert_eq!((&*last.node, last.end), ("behind", true));
}

#[test]
fn a_transient_failure_is_tried_again_three_times_and_order_is_kept() {
    let (mut executor, id) = one();
    (0..3).for_each(|value| push(&mut executor, id, value));
    let mut held = works(&mut executor, NOW);
    for work in held.drain(1..) {
        executor.complete(NOW, work.token, number(work.meta.seq));
    }
    assert!(drain(&mut executor).is_empty(), "they wait for the first");
    let mut work = held.remove(0);
    let mut now = NOW;
    for pause in RETRY_PAUSES {
        executor.complete(now, work.token, failure(true));
        assert_eq!(executor.work_pending(id), 3);
        let due = executor.poll_timeout().unwrap();
        assert!((pause..=pause.mul_f64(1.2)).contains(&(due - now)), "{pause:?} {due}");
        assert!(executor.poll_work(Micros(due.0 - 1)).is_none());
        executor.handle_timeout(due);
        assert_eq!(executor.poll_timeout(), None);
        let again = executor.poll_work(due).unwrap();
        assert_ne!(again.token, work.token);
        assert_eq!((&again.payload, again.meta.seq), (&work.payload, 0));
        (work, now) = (again, due);
    }
    executor.complete(now, work.token, failure(true));
    let outputs = drain(&mut executor);
    assert_eq!(values(&outputs, "node"), ["OSError: busy", "1", "2"]);
    assert_eq!(executor.work_pending(id), 0);
    assert_eq!(executor.instance_stats(id).unwrap().retried, 3);
}

#[test]
fn a_frame_that_succeeds_at_last_is_no_failure_and_the_end_waits_for_it() {
    let (mut executor, id) = one();
    push(&mut executor, id, 0);
    end(&mut executor, id, None);
    let work = executor.poll_work(NOW).unwrap();
    executor.complete(NOW, work.token, failure(true));
    assert!(executor.poll_work(NOW).is_none());
    let due = executor.poll_timeout().unwrap();
    let work = executor.poll_work(due).unwrap();
    assert!(!work.end);
    executor.complete(due, work.token, number(1));
    assert!(executor.poll_work(due).unwrap().end);
    assert_eq!(values(&drain(&mut executor), "node"), ["1"]);
    assert_eq!(executor.instance_stats(id).unwrap().failures, 0);
}

#[test]
fn pauses_are_the_same_for_the_same_seed() {
    let pause = |seed: u64| {
        let config = remotemedia_executor::ExecutorConfig {
            seed,
            ..remotemedia_executor::ExecutorConfig::offline()
        };
        let mut executor = Executor::new(config);
        let manifest =
            graph(&[("in", data())], &[python("node", &["in"])], &[("$source.in", "node.in")]);
        let id = executor.create(Arc::new(common::compile(&manifest).unwrap()));
        executor.open_stream(id, common::STREAM);
        push(&mut executor, id, 0);
        let work = executor.poll_work(NOW).unwrap();
        executor.complete(NOW, work.token, failure(true));
        executor.poll_timeout().unwrap()
    };
    assert_eq!(pause(1), pause(1));
    assert_ne!(pause(1), pause(2));
}

#[test]
fn live_and_for_good_failures_are_not_tried_again() {
    let (mut executor, id) = one();
    push(&mut executor, id, 0);
    let work = executor.poll_work(NOW).unwrap();
    executor.complete(NOW, work.token, failure(false));
    assert_eq!((executor.poll_timeout(), drain(&mut executor).len()), (None, 1));
    let mut live = Executor::new(remotemedia_executor::ExecutorConfig::live());
    let manifest =
        graph(&[("in", data())], &[python("node", &["in"])], &[("$source.in", "node.in")]);
    let id = live.create(Arc::new(common::compile(&manifest).unwrap()));
    live.open_stream(id, common::STREAM);
    push(&mut live, id, 0);
    let work = live.poll_work(NOW).unwrap();
    live.complete(NOW, work.token, failure(true));
    assert_eq!((live.poll_timeout(), drain(&mut live).len()), (None, 1));
}

#[test]
fn five_failures_in_a_row_end_an_offline_run() {
    let (mut executor, id) = one();
    (0..10).for_each(|value| push(&mut executor, id, value));
    for count in 1..=BREAKER_FAILURES {
        assert_eq!(executor.failure(id), None);
        let work = executor.poll_work(NOW).unwrap();
        executor.complete(NOW, work.token, failure(false));
        assert_eq!(drain(&mut executor).len(), 1, "{count}");
    }
    let failure = executor.failure(id).unwrap();
    assert_eq!(&*failure.node, "node");
    assert!(failure.message.contains("OSError: busy (5 failures in a row"), "{failure:?}");
    assert!(executor.poll_work(Micros(60_000_000)).is_none());
    push(&mut executor, id, 10);
    assert_eq!(executor.instance_stats(id).unwrap().refused, 1);
}

#[test]
fn an_interrupt_forgets_further_tries_and_keeps_the_end() {
    let (mut executor, id) = one();
    (0..4).for_each(|value| push(&mut executor, id, value));
    let first = executor.poll_work(NOW).unwrap();
    let second = executor.poll_work(NOW).unwrap();
    executor.complete(NOW, first.token, failure(true));
    end(&mut executor, id, None);
    executor.interrupt(id);
    assert_eq!((executor.poll_timeout(), executor.work_pending(id)), (None, 2));
    assert!(executor.poll_work(NOW).is_none(), "one frame is under way");
    executor.complete(NOW, second.token, number(1));
    let last = executor.poll_work(Micros(1)).unwrap();
    assert!(last.end);
    executor.complete(NOW, last.token, number(2));
    assert_eq!(values(&drain(&mut executor), "node"), ["2"]);
    assert!(executor.has_ended(id, common::STREAM));
}

#[test]
fn a_removed_instance_is_not_tried_again() {
    let (mut executor, id) = one();
    push(&mut executor, id, 0);
    let work = executor.poll_work(NOW).unwrap();
    executor.complete(NOW, work.token, failure(true));
    executor.remove(id);
    assert_eq!(executor.poll_timeout(), None);
    executor.handle_timeout(NOW + Duration::from_secs(1));
    assert!(executor.poll_work(NOW + Duration::from_secs(1)).is_none());
}
