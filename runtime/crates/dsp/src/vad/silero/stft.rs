//! The magnitude spectrum of four frames of 256 samples, as small matrix products.
//!
//! The basis of Silero is a periodic Hann window times the DFT, so it is generated. Two
//! symmetries leave a quarter of its 258 x 256 products: `x[n]` and `x[256 - n]` meet the same
//! cosine and opposite sines, and bins `k` and `128 - k` differ by the sign of the odd samples.

use std::f64::consts::TAU;

use super::gemm::{After, Columns, Matrix, multiply};
use crate::simd::mul_add;

/// Samples of a frame.
const FRAME: usize = 256;
/// Samples from one frame to the next.
pub(super) const HOP: usize = 128;
/// Frames of a window.
pub(super) const FRAMES: usize = 4;
/// Samples that the frames span: context, window and 64 reflected.
pub(super) const SPAN: usize = FRAME + (FRAMES - 1) * HOP;
/// Magnitudes of a frame.
pub(super) const BINS: usize = FRAME / 2 + 1;
/// From one frame's magnitudes to the next's.
pub(super) const STRIDE: usize = BINS.next_multiple_of(16);
/// Length of one folded part: sums or differences of the even or odd samples.
const PART: usize = FRAME / 4;

/// The frequency bin that stands at `index` of a frame's magnitudes.
///
/// Both halves of the folded spectrum are written in ascending order of `k` for speed, so the
/// upper bins come down from 128; the middle one is last.
pub(super) fn bin_at(index: usize) -> usize {
    match index {
        0..PART => index,
        _ if index < 2 * PART => FRAME / 2 - (index - PART),
        _ => FRAME / 4,
    }
}

/// The folded basis.
#[derive(Debug)]
pub(super) struct Stft {
    /// Cosines of the even and of the odd samples, sines of the even and of the odd ones.
    parts: [Matrix<PART>; 4],
    /// The middle bin: the real part has only even samples, the imaginary one only odd ones.
    middle: [[f32; PART]; 2],
}

impl Stft {
    pub(super) fn new() -> Self {
        let hann = |n: usize| 0.5 - 0.5 * (TAU * n as f64 / FRAME as f64).cos();
        let angle = |k: usize, n: usize| TAU * ((k * n) % FRAME) as f64 / FRAME as f64;
        let cosine = |k: usize, n: usize| (hann(n) * angle(k, n).cos()) as f32;
        let sine = |k: usize, n: usize| (hann(n) * angle(k, n).sin()) as f32;
        let part = |at: &dyn Fn(usize, usize) -> f32| {
            Matrix::pack(PART, |_| 0.0, |row, _, column| at(row, column))
        };
        Self {
            parts: [
                part(&|k, m| cosine(k, even(m))),
                part(&|k, m| cosine(k, odd(m))),
                part(&|k, m| sine(k, even(m))),
                part(&|k, m| sine(k, odd(m))),
            ],
            middle: [
                std::array::from_fn(|m| cosine(PART, even(m))),
                std::array::from_fn(|m| sine(PART, odd(m))),
            ],
        }
    }

    /// Writes the magnitudes of each frame at a stride of [`STRIDE`], bins as [`bin_at`] says.
    ///
    /// `signal` holds [`SPAN`] samples for each of the `spectrum.len() / (FRAMES * STRIDE)` items;
    /// `folded` and `product` are scratch of `FRAMES * FRAME` floats an item.
    #[inline(always)]
    pub(super) fn magnitudes<
        const FMA: bool,
        const L: usize,
        const P1: usize,
        const P2: usize,
        const P4: usize,
    >(
        &self,
        signal: &[f32],
        folded: &mut [f32],
        product: &mut [f32],
        spectrum: &mut [f32],
    ) {
        let frames = spectrum.len() / STRIDE;
        for frame in 0..frames {
            let at = frame / FRAMES * SPAN + frame % FRAMES * HOP;
            fold(&signal[at..at + FRAME], &mut folded[frame * FRAME..(frame + 1) * FRAME]);
        }
        for (index, part) in self.parts.iter().enumerate() {
            let at = |frame: usize| frame * FRAME + index * PART;
            let columns = Columns {
                input: folded,
                input_at: at,
                output: product,
                output_at: at,
                count: frames,
            };
            multiply::<FMA, L, P1, P2, P4, PART>(part, columns, After::Nothing);
        }
        for frame in 0..frames {
            let spectrum = &mut spectrum[frame * STRIDE..(frame + 1) * STRIDE];
            let product = &product[frame * FRAME..(frame + 1) * FRAME];
            let (cosines, sines) = product.split_at(2 * PART);
            let (even_cosines, odd_cosines) = cosines.split_at(PART);
            let (even_sines, odd_sines) = sines.split_at(PART);
            for k in 0..PART {
                let real = even_cosines[k] + odd_cosines[k];
                let imaginary = even_sines[k] + odd_sines[k];
                let mirrored_real = even_cosines[k] - odd_cosines[k];
                let mirrored_imaginary = even_sines[k] - odd_sines[k];
                spectrum[k] = magnitude::<FMA>(real, imaginary);
                spectrum[PART + k] = magnitude::<FMA>(mirrored_real, mirrored_imaginary);
            }
            let folded = &folded[frame * FRAME..(frame + 1) * FRAME];
            let real = dot::<FMA>(&self.middle[0], &folded[..PART]);
            let imaginary = dot::<FMA>(&self.middle[1], &folded[3 * PART..]);
            spectrum[2 * PART] = magnitude::<FMA>(real, imaginary);
        }
    }
}

/// The sample that stands at `index` of the even part: 2, 4, ... 128 (the window is 0 at 0).
fn even(index: usize) -> usize {
    2 * index + 2
}

/// The sample that stands at `index` of the odd part: 1, 3, ... 127.
fn odd(index: usize) -> usize {
    2 * index + 1
}

/// Sums of even samples, sums of odd ones, differences of even ones, differences of odd ones.
#[inline(always)]
fn fold(frame: &[f32], folded: &mut [f32]) {
    let (sums, differences) = folded.split_at_mut(2 * PART);
    let (even_sums, odd_sums) = sums.split_at_mut(PART);
    let (even_differences, odd_differences) = differences.split_at_mut(PART);
    let frame = &frame[..FRAME];
    for m in 0..PART {
        let (a, b) = (frame[odd(m)], frame[FRAME - odd(m)]);
        odd_sums[m] = a + b;
        odd_differences[m] = a - b;
        let (a, b) = (frame[even(m)], frame[FRAME - even(m)]);
        even_sums[m] = a + b;
        even_differences[m] = a - b;
    }
    // Sample 128 is its own mirror: it counts once, and its sine is 0.
    even_sums[PART - 1] = frame[FRAME / 2];
}

#[inline(always)]
fn magnitude<const FMA: bool>(real: f32, imaginary: f32) -> f32 {
    mul_add::<FMA>(real, real, imaginary * imaginary).sqrt()
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f32; PART], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        for l in 0..16 {
            sums[l] = mul_add::<FMA>(a[l], b[l], sums[l]);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folded_transform_equals_the_plain_one() {
        let signal: Vec<f32> =
            (0..2 * SPAN).map(|n| ((n * 7_919) % 1_000) as f32 / 500.0 - 1.0).collect();
        let mut folded = vec![0.0; 2 * FRAMES * FRAME];
        let mut product = folded.clone();
        let mut spectrum = vec![0.0; 2 * FRAMES * STRIDE];
        Stft::new().magnitudes::<false, 8, 1, 1, 1>(
            &signal,
            &mut folded,
            &mut product,
            &mut spectrum,
        );
        for frame in 0..2 * FRAMES {
            let at = frame / FRAMES * SPAN + frame % FRAMES * HOP;
            for index in 0..BINS {
                let (mut real, mut imaginary) = (0.0, 0.0);
                for n in 0..FRAME {
                    let window = 0.5 - 0.5 * (TAU * n as f64 / FRAME as f64).cos();
                    let angle = TAU * (bin_at(index) * n) as f64 / FRAME as f64;
                    real += f64::from(signal[at + n]) * window * angle.cos();
                    imaginary += f64::from(signal[at + n]) * window * angle.sin();
                }
                let got = f64::from(spectrum[frame * STRIDE + index]);
                let right = real.hypot(imaginary);
                assert!((got - right).abs() < 2e-5, "{frame},{index}: {got} vs {right}");
            }
        }
    }

    #[test]
    fn every_bin_stands_somewhere() {
        let mut bins: Vec<usize> = (0..BINS).map(bin_at).collect();
        bins.sort_unstable();
        assert_eq!(bins, (0..BINS).collect::<Vec<_>>());
    }
}
