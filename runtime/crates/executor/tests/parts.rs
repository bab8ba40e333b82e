//! Results that come one by one: at once, in order, and once.

mod common;

use std::sync::Arc;

use common::{STREAM, data, drain, graph, meta, offline, ported, python_params, values};
use proptest::prelude::*;
use remotemedia_core::{Micros, Piece};
use remotemedia_executor::{
    BREAKER_FAILURES, Executor, ExecutorConfig, InstanceId, NodeFailure, NodeResult, NodeValue,
    PythonWork,
};
use serde_json::{Value, json};

const NOW: Micros = Micros(0);

fn manifest() -> Value {
    let words = ported("node", "python", python_params(), &[("in", data())], &[("out", data())]);
    graph(&[("in", data())], &[words], &[("$source.in", "node.in")])
}

fn live() -> (Executor, InstanceId) {
    let mut executor =
        Executor::new(ExecutorConfig { clock: Some(|| 1), ..ExecutorConfig::live() });
    let id = executor.create(Arc::new(common::compile(&manifest()).expect("the graph is valid")));
    executor.open_stream(id, STREAM);
    (executor, id)
}

fn push(executor: &mut Executor, id: InstanceId, count: u64) -> Vec<PythonWork> {
    for seq in 0..count {
        let frame = meta(16_000, STREAM, seq, 0);
        executor.push_to(NOW, id, 0, &frame, Piece::Data(&Arc::new(json!(seq))));
    }
    std::iter::from_fn(|| executor.poll_work(NOW)).collect()
}

fn words(text: &str) -> Vec<NodeResult> {
    vec![NodeValue::Data(Arc::new(json!(text))).into()]
}

fn failure(transient: bool) -> Result<Vec<NodeResult>, NodeFailure> {
    Err(NodeFailure { message: "no".into(), traceback: None, transient })
}

fn said(executor: &mut Executor) -> Vec<String> {
    values(&drain(executor), "node")
}

#[test]
fn a_part_goes_at_once_and_its_frame_stays_under_way() {
    for (mut executor, id) in [live(), offline(&manifest())] {
        let [work] = &push(&mut executor, id, 1)[..] else { panic!("one frame") };
        for text in ["a", "b"] {
            executor.give(NOW, work.token, words(text));
            assert_eq!(said(&mut executor), [format!("{text:?}")]);
            assert_eq!(executor.work_pending(id), 1);
        }
        executor.complete(NOW, work.token, Ok(words("c")));
        assert_eq!(said(&mut executor), ["\"c\""]);
        assert_eq!(executor.work_pending(id), 0);
        executor.give(NOW, work.token, words("late"));
        assert!(drain(&mut executor).is_empty());
    }
}

#[test]
fn offline_parts_of_later_frames_wait_for_their_turn() {
    let (mut executor, id) = offline(&manifest());
    let works = push(&mut executor, id, 3);
    executor.give(NOW, works[1].token, words("1a"));
    executor.give(NOW, works[2].token, words("2a"));
    executor.complete(NOW, works[2].token, Ok(words("2b")));
    assert!(drain(&mut executor).is_empty());
    executor.give(NOW, works[0].token, words("0a"));
    assert_eq!(said(&mut executor), ["\"0a\""]);
    executor.complete(NOW, works[0].token, Ok(Vec::new()));
    assert_eq!(said(&mut executor), ["\"1a\""], "its turn has come, and it is not done");
    executor.give(NOW, works[1].token, words("1b"));
    assert_eq!(said(&mut executor), ["\"1b\""]);
    executor.complete(NOW, works[1].token, Ok(Vec::new()));
    assert_eq!(said(&mut executor), ["\"2a\"", "\"2b\""]);
}

#[test]
fn a_failure_after_a_part_is_told_once_and_not_tried_again() {
    for (mut executor, id) in [live(), offline(&manifest())] {
        let [work] = &push(&mut executor, id, 1)[..] else { panic!("one frame") };
        executor.give(NOW, work.token, words("a"));
        executor.complete(NOW, work.token, failure(true));
        assert_eq!(said(&mut executor), ["\"a\"", "no"]);
        assert_eq!((executor.work_pending(id), executor.poll_timeout()), (0, None));
        let stats = executor.instance_stats(id).unwrap();
        assert_eq!((stats.failures, stats.retried), (1, 0));
    }
}

#[test]
fn a_frame_that_gave_nothing_is_tried_again() {
    let (mut executor, id) = offline(&manifest());
    let [work] = &push(&mut executor, id, 1)[..] else { panic!("one frame") };
    executor.give(NOW, work.token, Vec::new());
    executor.complete(NOW, work.token, failure(true));
    assert!(executor.poll_timeout().is_some());
}

#[test]
fn a_part_that_cannot_be_sent_on_fails_its_frame() {
    for (mut executor, id) in [live(), offline(&manifest())] {
        let [work] = &push(&mut executor, id, 1)[..] else { panic!("one frame") };
        executor.give(NOW, work.token, words("a"));
        let value = NodeValue::Data(Arc::new(json!(1)));
        executor.give(NOW, work.token, vec![NodeResult { port: Some("nowhere".into()), value }]);
        executor.give(NOW, work.token, words("b"));
        executor.complete(NOW, work.token, Ok(words("c")));
        let said = said(&mut executor);
        assert_eq!((said.len(), &*said[0]), (2, "\"a\""));
        assert!(said[1].contains("nowhere"), "{said:?}");
    }
}

#[test]
fn parts_of_interrupted_frames_are_dropped_and_the_frame_counted_once() {
    for (mut executor, id) in [live(), offline(&manifest())] {
        let works = push(&mut executor, id, 2);
        executor.give(NOW, works[0].token, words("a"));
        executor.give(NOW, works[1].token, words("b"));
        drain(&mut executor);
        assert_eq!(executor.interrupt(id), 1);
        for work in &works {
            (0..3).for_each(|_| executor.give(NOW, work.token, words("c")));
            executor.complete(NOW, work.token, Ok(Vec::new()));
        }
        assert!(drain(&mut executor).is_empty());
        assert_eq!(executor.instance_stats(id).unwrap().interrupted, 2);
        let [work] = &push(&mut executor, id, 1)[..] else { panic!("one frame") };
        assert_eq!(work.meta.epoch, 1);
        executor.give(NOW, work.token, words("d"));
        assert_eq!(said(&mut executor), ["\"d\""]);
    }
}

#[test]
fn a_frame_in_parts_is_one_call() {
    let (mut executor, id) = live();
    for work in push(&mut executor, id, 2) {
        (0..5).for_each(|_| executor.give(NOW, work.token, words("a")));
        executor.complete_timed(NOW, work.token, Ok(Vec::new()), Some(7));
    }
    let metrics = &executor.metrics(id)[0];
    assert_eq!((metrics.success_count, metrics.error_count, metrics.execution_time_ns), (2, 0, 14));
}

#[test]
fn failures_after_parts_open_the_breaker_too() {
    let (mut executor, id) = offline(&manifest());
    for work in push(&mut executor, id, u64::from(BREAKER_FAILURES)) {
        executor.give(NOW, work.token, words("a"));
        executor.complete(NOW, work.token, failure(true));
    }
    assert!(executor.failure(id).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order in which frames give, what comes out is in theirs.
    #[test]
    fn offline_order_is_that_of_the_frames(
        turns in prop::collection::vec((0_usize..6, prop::bool::weighted(0.2)), 0..60),
    ) {
        let (mut executor, id) = offline(&manifest());
        let works = push(&mut executor, id, 6);
        let mut given: Vec<Vec<String>> = vec![Vec::new(); works.len()];
        let mut done = vec![false; works.len()];
        let mut out = Vec::new();
        for (step, (frame, last)) in turns.into_iter().enumerate() {
            let text = format!("{frame}.{step}");
            if !done[frame] {
                given[frame].push(format!("{text:?}"));
            }
            if last {
                executor.complete(NOW, works[frame].token, Ok(words(&text)));
                done[frame] = true;
            } else {
                executor.give(NOW, works[frame].token, words(&text));
            }
            out.extend(said(&mut executor));
            // The first that is not done, and all before it, are out to the last word.
            let open = done.iter().position(|done| !done).map_or(works.len(), |first| first + 1);
            let wanted: Vec<String> = given[..open].concat();
            prop_assert_eq!(&out, &wanted);
        }
    }
}
