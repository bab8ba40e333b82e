//! Real speech through a graph; see ../dsp/tests/data/README.md for where it comes from.

mod common;

use common::{STREAM, drain, meta, mono, node, plan, vad_params};
use remotemedia_core::Micros;
use remotemedia_executor::{Executor, ExecutorConfig, Output, OutputKind, Plan};
use serde_json::{Value, json};
use std::sync::Arc;

const SPEECH: &[u8] = include_bytes!("../../dsp/tests/data/jfk_16k.s16");
const REFERENCE: &[u8] = include_bytes!("../../dsp/tests/data/jfk_silero_v6.f32");

fn speech() -> Vec<f32> {
    let (words, _) = SPEECH.as_chunks::<2>();
    words.iter().map(|word| f32::from(i16::from_le_bytes(*word)) / 32_768.0).collect()
}

fn reference() -> Vec<f32> {
    let (words, _) = REFERENCE.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Pushes `samples` in frames of `len` and runs the batch after each `every`-th.
fn run(plan: &Arc<Plan>, samples: &[f32], rate: u32, len: usize, every: u64) -> Vec<Output> {
    let mut executor = Executor::new(ExecutorConfig::live());
    let id = executor.create(plan.clone());
    executor.open_stream(id, STREAM);
    for (seq, frame) in (0..).zip(samples.chunks(len)) {
        let pts_us = seq * len as u64 * 1_000_000 / u64::from(rate);
        executor.push(Micros(pts_us), id, &meta(rate, STREAM, seq, pts_us), frame);
        if seq % every == 0 {
            executor.run_batches(Micros(pts_us));
        }
    }
    executor.close_stream(Micros(0), id, STREAM);
    drain(&mut executor)
}

fn probabilities(outputs: &[Output]) -> Vec<f32> {
    outputs
        .iter()
        .filter_map(|output| match output.kind {
            OutputKind::Vad { probability, .. } => Some(probability),
            _ => None,
        })
        .collect()
}

/// Start and end in milliseconds.
fn segments(outputs: &[Output]) -> Vec<(u64, u64)> {
    outputs
        .iter()
        .filter_map(|output| match output.kind {
            OutputKind::SpeechStopped { started_at_us, .. } => {
                Some((started_at_us / 1_000, output.meta.pts_us / 1_000))
            }
            _ => None,
        })
        .collect()
}

fn silero() -> Value {
    let mut params = vad_params("silero");
    params["min_speech_ms"] = json!(250);
    node("vad", "vad", params, mono(16_000), None)
}

#[test]
fn frames_of_any_length_give_the_reference_probabilities() {
    let plan = plan(16_000, &[silero()], &[("$source", "vad")]);
    let (speech, reference) = (speech(), reference());
    for (len, every) in [(320, 1), (960, 3), (160, 1), (37, 50)] {
        let got = probabilities(&run(&plan, &speech, 16_000, len, every));
        // The last window is incomplete: the reference leaves it out.
        assert!(got.len() == reference.len() || got.len() == reference.len() + 1);
        let worst = got.iter().zip(&reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "frames of {len}: off by {worst:e}");
    }
}

#[test]
fn speech_lies_where_it_is_after_a_resampler_too() {
    let direct = plan(16_000, &[silero()], &[("$source", "vad")]);
    let direct = segments(&run(&direct, &speech(), 16_000, 320, 1));
    assert!(direct.len() >= 3, "{direct:?}");
    // To 48 kHz and back: as if a browser had sent it.
    let up = node("up", "resample", json!({"quality": "high"}), mono(16_000), Some(mono(48_000)));
    let down =
        node("down", "resample", json!({"quality": "high"}), mono(48_000), Some(mono(16_000)));
    let both =
        plan(16_000, &[up, down, silero()], &[("$source", "up"), ("up", "down"), ("down", "vad")]);
    let both = segments(&run(&both, &speech(), 16_000, 320, 1));
    assert_eq!(direct.len(), both.len(), "{direct:?} {both:?}");
    for (direct, both) in direct.iter().zip(&both) {
        assert!(direct.0.abs_diff(both.0) <= 32 && direct.1.abs_diff(both.1) <= 32);
    }
}

#[test]
fn speech_ends_where_media_time_jumps() {
    let plan = plan(16_000, &[silero()], &[("$source", "vad")]);
    let mut executor = Executor::new(ExecutorConfig::live());
    let id = executor.create(plan);
    executor.open_stream(id, STREAM);
    // Up to the middle of the first sentence, then an hour later from there on.
    for (seq, frame) in (0..).zip(speech()[..32_000].chunks(320)) {
        let hour = if seq < 60 { 0 } else { 3_600_000_000 };
        let pts_us = hour + seq * 20_000;
        executor.push(Micros(0), id, &meta(16_000, STREAM, seq, pts_us), frame);
    }
    executor.run_batches(Micros(0));
    let (start, end) = segments(&drain(&mut executor))[0];
    assert!(start < 1_000 && (1_150..=1_250).contains(&end), "{start} to {end} ms");
}
