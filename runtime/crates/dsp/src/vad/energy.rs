//! Speech by loudness alone: cheap, any rate, fooled by any sound.

use crate::level;

/// Width of the ramp from certain silence to certain speech, in decibels.
const RAMP_DB: f32 = 20.0;

/// Maps the level of a window to a probability of speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnergyVad {
    threshold_db: f32,
}

impl EnergyVad {
    /// A detector that is undecided at `threshold_db`, in dBFS of root mean square.
    #[must_use]
    pub const fn new(threshold_db: f32) -> Self {
        Self { threshold_db }
    }

    /// The probability that a window of any length is speech.
    ///
    /// A linear ramp: 0 at 10 dB below the threshold, 0.5 at it, 1 at 10 dB above. Digital
    /// silence and an empty window are 0 whatever the threshold.
    #[must_use]
    pub fn probability(&self, samples: &[f32]) -> f32 {
        let level = level::rms_dbfs(samples);
        if level <= level::FLOOR_DBFS {
            return 0.0;
        }
        ((level - self.threshold_db) / RAMP_DB + 0.5).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square wave whose level is exactly `dbfs`.
    fn square(dbfs: f32) -> Vec<f32> {
        let amplitude = 10.0_f32.powf(dbfs / 20.0);
        (0..320).map(|n| if n % 8 < 4 { amplitude } else { -amplitude }).collect()
    }

    #[test]
    fn the_ramp_is_centred_on_the_threshold() {
        let vad = EnergyVad::new(-45.0);
        for (level, expected) in
            [(-60.0, 0.0), (-55.0, 0.0), (-50.0, 0.25), (-45.0, 0.5), (-40.0, 0.75), (-30.0, 1.0)]
        {
            let got = vad.probability(&square(level));
            assert!((got - expected).abs() < 1e-3, "{level} dBFS: {got}");
        }
    }

    #[test]
    fn silence_is_never_speech() {
        let vad = EnergyVad::new(-200.0);
        assert_eq!(vad.probability(&[0.0; 320]), 0.0);
        assert_eq!(vad.probability(&[]), 0.0);
        assert_eq!(vad.probability(&[f32::NAN; 320]), 0.0);
    }
}
