//! A polyphase FIR filter for whole-number ratios.
//!
//! The filter is cut into branches of every `factor`-th weight. Lowering, so is the input: an output
//! is the sum of what each branch makes of its share. Raising, each branch makes every `factor`-th
//! output of the whole input. Either way a few dozen weights slide over samples that lie side by
//! side, and vectors of outputs that lie side by side are computed together.

use std::f64::consts::PI;

use multiversion::multiversion;
use multiversion::target::match_target;
use remotemedia_core::SampleRate;

use super::Quality;
use crate::simd::{BASELINE_FMA, LANES, mul_add};

/// Samples that are filtered in one go: bounds the planes whatever the caller pushes.
const BLOCK: usize = 2_048;
/// Width of the transition, as a share of the lower rate's band.
const TRANSITION: f64 = 0.25;
/// Vectors of outputs that are computed together, at most.
const MAX_TILE: usize = 5;

/// Raises or lowers the rate by a whole number.
#[derive(Debug)]
pub(super) struct Polyphase {
    up: usize,
    down: usize,
    /// Samples that an output sees beyond its own time.
    ahead: usize,
    /// Samples that an output sees in all.
    span: usize,
    /// Samples before its own.
    behind: usize,
    /// The weights in the order of the samples.
    branches: Vec<Vec<f32>>,
    /// From the first that the next output sees: all samples, or lowering every `down`-th from each
    /// of the first ones. What lies behind those that are held has no meaning.
    planes: Vec<Vec<f32>>,
    /// Samples in all planes.
    held: usize,
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
        let (ahead, behind) = (centre.div_ceil(up), centre / up);
        let span = behind + 1 + ahead;
        // An output at `base + branch / up` weighs sample `base - behind + tap` by the filter at
        // their distance.
        let raised = |branch: usize, tap: usize| {
            let at = (centre + up * behind + branch).checked_sub(up * tap);
            at.and_then(|at| filter.get(at)).map_or(0.0, |weight| (weight * up as f64) as f32)
        };
        let branches: Vec<Vec<f32>> = if up > 1 {
            (0..up).map(|branch| (0..span).map(|tap| raised(branch, tap)).collect()).collect()
        } else {
            let every = |first| filter.iter().skip(first).step_by(down);
            (0..down).map(|branch| every(branch).map(|weight| *weight as f32).collect()).collect()
        };
        let taps = branches[0].len();
        let room = (span + down + BLOCK).div_ceil(down) + (MAX_TILE + 2) * LANES + taps;
        let planes = vec![vec![0.0; room]; down];
        Self { up, down, ahead, span, behind, branches, planes, held: behind }
    }

    /// In samples of the input.
    pub(super) fn latency(&self) -> usize {
        self.ahead
    }

    pub(super) fn reset(&mut self) {
        self.held = self.behind;
        self.planes.iter_mut().for_each(|plane| plane[..self.behind.div_ceil(self.down)].fill(0.0));
    }

    pub(super) fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        for block in input.chunks(BLOCK) {
            deal(block, &mut self.planes, self.held);
            self.held += block.len();
            let Some(spare) = self.held.checked_sub(self.span) else { continue };
            let count = spare / self.down + 1;
            let first = out.len();
            out.resize(first + count * self.up, 0.0);
            filter(&self.branches, &self.planes, &mut out[first..]);
            let held = self.held.div_ceil(self.down);
            self.planes.iter_mut().for_each(|plane| plane.copy_within(count..held, 0));
            self.held -= count * self.down;
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
    // Stop band attenuation in decibels: lowering by 3 takes 133, 143 and 159 weights.
    let attenuation = match quality {
        Quality::Low => 86.0,
        Quality::Medium => 92.0,
        Quality::High => 102.4,
    };
    let beta = 0.1102 * (attenuation - 8.7);
    let width = TRANSITION * PI / factor as f64;
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

/// Deals samples out to the planes in turn, behind the `held` that were dealt before.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn deal(samples: &[f32], planes: &mut [Vec<f32>], held: usize) {
    match planes {
        [plane] => plane[held..held + samples.len()].copy_from_slice(samples),
        [_, _] => deal_to::<2>(samples, planes, held),
        [_, _, _] => deal_to::<3>(samples, planes, held),
        _ => deal_slowly(samples, planes, held),
    }
}

#[inline(always)]
fn deal_slowly(samples: &[f32], planes: &mut [Vec<f32>], held: usize) {
    let count = planes.len();
    for (index, plane) in planes.iter_mut().enumerate() {
        let skip = (index + count - held % count) % count;
        let own = samples.iter().skip(skip).step_by(count);
        plane[(held + skip) / count..].iter_mut().zip(own).for_each(|(to, from)| *to = *from);
    }
}

/// The same for so many planes: rounds of a sample for each become vector code.
#[inline(always)]
fn deal_to<const N: usize>(samples: &[f32], planes: &mut [Vec<f32>], held: usize) {
    let (first, rest) = samples.split_at(((N - held % N) % N).min(samples.len()));
    deal_slowly(first, planes, held);
    let (rounds, last) = rest.as_chunks::<N>();
    let at = (held + first.len()) / N;
    let mut planes_from = planes.iter_mut().map(|plane| &mut plane[at..at + rounds.len()]);
    let into: [&mut [f32]; N] = std::array::from_fn(|_| planes_from.next().expect("there are N"));
    let into = into.map(|plane| &mut plane[..rounds.len()]);
    for (index, round) in rounds.iter().enumerate() {
        for n in 0..N {
            into[n][index] = round[n];
        }
    }
    deal_slowly(last, planes, held + samples.len() - last.len());
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn filter(branches: &[Vec<f32>], planes: &[Vec<f32>], out: &mut [f32]) {
    match_target! {
        "x86_64+avx512f" => filter_by::<true, 5>(branches, planes, out),
        "x86_64+avx2+fma" => filter_by::<true, 4>(branches, planes, out),
        _ => filter_by::<BASELINE_FMA, 2>(branches, planes, out),
    }
}

#[inline(always)]
fn filter_by<const FMA: bool, const T: usize>(
    branches: &[Vec<f32>],
    planes: &[Vec<f32>],
    out: &mut [f32],
) {
    // The last branch is the shortest, by a weight at most.
    let whole = branches.last().map_or(0, Vec::len) / LANES;
    match (whole, planes.len()) {
        (2, 1) => raise::<FMA, T, 2, 3>(branches, &planes[0], out),
        (3, 1) => raise::<FMA, T, 3, 4>(branches, &planes[0], out),
        (2, _) => lower::<FMA, T, 2, 3>(branches, planes, out),
        (3, _) => lower::<FMA, T, 3, 4>(branches, planes, out),
        _ => unreachable!("every quality has branches of 32 to 63 weights"),
    }
}

#[inline(always)]
fn lower<const FMA: bool, const T: usize, const Q: usize, const MORE: usize>(
    branches: &[Vec<f32>],
    planes: &[Vec<f32>],
    out: &mut [f32],
) {
    let both = || branches.iter().zip(planes);
    let mut at = 0;
    while at < out.len() {
        if out.len() - at > (T - 1) * LANES {
            let add = |sums, (weights, plane): (&Vec<f32>, &Vec<f32>)| {
                slide::<FMA, T, Q, MORE>(sums, weights, &plane[at..])
            };
            let sums = both().fold([[0.0; LANES]; T], add);
            at += store(&sums, &mut out[at..]);
        } else {
            let add = |sums, (weights, plane): (&Vec<f32>, &Vec<f32>)| {
                slide::<FMA, 1, Q, MORE>(sums, weights, &plane[at..])
            };
            let sums = both().fold([[0.0; LANES]; 1], add);
            at += store(&sums, &mut out[at..]);
        }
    }
}

#[inline(always)]
fn store<const T: usize>(sums: &[[f32; LANES]; T], out: &mut [f32]) -> usize {
    let count = out.len().min(T * LANES);
    out[..count].copy_from_slice(&sums.as_flattened()[..count]);
    count
}

#[inline(always)]
fn raise<const FMA: bool, const T: usize, const Q: usize, const MORE: usize>(
    branches: &[Vec<f32>],
    plane: &[f32],
    out: &mut [f32],
) {
    let up = branches.len();
    for (tile, out) in out.chunks_mut(T * LANES * up).enumerate() {
        let samples = &plane[tile * T * LANES..];
        for (branch, weights) in branches.iter().enumerate() {
            let sums = slide::<FMA, T, Q, MORE>([[0.0; LANES]; T], weights, samples);
            let own = out[branch..].iter_mut().step_by(up);
            own.zip(sums.as_flattened()).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Adds to `T` vectors of sums, of which the first begins at the first sample, the products of the
/// weights with the samples. There are `Q` vectors of weights and part of another, which make
/// `MORE`.
///
/// A vector of samples that was loaded serves one weight of each vector of them. Every sum is built
/// in one order, whatever the tile: the output does not depend on how the input is cut.
#[inline(always)]
fn slide<const FMA: bool, const T: usize, const Q: usize, const MORE: usize>(
    mut sums: [[f32; LANES]; T],
    weights: &[f32],
    samples: &[f32],
) -> [[f32; LANES]; T] {
    let part = weights.len() - Q * LANES;
    for shift in 0..part {
        sums = step::<FMA, T, MORE>(sums, &weights[shift..], &samples[shift..]);
    }
    for shift in part..LANES {
        sums = step::<FMA, T, Q>(sums, &weights[shift..], &samples[shift..]);
    }
    sums
}

#[inline(always)]
fn step<const FMA: bool, const T: usize, const Q: usize>(
    mut sums: [[f32; LANES]; T],
    weights: &[f32],
    samples: &[f32],
) -> [[f32; LANES]; T] {
    let weights: [f32; Q] = std::array::from_fn(|q| weights[q * LANES]);
    let samples = &samples[..(T + Q - 1) * LANES];
    for t in 0..T {
        for q in 0..Q {
            let samples = &samples[(t + q) * LANES..][..LANES];
            for l in 0..LANES {
                sums[t][l] = mul_add::<FMA>(samples[l], weights[q], sums[t][l]);
            }
        }
    }
    sums
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
        for (quality, depth, ripple) in [
            (Quality::Low, 85.0, 6e-4),
            (Quality::Medium, 91.0, 3e-4),
            (Quality::High, 101.0, 1e-4),
        ] {
            let (pass, stop) = (7_000.0, 9_000.0);
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
