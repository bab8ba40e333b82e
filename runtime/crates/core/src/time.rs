use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point on a monotonic clock, in microseconds since an origin that the driver chose.
///
/// `std::time::Instant` is not used below the engine: it can neither be made nor stored on
/// `wasm32-unknown-unknown`, and virtual time needs a clock that tests can set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// The origin of the clock.
    pub const ZERO: Micros = Micros(0);

    /// The time that passed since `earlier`; zero when `earlier` lies in the future.
    #[must_use]
    pub fn since(self, earlier: Micros) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Milliseconds since the origin, with their fraction.
    #[must_use]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }
}

impl Add<Duration> for Micros {
    type Output = Micros;

    fn add(self, span: Duration) -> Micros {
        Micros(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Micros {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub for Micros {
    type Output = Duration;

    /// The same as [`Micros::since`]: never negative.
    fn sub(self, earlier: Micros) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_never_negative() {
        assert_eq!(Micros(5).since(Micros(9)), Duration::ZERO);
        assert_eq!(Micros(9) - Micros(5), Duration::from_micros(4));
    }

    #[test]
    fn addition_saturates() {
        assert_eq!(Micros(u64::MAX) + Duration::from_secs(1), Micros(u64::MAX));
    }
}
