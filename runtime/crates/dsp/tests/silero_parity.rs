//! The forward pass against probabilities of onnxruntime over real speech; see data/README.md.

use remotemedia_dsp::simd::Isa;
use remotemedia_dsp::vad::segment::{SegmentParams, Segmenter, SpeechEvent};
use remotemedia_dsp::vad::silero::{Item, Model, Scratch, State, WINDOW};

const SPEECH: &[u8] = include_bytes!("data/jfk_16k.s16");
const REFERENCE: &[u8] = include_bytes!("data/jfk_silero_v6.f32");

/// The least that the project promises.
const TOLERANCE: f32 = 1e-4;

fn windows() -> Vec<[f32; WINDOW]> {
    let (words, _) = SPEECH.as_chunks::<2>();
    let samples: Vec<f32> =
        words.iter().map(|word| f32::from(i16::from_le_bytes(*word)) / 32_768.0).collect();
    let (windows, _) = samples.as_chunks::<WINDOW>();
    windows.to_vec()
}

fn reference() -> Vec<f32> {
    let (words, _) = REFERENCE.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// One stream from window `first` on, alone.
fn alone(model: &Model, windows: &[[f32; WINDOW]]) -> Vec<f32> {
    let (mut state, mut scratch) = (State::default(), Scratch::default());
    windows
        .iter()
        .map(|window| {
            let mut batch = [Item { state: &mut state, window, probability: f32::NAN }];
            model.forward(&mut batch, &mut scratch);
            batch[0].probability
        })
        .collect()
}

fn worst(got: &[f32], right: &[f32]) -> f32 {
    assert_eq!(got.len(), right.len());
    got.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_instruction_set_is_within_tolerance_of_onnxruntime() {
    let (windows, reference) = (windows(), reference());
    for isa in [Isa::Detected, Isa::Avx2, Isa::Baseline] {
        let off = worst(&alone(&Model::load_for(isa), &windows), &reference);
        println!("{isa:?}: off by {off:e}");
        assert!(off < TOLERANCE, "{isa:?}: off by {off:e}");
    }
}

#[test]
fn the_reference_holds_speech_and_silence() {
    let reference = reference();
    let speech = reference.iter().filter(|p| **p > 0.9).count();
    let silence = reference.iter().filter(|p| **p < 0.1).count();
    assert!(speech > 100 && silence > 20, "{speech} windows of speech, {silence} of silence");
}

/// Streams that start at different windows, so that each lane of a batch holds another signal.
#[test]
fn a_stream_in_a_batch_equals_the_stream_alone() {
    const STEPS: usize = 10;
    let windows = windows();
    for isa in [Isa::Detected, Isa::Avx2, Isa::Baseline] {
        let model = Model::load_for(isa);
        for size in [1, 2, 3, 5, 16, 64, 67] {
            let mut states = vec![State::default(); size];
            let mut scratch = Scratch::default();
            let mut got = vec![Vec::new(); size];
            for step in 0..STEPS {
                let mut batch: Vec<Item<'_>> = states
                    .iter_mut()
                    .enumerate()
                    .map(|(stream, state)| Item {
                        state,
                        window: &windows[stream * 4 + step],
                        probability: f32::NAN,
                    })
                    .collect();
                model.forward(&mut batch, &mut scratch);
                for (got, item) in got.iter_mut().zip(&batch) {
                    got.push(item.probability);
                }
            }
            for (stream, got) in got.iter().enumerate() {
                let right = alone(&model, &windows[stream * 4..][..STEPS]);
                let off = worst(got, &right);
                assert!(off <= 1e-6, "{isa:?}, batch of {size}, stream {stream}: off by {off:e}");
            }
        }
    }
}

/// The events of the speech with the usual parameters.
fn events(probabilities: &[f32]) -> Vec<SpeechEvent> {
    const WINDOW_US: u64 = 32_000;
    let mut segmenter = Segmenter::new(SegmentParams::default());
    let mut events: Vec<SpeechEvent> = (0..)
        .zip(probabilities)
        .filter_map(|(n, p)| segmenter.push(n * WINDOW_US, (n + 1) * WINDOW_US, *p).1)
        .collect();
    events.extend(segmenter.flush(probabilities.len() as u64 * WINDOW_US));
    events
}

#[test]
fn the_segments_are_those_of_the_reference() {
    let times = |probabilities: &[f32]| -> Vec<u64> {
        let at = |event| match event {
            SpeechEvent::Started { at_us, .. } | SpeechEvent::Stopped { at_us, .. } => at_us,
        };
        events(probabilities).into_iter().map(at).collect()
    };
    let got = times(&alone(&Model::load(), &windows()));
    println!("{got:?}");
    assert_eq!(got, times(&reference()));
    assert_eq!(got.len(), 2 * 5, "{got:?}");
}
