//! Instances that share an executor behave as if each had its own.

mod common;

use common::{STREAM, drain, meta, mono, node, plan, tone, vad};
use proptest::prelude::*;
use remotemedia_core::Micros;
use remotemedia_executor::{Executor, ExecutorConfig, OutputKind};
use serde_json::json;

/// Outputs as comparable text: probabilities may differ in the last bits between batch sizes.
fn text(kind: &OutputKind) -> String {
    match kind {
        OutputKind::Vad { probability, .. } => format!("vad {probability:.3}"),
        OutputKind::SpeechStarted { .. } => "started".into(),
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_interleaving_gives_each_instance_its_own_results(
        order in prop::collection::vec((0_usize..3, any::<bool>()), 1..120),
    ) {
        let resample =
            node("r", "resample", json!({"quality": "low"}), mono(48_000), Some(mono(16_000)));
        let level = node("level", "level", json!({"interval_ms": 50}), mono(48_000), None);
        let plan = plan(
            48_000,
            &[resample, level, vad("energy", "energy"), vad("silero", "silero")],
            &[("$source", "r"), ("$source", "level"), ("r", "energy"), ("r", "silero")],
        );
        let run = |only: Option<usize>| {
            let mut executor = Executor::new(ExecutorConfig::live());
            let ids: Vec<_> = (0..3).map(|_| executor.create(plan.clone())).collect();
            ids.iter().for_each(|id| executor.open_stream(*id, STREAM));
            let mut at = [0_u64; 3];
            let mut results = vec![Vec::new(); 3];
            for (who, batch) in &order {
                if only.is_none_or(|only| only == *who) {
                    let pts_us = at[*who] * 20_000;
                    let samples = tone(48_000, 0.2 * (who + 1) as f32, 20, pts_us);
                    let frame = meta(48_000, STREAM, at[*who], pts_us);
                    executor.push(Micros(0), ids[*who], &frame, &samples);
                    at[*who] += 1;
                }
                if *batch {
                    executor.run_batches(Micros(0));
                }
            }
            ids.iter().for_each(|id| executor.close_stream(Micros(0), *id, STREAM));
            for output in drain(&mut executor) {
                let who = ids.iter().position(|id| *id == output.instance).unwrap();
                results[who].push((output.node.clone(), output.meta.pts_us, text(&output.kind)));
            }
            // Batches may run later; the order within a node is what counts.
            results.iter_mut().for_each(|results| results.sort_by(|a, b| a.0.cmp(&b.0)));
            results
        };
        let together = run(None);
        for (who, results) in together.iter().enumerate() {
            prop_assert_eq!(results, &run(Some(who))[who]);
        }
    }
}
