//! Loudness as root mean square and peak.

/// The level of silence: nothing is reported below it.
pub const FLOOR_DBFS: f32 = -120.0;

/// What a [`LevelMeter`] measured, in decibels relative to full scale.
///
/// 0 dBFS is an amplitude of 1.0, so a full-scale sine has a root mean square of -3.01 dBFS and
/// a peak of 0. Samples beyond 1.0 give levels above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Root mean square, at least [`FLOOR_DBFS`].
    pub rms_dbfs: f32,
    /// Largest magnitude, at least [`FLOOR_DBFS`].
    pub peak_dbfs: f32,
}

/// Measures the level of all samples since the last [`LevelMeter::take`].
///
/// Samples that are not finite count as silence.
#[derive(Clone, Debug, Default)]
pub struct LevelMeter {
    squares: f64,
    peak: f32,
    samples: u64,
}

impl LevelMeter {
    /// A meter that has heard nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds samples of one or more channels; all weigh the same.
    pub fn push(&mut self, samples: &[f32]) {
        let (squares, peak) = measure(samples);
        self.squares += squares;
        self.peak = self.peak.max(peak);
        self.samples += samples.len() as u64;
    }

    /// The level since the last call, and starts anew. Without samples it is [`FLOOR_DBFS`].
    pub fn take(&mut self) -> Level {
        let level = Level {
            rms_dbfs: dbfs(mean_square(self.squares, self.samples).sqrt()),
            peak_dbfs: dbfs(f64::from(self.peak)),
        };
        *self = Self::default();
        level
    }
}

/// Root mean square of `samples` in dBFS, at least [`FLOOR_DBFS`]; empty is silence.
#[must_use]
pub fn rms_dbfs(samples: &[f32]) -> f32 {
    let (squares, _) = measure(samples);
    dbfs(mean_square(squares, samples.len() as u64).sqrt())
}

fn mean_square(squares: f64, samples: u64) -> f64 {
    if samples == 0 { 0.0 } else { squares / samples as f64 }
}

fn dbfs(amplitude: f64) -> f32 {
    ((20.0 * amplitude.log10()) as f32).max(FLOOR_DBFS)
}

/// Sum of squares and largest magnitude.
fn measure(samples: &[f32]) -> (f64, f32) {
    const LANES: usize = 8;
    let mut squares = 0.0;
    let mut peaks = [0.0_f32; LANES];
    // Sums of 256 lose nothing that a decibel shows, and f32 lanes become vector code.
    for block in samples.chunks(LANES * 32) {
        let mut sums = [0.0_f32; LANES];
        let mut groups = block.chunks_exact(LANES);
        for group in &mut groups {
            for ((sum, peak), sample) in sums.iter_mut().zip(&mut peaks).zip(group) {
                add(sum, peak, *sample);
            }
        }
        for sample in groups.remainder() {
            add(&mut sums[0], &mut peaks[0], *sample);
        }
        squares += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
    }
    (squares, peaks.into_iter().fold(0.0, f32::max))
}

#[inline(always)]
fn add(sum: &mut f32, peak: &mut f32, sample: f32) {
    let magnitude = if sample.is_finite() { sample.abs() } else { 0.0 };
    *sum += magnitude * magnitude;
    *peak = if magnitude > *peak { magnitude } else { *peak };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| amplitude * (std::f32::consts::TAU * n as f32 / 100.0).sin()).collect()
    }

    fn level_of(samples: &[f32]) -> Level {
        let mut meter = LevelMeter::new();
        meter.push(samples);
        meter.take()
    }

    #[test]
    fn a_full_scale_sine_peaks_at_zero_and_lies_3_db_below_in_rms() {
        let level = level_of(&sine(1.0, 1_000));
        assert!((level.rms_dbfs + 3.0103).abs() < 1e-3, "{level:?}");
        assert!(level.peak_dbfs.abs() < 1e-3, "{level:?}");
    }

    #[test]
    fn a_tenth_of_the_amplitude_is_20_db_less() {
        let (loud, quiet) = (level_of(&sine(1.0, 1_000)), level_of(&sine(0.1, 1_000)));
        assert!((loud.rms_dbfs - quiet.rms_dbfs - 20.0).abs() < 1e-3);
        assert!((loud.peak_dbfs - quiet.peak_dbfs - 20.0).abs() < 1e-3);
    }

    #[test]
    fn silence_and_nothing_are_the_floor() {
        let floor = Level { rms_dbfs: FLOOR_DBFS, peak_dbfs: FLOOR_DBFS };
        assert_eq!(level_of(&[]), floor);
        assert_eq!(level_of(&[0.0; 100]), floor);
        assert_eq!(rms_dbfs(&[1e-9; 100]), FLOOR_DBFS);
    }

    #[test]
    fn pushes_of_any_size_measure_the_same_as_one() {
        let samples = sine(0.5, 997);
        let mut meter = LevelMeter::new();
        for chunk in samples.chunks(13) {
            meter.push(chunk);
        }
        let (pieces, whole) = (meter.take(), level_of(&samples));
        assert!((pieces.rms_dbfs - whole.rms_dbfs).abs() < 1e-4);
        assert_eq!(pieces.peak_dbfs, whole.peak_dbfs);
    }

    #[test]
    fn taking_starts_anew() {
        let mut meter = LevelMeter::new();
        meter.push(&[1.0; 10]);
        meter.take();
        meter.push(&[0.1; 10]);
        assert!((meter.take().peak_dbfs + 20.0).abs() < 1e-3);
    }

    #[test]
    fn a_peak_in_the_last_odd_sample_counts() {
        let mut samples = vec![0.0; 261];
        samples[260] = -0.5;
        assert!((level_of(&samples).peak_dbfs + 6.0206).abs() < 1e-3);
    }

    #[test]
    fn samples_that_are_not_finite_are_silence() {
        let level = level_of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.1]);
        assert!((level.peak_dbfs + 20.0).abs() < 1e-3, "{level:?}");
        assert!((level.rms_dbfs + 26.0206).abs() < 1e-3, "{level:?}");
    }
}
