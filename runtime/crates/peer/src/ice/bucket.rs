use std::time::Duration;

use remotemedia_core::Micros;

/// A token bucket: bounds a rate and lets short bursts through.
#[derive(Debug)]
pub(super) struct Bucket {
    capacity: u32,
    interval: Duration,
    tokens: u32,
    /// When the token that is being earned was begun.
    since: Micros,
}

impl Bucket {
    /// A full bucket of `capacity` tokens that earns one per `interval`.
    pub(super) fn new(capacity: u32, interval: Duration, now: Micros) -> Self {
        Bucket { capacity, interval, tokens: capacity, since: now }
    }

    /// Takes a token where there is one.
    pub(super) fn take(&mut self, now: Micros) -> bool {
        self.earn(now);
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }

    /// When [`Bucket::take`] will succeed.
    pub(super) fn ready_at(&self) -> Micros {
        if self.tokens > 0 { self.since } else { self.since + self.interval }
    }

    fn earn(&mut self, now: Micros) {
        let earned = (now - self.since).as_micros() / self.interval.as_micros().max(1);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if self.tokens.saturating_add(earned) >= self.capacity {
            self.tokens = self.capacity;
            self.since = self.since.max(now);
        } else {
            self.tokens += earned;
            self.since += self.interval * earned;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_the_rate_after_a_burst() {
        let mut bucket = Bucket::new(3, Duration::from_millis(10), Micros(500));
        let taken: Vec<bool> = (0..4).map(|_| bucket.take(Micros(500))).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert_eq!(bucket.ready_at(), Micros(10_500));
        assert!(!bucket.take(Micros(10_499)));
        assert!(bucket.take(Micros(10_500)));
        assert!(!bucket.take(Micros(10_501)));
        assert_eq!((0..10).filter(|_| bucket.take(Micros(9_000_000))).count(), 3);
    }
}
