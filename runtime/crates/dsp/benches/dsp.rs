//! Times what runs per frame: `cargo bench -p remotemedia-dsp`.
//!
//! Every figure is the least of many rounds, in microseconds of one core: the rest is what other
//! programs took. "Cold" means that 64 MiB of other data went through the caches before each
//! call, as after a sleep on a busy machine. `tests/bench/dsp.py` compares some of them with what
//! others take.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use remotemedia_core::SampleRate;
use remotemedia_dsp::level::LevelMeter;
use remotemedia_dsp::resample::{Quality, Resampler};
use remotemedia_dsp::simd::Isa;
use remotemedia_dsp::vad::energy::EnergyVad;
use remotemedia_dsp::vad::silero::{Item, Model, Scratch, State, WINDOW};

const COLD_BYTES: usize = 64 << 20;

/// Least and median time of a call.
fn time(rounds: usize, calls: u32, mut before: impl FnMut(), mut call: impl FnMut()) -> [f64; 2] {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            before();
            let start = Instant::now();
            for _ in 0..calls {
                call();
            }
            start.elapsed() / calls
        })
        .collect();
    times.sort();
    [times[0], times[times.len() / 2]].map(|time| time.as_secs_f64() * 1e6)
}

fn print(name: &str, [least, median]: [f64; 2]) {
    println!("{name:<52} {least:>8.2} {median:>8.2}");
}

fn noise(seed: u32) -> [f32; WINDOW] {
    let mut state = seed | 1;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state as f32 / u32::MAX as f32 - 0.5) * 0.2
    })
}

/// Streams of one model that are judged together.
struct Batch {
    model: Model,
    states: Vec<State>,
    windows: Vec<[f32; WINDOW]>,
    scratch: Scratch,
}

impl Batch {
    fn new(isa: Isa, streams: usize) -> Batch {
        Batch {
            model: Model::load_for(isa),
            states: vec![State::default(); streams],
            windows: (0..streams as u32).map(noise).collect(),
            scratch: Scratch::for_batch(streams),
        }
    }

    /// Microseconds a stream.
    fn time(&mut self, rounds: usize, calls: u32, before: impl FnMut()) -> [f64; 2] {
        let streams = self.states.len();
        let mut batch: Vec<_> = self
            .states
            .iter_mut()
            .zip(&self.windows)
            .map(|(state, window)| Item { state, window, probability: 0.0 })
            .collect();
        let forward = || self.model.forward(black_box(&mut batch), &mut self.scratch);
        time(rounds, calls, before, forward).map(|time| time / streams as f64)
    }

    fn time_hot(&mut self, rounds: usize) -> [f64; 2] {
        self.time(rounds, (16 / self.states.len()).max(1) as u32, || {})
    }
}

fn silero(isa: Isa, streams: usize) {
    let mut batch = Batch::new(isa, streams);
    let hot = batch.time_hot(1_000);
    print(&format!("silero {isa:?}, batch of {streams}, per stream, hot"), hot);
    let mut other = vec![1_u8; COLD_BYTES];
    let evict = || other.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
    let cold = batch.time(30, 1, evict);
    print(&format!("silero {isa:?}, batch of {streams}, per stream, cold"), cold);
}

fn time_resampler(input: u32, output: u32, quality: Quality, rounds: usize) -> [f64; 2] {
    let rate = |hz| SampleRate::new(hz).expect("a rate within the bounds");
    let mut resampler =
        Resampler::new(rate(input), rate(output), quality).expect("a pair that is supported");
    let frame: Vec<f32> = (0..input / 50).map(|n| (n as f32 * 0.1).sin()).collect();
    let mut out = Vec::new();
    let frame = || {
        out.clear();
        resampler.process(black_box(&frame), &mut out);
    };
    time(rounds, 10, || {}, frame)
}

fn resampler(input: u32, output: u32, quality: Quality) {
    let times = time_resampler(input, output, quality, 1_000);
    print(&format!("resample {input} to {output}, {quality:?}, 20 ms"), times);
}

/// Answers each line of the standard input with the least time of what it names: so another
/// program can take turns with this one. `resample high`: a frame of 20 ms from 48 to 16 kHz;
/// `silero avx2 16`: a window in a batch of 16.
fn answer() {
    const ROUNDS: usize = 100;
    let mut batches: HashMap<String, Batch> = HashMap::new();
    for line in std::io::stdin().lines() {
        let line = line.expect("the other program writes text");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [least, _] = match words[..] {
            ["resample", quality] => {
                let quality = match quality {
                    "low" => Quality::Low,
                    "medium" => Quality::Medium,
                    "high" => Quality::High,
                    _ => panic!("no quality {quality}"),
                };
                time_resampler(48_000, 16_000, quality, ROUNDS)
            }
            ["silero", isa, streams] => {
                let isa = match isa {
                    "detected" => Isa::Detected,
                    "avx2" => Isa::Avx2,
                    "baseline" => Isa::Baseline,
                    _ => panic!("no instructions {isa}"),
                };
                let streams = streams.parse().expect("a number of streams");
                let make = || Batch::new(isa, streams);
                batches.entry(line).or_insert_with(make).time_hot(ROUNDS)
            }
            _ => panic!("nothing is called {line}"),
        };
        println!("{least}");
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--answer") {
        return answer();
    }
    println!("{:<52} {:>8} {:>8}", "microseconds", "least", "median");
    for isa in [Isa::Detected, Isa::Avx2, Isa::Baseline] {
        for streams in [1, 2, 3, 4, 16, 64, 256] {
            silero(isa, streams);
        }
    }
    for (input, output) in
        [(48_000, 16_000), (16_000, 48_000), (44_100, 16_000), (44_100, 48_000), (24_000, 16_000)]
    {
        for quality in [Quality::Low, Quality::Medium, Quality::High] {
            resampler(input, output, quality);
        }
    }
    let frame: Vec<f32> = (0..320).map(|n| (n as f32 * 0.1).sin()).collect();
    let vad = EnergyVad::new(-45.0);
    let energy = time(
        200,
        50,
        || {},
        || {
            black_box(vad.probability(black_box(&frame)));
        },
    );
    print("energy, 20 ms at 16 kHz", energy);
    let mut meter = LevelMeter::new();
    let level = time(
        200,
        50,
        || {},
        || {
            meter.push(black_box(&frame));
            black_box(meter.take());
        },
    );
    print("level, 20 ms at 16 kHz", level);
}
