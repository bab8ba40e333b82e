//! Native nodes: media time, windows, segments, jumps, live parameters.

mod common;

use common::{STREAM, drain, meta, mono, node, plan, push_tone, tone, vad, vad_params};
use remotemedia_core::{AudioFrame, Micros, StreamId};
use remotemedia_executor::{Executor, ExecutorConfig, InstanceId, Output, OutputKind, Plan};
use serde_json::json;
use std::sync::Arc;

fn start(plan: Arc<Plan>, config: ExecutorConfig) -> (Executor, InstanceId) {
    let mut executor = Executor::new(config);
    let id = executor.create(plan);
    executor.open_stream(id, STREAM);
    (executor, id)
}

fn windows(outputs: &[Output]) -> Vec<(u64, bool)> {
    outputs
        .iter()
        .filter_map(|output| match output.kind {
            OutputKind::Vad { speech, .. } => Some((output.meta.pts_us, speech)),
            _ => None,
        })
        .collect()
}

/// Events as (is it a start, media time).
fn events(outputs: &[Output]) -> Vec<(bool, u64)> {
    outputs
        .iter()
        .filter_map(|output| match output.kind {
            OutputKind::SpeechStarted { .. } => Some((true, output.meta.pts_us)),
            OutputKind::SpeechStopped { .. } => Some((false, output.meta.pts_us)),
            _ => None,
        })
        .collect()
}

fn audio(outputs: &[Output], node: &str) -> Vec<AudioFrame> {
    outputs
        .iter()
        .filter(|output| *output.node == *node)
        .filter_map(|output| match &output.kind {
            OutputKind::Audio(frame) => Some(frame.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn energy_reports_one_window_a_frame() {
    let plan = plan(16_000, &[vad("vad", "energy")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    push_tone(&mut executor, id, 16_000, 0.5, 0, 100);
    let times: Vec<u64> = windows(&drain(&mut executor)).iter().map(|window| window.0).collect();
    assert_eq!(times, [0, 20_000, 40_000, 60_000, 80_000]);
}

#[test]
fn silero_reports_one_window_each_512_samples_when_the_batch_runs() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    push_tone(&mut executor, id, 16_000, 0.5, 0, 100);
    assert_eq!((drain(&mut executor).len(), executor.batch_pending()), (0, 3));
    assert_eq!(
        executor.batch_deadline(),
        Some(Micros(41_000)),
        "the first window was full at 40 ms"
    );
    executor.handle_timeout(Micros(40_999));
    assert_eq!(executor.batch_pending(), 3);
    executor.handle_timeout(Micros(41_000));
    let outputs = drain(&mut executor);
    let times: Vec<u64> = windows(&outputs).iter().map(|window| window.0).collect();
    assert_eq!(times, [0, 32_000, 64_000]);
    assert_eq!(outputs[0].meta.seq, 1, "the second packet completed the first window");
    assert_eq!(outputs[0].meta.arrival, Micros(40_000));
}

#[test]
fn windows_of_many_instances_run_in_one_batch() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let mut executor = Executor::new(ExecutorConfig::live());
    let ids: Vec<InstanceId> = (0..20).map(|_| executor.create(plan.clone())).collect();
    for id in &ids {
        executor.open_stream(*id, STREAM);
        push_tone(&mut executor, *id, 16_000, 0.5, 0, 40);
    }
    executor.run_batches(Micros(40_000));
    assert_eq!((executor.stats().windows, executor.stats().batches), (20, 1));
    let seen: Vec<InstanceId> = drain(&mut executor)
        .iter()
        .filter(|output| matches!(output.kind, OutputKind::Vad { .. }))
        .map(|output| output.instance)
        .collect();
    assert_eq!(seen, ids);
}

#[test]
fn a_window_says_the_same_alone_and_in_a_batch() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let run = |instances: usize| {
        let mut executor = Executor::new(ExecutorConfig::live());
        let ids: Vec<InstanceId> = (0..instances).map(|_| executor.create(plan.clone())).collect();
        ids.iter().for_each(|id| executor.open_stream(*id, STREAM));
        for index in 0..10 {
            for (number, id) in ids.iter().enumerate() {
                let amplitude = 0.1 * (number + 1) as f32;
                push_tone(&mut executor, *id, 16_000, amplitude, index * 20_000, 20);
            }
            executor.run_batches(Micros(index * 20_000));
        }
        let probabilities: Vec<f32> = drain(&mut executor)
            .iter()
            .filter(|output| output.instance == ids[0])
            .filter_map(|output| match output.kind {
                OutputKind::Vad { probability, .. } => Some(probability),
                _ => None,
            })
            .collect();
        probabilities
    };
    let (alone, together) = (run(1), run(7));
    assert_eq!(alone.len(), together.len());
    for (alone, together) in alone.iter().zip(&together) {
        assert!((alone - together).abs() < 1e-5, "{alone} {together}");
    }
}

#[test]
fn speech_is_reported_with_its_padding() {
    let plan = plan(16_000, &[vad("vad", "energy")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    push_tone(&mut executor, id, 16_000, 0.0, 0, 200);
    push_tone(&mut executor, id, 16_000, 0.5, 200_000, 400);
    push_tone(&mut executor, id, 16_000, 0.0, 600_000, 400);
    let outputs = drain(&mut executor);
    assert_eq!(events(&outputs), [(true, 170_000), (false, 630_000)]);
    let stop = outputs.iter().find_map(|output| match output.kind {
        OutputKind::SpeechStopped { started_at_us, duration_us } => {
            Some((started_at_us, duration_us))
        }
        _ => None,
    });
    assert_eq!(stop, Some((170_000, 460_000)));
}

#[test]
fn closing_a_stream_stops_its_speech() {
    for engine in ["energy", "silero"] {
        let mut params = vad_params(engine);
        // A tone is no speech to the model: a threshold of zero makes it so.
        if engine == "silero" {
            (params["threshold"], params["negative_threshold"]) = (json!(0.0), json!(0.0));
        }
        let vad = node("vad", "vad", params, mono(16_000), None);
        let plan = plan(16_000, &[vad], &[("$source", "vad")]);
        let (mut executor, id) = start(plan, ExecutorConfig::live());
        push_tone(&mut executor, id, 16_000, 0.5, 0, 300);
        executor.close_stream(Micros(300_000), id, STREAM);
        let last = drain(&mut executor).pop().unwrap();
        assert!(matches!(last.kind, OutputKind::SpeechStopped { .. }), "{engine}: {:?}", last.kind);
        assert_eq!(executor.stats().streams, 0);
        assert_eq!(executor.stats().model_states, 0);
    }
}

#[test]
fn a_jump_ends_speech_where_it_was_and_a_small_gap_does_not() {
    for (gap_ms, stopped) in [(60, false), (5_000, true)] {
        let plan = plan(16_000, &[vad("vad", "energy")], &[("$source", "vad")]);
        let (mut executor, id) = start(plan, ExecutorConfig::live());
        push_tone(&mut executor, id, 16_000, 0.5, 0, 300);
        push_tone(&mut executor, id, 16_000, 0.5, 300_000 + gap_ms * 1_000, 20);
        let events = events(&drain(&mut executor));
        assert_eq!(events.iter().any(|event| !event.0), stopped, "{gap_ms} ms: {events:?}");
        if stopped {
            assert!(events[1].1 <= 330_000, "{events:?}");
        }
        assert_eq!(executor.instance_stats(id).unwrap().jumps, 1);
    }
}

#[test]
fn silero_windows_start_anew_after_a_jump() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    push_tone(&mut executor, id, 16_000, 0.5, 0, 60);
    push_tone(&mut executor, id, 16_000, 0.5, 3_600_000_000, 40);
    executor.run_batches(Micros(0));
    let times: Vec<u64> = windows(&drain(&mut executor)).iter().map(|window| window.0).collect();
    assert_eq!(times, [0, 3_600_000_000]);
}

#[test]
fn the_model_remembers_nothing_from_before_a_jump() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let after = |before_ms: u64| {
        let (mut executor, id) = start(plan.clone(), ExecutorConfig::live());
        push_tone(&mut executor, id, 16_000, 0.9, 0, before_ms);
        push_tone(&mut executor, id, 16_000, 0.3, 3_600_000_000, 200);
        executor.run_batches(Micros(0));
        drain(&mut executor)
            .iter()
            .filter(|output| output.meta.pts_us >= 3_600_000_000)
            .filter_map(|output| match output.kind {
                OutputKind::Vad { probability, .. } => Some(probability),
                _ => None,
            })
            .collect::<Vec<f32>>()
    };
    assert_eq!(after(500), after(0));
}

#[test]
fn silero_windows_count_a_gap_as_silence() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    push_tone(&mut executor, id, 16_000, 0.5, 0, 20);
    push_tone(&mut executor, id, 16_000, 0.5, 100_000, 40);
    executor.run_batches(Micros(0));
    let times: Vec<u64> = windows(&drain(&mut executor)).iter().map(|window| window.0).collect();
    assert_eq!(times, [0, 32_000, 64_000, 96_000]);
}

#[test]
fn resampled_audio_keeps_its_place_in_time() {
    let resample =
        node("r", "resample", json!({"quality": "medium"}), mono(48_000), Some(mono(16_000)));
    let plan = plan(48_000, &[resample], &[("$source", "r")]);
    let (mut executor, id) = start(plan, ExecutorConfig::offline());
    let first_us = 1_000_000;
    push_tone(&mut executor, id, 48_000, 0.5, first_us, 200);
    executor.close_stream(Micros(0), id, STREAM);
    let frames = audio(&drain(&mut executor), "r");
    let mut expected = first_us;
    let mut samples = Vec::new();
    for frame in &frames {
        assert!(frame.meta.pts_us.abs_diff(expected) <= 1, "{} {expected}", frame.meta.pts_us);
        expected = frame.meta.pts_us + frame.samples.len() as u64 * 1_000_000 / 16_000;
        samples.extend_from_slice(&frame.samples);
    }
    assert_eq!(samples.len(), 3_200, "200 ms come out of 200 ms");
    let clean = tone(16_000, 0.5, 200, first_us);
    let worst = samples[400..2_800]
        .iter()
        .zip(&clean[400..2_800])
        .map(|(ours, clean)| (ours - clean).abs())
        .fold(0.0, f32::max);
    assert!(worst < 0.01, "the tone is shifted or bent: {worst}");
}

#[test]
fn a_resampler_begins_anew_after_a_jump() {
    let resample =
        node("r", "resample", json!({"quality": "medium"}), mono(48_000), Some(mono(16_000)));
    let plan = plan(48_000, &[resample], &[("$source", "r")]);
    let (mut executor, id) = start(plan, ExecutorConfig::offline());
    push_tone(&mut executor, id, 48_000, 0.5, 0, 100);
    push_tone(&mut executor, id, 48_000, 0.5, 10_000_000, 100);
    executor.close_stream(Micros(0), id, STREAM);
    let frames = audio(&drain(&mut executor), "r");
    let late: usize = frames
        .iter()
        .filter(|frame| frame.meta.pts_us >= 10_000_000)
        .map(|frame| frame.samples.len())
        .sum();
    let all: usize = frames.iter().map(|frame| frame.samples.len()).sum();
    assert_eq!((late, all), (1_600, 3_200));
}

#[test]
fn levels_cover_exact_intervals() {
    let level = node("level", "level", json!({"interval_ms": 50}), mono(48_000), None);
    let plan = plan(48_000, &[level], &[("$source", "level")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    push_tone(&mut executor, id, 48_000, 0.5, 0, 40);
    push_tone(&mut executor, id, 48_000, 0.0, 40_000, 60);
    let levels: Vec<(u64, f32)> = drain(&mut executor)
        .iter()
        .filter_map(|output| match output.kind {
            OutputKind::Level { peak_dbfs, .. } => Some((output.meta.pts_us, peak_dbfs)),
            _ => None,
        })
        .collect();
    assert_eq!(levels.iter().map(|level| level.0).collect::<Vec<_>>(), [0, 50_000]);
    assert!((levels[0].1 + 6.02).abs() < 0.1 && levels[1].1 == -120.0, "{levels:?}");
}

#[test]
fn a_branch_feeds_both_sides() {
    let level =
        node("level", "level", json!({"interval_ms": 20}), mono(48_000), Some(mono(48_000)));
    let resample =
        node("r", "resample", json!({"quality": "low"}), mono(48_000), Some(mono(16_000)));
    let plan = plan(
        48_000,
        &[level, resample, vad("vad", "energy")],
        &[("$source", "level"), ("level", "r"), ("r", "vad")],
    );
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    push_tone(&mut executor, id, 48_000, 0.5, 0, 200);
    let outputs = drain(&mut executor);
    let count = |node: &str| outputs.iter().filter(|output| *output.node == *node).count();
    assert_eq!(count("level"), 10);
    assert!(count("vad") >= 9, "{}", count("vad"));
}

#[test]
fn format_averages_and_copies_channels() {
    let stereo = json!({"type": "audio", "rate": 16_000, "channels": 2});
    let down = node("down", "format", json!({}), stereo.clone(), Some(mono(16_000)));
    let up = node("up", "format", json!({}), mono(16_000), Some(stereo.clone()));
    let mut manifest =
        common::manifest(16_000, &[down, up], &[("$source", "down"), ("down", "up")]);
    manifest["sources"][0]["format"] = stereo;
    let plan = Arc::new(common::compile(&manifest).unwrap());
    let (mut executor, id) = start(plan.clone(), ExecutorConfig::offline());
    let mut frame = meta(16_000, STREAM, 0, 0);
    frame.format = plan.source_format().unwrap();
    executor.push(Micros(0), id, &frame, &[1.0, 0.5, 0.0, -0.5]);
    let frames = audio(&drain(&mut executor), "up");
    assert_eq!(*frames[0].samples, [0.5, 0.0, 0.5, 0.0]);
}

#[test]
fn streams_keep_their_state_apart() {
    let plan = plan(16_000, &[vad("vad", "energy")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    let quiet = StreamId(7);
    executor.open_stream(id, quiet);
    for index in 0..20_u64 {
        let pts_us = index * 20_000;
        let now = Micros(pts_us + 20_000);
        executor.push(
            now,
            id,
            &meta(16_000, STREAM, index, pts_us),
            &tone(16_000, 0.5, 20, pts_us),
        );
        executor.push(now, id, &meta(16_000, quiet, index, pts_us), &[0.0; 320]);
    }
    let outputs = drain(&mut executor);
    let starts: Vec<StreamId> = outputs
        .iter()
        .filter(|output| matches!(output.kind, OutputKind::SpeechStarted { .. }))
        .map(|output| output.meta.stream)
        .collect();
    assert_eq!(starts, [STREAM]);
}

#[test]
fn live_parameters_change_at_once_and_for_one_instance() {
    let plan = plan(16_000, &[vad("vad", "energy")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan.clone(), ExecutorConfig::live());
    let other = executor.create(plan);
    executor.open_stream(other, STREAM);
    executor.configure(id, "vad", &json!({"threshold_db": -1.0, "emit": "events"})).unwrap();
    for id in [id, other] {
        push_tone(&mut executor, id, 16_000, 0.1, 0, 400);
    }
    let outputs = drain(&mut executor);
    assert!(!outputs.is_empty() && outputs.iter().all(|output| output.instance == other));
    // A stream that opens later has them too.
    executor.open_stream(id, StreamId(1));
    executor.push(Micros(0), id, &meta(16_000, StreamId(1), 0, 0), &tone(16_000, 0.1, 20, 0));
    assert_eq!(drain(&mut executor), []);
}

#[test]
fn configure_refuses_what_is_not_live() {
    let resample =
        node("r", "resample", json!({"quality": "low"}), mono(16_000), Some(mono(8_000)));
    let plan = plan(16_000, &[vad("vad", "silero"), resample], &[("$source", "vad"), ("vad", "r")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    let mut path = |node: &str, params: serde_json::Value| {
        executor.configure(id, node, &params).unwrap_err().path
    };
    assert_eq!(path("vad", json!({"engine": "energy"})), "params.engine");
    assert_eq!(path("vad", json!({"threshold_db": -30.0})), "params.threshold_db");
    assert_eq!(path("vad", json!({"threshold": 7})), "params.threshold");
    assert_eq!(path("vad", json!({"threshold": 0.2})), "params.negative_threshold");
    assert_eq!(path("r", json!({"quality": "high"})), "params.quality");
    assert_eq!(path("nobody", json!({})), "node");
}

#[test]
fn frames_that_do_not_belong_are_refused_and_counted() {
    let plan = plan(16_000, &[vad("vad", "energy")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    executor.push(Micros(0), id, &meta(16_000, StreamId(9), 0, 0), &[0.0; 320]);
    executor.push(Micros(0), id, &meta(48_000, STREAM, 0, 0), &[0.0; 960]);
    assert_eq!((drain(&mut executor).len(), executor.instance_stats(id).unwrap().refused), (0, 2));
}

#[test]
fn a_removed_instance_leaves_nothing() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan.clone(), ExecutorConfig::live());
    push_tone(&mut executor, id, 16_000, 0.5, 0, 40);
    executor.remove(id);
    let again = executor.create(plan);
    executor.run_batches(Micros(0));
    assert_ne!(id, again);
    assert_eq!(drain(&mut executor), []);
    let stats = executor.stats();
    assert_eq!((stats.instances, stats.streams, stats.model_states), (1, 0, 0));
}

#[test]
fn a_long_push_runs_its_windows_without_keeping_them_all() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::offline());
    executor.push(Micros(0), id, &meta(16_000, STREAM, 0, 0), &tone(16_000, 0.5, 20_000, 0));
    assert_eq!(executor.batch_pending(), 0);
    assert_eq!(windows(&drain(&mut executor)).len(), 625);
}

#[test]
fn flush_brings_out_the_last_window() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::offline());
    push_tone(&mut executor, id, 16_000, 0.5, 0, 40);
    executor.flush(Micros(40_000), id);
    let times: Vec<u64> = windows(&drain(&mut executor)).iter().map(|window| window.0).collect();
    assert_eq!(times, [0, 32_000]);
}

#[test]
fn media_time_counts_samples_where_a_frame_is_no_whole_number_of_microseconds() {
    let slow = vad_params("silero");
    let plan = plan(
        11_025,
        &[
            node("wide", "resample", json!({"quality": "low"}), mono(11_025), Some(mono(16_000))),
            node("vad", "vad", slow, mono(16_000), None),
            node("level", "level", json!({"interval_ms": 100}), mono(11_025), None),
        ],
        &[("$source", "wide"), ("wide", "vad"), ("$source", "level")],
    );
    let (mut executor, id) = start(plan, ExecutorConfig::offline());
    let samples = tone(11_025, 0.5, 20, 0);
    // Four minutes in frames of 19,954.6 microseconds.
    for index in 0..12_000 {
        let meta = meta(11_025, STREAM, index, index * 220 * 1_000_000 / 11_025);
        executor.push(meta.arrival, id, &meta, &samples);
    }
    let outputs = drain(&mut executor);
    let late = |node: &str, length_us: u64| {
        let of = outputs.iter().filter(|output| *output.node == *node);
        let times = of.filter(|output| !matches!(output.kind, OutputKind::Audio(_)));
        let times = times.enumerate();
        times
            .map(|(index, output)| output.meta.pts_us.abs_diff(index as u64 * length_us))
            .max()
            .unwrap()
    };
    assert_eq!(late("vad", 32_000), 0);
    // 1,102 samples.
    let intervals = outputs.iter().filter(|output| matches!(output.kind, OutputKind::Level { .. }));
    for (index, output) in intervals.enumerate() {
        assert_eq!(output.meta.pts_us, index as u64 * 1_102 * 1_000_000 / 11_025);
    }
}

#[test]
fn media_time_follows_a_source_whose_clock_is_another() {
    let plan = plan(16_000, &[vad("vad", "silero")], &[("$source", "vad")]);
    let (mut executor, id) = start(plan, ExecutorConfig::live());
    let samples = tone(16_000, 0.5, 20, 0);
    for index in 0..1_000 {
        // 50 parts in a million too slow.
        let meta = meta(16_000, STREAM, index, index * 20_001);
        executor.push(meta.arrival, id, &meta, &samples);
    }
    executor.run_batches(Micros(0));
    let last = windows(&drain(&mut executor)).last().unwrap().0;
    assert!(last.abs_diff(624 * 32_000 + 1_000) <= 40, "{last}");
}
