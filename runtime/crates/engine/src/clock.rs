use std::sync::OnceLock;
use std::time::Instant;

use remotemedia_core::Micros;

/// The engine's clock: monotonic microseconds since the engine started.
///
/// The only place where media code's time comes from; everything below takes it as an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    anchor: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { anchor: Instant::now() }
    }

    /// The instant that stands for [`Micros::ZERO`].
    pub(crate) fn anchor(self) -> Instant {
        self.anchor
    }

    pub(crate) fn now(self) -> Micros {
        Micros(u64::try_from(self.anchor.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The instant of a point on this clock.
    pub(crate) fn instant(self, at: Micros) -> Instant {
        self.anchor + std::time::Duration::from_micros(at.0)
    }
}

/// Nanoseconds since the first call: what nodes are measured with.
pub(crate) fn nanos() -> u64 {
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    u64::try_from(ANCHOR.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}
