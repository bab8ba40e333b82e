use std::time::{Duration, Instant};

use remotemedia_core::Micros;

/// Turns [`Micros`] into the `Instant`s that the rtc-* crates want, and back.
///
/// `rate` runs the crate's clock faster than ours: with 4, one of its seconds is 250 ms here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    anchor: Instant,
    rate: u32,
}

impl Clock {
    pub(crate) fn new(anchor: Instant, rate: u32) -> Self {
        Clock { anchor, rate }
    }

    pub(crate) fn instant(&self, now: Micros) -> Instant {
        self.anchor + Duration::from_micros(now.0.saturating_mul(u64::from(self.rate)))
    }

    /// Rounded up: a timer is never reported before it is due.
    pub(crate) fn micros(&self, at: Instant) -> Micros {
        let nanos = at.saturating_duration_since(self.anchor).as_nanos();
        let micros = nanos.div_ceil(1000 * u128::from(self.rate));
        Micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_back_as_it_went_in() {
        let clock = Clock::new(Instant::now(), 4);
        let now = Micros(1_234_567);
        assert_eq!(clock.micros(clock.instant(now)), now);
        let second = clock.instant(now) + Duration::from_secs(1);
        assert_eq!(clock.micros(second), Micros(1_484_567));
    }

    #[test]
    fn a_fraction_is_rounded_up() {
        let clock = Clock::new(Instant::now(), 4);
        assert_eq!(clock.micros(clock.instant(Micros(7)) + Duration::from_nanos(1)), Micros(8));
    }
}
