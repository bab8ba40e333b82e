//! The published weights, cut into tensors and packed for the kernel.

use super::gemm::Matrix;
use super::stft::{BINS, bin_at};
use super::{GATES, HIDDEN};

/// `weights/extract.py` documents the layout and where the bytes come from (MIT, see
/// `weights/LICENSE.silero-vad`).
const BYTES: &[u8] = include_bytes!("../../../weights/silero_v6.bin");

/// Everything of the model that is not generated.
#[derive(Debug)]
pub(super) struct Weights {
    /// 129 bins of three frames to 128 channels, the bins in the order of [`bin_at`].
    pub(super) encoder0: Matrix<BINS, 3>,
    /// 128 channels of three frames to 64.
    pub(super) encoder1: Matrix<{ 3 * 128 }>,
    /// 64 channels of two frames to 64: the first tap would only ever meet padding.
    pub(super) encoder2: Matrix<{ 2 * 64 }>,
    /// 64 channels of one frame to 128: both outer taps would only ever meet padding.
    pub(super) encoder3: Matrix<64>,
    /// 128 features and 128 of the hidden state to the gates i, f, g, o.
    pub(super) lstm: Matrix<{ 2 * HIDDEN }>,
    /// The hidden state to one logit.
    pub(super) output: [f32; HIDDEN],
    pub(super) output_bias: f32,
}

impl Weights {
    pub(super) fn load() -> Self {
        let mut reader = Reader { rest: BYTES };
        let conv0 = reader.tensor(128 * BINS * 3);
        let bias0 = reader.tensor(128);
        let conv1 = reader.tensor(64 * 128 * 3);
        let bias1 = reader.tensor(64);
        let conv2 = reader.tensor(64 * 64 * 3);
        let bias2 = reader.tensor(64);
        let conv3 = reader.tensor(128 * 64 * 3);
        let bias3 = reader.tensor(128);
        let input = reader.tensor(GATES * HIDDEN);
        let recurrent = reader.tensor(GATES * HIDDEN);
        let lstm_bias = reader.tensor(GATES);
        let output = reader.tensor(HIDDEN);
        let output_bias = reader.tensor(1);
        assert!(reader.rest.is_empty(), "silero_v6.bin is longer than its tensors");

        // `[row][channel][tap]` is the published order. The frames that a column of the second
        // and third convolution sees lie one after the other in memory, so their taps are one.
        let at = |conv: &[f32], channels: usize, row: usize, channel: usize, tap: usize| {
            conv[(row * channels + channel) * 3 + tap]
        };
        Self {
            encoder0: Matrix::pack(
                128,
                |row| bias0[row],
                |row, tap, channel| at(&conv0, BINS, row, bin_at(channel), tap),
            ),
            encoder1: Matrix::pack(
                64,
                |row| bias1[row],
                |row, _, column| at(&conv1, 128, row, column % 128, column / 128),
            ),
            encoder2: Matrix::pack(
                64,
                |row| bias2[row],
                |row, _, column| at(&conv2, 64, row, column % 64, 1 + column / 64),
            ),
            encoder3: Matrix::pack(
                128,
                |row| bias3[row],
                |row, _, channel| at(&conv3, 64, row, channel, 1),
            ),
            lstm: Matrix::pack(
                GATES,
                |row| lstm_bias[row],
                |row, _, column| match column.checked_sub(HIDDEN) {
                    None => input[row * HIDDEN + column],
                    Some(column) => recurrent[row * HIDDEN + column],
                },
            ),
            output: std::array::from_fn(|n| output[n]),
            output_bias: output_bias[0],
        }
    }
}

struct Reader {
    rest: &'static [u8],
}

impl Reader {
    fn tensor(&mut self, values: usize) -> Vec<f32> {
        let (bytes, rest) = self.rest.split_at(values * 4);
        self.rest = rest;
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().map(|word| f32::from_le_bytes(*word)).collect()
    }
}
