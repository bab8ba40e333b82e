//! A polyphase FIR filter for whole-number ratios.

use std::f64::consts::PI;

use multiversion::multiversion;
use multiversion::target::match_target;
use remotemedia_core::SampleRate;

use super::Quality;
use crate::simd::{BASELINE_FMA, LANES, Lane, mul_add};

/// Samples that are filtered in one go: bounds the buffer whatever the caller pushes.
const BLOCK: usize = 4_096;

/// Raises or lowers the rate by a whole number.
#[derive(Debug)]
pub(super) struct Polyphase {
    up: usize,
    down: usize,
    /// Samples that an output sees beyond its own time.
    ahead: usize,
    /// Samples that an output sees in all, a multiple of [`LANES`].
    taps: usize,
    /// The filter, `taps / LANES` entries a phase, in the order of the samples.
    bank: Vec<Lane>,
    /// Samples from the first that the next output sees.
    buffer: Vec<f32>,
    /// Which of the `up` phases is next; always 0 when lowering.
    phase: usize,
}

impl Polyphase {
    pub(super) fn new(input: SampleRate, output: SampleRate, quality: Quality) -> Self {
        let (up, down) = if input > output {
            (1, (input.hz() / output.hz()) as usize)
        } else {
            ((output.hz() / input.hz()) as usize, 1)
        };
        let filter = design(up.max(down), quality);
        let centre = filter.len() / 2;
        let ahead = centre.div_ceil(up);
        let taps = (centre / up + 1 + ahead).next_multiple_of(LANES);
        let mut bank = Vec::with_capacity(up * taps / LANES);
        for phase in 0..up {
            // An output at `base + phase / up` weighs sample `base + ahead - back` by the filter
            // at their distance; lowering has one phase and the filter as it is.
            let weight = |tap: usize| {
                let back = taps - 1 - tap;
                (centre + phase + up * back)
                    .checked_sub(up * ahead)
                    .and_then(|at| filter.get(at))
                    .map_or(0.0, |weight| (weight * up as f64) as f32)
            };
            bank.extend(
                (0..taps / LANES)
                    .map(|lane| Lane(std::array::from_fn(|l| weight(lane * LANES + l)))),
            );
        }
        let buffer = Vec::with_capacity(taps + down + BLOCK);
        let mut polyphase = Self { up, down, ahead, taps, bank, buffer, phase: 0 };
        polyphase.reset();
        polyphase
    }

    /// In samples of the input.
    pub(super) fn latency(&self) -> usize {
        self.ahead
    }

    pub(super) fn reset(&mut self) {
        self.phase = 0;
        self.buffer.clear();
        self.buffer.resize(self.taps - 1 - self.ahead, 0.0);
    }

    pub(super) fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        for block in input.chunks(BLOCK) {
            self.buffer.extend_from_slice(block);
            let Some(spare) = self.buffer.len().checked_sub(self.taps) else { continue };
            // Output `k` from here starts at sample `(phase + k * down) / up` of the buffer.
            let count = ((spare + 1) * self.up - self.phase).div_ceil(self.down);
            let first = out.len();
            out.resize(first + count, 0.0);
            if self.up == 1 {
                lower(&self.bank, &self.buffer, self.down, &mut out[first..]);
            } else {
                raise(&self.bank, &self.buffer, self.taps, self.phase, &mut out[first..]);
            }
            let next = self.phase + count * self.down;
            self.phase = next % self.up;
            self.buffer.drain(..next / self.up);
        }
    }
}

/// Odd-length low-pass filter whose weights sum to one, cut at half the lower rate, for a change
/// by `factor`.
///
/// Windowed sinc with the window of J. F. Kaiser, "Nonrecursive digital filter design using the
/// I0-sinh window function", ISCAS 1974; length and shape by his formulas as in Oppenheim and
/// Schafer, Discrete-Time Signal Processing, 3rd edition, section 7.6, for attenuations above
/// 50 dB.
fn design(factor: usize, quality: Quality) -> Vec<f64> {
    // Stop band attenuation in decibels, and the transition's width as a share of the band kept:
    // lowering by 3 takes 47, 95 and 159 weights, which fill whole vectors.
    let (attenuation, transition) = match quality {
        Quality::Low => (61.0, 0.49),
        Quality::Medium => (82.0, 0.33),
        Quality::High => (102.4, 0.25),
    };
    let beta = 0.1102 * (attenuation - 8.7);
    let width = transition * PI / factor as f64;
    let centre = ((attenuation - 7.95) / (2.285 * width) / 2.0).ceil() as usize;
    let mut filter: Vec<f64> = (0..=2 * centre)
        .map(|n| {
            let distance = n as f64 - centre as f64;
            let edge = distance / centre as f64;
            sinc(distance / factor as f64) * bessel_i0(beta * (1.0 - edge * edge).max(0.0).sqrt())
        })
        .collect();
    let sum: f64 = filter.iter().sum();
    filter.iter_mut().for_each(|weight| *weight /= sum);
    filter
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The modified Bessel function of the first kind and order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 0.0);
    while term > sum * 1e-17 {
        n += 1.0;
        term *= (x / (2.0 * n)).powi(2);
        sum += term;
    }
    sum
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn lower(bank: &[Lane], samples: &[f32], down: usize, out: &mut [f32]) {
    match_target! {
        "x86_64+avx2+fma" => lower_by::<true, 4>(bank, samples, down, out),
        _ => lower_by::<BASELINE_FMA, 1>(bank, samples, down, out),
    }
}

/// `N` outputs at a time share the loads of the weights.
#[inline(always)]
fn lower_by<const FMA: bool, const N: usize>(
    bank: &[Lane],
    samples: &[f32],
    down: usize,
    out: &mut [f32],
) {
    let taps = bank.len() * LANES;
    let mut tiles = out.chunks_exact_mut(N);
    let mut at = 0;
    for tile in &mut tiles {
        let windows = std::array::from_fn(|n| &samples[at + n * down..][..taps]);
        tile.copy_from_slice(&dots::<FMA, N>(bank, windows));
        at += N * down;
    }
    for value in tiles.into_remainder() {
        [*value] = dots::<FMA, 1>(bank, [&samples[at..][..taps]]);
        at += down;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn raise(bank: &[Lane], samples: &[f32], taps: usize, phase: usize, out: &mut [f32]) {
    match_target! {
        "x86_64+avx2+fma" => raise_by::<true>(bank, samples, taps, phase, out),
        _ => raise_by::<BASELINE_FMA>(bank, samples, taps, phase, out),
    }
}

#[inline(always)]
fn raise_by<const FMA: bool>(
    bank: &[Lane],
    samples: &[f32],
    taps: usize,
    phase: usize,
    out: &mut [f32],
) {
    let (mut phase, mut at) = (phase, 0);
    for value in out {
        let weights = &bank[phase * taps / LANES..][..taps / LANES];
        [*value] = dots::<FMA, 1>(weights, [&samples[at..][..taps]]);
        phase += 1;
        if phase * taps == bank.len() * LANES {
            (phase, at) = (0, at + 1);
        }
    }
}

/// Scalar products of the weights with `N` runs of samples, in 16 sums each that are added up in
/// a fixed order: the result does not depend on `N`.
#[inline(always)]
fn dots<const FMA: bool, const N: usize>(weights: &[Lane], samples: [&[f32]; N]) -> [f32; N] {
    let mut sums = [[0.0_f32; LANES]; N];
    let samples = samples.map(|samples| &samples.as_chunks::<LANES>().0[..weights.len()]);
    for (k, weights) in weights.iter().enumerate() {
        for n in 0..N {
            for l in 0..LANES {
                sums[n][l] = mul_add::<FMA>(weights.0[l], samples[n][k][l], sums[n][l]);
            }
        }
    }
    sums.map(|mut sums| {
        let mut width = LANES / 2;
        while width > 0 {
            for l in 0..width {
                sums[l] += sums[l + width];
            }
            width /= 2;
        }
        sums[0]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bessel_function_agrees_with_its_table() {
        // Abramowitz and Stegun, table 9.8: exp(-x) * I0(x).
        for (x, scaled) in [(0.0, 1.0), (1.0, 0.465_759_607_6), (10.0, 0.127_833_337_2)] {
            assert!((bessel_i0(x) * f64::exp(-x) - scaled).abs() < 1e-9, "{x}");
        }
    }

    /// Gain in decibels at `hz` for a filter that runs at 48 kHz.
    fn gain(filter: &[f64], hz: f64) -> f64 {
        let centre = (filter.len() / 2) as f64;
        let sum: f64 = filter
            .iter()
            .enumerate()
            .map(|(n, weight)| weight * (2.0 * PI * hz / 48_000.0 * (n as f64 - centre)).cos())
            .sum();
        20.0 * sum.abs().log10()
    }

    #[test]
    fn the_filters_hold_what_their_documentation_says() {
        for (quality, pass, stop, depth, ripple) in [
            (Quality::Low, 6_000.0, 10_000.0, 60.0, 1e-2),
            (Quality::Medium, 6_600.0, 9_400.0, 80.0, 1e-3),
            (Quality::High, 7_000.0, 9_000.0, 101.0, 1e-4),
        ] {
            let filter = design(3, quality);
            for step in 0..=100 {
                let share = f64::from(step) / 100.0;
                let kept = gain(&filter, pass * share);
                assert!(kept.abs() < ripple, "{quality:?}: {kept} dB at {}", pass * share);
                let hz = stop + (24_000.0 - stop) * share;
                let left = gain(&filter, hz);
                assert!(left < -depth, "{quality:?}: {left} dB at {hz} Hz");
            }
        }
    }
}
