//! The sum of several sources within full scale.

/// How fast the gain comes back after a peak, a frame.
const RELEASE: f32 = 1.06;

/// Within so much of a frame the gain changes.
const ATTACK: f32 = 0.1;

/// Keeps a mix within -1.0..=1.0: frames with higher peaks are turned down as a whole, so that their
/// shape stays.
#[derive(Debug)]
pub(super) struct Limiter {
    gain: f32,
}

impl Limiter {
    pub(super) fn new() -> Limiter {
        Limiter { gain: 1.0 }
    }

    /// Limits a frame and returns its peak before that.
    pub(super) fn limit(&mut self, frame: &mut [f32]) -> f32 {
        let peak = frame.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let wanted = (self.gain * RELEASE).min(1.0).min(1.0 / peak.max(1.0));
        if wanted == 1.0 && self.gain == 1.0 {
            return peak;
        }
        let ramp = (frame.len() as f32 * ATTACK).max(1.0);
        for (index, sample) in frame.iter_mut().enumerate() {
            let progress = ((index + 1) as f32 / ramp).min(1.0);
            let gain = self.gain + (wanted - self.gain) * progress;
            *sample = (*sample * gain).clamp(-1.0, 1.0);
        }
        self.gain = wanted;
        peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_as_it_is() {
        let mut limiter = Limiter::new();
        let mut frame = [0.5, -1.0, 0.25];
        assert_eq!(limiter.limit(&mut frame), 1.0);
        assert_eq!(frame, [0.5, -1.0, 0.25]);
    }

    #[test]
    fn a_loud_mix_is_turned_down_and_comes_back() {
        let mut limiter = Limiter::new();
        let loud: Vec<f32> = (0..320).map(|n| 2.0 * (n as f32 * 0.1).sin()).collect();
        let mut frame = loud.clone();
        limiter.limit(&mut frame);
        assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
        // Behind the ramp it keeps its shape.
        assert!(frame[64..].iter().zip(&loud[64..]).all(|(a, b)| (a - b / 2.0).abs() < 2e-3));
        for _ in 0..20 {
            frame.fill(0.5);
            limiter.limit(&mut frame);
        }
        assert_eq!(frame[319], 0.5);
    }
}
