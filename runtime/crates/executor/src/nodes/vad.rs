//! `vad`: speech probability per window, and where speech starts and stops. Passes its audio through.

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use remotemedia_core::{AudioFormat, ChannelCount, FrameMeta, Key, ResolvedNode};
use remotemedia_dsp::vad::energy::EnergyVad;
use remotemedia_dsp::vad::segment::{SegmentParams, Segmenter, SpeechEvent};
use remotemedia_dsp::vad::silero::{Model, WINDOW};
use serde_json::Value;

use super::{audio_input, same_output};
use crate::node::{Chunk, Context, Continuity, NodeType, Step, StreamNode};
use crate::output::OutputKind;
use crate::params::{ParamError, Params};
use crate::windows::{Window, Windows};

/// A jump forward up to this is a gap in the audio and speech may go on across it; a longer one, and
/// any jump backward, begins anew.
const MAX_GAP: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Energy,
    Silero,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Emit {
    All,
    Events,
}

const ENGINES: &[(&str, Engine)] = &[("energy", Engine::Energy), ("silero", Engine::Silero)];
const EMITS: &[(&str, Emit)] = &[("all", Emit::All), ("events", Emit::Events)];
const PROBABILITY: RangeInclusive<f32> = 0.0..=1.0;
const SPAN_MS: RangeInclusive<u32> = 0..=60_000;
const PAD_MS: RangeInclusive<u32> = 0..=5_000;
const THRESHOLD_DB: RangeInclusive<f32> = -110.0..=0.0;

/// The model that all streams share; its weights are unpacked once.
pub(crate) fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(Model::load)
}

#[derive(Clone, Copy)]
struct Settings {
    engine: Engine,
    segment: SegmentParams,
    emit: Emit,
    threshold_db: f32,
}

impl Settings {
    fn check(self) -> Result<Settings, ParamError> {
        if self.segment.negative_threshold > self.segment.threshold {
            return Err(ParamError::new(
                "negative_threshold",
                format!("must not lie above threshold, which is {}", self.segment.threshold),
            ));
        }
        Ok(self)
    }

    /// The same with the live parameters that `patch` names.
    fn patched(mut self, patch: &Value) -> Result<Settings, ParamError> {
        let mut params = Params::new(patch)?;
        params.patch_f32("threshold", PROBABILITY, &mut self.segment.threshold);
        params.patch_f32("negative_threshold", PROBABILITY, &mut self.segment.negative_threshold);
        params.patch_ms("min_speech_ms", SPAN_MS, &mut self.segment.min_speech);
        params.patch_ms("min_silence_ms", SPAN_MS, &mut self.segment.min_silence);
        params.patch_ms("speech_pad_ms", PAD_MS, &mut self.segment.speech_pad);
        params.patch_choice("emit", EMITS, &mut self.emit);
        if self.engine == Engine::Energy {
            params.patch_f32("threshold_db", THRESHOLD_DB, &mut self.threshold_db);
        }
        params.finish()?;
        self.check()
    }
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let mut params = Params::new(&node.params)?;
    let engine = params.choice("engine", ENGINES);
    let segment = SegmentParams {
        threshold: params.f32("threshold", PROBABILITY),
        negative_threshold: params.f32("negative_threshold", PROBABILITY),
        min_speech: params.ms("min_speech_ms", SPAN_MS),
        min_silence: params.ms("min_silence_ms", SPAN_MS),
        speech_pad: params.ms("speech_pad_ms", PAD_MS),
    };
    let emit = params.choice("emit", EMITS);
    let threshold_db =
        if engine == Engine::Energy { params.f32("threshold_db", THRESHOLD_DB) } else { 0.0 };
    params.finish()?;
    let settings = Settings { engine, segment, emit, threshold_db }.check()?;
    let input = audio_input(node)?;
    same_output(node)?;
    let wrong =
        |wanted| Err(ParamError::new("inputs[0].format", format!("the {wanted}, not {input}")));
    match engine {
        Engine::Silero if input != AudioFormat::MONO_16K => {
            wrong("silero engine takes 16000 Hz, 1 ch")
        }
        Engine::Energy if input.channels != ChannelCount::MONO => wrong("energy engine takes 1 ch"),
        _ => {
            if engine == Engine::Silero {
                model();
            }
            Ok(Arc::new(settings))
        }
    }
}

impl NodeType for Settings {
    fn open(&self, windows: &mut Windows) -> Box<dyn StreamNode> {
        let speech = Speech { settings: *self, segmenter: Segmenter::new(self.segment), end_us: 0 };
        match self.engine {
            Engine::Energy => Box::new(EnergyStream {
                vad: EnergyVad::new(self.threshold_db),
                speech,
                continuity: Continuity::default(),
                last: None,
            }),
            Engine::Silero => Box::new(SileroStream {
                lane: windows.open(),
                speech,
                continuity: Continuity::default(),
                buffer: [0.0; WINDOW],
                filled: 0,
                fresh: false,
                last: None,
            }),
        }
    }

    fn passes(&self) -> bool {
        true
    }

    fn configured(&self, patch: &Value) -> Result<Arc<dyn NodeType>, ParamError> {
        Ok(Arc::new(self.patched(patch)?))
    }
}

/// What both engines do with a probability.
struct Speech {
    settings: Settings,
    segmenter: Segmenter,
    /// Media time behind the last window.
    end_us: u64,
}

impl Speech {
    /// `meta.pts_us` is the start of the window.
    fn window(&mut self, meta: FrameMeta, end_us: u64, probability: f32, cx: &mut Context<'_>) {
        let (speech, event) = self.segmenter.push(meta.pts_us, end_us, probability);
        self.end_us = end_us;
        if self.settings.emit == Emit::All {
            cx.emit(meta, OutputKind::Vad { speech, probability });
        }
        self.event(meta, event, cx);
    }

    /// Ends a segment that is open.
    fn flush(&mut self, meta: FrameMeta, cx: &mut Context<'_>) {
        let event = self.segmenter.flush(self.end_us);
        self.event(meta, event, cx);
    }

    fn event(&self, meta: FrameMeta, event: Option<SpeechEvent>, cx: &mut Context<'_>) {
        match event {
            None => {}
            Some(SpeechEvent::Started { at_us, probability, .. }) => {
                let meta = FrameMeta { pts_us: at_us, ..meta };
                cx.emit(meta, OutputKind::SpeechStarted { probability });
            }
            Some(SpeechEvent::Stopped { at_us, started_at_us, .. }) => cx.emit(
                FrameMeta { pts_us: at_us, ..meta },
                OutputKind::SpeechStopped {
                    started_at_us,
                    duration_us: at_us.saturating_sub(started_at_us),
                },
            ),
        }
    }

    fn configure(&mut self, patch: &Value) {
        if let Ok(settings) = self.settings.patched(patch) {
            self.settings = settings;
            self.segmenter.set_params(settings.segment);
        }
    }
}

struct EnergyStream {
    vad: EnergyVad,
    speech: Speech,
    continuity: Continuity,
    last: Option<FrameMeta>,
}

impl StreamNode for EnergyStream {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        if let Step::Jump(by) = self.continuity.step(chunk) {
            cx.stats.jumps += 1;
            if !is_gap(by) {
                self.speech.flush(*chunk.meta, cx);
            }
        }
        let probability = self.vad.probability(chunk.samples);
        let end_us = self.continuity.at(chunk.len() as i64);
        self.speech.window(*chunk.meta, end_us, probability, cx);
        self.last = Some(*chunk.meta);
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some(meta) = self.last.take() {
            self.speech.flush(meta, cx);
        }
        self.continuity.reset();
    }

    fn configure(&mut self, patch: &Value) {
        self.speech.configure(patch);
        self.vad = EnergyVad::new(self.speech.settings.threshold_db);
    }
}

struct SileroStream {
    lane: Key,
    speech: Speech,
    continuity: Continuity,
    buffer: [f32; WINDOW],
    filled: usize,
    /// The next window is the first after a jump.
    fresh: bool,
    /// The end of the last chunk: `pts_us`, and samples since it began.
    last: Option<(FrameMeta, i64)>,
}

impl SileroStream {
    /// Fills windows with what follows the buffer's content; `end` is where `samples` end, counted
    /// from where the last chunk begins.
    fn feed(&mut self, meta: FrameMeta, samples: &[f32], end: i64, cx: &mut Context<'_>) {
        let mut rest = samples;
        while !rest.is_empty() {
            let take = rest.len().min(WINDOW - self.filled);
            self.buffer[self.filled..self.filled + take].copy_from_slice(&rest[..take]);
            self.filled += take;
            rest = &rest[take..];
            if self.filled == WINDOW {
                self.queue(meta, end - rest.len() as i64, WINDOW, cx);
            }
        }
    }

    /// Hands the window on, `length` samples that end there.
    fn queue(&mut self, meta: FrameMeta, end: i64, length: usize, cx: &mut Context<'_>) {
        let window = Window {
            owner: cx.owner,
            meta: FrameMeta { pts_us: self.continuity.at(end - length as i64), ..meta },
            end_us: self.continuity.at(end),
            fresh: std::mem::take(&mut self.fresh),
            probability: 0.0,
        };
        cx.windows.queue(cx.now, self.lane, window, &self.buffer);
        self.filled = 0;
    }
}

impl StreamNode for SileroStream {
    fn push(&mut self, _input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        if let Step::Jump(by) = self.continuity.step(chunk) {
            cx.stats.jumps += 1;
            if is_gap(by) {
                // The model keeps its place in time: the gap counts as silence.
                const SILENCE: [f32; WINDOW] = [0.0; WINDOW];
                let rate = chunk.meta.format.rate;
                let mut missing = rate.samples_in(by.unsigned_abs()) as usize;
                while missing > 0 {
                    let take = missing.min(WINDOW);
                    missing -= take;
                    self.feed(*chunk.meta, &SILENCE[..take], -(missing as i64), cx);
                }
            } else {
                self.filled = 0;
                self.fresh = true;
            }
        }
        let end = chunk.len() as i64;
        self.feed(*chunk.meta, chunk.samples, end, cx);
        self.last = Some((FrameMeta { pts_us: self.continuity.at(end), ..*chunk.meta }, end));
    }

    fn inferred(&mut self, window: &Window, cx: &mut Context<'_>) {
        if window.fresh {
            self.speech.flush(window.meta, cx);
        }
        self.speech.window(window.meta, window.end_us, window.probability, cx);
    }

    fn drain(&mut self, cx: &mut Context<'_>) {
        let (Some((meta, end)), 1..) = (self.last, self.filled) else { return };
        self.buffer[self.filled..].fill(0.0);
        self.queue(meta, end, self.filled, cx);
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some((meta, _)) = self.last.take() {
            self.speech.flush(meta, cx);
        }
        self.continuity.reset();
        self.filled = 0;
        self.fresh = true;
    }

    fn configure(&mut self, patch: &Value) {
        self.speech.configure(patch);
    }

    fn close(&mut self, windows: &mut Windows) {
        windows.close(self.lane);
    }
}

fn is_gap(by: i64) -> bool {
    by > 0 && by.unsigned_abs() <= MAX_GAP.as_micros() as u64
}
