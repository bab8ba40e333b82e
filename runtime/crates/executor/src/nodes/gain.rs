//! `gain`: louder or quieter, live; in place where nobody else reads its input any more.

use std::ops::RangeInclusive;
use std::sync::Arc;

use remotemedia_core::ResolvedNode;
use serde_json::Value;

use super::{audio_input, audio_output, same_output};
use crate::node::{Chunk, Context, NodeType, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

/// Decibels from near silence to a factor of a thousand.
pub(super) const GAIN_DB: RangeInclusive<f32> = -120.0..=60.0;

/// The factor of a gain in decibels.
pub(super) fn factor_of(gain_db: f32) -> f32 {
    10_f64.powf(f64::from(gain_db) / 20.0) as f32
}

#[derive(Clone, Copy)]
struct Gain {
    gain_db: f32,
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let mut params = Params::new(&node.params)?;
    let gain_db = params.f32("gain_db", GAIN_DB);
    params.finish()?;
    audio_input(node)?;
    audio_output(node)?;
    same_output(node)?;
    Ok(Arc::new(Gain { gain_db }))
}

impl Gain {
    fn patched(mut self, patch: &Value) -> Result<Gain, ParamError> {
        let mut params = Params::new(patch)?;
        params.patch_f32("gain_db", GAIN_DB, &mut self.gain_db);
        params.finish()?;
        Ok(self)
    }
}

impl NodeType for Gain {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(GainStream { settings: *self, factor: factor_of(self.gain_db) })
    }

    fn passes(&self) -> bool {
        false
    }

    fn changes(&self) -> bool {
        true
    }

    fn configured(&self, patch: &Value) -> Result<Arc<dyn NodeType>, ParamError> {
        Ok(Arc::new(self.patched(patch)?))
    }
}

struct GainStream {
    settings: Gain,
    factor: f32,
}

impl StreamNode for GainStream {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        let signal = &mut cx.signals[0];
        let start = signal.samples.len();
        signal.samples.extend(chunk.samples.iter().map(|sample| sample * self.factor));
        signal.end_chunk(*chunk.meta, start);
    }

    fn change(&mut self, samples: &mut [f32]) {
        samples.iter_mut().for_each(|sample| *sample *= self.factor);
    }

    fn configure(&mut self, patch: &Value) {
        if let Ok(settings) = self.settings.patched(patch) {
            self.settings = settings;
            self.factor = factor_of(settings.gain_db);
        }
    }
}
