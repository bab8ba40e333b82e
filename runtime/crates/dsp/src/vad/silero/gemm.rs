//! The one matrix kernel: weights in panels of 16 rows times columns of any batch.

use crate::simd::{LANES, Lane, mul_add};

/// How many columns are computed side by side: each weight that was loaded is used so often.
pub(super) const TILE: usize = 4;

/// A weight matrix with its bias, packed: panel after panel of 16 rows, each panel column-major,
/// so that one aligned vector holds one column of a panel.
#[derive(Debug)]
pub(super) struct Matrix {
    columns: usize,
    weights: Vec<Lane>,
    bias: Vec<Lane>,
}

impl Matrix {
    /// Packs the matrix whose element is `at(row, column)`; `rows` is a multiple of 64.
    pub(super) fn pack(
        rows: usize,
        columns: usize,
        bias: impl Fn(usize) -> f32,
        at: impl Fn(usize, usize) -> f32,
    ) -> Self {
        assert!(rows.is_multiple_of(4 * LANES), "the kernel takes up to four panels at once");
        let panels = rows / LANES;
        let lane = |panel: usize, value: &dyn Fn(usize) -> f32| {
            Lane(std::array::from_fn(|row| value(panel * LANES + row)))
        };
        let mut weights = Vec::with_capacity(panels * columns);
        for panel in 0..panels {
            weights.extend((0..columns).map(|column| lane(panel, &|row| at(row, column))));
        }
        let bias = (0..panels).map(|panel| lane(panel, &bias)).collect();
        Self { columns, weights, bias }
    }

    fn panels(&self) -> usize {
        self.bias.len()
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

/// Sums for `P` panels and up to [`TILE`] columns, `L` rows of each panel at a time.
type Sums<const P: usize, const L: usize> = [[[f32; L]; TILE]; P];

/// `sums += weights * columns` for `N` columns from column `FROM` of the tile.
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
>(
    sums: &mut Sums<P, L>,
    weights: [&[Lane]; P],
    first_row: usize,
    columns: [&[f32]; N],
) {
    let depth = weights[0].len();
    let weights = weights.map(|panel| &panel[..depth]);
    let columns = columns.map(|column| &column[..depth]);
    for k in 0..depth {
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
}

#[inline(always)]
fn start<const P: usize, const L: usize>(
    matrix: &Matrix,
    panel: usize,
    first_row: usize,
) -> Sums<P, L> {
    std::array::from_fn(|p| {
        let bias = &matrix.bias[panel + p].0[first_row..first_row + L];
        [std::array::from_fn(|l| bias[l]); TILE]
    })
}

#[inline(always)]
fn store<const L: usize>(output: &mut [f32], at: usize, sums: &[f32; L], after: After) {
    let output = &mut output[at..at + L];
    for (value, sum) in output.iter_mut().zip(sums) {
        *value = if after == After::Relu { sum.max(0.0) } else { *sum };
    }
}

/// `output = after(matrix * input + bias)` over all columns.
///
/// `L` rows of a panel are summed at once (8 or 16, as registers allow); `P1`, `P2` and `P4` are
/// how many panels go together for one, two and more columns, so that enough sums are under way
/// to hide the latency of the multiplier.
#[inline(always)]
pub(super) fn multiply<
    const FMA: bool,
    const L: usize,
    const P1: usize,
    const P2: usize,
    const P4: usize,
>(
    matrix: &Matrix,
    columns: Columns<'_, impl Fn(usize) -> usize, impl Fn(usize) -> usize>,
    after: After,
) {
    match columns.count {
        0 => {}
        1 => blocks::<FMA, L, P1>(matrix, columns, after),
        2 => blocks::<FMA, L, P2>(matrix, columns, after),
        _ => blocks::<FMA, L, P4>(matrix, columns, after),
    }
}

#[inline(always)]
fn blocks<const FMA: bool, const L: usize, const P: usize>(
    matrix: &Matrix,
    mut columns: Columns<'_, impl Fn(usize) -> usize, impl Fn(usize) -> usize>,
    after: After,
) {
    for panel in (0..matrix.panels()).step_by(P) {
        for first_row in (0..LANES).step_by(L) {
            let mut column = 0;
            while column + TILE <= columns.count {
                tile::<FMA, P, L, TILE>(matrix, panel, first_row, &mut columns, column, after);
                column += TILE;
            }
            match columns.count - column {
                1 => tile::<FMA, P, L, 1>(matrix, panel, first_row, &mut columns, column, after),
                2 => tile::<FMA, P, L, 2>(matrix, panel, first_row, &mut columns, column, after),
                3 => tile::<FMA, P, L, 3>(matrix, panel, first_row, &mut columns, column, after),
                _ => {}
            }
        }
    }
}

#[inline(always)]
fn tile<const FMA: bool, const P: usize, const L: usize, const N: usize>(
    matrix: &Matrix,
    panel: usize,
    first_row: usize,
    columns: &mut Columns<'_, impl Fn(usize) -> usize, impl Fn(usize) -> usize>,
    column: usize,
    after: After,
) {
    let depth = matrix.columns;
    let weights: [&[Lane]; P] =
        std::array::from_fn(|p| &matrix.weights[(panel + p) * depth..][..depth]);
    let inputs: [&[f32]; N] =
        std::array::from_fn(|n| &columns.input[(columns.input_at)(column + n)..][..depth]);
    let mut sums = start::<P, L>(matrix, panel, first_row);
    accumulate::<FMA, P, L, 0, N>(&mut sums, weights, first_row, inputs);
    for (p, sums) in sums.iter().enumerate() {
        for (n, sums) in sums.iter().enumerate().take(N) {
            let at = (columns.output_at)(column + n) + (panel + p) * LANES + first_row;
            store(columns.output, at, sums, after);
        }
    }
}

/// A convolution of kernel 3, stride 1 and padding 1 over four frames, then ReLU.
///
/// The matrix has the three taps side by side. Frame `f` of item `i` is read at
/// `input_at(4 * i + f)` and written at `output_at(4 * i + f)`. The products with the padding are
/// left out instead of multiplying zeros, a sixth of the work.
#[inline(always)]
pub(super) fn convolve_four_frames<const FMA: bool, const L: usize, const P: usize>(
    matrix: &Matrix,
    columns: Columns<'_, impl Fn(usize) -> usize, impl Fn(usize) -> usize>,
) {
    let channels = matrix.columns / 3;
    for panel in (0..matrix.panels()).step_by(P) {
        let taps: [[&[Lane]; P]; 3] = std::array::from_fn(|tap| {
            std::array::from_fn(|p| {
                &matrix.weights[(panel + p) * matrix.columns + tap * channels..][..channels]
            })
        });
        for first_row in (0..LANES).step_by(L) {
            for item in (0..columns.count).step_by(TILE) {
                let [a, b, c, d]: [&[f32]; TILE] = std::array::from_fn(|frame| {
                    &columns.input[(columns.input_at)(item + frame)..][..channels]
                });
                let mut sums = start::<P, L>(matrix, panel, first_row);
                accumulate::<FMA, P, L, 1, 3>(&mut sums, taps[0], first_row, [a, b, c]);
                accumulate::<FMA, P, L, 0, 4>(&mut sums, taps[1], first_row, [a, b, c, d]);
                accumulate::<FMA, P, L, 0, 3>(&mut sums, taps[2], first_row, [b, c, d]);
                for (p, sums) in sums.iter().enumerate() {
                    for (frame, sums) in sums.iter().enumerate() {
                        let at =
                            (columns.output_at)(item + frame) + (panel + p) * LANES + first_row;
                        store(columns.output, at, sums, After::Relu);
                    }
                }
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
        let matrix = Matrix::pack(ROWS, DEPTH, |row| value(row + 7), weight);
        let input: Vec<f32> = (0..count * 40).map(|n| value(n + 3)).collect();
        let mut output = vec![0.0; count * ROWS];
        let columns = Columns {
            input: &input,
            input_at: |n| n * 40,
            output: &mut output,
            output_at: |n| n * ROWS,
            count,
        };
        multiply::<true, L, P, P, P>(&matrix, columns, After::Relu);
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
        let weight = |row: usize, column: usize| value(row * 3 * CHANNELS + column);
        let matrix = Matrix::pack(64, 3 * CHANNELS, |_| 0.5, weight);
        let input: Vec<f32> = (0..8 * CHANNELS).map(|n| value(n + 1)).collect();
        let mut output = vec![0.0; 8 * 64];
        let columns = Columns {
            input: &input,
            input_at: |n| n * CHANNELS,
            output: &mut output,
            output_at: |n| n * 64,
            count: 8,
        };
        convolve_four_frames::<false, 16, 2>(&matrix, columns);
        for frame in 0..8_usize {
            for row in 0..64 {
                let mut sum = 0.5;
                for tap in 0..3 {
                    let Some(source) = (frame % 4 + tap).checked_sub(1).filter(|f| *f < 4) else {
                        continue;
                    };
                    let at = (frame / 4 * 4 + source) * CHANNELS;
                    for channel in 0..CHANNELS {
                        sum += weight(row, tap * CHANNELS + channel) * input[at + channel];
                    }
                }
                let got = output[frame * 64 + row];
                assert!((got - sum.max(0.0)).abs() < 1e-5, "{row},{frame}: {got} vs {sum}");
            }
        }
    }
}
