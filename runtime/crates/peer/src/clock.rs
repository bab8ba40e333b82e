use std::time::{Duration, Instant};

use remotemedia_core::Micros;

/// Turns [`Micros`] into the `Instant`s that the rtc-* crates want, and back.
///
/// `rate` runs the crate's clock faster than ours: with 4, one of its seconds is 250 ms here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    anchor: Instant,
    rate: u32,
    /// How far ahead it has been put, in the crate's time.
    ahead: Duration,
}

impl Clock {
    pub(crate) fn new(anchor: Instant, rate: u32) -> Self {
        Clock { anchor, rate, ahead: Duration::ZERO }
    }

    pub(crate) fn instant(&self, now: Micros) -> Instant {
        let passed = Duration::from_micros(now.0.saturating_mul(u64::from(self.rate)));
        self.anchor + self.ahead + passed
    }

    /// Puts the crate's clock ahead, so that `due` is now. It never goes back.
    pub(crate) fn advance(&mut self, now: Micros, due: Instant) {
        self.ahead += due.saturating_duration_since(self.instant(now));
    }

    /// Rounded up: a timer is never reported before it is due.
    pub(crate) fn micros(&self, at: Instant) -> Micros {
        let nanos = at.saturating_duration_since(self.anchor + self.ahead).as_nanos();
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
    fn what_it_was_put_ahead_for_is_due_and_all_else_as_much_sooner() {
        let mut clock = Clock::new(Instant::now(), 4);
        let now = Micros(1_000_000);
        let due = clock.instant(Micros(9_000_000));
        let later = clock.instant(Micros(9_500_000));
        clock.advance(now, due);
        assert_eq!(clock.micros(due), now);
        assert_eq!(clock.micros(later), Micros(1_500_000));
        assert_eq!(clock.micros(clock.instant(Micros(2_000_000))), Micros(2_000_000));
        let ahead = clock.instant(now);
        clock.advance(now, ahead - Duration::from_secs(1));
        assert_eq!(clock.instant(now), ahead);
    }

    #[test]
    fn a_fraction_is_rounded_up() {
        let clock = Clock::new(Instant::now(), 4);
        assert_eq!(clock.micros(clock.instant(Micros(7)) + Duration::from_nanos(1)), Micros(8));
    }
}
