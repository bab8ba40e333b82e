//! Python nodes: mailboxes, tokens, failures, the breaker, interrupts.

mod common;

use std::sync::Arc;

use common::{STREAM, drain, meta, mono, node, plan, push_tone, python, vad};
use remotemedia_core::{ErrorCode, MAX_VALUE_BYTES, Micros, Payload};
use remotemedia_executor::{
    BREAKER_FAILURES, Executor, ExecutorConfig, InstanceId, MAX_IN_FLIGHT, NodeFailure, NodeLosses,
    NodeResult, NodeValue, Output, OutputKind, PythonWork,
};
use serde_json::{Value, json};

fn start(config: ExecutorConfig) -> (Executor, InstanceId) {
    let plan = plan(
        16_000,
        &[python("shout"), vad("vad", "energy")],
        &[("$source", "shout"), ("shout", "vad")],
    );
    let mut executor = Executor::new(config);
    let id = executor.create(plan);
    executor.open_stream(id, STREAM);
    (executor, id)
}

/// Pushes one frame of 20 ms.
fn push(executor: &mut Executor, id: InstanceId, index: u64) {
    push_tone(executor, id, 16_000, 0.5, index * 20_000, 20);
}

fn at(index: u64) -> Micros {
    Micros((index + 1) * 20_000)
}

fn works(executor: &mut Executor, now: Micros) -> Vec<PythonWork> {
    std::iter::from_fn(|| executor.poll_work(now)).collect()
}

fn value(text: &str) -> Result<Vec<NodeResult>, NodeFailure> {
    Ok(vec![NodeValue::Json(text.to_owned()).into()])
}

fn stereo() -> Value {
    serde_json::json!({"type": "audio", "rate": 16_000, "channels": 2})
}

fn failure() -> Result<Vec<NodeResult>, NodeFailure> {
    Err(NodeFailure {
        message: "ValueError: no".into(),
        traceback: Some("line 3".into()),
        transient: false,
    })
}

#[test]
fn live_frames_are_the_nodes_own_and_others_are_kept_for_further_tries() {
    for (config, owners) in [(ExecutorConfig::live(), 1), (ExecutorConfig::offline(), 2)] {
        let (mut executor, id) = start(config);
        push(&mut executor, id, 0);
        let work = executor.poll_work(at(0)).unwrap();
        let Payload::Audio(samples) = work.payload else { panic!("it was audio") };
        assert_eq!(Arc::strong_count(&samples), owners);
    }
}

fn codes(outputs: &[Output]) -> Vec<ErrorCode> {
    outputs
        .iter()
        .filter_map(|output| match output.kind {
            OutputKind::Error { code, .. } => Some(code),
            _ => None,
        })
        .collect()
}

#[test]
fn a_value_comes_back_with_the_frame_that_it_is_about() {
    let (mut executor, id) = start(ExecutorConfig::live());
    push(&mut executor, id, 3);
    let work = executor.poll_work(at(3)).unwrap();
    let Payload::Audio(samples) = &work.payload else { panic!("no audio") };
    assert_eq!((&*work.node, &*work.entry, samples.len()), ("shout", "user:shout", 320));
    executor.complete(at(5), work.token, value("{\"loud\":true}"));
    let outputs = drain(&mut executor);
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].meta, work.meta);
    assert_eq!(outputs[0].kind, OutputKind::Node("{\"loud\":true}".into()));
}

#[test]
fn audio_goes_to_the_nodes_behind_and_its_time_never_goes_back() {
    let (mut executor, id) = start(ExecutorConfig::live());
    for index in 0..2 {
        push(&mut executor, id, index);
        let work = executor.poll_work(at(index)).unwrap();
        let audio = NodeValue::Audio { channels: 1, samples: vec![0.5; 480].into() };
        executor.complete(at(index), work.token, Ok(vec![audio.into()]));
    }
    let outputs = drain(&mut executor);
    assert!(outputs.iter().all(|output| &*output.node == "vad"));
    let times: Vec<u64> = outputs.iter().map(|output| output.meta.pts_us).collect();
    assert_eq!(times, [0, 30_000]);
}

#[test]
fn audio_from_python_reaches_only_the_nodes_behind_it() {
    let double = node("double", "format", json!({}), mono(16_000), Some(stereo()));
    let single = node("single", "format", json!({}), stereo(), Some(mono(16_000)));
    let plan = plan(
        16_000,
        &[double, single, python("shout"), vad("beside", "energy"), vad("behind", "energy")],
        &[
            ("$source", "double"),
            ("double", "single"),
            ("$source", "shout"),
            ("single", "beside"),
            ("shout", "behind"),
        ],
    );
    let mut executor = Executor::new(ExecutorConfig::live());
    let id = executor.create(plan);
    executor.open_stream(id, STREAM);
    push(&mut executor, id, 0);
    let work = executor.poll_work(at(0)).unwrap();
    let audio = NodeValue::Audio { channels: 1, samples: vec![0.5; 320].into() };
    executor.complete(at(0), work.token, Ok(vec![audio.into()]));
    let nodes: Vec<String> =
        drain(&mut executor).iter().map(|output| output.node.to_string()).collect();
    assert_eq!(nodes, ["beside", "behind"]);
}

#[test]
fn the_lane_holds_a_bounded_number_of_frames_of_a_mailbox() {
    let (mut executor, id) = start(ExecutorConfig::live());
    (0..30).for_each(|index| push(&mut executor, id, index));
    let first = works(&mut executor, at(30));
    assert_eq!(first.len(), MAX_IN_FLIGHT);
    assert_eq!(executor.poll_work(at(30)), None);
    executor.complete(at(30), first[0].token, value("1"));
    let next = works(&mut executor, at(30));
    assert_eq!(next.iter().map(|work| work.meta.seq).collect::<Vec<_>>(), [16]);
}

#[test]
fn live_a_full_mailbox_loses_its_oldest_frames_and_says_so_once_a_second() {
    let (mut executor, id) = start(ExecutorConfig::live());
    push(&mut executor, id, 0);
    let held = works(&mut executor, at(0));
    (1..120).for_each(|index| push(&mut executor, id, index));
    let outputs = drain(&mut executor);
    assert_eq!(codes(&outputs), [ErrorCode::NodeOverrun; 2]);
    for (output, says) in outputs.iter().zip([": a frame was dropped;", " 50 frames were dropped;"])
    {
        let OutputKind::Error { message, .. } = &output.kind else { unreachable!() };
        assert!(message.contains(says), "{message}");
    }
    executor.complete(at(120), held[0].token, value("1"));
    let next = works(&mut executor, at(120));
    assert_eq!(next[0].meta.seq, 71, "49 waited beside the one that ran");
    assert_eq!(executor.instance_stats(id).unwrap().overrun, 70);
}

#[test]
fn live_a_frame_that_waited_too_long_is_lost() {
    let (mut executor, id) = start(ExecutorConfig::live());
    (0..2).for_each(|index| push(&mut executor, id, index));
    assert_eq!(executor.poll_work(Micros(20_000 + 1_000_001)).unwrap().meta.seq, 1);
    assert_eq!(executor.instance_stats(id).unwrap().overrun, 1);
}

#[test]
fn live_a_frame_that_never_reached_its_node_is_lost_and_makes_room() {
    let (mut executor, id) = start(ExecutorConfig::live());
    (0..30).for_each(|index| push(&mut executor, id, index));
    let held = works(&mut executor, at(30));
    for work in &held[..10] {
        executor.lose_work(at(30), work.token);
    }
    let outputs = drain(&mut executor);
    assert_eq!(codes(&outputs), [ErrorCode::NodeOverrun], "once a second");
    let OutputKind::Error { message, .. } = &outputs.last().unwrap().kind else { unreachable!() };
    assert!(message.starts_with("too many frames wait for the server's"), "{message}");
    let next: Vec<u64> = works(&mut executor, at(30)).iter().map(|work| work.meta.seq).collect();
    assert_eq!(next, (16..26).collect::<Vec<_>>());
    executor.complete(at(30), held[0].token, value("1"));
    assert!(drain(&mut executor).is_empty(), "it is not under way any more");
    let stats = executor.instance_stats(id).unwrap();
    assert_eq!((stats.overrun, stats.failures, stats.skipped), (10, 0, 0), "no breaker opened");
    assert_eq!(executor.losses(), NodeLosses::default(), "its driver knows");
}

#[test]
fn losses_are_those_of_all_instances_that_there_ever_were() {
    let (mut executor, id) = start(ExecutorConfig::live());
    (0..51).for_each(|index| push(&mut executor, id, index));
    let held = works(&mut executor, at(51));
    held[..5].iter().for_each(|work| executor.complete(at(51), work.token, failure()));
    let losses = NodeLosses { failed: 5, overrun: 1, skipped: 34, interrupted: 0 };
    assert_eq!(executor.losses(), losses);
    executor.interrupt(id);
    executor.complete(at(52), held[5].token, value("1"));
    executor.remove(id);
    assert_eq!(executor.losses(), NodeLosses { interrupted: 1, ..losses });
}

#[test]
fn offline_nothing_is_lost() {
    let (mut executor, id) = start(ExecutorConfig::offline());
    (0..200).for_each(|index| push(&mut executor, id, index));
    let mut seen = Vec::new();
    while let Some(work) = executor.poll_work(at(100_000)) {
        seen.push(work.meta.seq);
        executor.complete(at(100_000), work.token, value("null"));
    }
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_failure_is_reported_with_its_traceback_and_the_next_frame_runs() {
    let (mut executor, id) = start(ExecutorConfig::live());
    push(&mut executor, id, 0);
    let work = executor.poll_work(at(0)).unwrap();
    executor.complete(at(0), work.token, failure());
    let output = drain(&mut executor).pop().unwrap();
    assert_eq!(
        output.kind,
        OutputKind::Error {
            code: ErrorCode::NodeFailed,
            message: "ValueError: no".into(),
            traceback: Some("line 3".into())
        }
    );
    push(&mut executor, id, 1);
    assert!(executor.poll_work(at(1)).is_some());
}

#[test]
fn the_breaker_opens_after_five_failures_and_tries_one_frame_after_a_pause() {
    let (mut executor, id) = start(ExecutorConfig::live());
    let fail = |executor: &mut Executor, index: u64| {
        push(executor, id, index);
        let work = executor.poll_work(at(index));
        if let Some(work) = &work {
            executor.complete(at(index), work.token, failure());
        }
        work.is_some()
    };
    for index in 0..u64::from(BREAKER_FAILURES) {
        assert!(fail(&mut executor, index));
    }
    let last = drain(&mut executor).pop().unwrap();
    assert!(matches!(last.kind, OutputKind::Error { message, .. } if message.contains("skipped")));
    // Five seconds are 250 frames, counted from the fifth.
    for index in 5..254 {
        assert!(!fail(&mut executor, index), "frame {index}");
    }
    assert_eq!(executor.instance_stats(id).unwrap().skipped, 249);
    assert!(fail(&mut executor, 254), "half open");
    assert!(!fail(&mut executor, 255), "the try failed: open again");
    push(&mut executor, id, 600);
    let work = executor.poll_work(at(600)).unwrap();
    push(&mut executor, id, 601);
    assert_eq!(executor.poll_work(at(601)), None, "one try at a time");
    executor.complete(at(601), work.token, value("1"));
    push(&mut executor, id, 602);
    assert!(executor.poll_work(at(602)).is_some(), "closed");
}

#[test]
fn a_success_between_failures_keeps_the_breaker_closed() {
    let (mut executor, id) = start(ExecutorConfig::live());
    for index in 0..40 {
        push(&mut executor, id, index);
        let work = executor.poll_work(at(index)).unwrap();
        let result = if index % 4 == 3 { value("1") } else { failure() };
        executor.complete(at(index), work.token, result);
    }
    assert_eq!(codes(&drain(&mut executor)).len(), 30);
}

#[test]
fn stale_and_made_up_tokens_are_ignored() {
    let (mut executor, id) = start(ExecutorConfig::live());
    push(&mut executor, id, 0);
    let work = executor.poll_work(at(0)).unwrap();
    executor.complete(at(0), work.token, value("1"));
    for token in [work.token, 0, u64::MAX, work.token + 1] {
        executor.complete(at(0), token, value("2"));
    }
    assert_eq!(drain(&mut executor).len(), 1);
}

#[test]
fn work_of_a_removed_instance_reaches_nobody() {
    let (mut executor, id) = start(ExecutorConfig::live());
    push(&mut executor, id, 0);
    let work = executor.poll_work(at(0)).unwrap();
    push(&mut executor, id, 1);
    executor.remove(id);
    let plan = plan(16_000, &[python("shout")], &[("$source", "shout")]);
    let other = executor.create(plan);
    executor.open_stream(other, STREAM);
    push(&mut executor, other, 0);
    executor.complete(at(1), work.token, value("1"));
    assert_eq!(drain(&mut executor), []);
    let next = works(&mut executor, at(1));
    assert_eq!(next.iter().map(|work| work.instance).collect::<Vec<_>>(), [other]);
    assert_ne!(next[0].token, work.token);
}

#[test]
fn an_interrupt_drops_what_waits_and_what_runs() {
    let (mut executor, id) = start(ExecutorConfig::live());
    (0..20).for_each(|index| push(&mut executor, id, index));
    let running = works(&mut executor, at(20));
    executor.interrupt(id);
    for work in &running {
        executor.complete(at(20), work.token, value("1"));
    }
    assert_eq!(drain(&mut executor), []);
    assert_eq!(executor.poll_work(at(20)), None);
    push(&mut executor, id, 20);
    let work = executor.poll_work(at(20)).unwrap();
    assert_eq!(work.meta.epoch, 1);
    executor.complete(at(20), work.token, value("1"));
    assert_eq!(drain(&mut executor).len(), 1);
}

#[test]
fn mailboxes_take_turns() {
    let plan = plan(16_000, &[python("shout")], &[("$source", "shout")]);
    let mut executor = Executor::new(ExecutorConfig::live());
    let ids: Vec<InstanceId> = (0..3).map(|_| executor.create(plan.clone())).collect();
    for id in &ids {
        executor.open_stream(*id, STREAM);
        (0..3).for_each(|index| push(&mut executor, *id, index));
    }
    let order: Vec<InstanceId> =
        works(&mut executor, at(3)).iter().map(|work| work.instance).collect();
    assert_eq!(order, [ids.clone(), ids.clone(), ids].concat());
}

#[test]
fn values_that_cannot_be_sent_are_failures() {
    let (mut executor, id) = start(ExecutorConfig::live());
    let wrong = [
        NodeValue::Json("NaN".into()),
        NodeValue::Json(String::new()),
        NodeValue::Json(format!("\"{}\"", "x".repeat(MAX_VALUE_BYTES))),
        NodeValue::Audio { channels: 2, samples: vec![0.0; 960].into() },
        NodeValue::Audio { channels: 0, samples: Vec::new().into() },
    ];
    for (index, value) in (0..).zip(wrong) {
        push(&mut executor, id, index);
        let work = executor.poll_work(at(index)).unwrap();
        executor.complete(
            at(index),
            work.token,
            Ok(vec![NodeValue::Json("1".into()).into(), value.into()]),
        );
        let outputs = drain(&mut executor);
        assert_eq!((codes(&outputs), outputs.len()), (vec![ErrorCode::NodeFailed], 1), "{index}");
    }
}

#[test]
fn an_endless_message_is_cut() {
    let (mut executor, id) = start(ExecutorConfig::live());
    push(&mut executor, id, 0);
    let work = executor.poll_work(at(0)).unwrap();
    let long = Some("é".repeat(100_000));
    executor.complete(
        at(0),
        work.token,
        Err(NodeFailure { message: "é".repeat(100_000), traceback: long, transient: false }),
    );
    let OutputKind::Error { message, traceback, .. } = drain(&mut executor).remove(0).kind else {
        panic!("no error")
    };
    assert!(message.len() <= 8 * 1024 && traceback.unwrap().len() <= 8 * 1024);
}

#[test]
fn frames_past_their_deadline_are_not_handed_out() {
    let (mut executor, id) = start(ExecutorConfig::live());
    let mut late = meta(16_000, STREAM, 0, 0);
    late.deadline = Some(Micros(50_000));
    executor.push(Micros(20_000), id, &late, &[0.0; 320]);
    assert_eq!(executor.poll_work(Micros(50_001)), None);
    assert_eq!(executor.instance_stats(id).unwrap().overrun, 1);
}
