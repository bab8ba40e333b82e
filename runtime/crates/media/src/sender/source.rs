//! What waits to be played of one source.

use std::collections::VecDeque;
use std::time::Duration;

use remotemedia_core::{AudioFormat, Micros};
use remotemedia_dsp::resample::{Quality, Resampler};

use super::{CUSHION, FRAME, SourceId};
use crate::error::MediaError;

/// How long a source that runs dry fades out, and fades in when it goes on.
const FADE: Duration = Duration::from_millis(5);

/// A source that is silent for so long has ended; one that goes on before was late.
const LATE: Duration = Duration::from_millis(200);

/// A frame without a sample above this (-50 dBFS) is a pause: leaving it out harms nobody.
const PAUSE_PEAK: f32 = 0.003;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing waits.
    Idle,
    /// It begins at `ready`.
    Filling { ready: Micros },
    /// A frame is taken each tick.
    Playing,
}

/// One source: its audio in the sender's format, and where it is in its talk spurt.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: SourceId,
    format: AudioFormat,
    /// By channel, where the rates differ.
    resamplers: Vec<Resampler>,
    out: AudioFormat,
    /// Interleaved.
    queue: VecDeque<f32>,
    /// The last samples that were played: what fades out when nothing follows.
    tail: Vec<f32>,
    phase: Phase,
    /// When it ran dry.
    dry_since: Option<Micros>,
    /// Samples, over all channels, that are still faded in.
    fade_in: usize,
    /// It was cleared while it played: running dry then is no sign of lateness.
    interrupted: bool,
    /// Later than it should be, because it ran dry and then went on.
    behind: Duration,
    /// Resampled, by channel.
    scratch: Vec<Vec<f32>>,
}

/// What one tick took from a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Played {
    /// Something was added to the mix.
    pub(super) active: bool,
    /// It went on after it had run dry for so long.
    pub(super) late: Duration,
    /// A pause that was left out.
    pub(super) shortened: Duration,
}

impl Source {
    pub(super) fn new(
        id: SourceId,
        format: AudioFormat,
        out: AudioFormat,
    ) -> Result<Source, MediaError> {
        let resamplers = if format.rate == out.rate {
            Vec::new()
        } else {
            let make = |_| Resampler::new(format.rate, out.rate, Quality::Medium);
            (0..format.channels.get()).map(make).collect::<Result<_, _>>()?
        };
        Ok(Source {
            id,
            format,
            scratch: vec![Vec::new(); resamplers.len()],
            resamplers,
            out,
            queue: VecDeque::new(),
            tail: Vec::new(),
            phase: Phase::Idle,
            dry_since: None,
            fade_in: 0,
            interrupted: false,
            behind: Duration::ZERO,
        })
    }

    pub(super) fn format(&self) -> AudioFormat {
        self.format
    }

    /// How long the audio that waits would last.
    pub(super) fn queued(&self) -> Duration {
        self.duration(self.queue.len())
    }

    /// Nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// When it may begin, where it waits for that.
    pub(super) fn ready(&self) -> Option<Micros> {
        match self.phase {
            Phase::Filling { ready } => Some(ready),
            Phase::Idle | Phase::Playing => None,
        }
    }

    /// Takes `count` samples of each channel from `from` on, planar.
    pub(super) fn push(&mut self, now: Micros, samples: &[f32], from: usize, count: usize) {
        if count == 0 {
            return;
        }
        if self.phase == Phase::Idle {
            self.fade_in = self.samples(FADE);
        }
        let before = self.queue.len();
        let length = samples.len() / self.format.channels.get();
        let plane = |channel: usize| &samples[channel * length + from..][..count];
        if self.resamplers.is_empty() {
            let planes = Planes { count, channels: self.format.channels.get(), plane };
            planes.interleave(self.out.channels.get(), &mut self.queue);
        } else {
            for (channel, (resampler, out)) in
                self.resamplers.iter_mut().zip(&mut self.scratch).enumerate()
            {
                out.clear();
                resampler.process(plane(channel), out);
            }
            let count = self.scratch.iter().map(Vec::len).min().unwrap_or(0);
            let plane = |channel: usize| &self.scratch[channel][..count];
            let planes = Planes { count, channels: self.format.channels.get(), plane };
            planes.interleave(self.out.channels.get(), &mut self.queue);
        }
        self.fade_in(before);
        self.begin(now);
    }

    /// Raises what lies in the queue from `start` on, as long as the beginning lasts.
    fn fade_in(&mut self, start: usize) {
        let whole = self.samples(FADE);
        for sample in self.queue.range_mut(start..).take(self.fade_in) {
            *sample *= 1.0 - self.fade_in as f32 / (whole + 1) as f32;
            self.fade_in -= 1;
        }
    }

    /// Decides when what has come is played: after a while in which the producer may be late next
    /// time; at once where it was only late.
    fn begin(&mut self, now: Micros) {
        let goes_on = self.dry_since.is_some_and(|since| now.since(since) < LATE);
        let whole = goes_on && self.queued() >= FRAME;
        self.phase = match self.phase {
            Phase::Playing => Phase::Playing,
            Phase::Idle | Phase::Filling { .. } if whole => Phase::Filling { ready: now },
            Phase::Filling { ready } => Phase::Filling { ready },
            Phase::Idle => Phase::Filling { ready: now + CUSHION },
        };
    }

    /// Adds a frame to `mix`, interleaved, as far as there is one.
    pub(super) fn play(&mut self, at: Micros, mix: &mut [f32]) -> Played {
        let mut played = Played::default();
        if let Phase::Filling { ready } = self.phase {
            if ready > at {
                return played;
            }
            self.phase = Phase::Playing;
            if let Some(since) = self.dry_since.take() {
                let gap = at.since(since);
                if gap < LATE + CUSHION {
                    played.late = gap;
                    self.behind += gap;
                } else {
                    self.behind = Duration::ZERO;
                }
            }
        }
        if self.phase == Phase::Idle {
            return played;
        }
        played.active = true;
        if self.behind >= FRAME && self.queued() >= 2 * FRAME + CUSHION && self.is_pause(mix.len())
        {
            self.queue.drain(..mix.len());
            self.behind -= FRAME;
            played.shortened = FRAME;
        }
        if self.queue.len() < mix.len() {
            self.fade_out();
            self.phase = Phase::Idle;
            self.dry_since = (!self.interrupted).then_some(at);
            self.interrupted = false;
        }
        let count = self.queue.len().min(mix.len());
        self.remember(count);
        for (mixed, sample) in mix.iter_mut().zip(self.queue.drain(..count)) {
            *mixed += sample;
        }
        played
    }

    fn is_pause(&self, count: usize) -> bool {
        self.queue.iter().take(count).all(|sample| sample.abs() < PAUSE_PEAK)
    }

    /// Keeps the end of what is about to be played.
    fn remember(&mut self, count: usize) {
        let keep = self.samples(FADE).min(count);
        self.tail.clear();
        self.tail.extend(self.queue.range(count - keep..count));
    }

    /// Lets what is left end in silence: no jump, so no click. Where next to nothing is left, the
    /// last samples run backwards meanwhile.
    fn fade_out(&mut self) {
        let length = self.samples(FADE);
        let channels = self.out.channels.get();
        let waiting = self.queue.len();
        if waiting < length {
            let known = self.tail.len() + waiting;
            for frame in 1..=length.min(known) / channels {
                for channel in 0..channels {
                    let at = known - frame * channels + channel;
                    let sample = match at.checked_sub(self.tail.len()) {
                        Some(at) => self.queue[at],
                        None => self.tail[at],
                    };
                    self.queue.push_back(sample);
                }
            }
        }
        let faded = self.queue.len().min(length);
        let start = self.queue.len() - faded;
        for (index, sample) in self.queue.range_mut(start..).enumerate() {
            *sample *= 1.0 - (index / channels + 1) as f32 / (faded / channels + 1) as f32;
        }
    }

    /// Leaves out the oldest, so that `keep` is left; returns how much that was.
    pub(super) fn shorten(&mut self, keep: Duration) -> Duration {
        let channels = self.out.channels.get();
        let excess = self.queue.len().saturating_sub(self.samples(keep)) / channels * channels;
        // From the old beginning into the new one.
        let fade = self.samples(FADE).min(self.queue.len() - excess);
        for index in 0..fade {
            let weight = (index / channels + 1) as f32 / (fade / channels + 1) as f32;
            let old = self.queue[index];
            let new = &mut self.queue[excess + index];
            *new = old + (*new - old) * weight;
        }
        self.queue.drain(..excess);
        self.duration(excess)
    }

    /// Forgets what waits; what is being played fades out. Returns how much that was.
    pub(super) fn clear(&mut self) -> Duration {
        let dropped = self.queued();
        self.queue.clear();
        for resampler in &mut self.resamplers {
            resampler.reset();
        }
        self.dry_since = None;
        self.behind = Duration::ZERO;
        self.fade_in = self.samples(FADE);
        match self.phase {
            Phase::Idle => {}
            Phase::Filling { .. } => self.phase = Phase::Idle,
            Phase::Playing => {
                self.interrupted = true;
                self.fade_out();
            }
        }
        dropped
    }

    fn samples(&self, duration: Duration) -> usize {
        let frames = self.out.rate.samples_in(duration.as_micros() as u64) as usize;
        frames * self.out.channels.get()
    }

    fn duration(&self, samples: usize) -> Duration {
        let frames = samples / self.out.channels.get();
        Duration::from_micros(self.out.rate.micros_of(frames as u64))
    }
}

/// Planar samples: `channels` runs of `count`.
struct Planes<'a, F: Fn(usize) -> &'a [f32]> {
    count: usize,
    channels: usize,
    plane: F,
}

impl<'a, F: Fn(usize) -> &'a [f32]> Planes<'a, F> {
    /// Appends the samples with `channels` channels: one is copied to all, else all give their mean.
    fn interleave(&self, channels: usize, queue: &mut VecDeque<f32>) {
        if self.channels == channels {
            match channels {
                1 => queue.extend((self.plane)(0).iter().map(|sample| finite(*sample))),
                _ => {
                    for index in 0..self.count {
                        for channel in 0..channels {
                            queue.push_back(finite((self.plane)(channel)[index]));
                        }
                    }
                }
            }
        } else {
            let share = 1.0 / self.channels as f32;
            for index in 0..self.count {
                let sum: f32 =
                    (0..self.channels).map(|channel| finite((self.plane)(channel)[index])).sum();
                for _ in 0..channels {
                    queue.push_back(sum * share);
                }
            }
        }
    }
}

/// The highest sample that is believed: 12 dB above full scale.
const MAX_SAMPLE: f32 = 4.0;

/// A node of Python's may give anything: one bad sample must not spoil the rest.
fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-MAX_SAMPLE, MAX_SAMPLE) } else { 0.0 }
}
