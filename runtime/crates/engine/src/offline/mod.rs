//! Runs over what is at hand: the machine of a live session, driven by its caller.

mod framer;
mod messages;
mod run;

use remotemedia_core::{ErrorCode, ResolvedManifest};
use remotemedia_executor::Plan;

use crate::EngineError;

pub use run::{OfflineRun, RunConfig, RunDone, RunOutput, RunValue};

/// Checks a resolved manifest as [`OfflineRun::new`] would.
///
/// # Errors
/// The manifest's error, with the path of the field.
pub fn check_manifest(resolved_json: &str) -> Result<(), EngineError> {
    Plan::compile(&ResolvedManifest::from_json(resolved_json)?)?;
    Ok(())
}

/// Runs planar samples in the first source's format through a pipeline of native nodes, in frames of
/// `frame_ms`, on the calling thread. Returns the result messages of a live session, without its
/// waiting: `latency_ms` is 0 and `rtp_ts` is the media time on Opus' clock of 48 kHz.
///
/// # Errors
/// A manifest that is not valid or has Python nodes, and what [`OfflineRun::push_audio`] refuses.
pub fn run_offline(
    manifest: &ResolvedManifest,
    samples: &[f32],
    frame_ms: u32,
) -> Result<Vec<String>, EngineError> {
    let plan = Plan::compile(manifest)?;
    if plan.has_python() {
        return Err(EngineError::new(
            ErrorCode::NotInThisVersion,
            "this call has nobody to run Python nodes: use OfflineRun",
        ));
    }
    let config = RunConfig { frame_ms, ..RunConfig::default() };
    let mut run = OfflineRun::with_plan(plan, config)?;
    run.push_audio(&manifest.sources[0].id, samples, None)?;
    run.end(None)?;
    let event = |output: RunOutput| match output.value {
        RunValue::Event(message) => Some(message),
        RunValue::Audio { .. } | RunValue::Value(_) => None,
    };
    Ok(run.poll().into_iter().filter_map(event).collect())
}
