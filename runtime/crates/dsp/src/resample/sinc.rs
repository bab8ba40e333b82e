//! Any pair of rates, by `rubato`'s sinc interpolation, aligned in time.

use remotemedia_core::SampleRate;
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, ResamplerConstructionError, SincInterpolationParameters,
    SincInterpolationType, WindowFunction,
};

/// Samples that the interpolator takes at a time, whatever the caller pushes.
const CHUNK: usize = 64;
/// Samples of the lower rate that the filter spans. Under a window of Blackman and Harris that is
/// 109 dB (in single precision 94 or more) with the bands of [`super::Quality`]; half as long is no good at any.
const SPAN: u64 = 64;
const WINDOW: WindowFunction = WindowFunction::BlackmanHarris;
/// The middle of the transition, as a share of the lower rate's band.
const CUTOFF: f32 = 1.0;
/// The most weights of a filter bank with one entry for every phase of a ratio (4 MiB). Pairs
/// that would need more interpolate between [`COARSE_PHASES`].
const MAX_BANK: u64 = 1 << 20;
/// Phases that are interpolated between; the error of cubic interpolation is then below -120 dB.
const COARSE_PHASES: usize = 256;

/// The longest run of zeros before a stream.
const MAX_LEAD: usize = 16_384;

/// See [`super::Resampler`]; this one only knows how to go on.
pub(super) struct Sinc {
    inner: Async<f32>,
    /// Zeros put before the stream so that one output falls on its first sample.
    lead: usize,
    /// Outputs before that one.
    skip: usize,
    /// Those still to come.
    skipping: usize,
    length: usize,
    pending: Vec<f32>,
    chunk: Vec<f32>,
}

impl Sinc {
    pub(super) fn new(
        input: SampleRate,
        output: SampleRate,
    ) -> Result<Self, ResamplerConstructionError> {
        let length = (SPAN * u64::from(input.hz().max(output.hz())))
            .div_ceil(u64::from(output.hz()))
            .next_multiple_of(8) as usize;
        let divisor = gcd(input.hz(), output.hz());
        let phases = output.hz() / divisor;
        let exact = u64::from(phases) * length as u64 <= MAX_BANK;
        let parameters = SincInterpolationParameters {
            sinc_len: length,
            f_cutoff: Some(CUTOFF),
            oversampling_factor: if exact { phases as usize } else { COARSE_PHASES },
            interpolation: if exact {
                SincInterpolationType::Nearest
            } else {
                SincInterpolationType::Cubic
            },
            window: WINDOW,
        };
        let ratio = f64::from(output.hz()) / f64::from(input.hz());
        let inner = Async::new_sinc(ratio, 1.0, &parameters, CHUNK, 1, FixedAsync::Input)?;
        let (lead, skip) = align(ratio, length, parameters.oversampling_factor);
        let chunk = vec![0.0; inner.output_frames_max()];
        let pending = Vec::with_capacity(CHUNK);
        let mut sinc = Self { inner, lead, skip, skipping: 0, length, pending, chunk };
        sinc.reset();
        Ok(sinc)
    }

    /// In samples of the input.
    pub(super) fn latency(&self) -> usize {
        self.length / 2 + 2 + CHUNK
    }

    pub(super) fn reset(&mut self) {
        self.inner.reset();
        self.pending.clear();
        self.skipping = self.skip;
        let mut nothing = Vec::new();
        for _ in 0..self.lead {
            self.process(&[0.0], &mut nothing);
        }
        debug_assert!(nothing.is_empty(), "what the lead gives lies before the stream");
    }

    pub(super) fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        let mut rest = input;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(CHUNK - self.pending.len()));
            self.pending.extend_from_slice(now);
            rest = later;
            if self.pending.len() == CHUNK {
                let given = self.interpolate();
                let skipped = self.skipping.min(given);
                self.skipping -= skipped;
                out.extend_from_slice(&self.chunk[skipped..given]);
            }
        }
    }

    /// Turns the pending chunk into outputs at the start of `chunk`; gives their number.
    fn interpolate(&mut self) -> usize {
        let frames = self.chunk.len();
        let input = SequentialSlice::new(&self.pending[..], 1, CHUNK);
        let output = SequentialSlice::new_mut(&mut self.chunk[..], 1, frames);
        let (input, mut output) = input.ok().zip(output.ok()).expect("one channel fits its slice");
        let (_, given) = self
            .inner
            .process_into_buffer(&input, &mut output, None)
            .expect("the buffers have the lengths that the interpolator names");
        self.pending.clear();
        given
    }
}

impl std::fmt::Debug for Sinc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sinc")
            .field("ratio", &self.inner.resample_ratio())
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// How many zeros to put before a stream, and how many outputs to drop, so that the next output
/// lies on the stream's first sample.
///
/// Output `j` of the interpolator (from zero) is centred on input
/// `(j + 1) / ratio - length / 2 + 1 / phases`: it steps before it reads, and its bank of filters
/// counts down to, but not from, a whole sample. For ratios with a filter for each phase there is
/// an exact answer; for the others the best of [`MAX_LEAD`] is off by a thousandth of a sample.
fn align(ratio: f64, length: usize, phases: usize) -> (usize, usize) {
    let mut best = (f64::INFINITY, 0, 0);
    for lead in 0..MAX_LEAD {
        let position = (length as f64 / 2.0 + lead as f64 - 1.0 / phases as f64) * ratio;
        let error = (position - position.round()).abs();
        if error < best.0 - 1e-9 {
            best = (error, lead, position.round() as usize - 1);
        }
    }
    (best.1, best.2)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
