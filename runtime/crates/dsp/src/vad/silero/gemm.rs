//! The one matrix kernel: weights in panels of 16 rows times columns of any batch.

use crate::simd::{LANES, Lane, mul_add};

/// How many columns are computed side by side: each weight that was loaded is used so often.
const TILE: usize = 4;

/// A weight matrix of `TAPS` blocks of `DEPTH` columns, with its bias.
///
/// Packed panel after panel of 16 rows, each panel column-major, so that one aligned vector holds
/// one column of a panel. The depth is a constant so that the inner loop needs no checks.
#[derive(Debug)]
pub(super) struct Matrix<const DEPTH: usize, const TAPS: usize = 1> {
    panels: Vec<[[Lane; DEPTH]; TAPS]>,
    bias: Vec<Lane>,
}

impl<const DEPTH: usize, const TAPS: usize> Matrix<DEPTH, TAPS> {
    /// Packs the matrix whose element is `at(row, tap, column)`; `rows` is a multiple of 64.
    pub(super) fn pack(
        rows: usize,
        bias: impl Fn(usize) -> f32,
        at: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        assert!(rows.is_multiple_of(4 * LANES), "the kernel takes up to four panels at once");
        let first_rows = || (0..rows).step_by(LANES);
        let panels = first_rows()
            .map(|first| {
                std::array::from_fn(|tap| {
                    std::array::from_fn(|column| {
                        Lane(std::array::from_fn(|row| at(first + row, tap, column)))
                    })
                })
            })
            .collect();
        let bias =
            first_rows().map(|first| Lane(std::array::from_fn(|row| bias(first + row)))).collect();
        Self { panels, bias }
    }

    /// One tap of `P` panels from `panel` on.
    #[inline(always)]
    fn tap<const P: usize>(&self, panel: usize, tap: usize) -> [&[Lane; DEPTH]; P] {
        std::array::from_fn(|p| &self.panels[panel + p][tap])
    }

    #[inline(always)]
    fn bias<const P: usize, const L: usize>(&self, panel: usize, first_row: usize) -> Sums<P, L> {
        std::array::from_fn(|p| {
            let bias = &self.bias[panel + p].0[first_row..first_row + L];
            [std::array::from_fn(|l| bias[l]); TILE]
        })
    }
}

/// What a product does to its result before it is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Relu,
}

/// Where the columns of a product are read and written: offsets of column `n` into the slices.
pub(super) struct Columns<'a, I, O> {
    pub(super) input: &'a [f32],
    pub(super) input_at: I,
    pub(super) output: &'a mut [f32],
    pub(super) output_at: O,
    pub(super) count: usize,
}

impl<I: Fn(usize) -> usize, O: Fn(usize) -> usize> Columns<'_, I, O> {
    #[inline(always)]
    fn inputs<const N: usize, const DEPTH: usize>(&self, column: usize) -> [&[f32; DEPTH]; N] {
        std::array::from_fn(|n| {
            self.input[(self.input_at)(column + n)..]
                .first_chunk()
                .expect("the scratch holds every column in full")
        })
    }

    #[inline(always)]
    fn store<const P: usize, const L: usize, const N: usize>(
        &mut self,
        column: usize,
        row: usize,
        sums: &Sums<P, L>,
        after: After,
    ) {
        for (p, sums) in sums.iter().enumerate() {
            for (n, sums) in sums.iter().enumerate().take(N) {
                let at = (self.output_at)(column + n) + row + p * LANES;
                for (value, sum) in self.output[at..at + L].iter_mut().zip(sums) {
                    *value = if after == After::Relu { sum.max(0.0) } else { *sum };
                }
            }
        }
    }
}

/// Sums for `P` panels and up to [`TILE`] columns, `L` rows of each panel at a time.
type Sums<const P: usize, const L: usize> = [[[f32; L]; TILE]; P];

/// `sums + weights * columns` for `N` columns from column `FROM` of the tile.
///
/// Every sum is built over the columns of the weights in their order, whatever the tile: a
/// stream's result does not depend on the batch it is in.
#[inline(always)]
fn accumulate<
    const FMA: bool,
    const P: usize,
    const L: usize,
    const FROM: usize,
    const N: usize,
    const DEPTH: usize,
>(
    mut sums: Sums<P, L>,
    weights: [&[Lane; DEPTH]; P],
    first_row: usize,
    columns: [&[f32; DEPTH]; N],
) -> Sums<P, L> {
    for k in 0..DEPTH {
        for p in 0..P {
            let row = &weights[p][k].0[first_row..first_row + L];
            for n in 0..N {
                let value = columns[n][k];
                for l in 0..L {
                    let sum = &mut sums[p][FROM + n][l];
                    *sum = mul_add::<FMA>(row[l], value, *sum);
                }
            }
        }
    }
    sums
}

/// `output = after(matrix * input + bias)` over all columns.
///
/// So many sums are computed together that the latency of the multiplier is hidden and the
/// registers just hold them: `P1` panels for one column, `P2` for two, and for more columns `P4`
/// panels with `L` of their 16 rows at a time.
#[inline(always)]
pub(super) fn multiply<
    const FMA: bool,
    const L: usize,
    const P1: usize,
    const P2: usize,
    const P4: usize,
    const DEPTH: usize,
>(
    matrix: &Matrix<DEPTH>,
    mut columns: Columns<'_, impl Fn(usize) -> usize, impl Fn(usize) -> usize>,
    after: After,
) {
    let count = columns.count;
    match count {
        0 => {}
        1 => {
            for panel in (0..matrix.panels.len()).step_by(P1) {
                tile::<FMA, P1, LANES, 1, DEPTH>(matrix, panel, 0, &mut columns, 0, after);
            }
        }
        2 => {
            for panel in (0..matrix.panels.len()).step_by(P2) {
                tile::<FMA, P2, LANES, 2, DEPTH>(matrix, panel, 0, &mut columns, 0, after);
            }
        }
        _ => {
            for panel in (0..matrix.panels.len()).step_by(P4) {
                for row in (0..LANES).step_by(L) {
                    let columns = &mut columns;
                    for at in (0..count - count % TILE).step_by(TILE) {
                        tile::<FMA, P4, L, TILE, DEPTH>(matrix, panel, row, columns, at, after);
                    }
                    let at = count - count % TILE;
                    match count % TILE {
                        1 => tile::<FMA, P4, L, 1, DEPTH>(matrix, panel, row, columns, at, after),
                        2 => tile::<FMA, P4, L, 2, DEPTH>(matrix, panel, row, columns, at, after),
                        3 => tile::<FMA, P4, L, 3, DEPTH>(matrix, panel, row, columns, at, after),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn tile<const FMA: bool, const P: usize, const L: usize, const N: usize, const DEPTH: usize>(
    matrix: &Matrix<DEPTH>,
    panel: usize,
    first_row: usize,
    columns: &mut Columns<'_, impl Fn(usize) -> usize, impl Fn(usize) -> usize>,
    column: usize,
    after: After,
) {
    let weights = matrix.tap(panel, 0);
    let inputs = columns.inputs(column);
    let sums = matrix.bias(panel, first_row);
    let sums = accumulate::<FMA, P, L, 0, N, DEPTH>(sums, weights, first_row, inputs);
    columns.store::<P, L, N>(column, panel * LANES + first_row, &sums, after);
}

/// A convolution of kernel 3, stride 1 and padding 1 over four frames, then ReLU.
///
/// Frame `f` of item `i` is column `4 * i + f`. The products with the padding are left out
/// instead of multiplying zeros, a sixth of the work.
#[inline(always)]
pub(super) fn convolve_four_frames<
    const FMA: bool,
    const L: usize,
    const P: usize,
    const DEPTH: usize,
>(
    matrix: &Matrix<DEPTH, 3>,
    mut columns: Columns<'_, impl Fn(usize) -> usize, impl Fn(usize) -> usize>,
) {
    for panel in (0..matrix.panels.len()).step_by(P) {
        let [before, here, behind] = std::array::from_fn(|tap| matrix.tap::<P>(panel, tap));
        for row in (0..LANES).step_by(L) {
            for at in (0..columns.count).step_by(TILE) {
                let [a, b, c, d] = columns.inputs(at);
                let sums = matrix.bias(panel, row);
                let sums = accumulate::<FMA, P, L, 1, 3, DEPTH>(sums, before, row, [a, b, c]);
                let sums = accumulate::<FMA, P, L, 0, 4, DEPTH>(sums, here, row, [a, b, c, d]);
                let sums = accumulate::<FMA, P, L, 0, 3, DEPTH>(sums, behind, row, [b, c, d]);
                columns.store::<P, L, TILE>(at, panel * LANES + row, &sums, After::Relu);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(seed: usize) -> f32 {
        ((seed * 2_654_435_761) % 1_000) as f32 / 500.0 - 1.0
    }

    fn product<const L: usize, const P: usize>(count: usize) {
        const ROWS: usize = 64;
        const DEPTH: usize = 37;
        let weight = |row: usize, column: usize| value(row * DEPTH + column);
        let matrix =
            Matrix::<DEPTH>::pack(ROWS, |row| value(row + 7), |row, _, column| weight(row, column));
        let input: Vec<f32> = (0..count * 40).map(|n| value(n + 3)).collect();
        let mut output = vec![0.0; count * ROWS];
        let columns = Columns {
            input: &input,
            input_at: |n| n * 40,
            output: &mut output,
            output_at: |n| n * ROWS,
            count,
        };
        multiply::<true, L, P, P, P, DEPTH>(&matrix, columns, After::Relu);
        for column in 0..count {
            for row in 0..ROWS {
                let sum: f32 =
                    (0..DEPTH).map(|k| weight(row, k) * input[column * 40 + k]).sum::<f32>()
                        + value(row + 7);
                let got = output[column * ROWS + row];
                assert!((got - sum.max(0.0)).abs() < 1e-4, "{row},{column}: {got} vs {sum}");
            }
        }
    }

    #[test]
    fn products_are_right_for_every_shape_of_tile() {
        for count in 1..=9 {
            product::<8, 1>(count);
            product::<8, 2>(count);
            product::<16, 1>(count);
            product::<16, 4>(count);
        }
    }

    #[test]
    fn a_convolution_pads_with_zeros() {
        const CHANNELS: usize = 5;
        let weight =
            |row: usize, tap: usize, column: usize| value((row * 3 + tap) * CHANNELS + column);
        let matrix = Matrix::<CHANNELS, 3>::pack(64, |_| 0.5, weight);
        let input: Vec<f32> = (0..8 * CHANNELS).map(|n| value(n + 1)).collect();
        let mut output = vec![0.0; 8 * 64];
        let columns = Columns {
            input: &input,
            input_at: |n| n * CHANNELS,
            output: &mut output,
            output_at: |n| n * 64,
            count: 8,
        };
        convolve_four_frames::<false, 16, 2, CHANNELS>(&matrix, columns);
        for frame in 0..8_usize {
            for row in 0..64 {
                let mut sum = 0.5;
                for tap in 0..3 {
                    let Some(source) = (frame % 4 + tap).checked_sub(1).filter(|f| *f < 4) else {
                        continue;
                    };
                    let at = (frame / 4 * 4 + source) * CHANNELS;
                    for channel in 0..CHANNELS {
                        sum += weight(row, tap, channel) * input[at + channel];
                    }
                }
                let got = output[frame * 64 + row];
                assert!((got - sum.max(0.0)).abs() < 1e-5, "{row},{frame}: {got} vs {sum}");
            }
        }
    }
}
