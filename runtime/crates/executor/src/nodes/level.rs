//! `level`: loudness per interval of media time. Passes its audio through.

use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{FrameMeta, ResolvedNode};
use remotemedia_dsp::level::LevelMeter;
use serde_json::Value;

use super::{audio_input, same_output};
use crate::node::{Chunk, Context, Continuity, NodeType, Step, StreamNode};
use crate::output::OutputKind;
use crate::params::{ParamError, Params};
use crate::windows::Windows;

#[derive(Clone, Copy)]
struct Level {
    interval: Duration,
}

const INTERVAL_MS: std::ops::RangeInclusive<u32> = 10..=10_000;

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let mut params = Params::new(&node.params)?;
    let interval = params.ms("interval_ms", INTERVAL_MS);
    params.finish()?;
    audio_input(node)?;
    same_output(node)?;
    Ok(Arc::new(Level { interval }))
}

impl Level {
    fn patch(&mut self, patch: &Value) -> Result<(), ParamError> {
        let mut params = Params::new(patch)?;
        params.patch_ms("interval_ms", INTERVAL_MS, &mut self.interval);
        params.finish()
    }
}

impl NodeType for Level {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        Box::new(LevelStream {
            settings: *self,
            meter: LevelMeter::default(),
            measured: 0,
            continuity: Continuity::default(),
            last: None,
        })
    }

    fn passes(&self) -> bool {
        true
    }

    fn configured(&self, patch: &Value) -> Result<Arc<dyn NodeType>, ParamError> {
        let mut changed = *self;
        changed.patch(patch)?;
        Ok(Arc::new(changed))
    }
}

struct LevelStream {
    settings: Level,
    meter: LevelMeter,
    /// Samples per channel in the interval so far.
    measured: u64,
    continuity: Continuity,
    /// The last chunk, and its samples.
    last: Option<(FrameMeta, i64)>,
}

impl LevelStream {
    fn report(&mut self, mut meta: FrameMeta, start_us: u64, cx: &mut Context<'_>) {
        let level = self.meter.take();
        self.measured = 0;
        meta.pts_us = start_us;
        cx.emit(meta, OutputKind::Level { rms_dbfs: level.rms_dbfs, peak_dbfs: level.peak_dbfs });
    }
}

impl StreamNode for LevelStream {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        if let Step::Jump(_) = self.continuity.step(chunk) {
            cx.stats.jumps += 1;
            self.meter.take();
            self.measured = 0;
        }
        let rate = chunk.meta.format.rate;
        let interval = rate.samples_in(self.settings.interval.as_micros() as u64).max(1);
        let mut at = 0;
        while at < chunk.len() {
            let take =
                (chunk.len() - at).min(interval.saturating_sub(self.measured).max(1) as usize);
            for channel in 0..chunk.meta.format.channels.get() {
                self.meter.push(&chunk.channel(channel)[at..at + take]);
            }
            at += take;
            self.measured += take as u64;
            if self.measured >= interval {
                let start_us = self.continuity.at(at as i64 - self.measured as i64);
                self.report(*chunk.meta, start_us, cx);
            }
        }
        self.last = Some((*chunk.meta, chunk.len() as i64));
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if let (Some((meta, length)), 1..) = (self.last.take(), self.measured) {
            let start_us = self.continuity.at(length - self.measured as i64);
            self.report(meta, start_us, cx);
        }
        self.continuity.reset();
    }

    fn configure(&mut self, patch: &Value) {
        // Accepted by the type already, with the same code.
        let _ = self.settings.patch(patch);
    }
}
