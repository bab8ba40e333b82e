//! `mix`: the sum of several inputs, aligned by media time.
//!
//! It gives as far as all inputs reach. One that has ended counts as silence, until it begins anew;
//! live so does one that is more than [`PATIENCE`] behind, and what it brings too late is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{AudioFormat, FrameMeta, PortFormat, ResolvedNode};

use super::audio_output;
use super::gain::{GAIN_DB, factor_of};
use crate::node::{Chunk, Context, JUMP_TOLERANCE_US, NodeType, StreamNode};
use crate::params::{ParamError, Params};
use crate::windows::Windows;

/// How far an input may be behind the first, live.
const PATIENCE: Duration = Duration::from_secs(1);
/// A longer silence of all inputs is left out, as a jump of media time: live, and offline.
const MAX_SILENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// The longest piece that is given at once.
const MAX_PIECE: Duration = Duration::from_secs(10);

struct Mix {
    factors: Vec<f32>,
    format: AudioFormat,
}

pub(super) fn compile(node: &ResolvedNode) -> Result<Arc<dyn NodeType>, ParamError> {
    let count = node.inputs.len();
    if count < 2 {
        return Err(ParamError::new("inputs", "must be 2 to 16, are 1"));
    }
    let mut params = Params::new(&node.params)?;
    let gains = params.f32_list("gains_db", count, GAIN_DB);
    params.finish()?;
    let format = audio_output(node)?;
    for (index, port) in node.inputs.iter().enumerate() {
        let name = format!("in-{}", index + 1);
        if port.port != name {
            return Err(ParamError::new(
                format!("inputs[{index}].port"),
                format!("no port \"{}\": there is {name}", port.port),
            ));
        }
        if port.format != PortFormat::Audio(format) {
            return Err(ParamError::new(
                format!("inputs[{index}].format"),
                format!("must be {format}, as the output"),
            ));
        }
    }
    Ok(Arc::new(Mix { factors: gains.into_iter().map(factor_of).collect(), format }))
}

impl NodeType for Mix {
    fn open(&self, _windows: &mut Windows) -> Box<dyn StreamNode> {
        let input = |factor: &f32| MixInput { factor: *factor, ..MixInput::default() };
        Box::new(MixStream {
            inputs: self.factors.iter().map(input).collect(),
            format: self.format,
            origin_us: None,
            given: 0,
            last: None,
            spare: Vec::new(),
        })
    }

    fn passes(&self) -> bool {
        false
    }
}

/// Audio that was not mixed yet.
struct Held {
    /// Where its first sample lies; all positions are samples of the mix.
    start: u64,
    /// Channel after channel.
    samples: Vec<f32>,
}

#[derive(Default)]
struct MixInput {
    factor: f32,
    /// How far it reaches.
    end: u64,
    /// The same as media time, of its own clock.
    end_us: Option<u64>,
    ended: bool,
    /// It is too far behind to be waited for.
    late: bool,
    held: VecDeque<Held>,
}

impl MixInput {
    /// Where the audio ends that it holds.
    fn reach(&self, channels: u64) -> Option<u64> {
        self.held.back().map(|held| held.start + held.samples.len() as u64 / channels)
    }
}

struct MixStream {
    inputs: Vec<MixInput>,
    format: AudioFormat,
    /// Media time of position 0.
    origin_us: Option<u64>,
    /// How far the mix was given.
    given: u64,
    last: Option<FrameMeta>,
    /// Buffers to be used again.
    spare: Vec<Vec<f32>>,
}

impl MixStream {
    /// The position of a frame that does not follow on. Offline, one in the past lies where the mix
    /// has got to, so that nothing is lost; live it is too late.
    fn position(&self, pts_us: u64, origin_us: u64, reached: u64, live: bool) -> u64 {
        let offset = (i128::from(pts_us) - i128::from(origin_us)) * i128::from(self.rate());
        let nearest = (2 * offset + 1_000_000).div_euclid(2_000_000);
        let least = if live { reached } else { reached.max(self.given) };
        u64::try_from(nearest).unwrap_or(0).max(least)
    }

    fn rate(&self) -> u64 {
        u64::from(self.format.rate.hz())
    }

    /// How far the mix can be given now; `all` waits for nobody.
    fn until(&mut self, all: bool, cx: &mut Context<'_>) -> u64 {
        let furthest = self.inputs.iter().map(|input| input.end).max().unwrap_or(0);
        let mut open = self.inputs.iter_mut().filter(|input| !input.ended).peekable();
        if all || open.peek().is_none() {
            // Not where the inputs have got to: an interrupt may have dropped what they brought.
            let channels = self.format.channels.get() as u64;
            let reaches = self.inputs.iter().filter_map(|input| input.reach(channels));
            return reaches.fold(self.given, u64::max);
        }
        if !cx.live {
            return open.map(|input| input.end).min().unwrap_or(furthest);
        }
        let least = furthest.saturating_sub(self.format.rate.samples_in(micros(PATIENCE)));
        let mut until = furthest;
        for input in open {
            let late = input.end < least;
            if late && !input.late {
                cx.stats.late_inputs += 1;
            }
            input.late = late;
            until = until.min(input.end.max(least));
        }
        until
    }

    fn give(&mut self, all: bool, cx: &mut Context<'_>) {
        let (Some(origin_us), Some(last)) = (self.origin_us, self.last) else { return };
        let until = self.until(all, cx);
        let silence = self.format.rate.samples_in(micros(MAX_SILENCE[usize::from(!cx.live)]));
        let piece = self.format.rate.samples_in(micros(MAX_PIECE));
        while self.given < until {
            let heads = self.inputs.iter().filter_map(|input| input.held.front());
            let next = heads.map(|held| held.start).min().unwrap_or(until).min(until);
            if next.saturating_sub(self.given) > silence {
                self.given = next;
                continue;
            }
            let count = (until - self.given).min(piece) as usize;
            let signal = &mut cx.signals[0];
            let start = signal.samples.len();
            signal.samples.resize(start + count * self.format.channels.get(), 0.0);
            for input in &mut self.inputs {
                add(input, &mut signal.samples[start..], self.given, count, &mut self.spare);
            }
            let pts_us = origin_us.saturating_add(self.format.rate.micros_of(self.given));
            signal.end_chunk(FrameMeta { pts_us, format: self.format, ..last }, start);
            self.given += count as u64;
        }
    }
}

/// Adds an input to the `count` samples of each channel of `total`, which begin at `from`.
fn add(
    input: &mut MixInput,
    total: &mut [f32],
    from: u64,
    count: usize,
    spare: &mut Vec<Vec<f32>>,
) {
    let until = from + count as u64;
    while let Some(held) = input.held.front_mut()
        && held.start < until
    {
        let channels = total.len() / count;
        let length = held.samples.len() / channels;
        // What is used already lies before `from`.
        let skip = from.saturating_sub(held.start) as usize;
        let at = held.start.saturating_sub(from) as usize;
        let take = (length - skip.min(length)).min(count - at);
        for channel in 0..channels {
            let samples = &held.samples[channel * length + skip.min(length)..][..take];
            let sums = &mut total[channel * count + at..][..take];
            for (sum, sample) in sums.iter_mut().zip(samples) {
                *sum += sample * input.factor;
            }
        }
        if held.start + length as u64 > until {
            return;
        }
        spare.extend(input.held.pop_front().map(|held| held.samples));
    }
}

impl StreamNode for MixStream {
    fn push(&mut self, input: usize, chunk: Chunk<'_>, cx: &mut Context<'_>) {
        let pts_us = chunk.meta.pts_us;
        let origin_us = *self.origin_us.get_or_insert(pts_us);
        let MixInput { end, end_us, .. } = self.inputs[input];
        let follows = end_us.is_some_and(|end_us| pts_us.abs_diff(end_us) <= JUMP_TOLERANCE_US);
        let start = if follows { end } else { self.position(pts_us, origin_us, end, cx.live) };
        let reached = start + chunk.len() as u64;
        let into = &mut self.inputs[input];
        (into.end, into.end_us) = (reached, Some(chunk.end_us()));
        if reached > self.given && chunk.len() > 0 {
            let mut samples = self.spare.pop().unwrap_or_default();
            samples.clear();
            samples.extend_from_slice(chunk.samples);
            into.held.push_back(Held { start, samples });
        }
        self.last = Some(*chunk.meta);
        self.give(false, cx);
    }

    fn end_input(&mut self, input: usize, cx: &mut Context<'_>) {
        self.inputs[input].ended = true;
        self.give(false, cx);
    }

    fn begin_input(&mut self, input: usize) {
        // It lies where its media time says.
        (self.inputs[input].ended, self.inputs[input].end_us) = (false, None);
    }

    fn interrupt(&mut self) -> u64 {
        let before = self.spare.len();
        for input in &mut self.inputs {
            self.spare.extend(input.held.drain(..).map(|held| held.samples));
        }
        (self.spare.len() - before) as u64
    }

    fn drain(&mut self, cx: &mut Context<'_>) {
        self.give(true, cx);
        (self.origin_us, self.given, self.last) = (None, 0, None);
        for input in &mut self.inputs {
            let MixInput { factor, ended, .. } = *input;
            self.spare.extend(input.held.drain(..).map(|held| held.samples));
            let held = std::mem::take(&mut input.held);
            *input = MixInput { factor, ended, held, ..MixInput::default() };
        }
    }
}

fn micros(span: Duration) -> u64 {
    span.as_micros() as u64
}
