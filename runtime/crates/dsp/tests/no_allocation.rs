//! What runs per frame does not allocate once it has run before.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use remotemedia_core::SampleRate;
use remotemedia_dsp::level::LevelMeter;
use remotemedia_dsp::resample::{Quality, Resampler};
use remotemedia_dsp::vad::energy::EnergyVad;
use remotemedia_dsp::vad::segment::{SegmentParams, Segmenter};
use remotemedia_dsp::vad::silero::{Item, Model, Scratch, State, WINDOW};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell of the
// thread, which needs no allocation of its own and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread in `call`.
fn allocations(call: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    call();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn resampling_does_not_allocate() {
    for (input, output) in [(48_000, 16_000), (16_000, 48_000), (44_100, 16_000)] {
        let rate = |hz| SampleRate::new(hz).unwrap();
        let mut resampler = Resampler::new(rate(input), rate(output), Quality::High).unwrap();
        let frame = vec![0.1; input as usize / 50];
        let mut out = Vec::with_capacity(output as usize);
        resampler.process(&frame, &mut out);
        let count = allocations(|| {
            for _ in 0..20 {
                out.clear();
                resampler.process(&frame, &mut out);
            }
            resampler.flush(&mut out);
        });
        assert_eq!(count, 0, "{input} -> {output}");
    }
}

#[test]
fn silero_does_not_allocate() {
    let model = Model::load();
    let windows = [[0.1; WINDOW]; 20];
    let mut states = vec![State::default(); 20];
    let mut batch: Vec<Item<'_>> = states
        .iter_mut()
        .zip(&windows)
        .map(|(state, window)| Item { state, window, probability: 0.0 })
        .collect();
    let mut scratch = Scratch::for_batch(20);
    let count = allocations(|| {
        for size in [20, 1, 3, 16] {
            model.forward(&mut batch[..size], &mut scratch);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn detection_and_metering_do_not_allocate() {
    let vad = EnergyVad::new(-45.0);
    let mut meter = LevelMeter::new();
    let mut segmenter = Segmenter::new(SegmentParams::default());
    let frame = [0.1; 320];
    let count = allocations(|| {
        for n in 0..50 {
            let probability = vad.probability(&frame);
            segmenter.push(n * 20_000, (n + 1) * 20_000, probability);
            meter.push(&frame);
            meter.take();
        }
        segmenter.flush(1_000_000);
    });
    assert_eq!(count, 0);
}
