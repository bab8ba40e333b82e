//! Which machine code the hot loops run, and the arithmetic that they share.
//!
//! The loops are plain Rust that the compiler turns into vector instructions; each is compiled
//! once per [`Isa`] and chosen at run time.

/// A set of instructions that the hot loops are compiled for.
///
/// [`Isa::Detected`] is right everywhere except in tests and benchmarks that compare. Results
/// agree within rounding: only the wider sets fuse multiplication and addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isa {
    /// The widest that the processor has.
    #[default]
    Detected,
    /// At most AVX2 with FMA; the same as [`Isa::Baseline`] on other processors.
    Avx2,
    /// What every processor of the target has.
    Baseline,
}

/// Floats that are processed side by side: one AVX-512 register, two of AVX2, four of SSE or NEON.
pub(crate) const LANES: usize = 16;

/// Whether the target has fused multiply-add without asking at run time.
pub(crate) const BASELINE_FMA: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// One cache line of floats, aligned so that a vector load never crosses a line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Lane(pub(crate) [f32; LANES]);

/// `a * b + c`, fused where the target does that in one instruction.
///
/// Without `FMA` the plain expression is used: `mul_add` would call a slow library function.
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e to the power of `x`, relative error below 3e-7, for `x` clamped to -87..=87.
///
/// Range reduction and polynomial of Cephes (S. Moshier, single/expf.c). Free of branches and
/// conversions so that loops over it become vector code.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer that stands in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 87.0);
    let shifted = mul_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<FMA>(n, -LN2_LOW, mul_add::<FMA>(n, -LN2_HIGH, x));
    let mut p = 1.987_569_1e-4;
    p = mul_add::<FMA>(p, r, 1.398_199_9e-3);
    p = mul_add::<FMA>(p, r, 8.333_452e-3);
    p = mul_add::<FMA>(p, r, 4.166_579_6e-2);
    p = mul_add::<FMA>(p, r, 1.666_666_5e-1);
    p = mul_add::<FMA>(p, r, 5e-1);
    let value = mul_add::<FMA>(p * r, r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    value * scale
}

/// The logistic function.
#[inline(always)]
pub(crate) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// The hyperbolic tangent, absolute error below 1e-6.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool>(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp::<FMA>(2.0 * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_accurate_over_its_range() {
        for step in -87_000..=87_000 {
            let x = step as f32 / 1_000.0;
            let right = f64::from(x).exp();
            for got in [exp::<true>(x), exp::<false>(x)] {
                assert!((f64::from(got) / right - 1.0).abs() < 3e-7, "{x}: {got} vs {right}");
            }
        }
    }

    #[test]
    fn the_activations_are_accurate_and_saturate() {
        for step in -4_000..=4_000 {
            let x = step as f32 / 100.0;
            assert!((tanh::<true>(x) - x.tanh()).abs() < 1e-6, "tanh {x}");
            assert!((sigmoid::<false>(x) - 1.0 / (1.0 + (-x).exp())).abs() < 1e-6, "sigmoid {x}");
        }
        assert_eq!(tanh::<true>(1e9), 1.0);
        assert_eq!(tanh::<false>(-1e9), -1.0);
        assert_eq!(sigmoid::<true>(1e9), 1.0);
    }
}
