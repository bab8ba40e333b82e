//! Timing, length and purity of the resampler, over chunk sizes and pairs of rates.

use std::f64::consts::TAU;

use proptest::prelude::*;
use remotemedia_core::SampleRate;
use remotemedia_dsp::resample::{Quality, Resampler};

/// Whole ratios down and up, fractions, and one that has no small fraction.
const PAIRS: [(u32, u32); 12] = [
    (48_000, 16_000),
    (48_000, 24_000),
    (48_000, 8_000),
    (16_000, 48_000),
    (8_000, 16_000),
    (16_000, 16_000),
    (44_100, 16_000),
    (44_100, 48_000),
    (24_000, 16_000),
    (22_050, 16_000),
    (16_000, 22_050),
    (44_100, 44_101),
];

fn resampler(input: u32, output: u32, quality: Quality) -> Resampler {
    let rate = |hz| SampleRate::new(hz).expect("a rate within the bounds");
    Resampler::new(rate(input), rate(output), quality).expect("a pair that is supported")
}

fn one_shot(resampler: &mut Resampler, input: &[f32]) -> Vec<f32> {
    let mut out = Vec::new();
    resampler.process(input, &mut out);
    resampler.flush(&mut out);
    out
}

fn tone(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
    (0..samples).map(|n| (0.5 * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

fn decibels(power: f64) -> f64 {
    10.0 * power.log10()
}

/// Mean power of the middle, where neither end shows.
fn middle_power(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count();
    let (skip, take) = (count / 4, count / 2);
    values.skip(skip).take(take).map(|v| v * v).sum::<f64>() / take as f64
}

/// Signal to everything else, against the ideal tone at the ideal times: shift, wrong gain,
/// ripple and noise all count.
fn snr(input: u32, output: u32, quality: Quality, hz: f64) -> f64 {
    let got = one_shot(&mut resampler(input, output, quality), &tone(hz, input, input as usize));
    let right = tone(hz, output, got.len());
    let error = got.iter().zip(&right).map(|(a, b)| f64::from(*a) - f64::from(*b));
    decibels(middle_power(right.iter().map(|v| f64::from(*v))) / middle_power(error))
}

/// What is left of a tone that the output cannot carry, relative to the tone.
fn leak(input: u32, output: u32, quality: Quality, hz: f64) -> f64 {
    let source = tone(hz, input, input as usize);
    let got = one_shot(&mut resampler(input, output, quality), &source);
    decibels(
        middle_power(got.iter().map(|v| f64::from(*v)))
            / middle_power(source.iter().map(|v| f64::from(*v))),
    )
}

#[test]
fn high_quality_from_48_to_16_khz_keeps_7_khz_and_refuses_9_khz() {
    for hz in [100.0, 997.0, 3_000.0, 5_000.0, 7_000.0] {
        let snr = snr(48_000, 16_000, Quality::High, hz);
        println!("{hz} Hz: SNR {snr:.1} dB");
        assert!(snr >= 100.0, "{hz} Hz: {snr:.1} dB");
    }
    for hz in [9_000.0, 10_000.0, 12_345.0, 15_900.0, 20_000.0, 23_000.0] {
        let leak = leak(48_000, 16_000, Quality::High, hz);
        println!("{hz} Hz: alias {leak:.1} dB");
        assert!(leak <= -100.0, "{hz} Hz: {leak:.1} dB");
    }
}

#[test]
fn the_lower_qualities_keep_their_promise() {
    for (quality, depth) in [(Quality::Low, 85.0), (Quality::Medium, 91.0)] {
        for hz in [1_000.0, 4_000.0, 6_500.0, 7_000.0] {
            let snr = snr(48_000, 16_000, quality, hz);
            assert!(snr >= depth, "{quality:?} at {hz} Hz: SNR {snr:.1} dB");
        }
        for hz in [9_000.0, 9_500.0, 12_000.0, 20_000.0] {
            let leak = leak(48_000, 16_000, quality, hz);
            assert!(leak <= -depth, "{quality:?} at {hz} Hz: alias {leak:.1} dB");
        }
    }
}

#[test]
fn every_pair_keeps_time_and_gain() {
    for (input, output) in PAIRS {
        let lower = f64::from(input.min(output));
        for hz in [0.02, 0.13, 0.4, 0.4375] {
            let snr = snr(input, output, Quality::High, (hz * lower).round());
            println!("{input} -> {output}: {hz} of the rate, SNR {snr:.1} dB");
            assert!(snr >= 94.0, "{input} -> {output} at {hz} of the rate: {snr:.1} dB");
        }
    }
}

#[test]
fn no_pair_lets_aliases_through() {
    for (input, output) in PAIRS.into_iter().filter(|(input, output)| *input > *output + 1_000) {
        for hz in [0.5625, 0.58, 0.65] {
            let hz = (hz * f64::from(output)).round();
            let Some(hz) = Some(hz).filter(|hz| *hz < f64::from(input) / 2.0) else { continue };
            let leak = leak(input, output, Quality::High, hz);
            assert!(leak <= -100.0, "{input} -> {output} at {hz} Hz: {leak:.1} dB");
        }
    }
}

#[test]
fn an_impulse_stays_where_it_is() {
    for (input, output) in PAIRS {
        let mut source = vec![0.0; 1_000];
        source[0] = 1.0;
        source[600] = 1.0;
        let got = one_shot(&mut resampler(input, output, Quality::High), &source);
        let peak =
            |from: usize, to: usize| (from..to).max_by(|a, b| got[*a].total_cmp(&got[*b])).unwrap();
        let half = got.len() * 3 / 10;
        assert_eq!(peak(0, half), 0, "{input} -> {output}");
        let right = 600.0 * f64::from(output) / f64::from(input);
        let off = (peak(half, got.len()) as f64 - right).abs();
        assert!(off <= 0.51, "{input} -> {output}: off by {off}");
    }
}

#[test]
fn the_output_lags_by_no_more_than_the_latency() {
    for (input, output) in PAIRS {
        for quality in [Quality::Low, Quality::Medium, Quality::High] {
            let mut resampler = resampler(input, output, quality);
            let latency = resampler.latency().as_secs_f64();
            let (mut out, mut taken) = (Vec::new(), 0);
            for _ in 0..400 {
                resampler.process(&[0.0; 37], &mut out);
                taken += 37;
                let lag =
                    f64::from(taken) / f64::from(input) - out.len() as f64 / f64::from(output);
                let slack = 1.0 / f64::from(output) + 2e-6;
                assert!(lag <= latency + slack, "{input} -> {output}: {lag} > {latency}");
            }
        }
    }
}

#[test]
fn a_flushed_or_reset_resampler_is_as_new() {
    for (input, output) in PAIRS {
        let mut used = resampler(input, output, Quality::Medium);
        let source = tone(440.0, input, 3_001);
        let first = one_shot(&mut used, &source);
        assert_eq!(one_shot(&mut used, &source), first, "{input} -> {output} after flush");
        used.process(&source[..777], &mut Vec::new());
        used.reset();
        assert_eq!(one_shot(&mut used, &source), first, "{input} -> {output} after reset");
    }
}

#[test]
fn an_empty_stream_gives_nothing() {
    for (input, output) in PAIRS {
        let mut resampler = resampler(input, output, Quality::High);
        assert!(one_shot(&mut resampler, &[]).is_empty());
        resampler.process(&[], &mut Vec::new());
        assert!(one_shot(&mut resampler, &[]).is_empty());
    }
}

#[test]
fn the_extreme_rates_work() {
    let seconds = |input: u32, output: u32| {
        let got = one_shot(&mut resampler(input, output, Quality::Low), &vec![0.5; input as usize]);
        assert_eq!(got.len(), output as usize, "{input} -> {output}");
        let middle = got[got.len() / 2];
        assert!((middle - 0.5).abs() < 1e-2, "{input} -> {output}: {middle}");
    };
    seconds(384_000, 4_000);
    seconds(4_000, 384_000);
    seconds(384_000, 4_001);
    seconds(4_001, 384_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_equals_one_shot(
        pair in 0..PAIRS.len(),
        quality in prop_oneof![Just(Quality::Low), Just(Quality::Medium), Just(Quality::High)],
        samples in 0_usize..9_000,
        sizes in prop::collection::vec(0_usize..1_500, 1..20),
    ) {
        let (input, output) = PAIRS[pair];
        let source = tone(1_234.5, input, samples);
        let mut resampler = resampler(input, output, quality);
        let whole = one_shot(&mut resampler, &source);
        let right = (2 * samples as u64 * u64::from(output) + u64::from(input))
            / (2 * u64::from(input));
        prop_assert_eq!(whole.len() as u64, right);

        let (mut out, mut rest, mut sizes) = (Vec::new(), &source[..], sizes.iter().cycle());
        // An empty chunk among the others changes nothing, but ends no loop either.
        while !rest.is_empty() {
            let size = sizes.next().map_or(1, |size| (*size).max(1)).min(rest.len());
            let (chunk, later) = rest.split_at(size);
            resampler.process(chunk, &mut out);
            resampler.process(&[], &mut out);
            rest = later;
        }
        resampler.flush(&mut out);
        prop_assert!(out == whole, "{} -> {}", input, output);
    }
}
