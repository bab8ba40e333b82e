//! How long to wait for a packet that is missing.

use std::time::Duration;

/// Even on a path without jitter packets may swap places within a burst.
const MIN_WAIT: Duration = Duration::from_millis(5);
/// Until jitter has been measured.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// Packets until it counts as measured: the estimate's time constant (RFC 3550, section 6.4.1).
const MEASURED_AFTER: u64 = 16;
/// How many times the mean deviation; beyond it little comes.
const JITTER_FACTOR: u32 = 3;
/// The worst lateness seen is forgotten by this part of it with each packet: half of it in 7 s of
/// 20 ms packets.
const FORGET: u64 = 512;

/// Learns from the jitter and from packets that came after later ones.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    max: Duration,
    /// The lateness of overtaken packets, microseconds, as a peak that decays.
    lateness_us: u64,
}

impl Patience {
    pub(crate) fn new(max: Duration) -> Self {
        Self { max, lateness_us: 0 }
    }

    /// A packet arrived.
    pub(crate) fn forget(&mut self) {
        self.lateness_us -= self.lateness_us / FORGET;
    }

    /// A packet arrived this long after one that was sent later.
    pub(crate) fn overtaken(&mut self, lateness: Duration) {
        let lateness = lateness.min(self.max).as_micros() as u64;
        self.lateness_us = self.lateness_us.max(lateness);
    }

    /// How long a gap is worth waiting for, from the arrival of the packet that showed it.
    pub(crate) fn wait(&self, jitter: Duration, received: u64) -> Duration {
        let least = if received < MEASURED_AFTER { FIRST_WAIT } else { MIN_WAIT };
        // A quarter more than the worst one seen, so that the next like it is caught.
        let overtaken = Duration::from_micros(self.lateness_us + self.lateness_us / 4);
        jitter.saturating_mul(JITTER_FACTOR).max(overtaken).max(least).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_for_three_times_the_jitter_within_bounds() {
        let patience = Patience::new(60 * MS);
        assert_eq!(patience.wait(Duration::ZERO, 1), 20 * MS);
        assert_eq!(patience.wait(Duration::ZERO, 100), 5 * MS);
        assert_eq!(patience.wait(10 * MS, 100), 30 * MS);
        assert_eq!(patience.wait(Duration::MAX, 100), 60 * MS);
    }

    #[test]
    fn remembers_how_late_overtaken_packets_were_and_forgets() {
        let mut patience = Patience::new(60 * MS);
        patience.overtaken(32 * MS);
        assert_eq!(patience.wait(MS, 100), 40 * MS);
        for _ in 0..5_000 {
            patience.forget();
        }
        assert_eq!(patience.wait(MS, 100), 5 * MS);
    }

    #[test]
    fn a_bound_below_the_least_wait_holds() {
        assert_eq!(Patience::new(Duration::ZERO).wait(MS, 0), Duration::ZERO);
    }
}
