//! Kinds that work on audio: gain, split, buffer, mix.

mod common;

use common::{audio, compile, drain, graph, heard, meta_of, offline, ported};
use proptest::prelude::*;
use remotemedia_core::{Micros, Piece};
use remotemedia_executor::{Executor, ExecutorConfig, InstanceId};
use serde_json::{Value, json};
use std::sync::Arc;

const RATE: u32 = 16_000;

fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

fn gain(gain_db: f64) -> Value {
    let params = json!({"gain_db": gain_db});
    ported("gain", "gain", params, &[("in", audio(RATE, 2))], &[("out", audio(RATE, 2))])
}

fn buffer(duration_ms: u32, overlap_ms: u32) -> Value {
    let params = json!({"duration_ms": duration_ms, "overlap_ms": overlap_ms});
    ported("buffer", "buffer", params, &[("in", audio(RATE, 1))], &[("out", audio(RATE, 1))])
}

fn mix(gains_db: &[f64]) -> Value {
    let names: Vec<String> = (1..=gains_db.len()).map(|at| format!("in-{at}")).collect();
    let inputs: Vec<(&str, Value)> =
        names.iter().map(|name| (name.as_str(), audio(RATE, 1))).collect();
    let params = json!({"gains_db": gains_db});
    ported("mix", "mix", params, &inputs, &[("out", audio(RATE, 1))])
}

/// Two sources into a mix.
fn two(gains_db: [f64; 2]) -> Value {
    graph(
        &[("a", audio(RATE, 1)), ("b", audio(RATE, 1))],
        &[mix(&gains_db)],
        &[("$source.a", "mix.in-1"), ("$source.b", "mix.in-2")],
    )
}

fn micros(samples: usize) -> u64 {
    samples as u64 * 1_000_000 / u64::from(RATE)
}

/// Pushes mono samples to a source from a position on; returns the position behind them.
fn push(
    executor: &mut Executor,
    id: InstanceId,
    source: usize,
    at: usize,
    samples: &[f32],
) -> usize {
    let meta = meta_of(RATE, 1, 0, micros(at));
    executor.push_to(Micros(0), id, source, &meta, Piece::Audio(samples));
    at + samples.len()
}

fn flat(frames: &[(u64, Vec<f32>)]) -> Vec<f32> {
    frames.iter().flat_map(|frame| frame.1.clone()).collect()
}

#[test]
fn gain_scales_every_channel_and_is_live() {
    let manifest = graph(&[("a", audio(RATE, 2))], &[gain(6.0)], &[("$source.a", "gain.in")]);
    let (mut executor, id) = offline(&manifest);
    let meta = meta_of(RATE, 2, 0, 0);
    executor.push(Micros(0), id, &meta, &[0.1, -0.2, 0.3, 0.0]);
    executor.configure(id, "gain", &json!({"gain_db": -120})).unwrap();
    executor.push(Micros(0), id, &meta, &[1.0, 1.0]);
    let samples = flat(&heard(&drain(&mut executor), "gain", 0));
    let factor = 10_f32.powf(0.3);
    let expected = [0.1 * factor, -0.2 * factor, 0.3 * factor, 0.0, 1e-6, 1e-6];
    for (got, expected) in samples.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-7, "{samples:?}");
    }
    assert_eq!(samples.len(), 6);
    let wrong = executor.configure(id, "gain", &json!({"gain_db": 61})).unwrap_err();
    assert_eq!(wrong.path, "params.gain_db");
}

#[test]
fn split_gives_each_channel_by_its_port() {
    let outputs = [("left", audio(RATE, 1)), ("right", audio(RATE, 1))];
    let split = ported("split", "split", json!({}), &[("in", audio(RATE, 2))], &outputs);
    let manifest = graph(&[("a", audio(RATE, 2))], &[split], &[("$source.a", "split.in")]);
    let (mut executor, id) = offline(&manifest);
    executor.push(Micros(0), id, &meta_of(RATE, 2, 0, 20_000), &[0.1, 0.2, 0.3, 0.4]);
    let outputs = drain(&mut executor);
    assert_eq!(heard(&outputs, "split", 0), [(20_000, vec![0.1, 0.2])]);
    assert_eq!(heard(&outputs, "split", 1), [(20_000, vec![0.3, 0.4])]);
}

#[test]
fn wrong_ports_and_parameters_are_named() {
    let path = |node: Value, source: Value, port: &str| {
        let id = node["id"].as_str().unwrap().to_owned();
        let to = format!("{id}.{port}");
        let manifest = graph(&[("a", source)], &[node], &[("$source.a", &to)]);
        compile(&manifest).unwrap_err().path
    };
    let mono = || audio(RATE, 1);
    assert_eq!(path(buffer(9, 0), mono(), "in"), "nodes[0].params.duration_ms");
    assert_eq!(path(buffer(20, 20), mono(), "in"), "nodes[0].params.overlap_ms");
    assert_eq!(path(gain(61.0), audio(RATE, 2), "in"), "nodes[0].params.gain_db");
    let split = |outputs: &[(&str, Value)]| {
        ported("split", "split", json!({}), &[("in", audio(RATE, 2))], outputs)
    };
    assert_eq!(path(split(&[("left", mono())]), audio(RATE, 2), "in"), "nodes[0].outputs");
    let wide = [("left", mono()), ("right", audio(RATE, 2))];
    assert_eq!(path(split(&wide), audio(RATE, 2), "in"), "nodes[0].outputs[1].format");
    let one =
        ported("mix", "mix", json!({"gains_db": [0]}), &[("in-1", mono())], &[("out", mono())]);
    assert_eq!(path(one, mono(), "in-1"), "nodes[0].inputs");
    let mixed = |change: fn(&mut Value)| {
        let mut manifest = two([0.0, 0.0]);
        change(&mut manifest);
        compile(&manifest).unwrap_err().path
    };
    let gains = |value: Value| {
        let mut manifest = two([0.0, 0.0]);
        manifest["nodes"][0]["params"]["gains_db"] = value;
        compile(&manifest).unwrap_err().path
    };
    assert_eq!(gains(json!([0])), "nodes[0].params.gains_db");
    assert_eq!(gains(json!([0, 61])), "nodes[0].params.gains_db[1]");
    assert_eq!(gains(json!([0, null])), "nodes[0].params.gains_db[1]");
    let renamed = mixed(|manifest| {
        manifest["nodes"][0]["inputs"][1]["port"] = json!("b");
        manifest["edges"][1]["to"]["port"] = json!("b");
    });
    assert_eq!(renamed, "nodes[0].inputs[1].port");
}

#[test]
fn a_mix_waits_for_all_inputs_and_fills_up_those_that_ended() {
    let (mut executor, id) = offline(&two([0.0, 6.0]));
    push(&mut executor, id, 0, 0, &[0.1; 320]);
    assert!(drain(&mut executor).is_empty(), "the second input has nothing yet");
    push(&mut executor, id, 1, 0, &[0.2; 160]);
    let first = heard(&drain(&mut executor), "mix", 0);
    assert_eq!((first[0].0, first[0].1.len()), (0, 160));
    assert!((first[0].1[0] - (0.1 + 0.2 * 10_f32.powf(0.3))).abs() < 1e-6);
    executor.end_source(Micros(0), id, common::STREAM, Some(1));
    assert_eq!(heard(&drain(&mut executor), "mix", 0), [(10_000, vec![0.1; 160])]);
    push(&mut executor, id, 0, 320, &[0.3; 80]);
    assert_eq!(heard(&drain(&mut executor), "mix", 0), [(20_000, vec![0.3; 80])]);
    assert!(!executor.has_ended(id, common::STREAM));
    executor.end_source(Micros(0), id, common::STREAM, Some(0));
    assert!(executor.has_ended(id, common::STREAM) && drain(&mut executor).is_empty());
}

#[test]
fn a_mix_puts_its_inputs_where_they_lie_in_time() {
    let (mut executor, id) = offline(&two([0.0, 0.0]));
    push(&mut executor, id, 0, 0, &[0.5; 480]);
    push(&mut executor, id, 1, 160, &[0.25; 160]);
    executor.end_source(Micros(0), id, common::STREAM, None);
    let mut expected = vec![0.5; 160];
    expected.extend([0.75; 160]);
    expected.extend([0.5; 160]);
    assert_eq!(flat(&heard(&drain(&mut executor), "mix", 0)), expected);
}

#[test]
fn live_a_mix_goes_on_without_an_input_that_is_a_second_late() {
    let mut executor =
        Executor::new(ExecutorConfig { audio_outputs: true, ..ExecutorConfig::live() });
    let id = executor.create(Arc::new(compile(&two([0.0, 0.0])).unwrap()));
    executor.open_stream(id, common::STREAM);
    let mut at = [0, 0];
    at[1] = push(&mut executor, id, 1, at[1], &[0.25; 320]);
    for _ in 0..100 {
        at[0] = push(&mut executor, id, 0, at[0], &[0.5; 320]);
    }
    let samples = flat(&heard(&drain(&mut executor), "mix", 0));
    assert_eq!(samples.len(), 16_000, "2 s less the second that it waits");
    assert_eq!((samples[319], samples[320]), (0.75, 0.5));
    assert_eq!(executor.instance_stats(id).unwrap().late_inputs, 1);
    // What comes too late is lost, what is in time is mixed.
    for _ in 0..99 {
        at[1] = push(&mut executor, id, 1, at[1], &[0.25; 320]);
    }
    let samples = flat(&heard(&drain(&mut executor), "mix", 0));
    assert!(samples.len() == 16_000 && samples.iter().all(|sample| *sample == 0.75));
}

#[test]
fn live_an_input_that_comes_back_lies_where_it_belongs() {
    let config = ExecutorConfig { audio_outputs: true, ..ExecutorConfig::live() };
    let mut executor = Executor::new(config);
    let id = executor.create(Arc::new(compile(&two([0.0, 0.0])).unwrap()));
    executor.open_stream(id, common::STREAM);
    push(&mut executor, id, 0, 0, &[0.5; 32_000]);
    assert_eq!(flat(&heard(&drain(&mut executor), "mix", 0)).len(), 16_000);
    // Half of it is too late by now.
    push(&mut executor, id, 1, 15_000, &[0.25; 2_000]);
    let samples = flat(&heard(&drain(&mut executor), "mix", 0));
    assert_eq!(samples, [0.75; 1_000]);
}

#[test]
fn live_a_mix_does_not_wait_for_a_source_that_has_ended_until_it_begins_anew() {
    let config = ExecutorConfig { audio_outputs: true, ..ExecutorConfig::live() };
    let mut executor = Executor::new(config);
    let id = executor.create(Arc::new(compile(&two([0.0, 0.0])).unwrap()));
    executor.open_stream(id, common::STREAM);
    let mixed = |executor: &mut Executor| flat(&heard(&drain(executor), "mix", 0));
    executor.end_source(Micros(0), id, common::STREAM, Some(1));
    let mut at = push(&mut executor, id, 0, 0, &[0.5; 320]);
    assert_eq!(mixed(&mut executor), [0.5; 320], "what never came is not waited for");
    // It comes, and is waited for from then on.
    push(&mut executor, id, 1, 320, &[0.25; 320]);
    assert!(mixed(&mut executor).is_empty());
    at = push(&mut executor, id, 0, at, &[0.5; 640]);
    assert_eq!(mixed(&mut executor), [0.75; 320]);
    // What waits comes with its end, and again where it was told of before.
    executor.end_source(Micros(0), id, common::STREAM, Some(1));
    assert_eq!(mixed(&mut executor), [0.5; 320]);
    executor.flush_stream(Micros(0), id, common::STREAM);
    at = push(&mut executor, id, 0, at, &[0.5; 320]);
    assert_eq!(mixed(&mut executor), [0.5; 320], "it has still ended");
    executor.end_source(Micros(0), id, common::STREAM, Some(0));
    push(&mut executor, id, 1, at, &[0.25; 320]);
    assert_eq!(mixed(&mut executor), [0.25; 320], "the other one has ended now");
    push(&mut executor, id, 0, at + 160, &[0.5; 160]);
    push(&mut executor, id, 1, at + 320, &[0.25; 320]);
    push(&mut executor, id, 0, at + 320, &[0.5; 160]);
    assert_eq!(mixed(&mut executor), [0.75; 160], "half of it came too late");
    assert_eq!(executor.instance_stats(id).unwrap().late_inputs, 0);
}

#[test]
fn live_the_end_of_a_source_passes_python_nodes_by() {
    let config = ExecutorConfig { audio_outputs: true, ..ExecutorConfig::live() };
    let mut executor = Executor::new(config);
    let any = json!({"type": "any", "rate": RATE, "channels": 1});
    let params = json!({"entry": "user:hear", "mailbox_frames": 50, "mailbox_ms": 1000});
    let mut hear = ported("hear", "python", params, &[("in", any.clone())], &[("out", any)]);
    hear["runtime"] = json!("python");
    let manifest = graph(
        &[("a", audio(RATE, 1)), ("b", audio(RATE, 1))],
        &[hear, mix(&[0.0, 0.0])],
        &[("$source.a", "hear.in"), ("hear.out", "mix.in-1"), ("$source.b", "mix.in-2")],
    );
    let id = executor.create(Arc::new(compile(&manifest).unwrap()));
    executor.open_stream(id, common::STREAM);
    push(&mut executor, id, 0, 0, &[0.5; 320]);
    assert!(!executor.poll_work(Micros(0)).unwrap().end);
    executor.end_source(Micros(0), id, common::STREAM, Some(0));
    assert!(executor.poll_work(Micros(0)).is_none());
    push(&mut executor, id, 1, 0, &[0.25; 320]);
    assert_eq!(flat(&heard(&drain(&mut executor), "mix", 0)), [0.25; 320]);
}

#[test]
fn hours_without_audio_are_a_jump_of_the_mix_and_no_silence() {
    let (mut executor, id) = offline(&two([0.0, 0.0]));
    let hours = 10 * 3_600 * RATE as usize;
    for source in [0, 1] {
        push(&mut executor, id, source, 0, &[0.5; 160]);
        push(&mut executor, id, source, hours, &[0.5; 160]);
    }
    let frames = heard(&drain(&mut executor), "mix", 0);
    assert_eq!(frames.iter().map(|frame| frame.0).collect::<Vec<_>>(), [0, micros(hours)]);
    assert_eq!(flat(&frames), [1.0; 320]);
}

#[test]
fn a_buffer_overlaps_and_gives_the_rest_at_the_end() {
    let manifest =
        graph(&[("a", audio(RATE, 1))], &[buffer(20, 10)], &[("$source.a", "buffer.in")]);
    let (mut executor, id) = offline(&manifest);
    let samples = noise(880, 7);
    push(&mut executor, id, 0, 0, &samples);
    let frames = heard(&drain(&mut executor), "buffer", 0);
    let times: Vec<u64> = frames.iter().map(|frame| frame.0).collect();
    assert_eq!(times, [0, 10_000, 20_000, 30_000]);
    assert_eq!(frames[3].1, samples[480..800]);
    executor.close_stream(Micros(0), id, common::STREAM);
    let rest = heard(&drain(&mut executor), "buffer", 0);
    assert_eq!(rest, [(40_000, samples[640..].to_vec())]);
}

#[test]
fn an_interrupt_drops_what_a_mix_holds_and_time_goes_on() {
    let (mut executor, id) = offline(&two([0.0, 0.0]));
    push(&mut executor, id, 0, 0, &[0.5; 800]);
    push(&mut executor, id, 1, 0, &[0.25; 320]);
    executor.interrupt(id);
    assert_eq!(executor.instance_stats(id).unwrap().interrupted, 1);
    push(&mut executor, id, 1, 320, &[0.25; 640]);
    push(&mut executor, id, 0, 800, &[0.5; 100]);
    let frames = heard(&drain(&mut executor), "mix", 0);
    assert_eq!(frames.iter().map(|frame| frame.0).collect::<Vec<_>>(), [0, 20_000, 50_000]);
    assert_eq!(frames[0].1, [0.75; 320]);
    assert_eq!(frames[1].1, [0.25; 480], "what the first input brought is gone");
    assert_eq!(frames[2].1, [0.75; 100]);
}

#[test]
fn a_mix_ends_where_the_audio_does_that_an_interrupt_has_left() {
    let (mut executor, id) = offline(&two([0.0, 0.0]));
    push(&mut executor, id, 0, 0, &[0.5; 800]);
    push(&mut executor, id, 1, 0, &[0.25; 320]);
    executor.interrupt(id);
    push(&mut executor, id, 1, 320, &[0.25; 100]);
    executor.end_source(Micros(0), id, common::STREAM, None);
    let samples = flat(&heard(&drain(&mut executor), "mix", 0));
    assert_eq!(samples, [vec![0.75; 320], vec![0.25; 100]].concat());
}

#[test]
fn an_interrupt_drops_what_a_buffer_holds() {
    let manifest =
        graph(&[("a", audio(RATE, 1))], &[buffer(20, 10)], &[("$source.a", "buffer.in")]);
    let (mut executor, id) = offline(&manifest);
    let samples = noise(1_000, 7);
    let at = push(&mut executor, id, 0, 0, &samples[..400]);
    executor.interrupt(id);
    assert_eq!(executor.instance_stats(id).unwrap().interrupted, 1);
    push(&mut executor, id, 0, at, &samples[400..800]);
    let frames = heard(&drain(&mut executor), "buffer", 0);
    assert_eq!(frames[1], (micros(400), samples[400..720].to_vec()));
    executor.interrupt(id);
    executor.close_stream(Micros(0), id, common::STREAM);
    assert!(heard(&drain(&mut executor), "buffer", 0).is_empty());
}

/// Cuts `samples` at the given lengths, over and over.
fn pieces<'a>(samples: &'a [f32], lengths: &'a [usize]) -> impl Iterator<Item = &'a [f32]> {
    let mut rest = samples;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let take = (*lengths.next()?).min(rest.len());
        let (piece, behind) = rest.split_at(take);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_buffer_gives_the_same_for_pieces_of_any_length(
        lengths in prop::collection::vec(1_usize..700, 1..6),
        (duration, overlap) in (10_u32..50).prop_flat_map(|d| (Just(d), 0..d)),
    ) {
        let manifest = graph(
            &[("a", audio(RATE, 1))],
            &[buffer(duration, overlap)],
            &[("$source.a", "buffer.in")],
        );
        let samples = noise(3_000, 3);
        let run = |lengths: &[usize]| {
            let (mut executor, id) = offline(&manifest);
            let mut at = 0;
            for piece in pieces(&samples, lengths) {
                at = push(&mut executor, id, 0, at, piece);
            }
            executor.close_stream(Micros(0), id, common::STREAM);
            let frames = heard(&drain(&mut executor), "buffer", 0);
            frames.into_iter().map(|frame| frame.1).collect::<Vec<_>>()
        };
        let frames = run(&lengths);
        prop_assert_eq!(&frames, &run(&[3_000]));
        let length = (duration * RATE / 1_000) as usize;
        let (rest, whole) = frames.split_last().unwrap();
        prop_assert!(whole.iter().all(|frame| frame.len() == length));
        prop_assert!(samples.ends_with(rest), "the last piece ends where the audio does");
        let step = length - (overlap * RATE / 1_000) as usize;
        for (index, frame) in frames.iter().enumerate() {
            prop_assert_eq!(frame.as_slice(), &samples[index * step..index * step + frame.len()]);
        }
    }

    #[test]
    fn a_mix_gives_the_same_for_pieces_and_turns_of_any_kind(
        lengths in prop::collection::vec(1_usize..700, 1..6),
        turns in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let (first, second) = (noise(3_000, 5), noise(2_500, 9));
        let (mut executor, id) = offline(&two([-3.0, 3.0]));
        let mut sides = [pieces(&first, &lengths).peekable(), pieces(&second, &lengths).peekable()];
        let mut at = [0, 0];
        for turn in turns.iter().cycle().copied() {
            let wanted = usize::from(turn);
            let source = if sides[wanted].peek().is_some() { wanted } else { 1 - wanted };
            let Some(piece) = sides[source].next() else { break };
            at[source] = push(&mut executor, id, source, at[source], piece);
        }
        executor.end_source(Micros(0), id, common::STREAM, None);
        let samples = flat(&heard(&drain(&mut executor), "mix", 0));
        prop_assert_eq!(samples.len(), 3_000);
        let factors = [-3.0_f32, 3.0].map(|db| 10_f32.powf(db / 20.0));
        for (index, sample) in samples.iter().enumerate() {
            let other = second.get(index).copied().unwrap_or(0.0);
            let expected = first[index] * factors[0] + other * factors[1];
            prop_assert!((sample - expected).abs() < 1e-6, "{index}: {sample} {expected}");
        }
    }
}
