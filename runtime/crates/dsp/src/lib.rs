//! Resamplers, voice activity detection and level metering on plain slices.
//!
//! Every type here is driven the same way: make one per stream, push samples or probabilities in,
//! take what comes out of the same call. Nothing reads a clock or does I/O; times are arguments
//! in microseconds of media time. After warm-up no call allocates, except to grow a vector that
//! the caller passed in. The crate also builds for `wasm32-unknown-unknown`.
//!
//! - [`resample`]: one channel from one sample rate to another, without a shift in time.
//! - [`vad`]: the probability of speech by energy or by Silero v6, and from probabilities to
//!   the start and end of speech.
//! - [`level`]: root mean square and peak in dBFS.
#![forbid(unsafe_code)]

pub mod level;
pub mod resample;
pub mod simd;
pub mod vad;
