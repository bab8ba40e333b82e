//! Silero VAD v6 for 16 kHz: the forward pass in f32, batched over streams.
//!
//! The published ONNX graph (silero-vad 6.2.3, MIT) without its interpreter: a short-time Fourier
//! transform of four frames, four convolutions, one LSTM step, one logit. Probabilities lie
//! within 1e-4 of onnxruntime's.
//!
//! ```
//! use remotemedia_dsp::vad::silero::{Item, Model, Scratch, State, WINDOW};
//!
//! let model = Model::load();
//! let mut scratch = Scratch::default();
//! let mut state = State::default();
//! let window = [0.0; WINDOW];
//! let mut batch = [Item { state: &mut state, window: &window, probability: 0.0 }];
//! model.forward(&mut batch, &mut scratch);
//! assert!(batch[0].probability < 0.1);
//! ```

mod gemm;
mod stft;
mod weights;

use multiversion::multiversion;
use multiversion::target::match_target;

use crate::simd::{BASELINE_FMA, Isa, mul_add, sigmoid, tanh};
use gemm::{After, Columns, convolve_four_frames, multiply};
use stft::{FRAMES, SPAN, STRIDE, Stft};
use weights::Weights;

/// Samples of a window: 32 ms at 16 kHz.
pub const WINDOW: usize = 512;
/// Samples of the previous window that the next one sees again.
const CONTEXT: usize = 64;
/// Width of the LSTM.
const HIDDEN: usize = 128;
/// Rows of the LSTM's gates: i, f, g, o.
const GATES: usize = 4 * HIDDEN;
/// Streams that go through the layers together: enough to read each weight from memory once for
/// many, few enough that what lies between the layers stays in the second-level cache.
const CHUNK: usize = 64;
/// Streams whose spectra are computed together: their scratch stays in the first-level cache.
const STFT_CHUNK: usize = 4;
/// Samples beyond this are clipped, and what is not a number is silence: one damaged window must
/// not poison the state for ever.
const LIMIT: f32 = 16.0;

/// Floats of scratch per stream, by stage.
const FOLDED: usize = FRAMES * 256;
const SPECTRUM: usize = FRAMES * STRIDE;
/// One frame of zeros stands before the four, the padding of the second convolution.
const ENCODED0: usize = (1 + FRAMES) * 128;
const ENCODED1: usize = 2 * 64;
const ENCODED2: usize = 64;
const RECURRENT: usize = 2 * HIDDEN;

/// What the model remembers of one stream; the default is the start of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    context: [f32; CONTEXT],
    hidden: [f32; HIDDEN],
    cell: [f32; HIDDEN],
}

impl Default for State {
    fn default() -> Self {
        Self { context: [0.0; CONTEXT], hidden: [0.0; HIDDEN], cell: [0.0; HIDDEN] }
    }
}

/// One window of one stream.
#[derive(Debug)]
pub struct Item<'a> {
    /// The stream's state, which the call carries on.
    pub state: &'a mut State,
    /// The next [`WINDOW`] samples of the stream at 16 kHz, -1.0..=1.0.
    pub window: &'a [f32; WINDOW],
    /// Set by the call: the probability that the window holds speech.
    pub probability: f32,
}

/// Working memory of [`Model::forward`], reused from call to call; about 9 KiB a stream of the
/// largest batch, at most 0.6 MiB.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    signal: Vec<f32>,
    folded: Vec<f32>,
    product: Vec<f32>,
    spectrum: Vec<f32>,
    encoded0: Vec<f32>,
    encoded1: Vec<f32>,
    encoded2: Vec<f32>,
    recurrent: Vec<f32>,
    gates: Vec<f32>,
}

impl Scratch {
    /// Scratch that never grows for batches of up to `streams`.
    #[must_use]
    pub fn for_batch(streams: usize) -> Self {
        let mut scratch = Self::default();
        scratch.grow(streams.min(CHUNK));
        scratch
    }

    fn grow(&mut self, streams: usize) {
        if self.gates.len() >= streams * GATES {
            return;
        }
        let grow = |buffer: &mut Vec<f32>, len: usize| buffer.resize(len.max(buffer.len()), 0.0);
        grow(&mut self.signal, STFT_CHUNK * SPAN);
        grow(&mut self.folded, STFT_CHUNK * FOLDED);
        grow(&mut self.product, STFT_CHUNK * FOLDED);
        grow(&mut self.spectrum, streams * SPECTRUM);
        grow(&mut self.encoded0, streams * ENCODED0);
        grow(&mut self.encoded1, streams * ENCODED1);
        grow(&mut self.encoded2, streams * ENCODED2);
        grow(&mut self.recurrent, streams * RECURRENT);
        grow(&mut self.gates, streams * GATES);
    }
}

/// The weights, about 1 MiB, shared by all streams and threads.
#[derive(Debug)]
pub struct Model {
    stft: Stft,
    weights: Weights,
    isa: Isa,
}

impl Model {
    /// Unpacks the weights that the crate carries. Takes a few milliseconds: do it once.
    #[must_use]
    pub fn load() -> Self {
        Self::load_for(Isa::Detected)
    }

    /// The same, on given instructions: for tests and benchmarks.
    #[must_use]
    pub fn load_for(isa: Isa) -> Self {
        Self { stft: Stft::new(), weights: Weights::load(), isa }
    }

    /// Sets the probability of each item and carries its state on.
    ///
    /// The batch may have any size and mix streams freely, each at most once; a stream's result
    /// does not depend on its neighbours. Batches are worth it: the weights are then read from
    /// memory once for all. Does not allocate once `scratch` has seen the largest batch.
    pub fn forward(&self, batch: &mut [Item<'_>], scratch: &mut Scratch) {
        for chunk in batch.chunks_mut(CHUNK) {
            scratch.grow(chunk.len());
            match self.isa {
                Isa::Detected => forward_detected(self, chunk, scratch),
                Isa::Avx2 => forward_avx2(self, chunk, scratch),
                Isa::Baseline => forward_chunk::<BASELINE_FMA, 8, 2, 1, 1>(self, chunk, scratch),
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn forward_detected(model: &Model, batch: &mut [Item<'_>], scratch: &mut Scratch) {
    match_target! {
        "x86_64+avx512f" => forward_chunk::<true, 16, 4, 4, 2>(model, batch, scratch),
        "x86_64+avx2+fma" => forward_chunk::<true, 16, 4, 2, 1>(model, batch, scratch),
        _ => forward_chunk::<BASELINE_FMA, 8, 2, 1, 1>(model, batch, scratch),
    }
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn forward_avx2(model: &Model, batch: &mut [Item<'_>], scratch: &mut Scratch) {
    match_target! {
        "x86_64+avx2+fma" => forward_chunk::<true, 16, 4, 2, 1>(model, batch, scratch),
        _ => forward_chunk::<BASELINE_FMA, 8, 2, 1, 1>(model, batch, scratch),
    }
}

#[inline(always)]
fn forward_chunk<
    const FMA: bool,
    const L: usize,
    const P1: usize,
    const P2: usize,
    const P4: usize,
>(
    model: &Model,
    batch: &mut [Item<'_>],
    scratch: &mut Scratch,
) {
    let (weights, streams) = (&model.weights, batch.len());
    for (items, spectrum) in
        batch.chunks_mut(STFT_CHUNK).zip(scratch.spectrum.chunks_mut(STFT_CHUNK * SPECTRUM))
    {
        for (item, signal) in items.iter_mut().zip(scratch.signal.chunks_exact_mut(SPAN)) {
            lay_out(item, signal);
        }
        model.stft.magnitudes::<FMA, L, P1, P2, P4>(
            &scratch.signal,
            &mut scratch.folded,
            &mut scratch.product,
            &mut spectrum[..items.len() * SPECTRUM],
        );
    }
    convolve_four_frames::<FMA, L, P4, _>(
        &weights.encoder0,
        Columns {
            input: &scratch.spectrum,
            input_at: |n| n * STRIDE,
            output: &mut scratch.encoded0,
            output_at: |n| n / FRAMES * ENCODED0 + (1 + n % FRAMES) * 128,
            count: FRAMES * streams,
        },
    );
    // Stride 2: the columns start at the padding and at the second frame.
    multiply::<FMA, L, P1, P2, P4, _>(
        &weights.encoder1,
        Columns {
            input: &scratch.encoded0,
            input_at: |n| n / 2 * ENCODED0 + n % 2 * 256,
            output: &mut scratch.encoded1,
            output_at: |n| n * 64,
            count: 2 * streams,
        },
        After::Relu,
    );
    multiply::<FMA, L, P1, P2, P4, _>(
        &weights.encoder2,
        Columns {
            input: &scratch.encoded1,
            input_at: |n| n * ENCODED1,
            output: &mut scratch.encoded2,
            output_at: |n| n * ENCODED2,
            count: streams,
        },
        After::Relu,
    );
    multiply::<FMA, L, P1, P2, P4, _>(
        &weights.encoder3,
        Columns {
            input: &scratch.encoded2,
            input_at: |n| n * ENCODED2,
            output: &mut scratch.recurrent,
            output_at: |n| n * RECURRENT,
            count: streams,
        },
        After::Relu,
    );
    for (item, input) in batch.iter().zip(scratch.recurrent.chunks_exact_mut(RECURRENT)) {
        input[HIDDEN..].copy_from_slice(&item.state.hidden);
    }
    multiply::<FMA, L, P1, P2, P4, _>(
        &weights.lstm,
        Columns {
            input: &scratch.recurrent,
            input_at: |n| n * RECURRENT,
            output: &mut scratch.gates,
            output_at: |n| n * GATES,
            count: streams,
        },
        After::Nothing,
    );
    for (item, gates) in batch.iter_mut().zip(scratch.gates.chunks_exact(GATES)) {
        step::<FMA>(item.state, gates);
        item.probability = speech::<FMA>(weights, &item.state.hidden);
    }
}

/// Context, window and 64 samples reflected at its end; keeps the next window's context.
#[inline(always)]
fn lay_out(item: &mut Item<'_>, signal: &mut [f32]) {
    let (context, rest) = signal.split_at_mut(CONTEXT);
    let (window, reflected) = rest.split_at_mut(WINDOW);
    context.copy_from_slice(&item.state.context);
    for (to, from) in window.iter_mut().zip(item.window) {
        let clipped = from.clamp(-LIMIT, LIMIT);
        *to = if clipped.is_nan() { 0.0 } else { clipped };
    }
    for (to, from) in reflected.iter_mut().zip(window[..WINDOW - 1].iter().rev()) {
        *to = *from;
    }
    item.state.context.copy_from_slice(&window[WINDOW - CONTEXT..]);
}

/// One step of the LSTM.
#[inline(always)]
fn step<const FMA: bool>(state: &mut State, gates: &[f32]) {
    let (input, rest) = gates.split_at(HIDDEN);
    let (forget, rest) = rest.split_at(HIDDEN);
    let (candidate, output) = rest.split_at(HIDDEN);
    for n in 0..HIDDEN {
        let kept = sigmoid::<FMA>(forget[n]) * state.cell[n];
        let cell = mul_add::<FMA>(sigmoid::<FMA>(input[n]), tanh::<FMA>(candidate[n]), kept);
        state.cell[n] = cell;
        state.hidden[n] = sigmoid::<FMA>(output[n]) * tanh::<FMA>(cell);
    }
}

#[inline(always)]
fn speech<const FMA: bool>(weights: &Weights, hidden: &[f32; HIDDEN]) -> f32 {
    let mut sums = [0.0_f32; 16];
    for (a, b) in weights.output.chunks_exact(16).zip(hidden.chunks_exact(16)) {
        for l in 0..16 {
            sums[l] = mul_add::<FMA>(a[l], b[l].max(0.0), sums[l]);
        }
    }
    sigmoid::<FMA>(sums.iter().sum::<f32>() + weights.output_bias)
}

#[cfg(test)]
mod tests;
