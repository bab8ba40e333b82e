//! RTP timestamps to media time that never runs backwards.

use remotemedia_core::Micros;

/// A timestamp this far behind the media time is a clock that the sender reset.
const RESET_SECONDS: i64 = 1;

/// Media time in ticks of the RTP clock. Frames follow each other without overlapping; gaps are
/// what timestamps say.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    clock_rate: u32,
    /// A timestamp and where it lies on the unwrapped line.
    reference: (u32, i64),
    /// From the unwrapped line to media time; moves when the sender resets its clock.
    offset: i64,
    /// How much later frames lie than their timestamps say, because something was in their place.
    /// Paid back from the next gap.
    lag: i64,
    /// Where the last frame ended.
    next: i64,
}

impl Timeline {
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self { clock_rate, reference: (0, 0), offset: 0, lag: 0, next: 0 }
    }

    /// Lets `timestamp` be media time `at`, which is where the last frame ended or later.
    pub(crate) fn anchor(&mut self, timestamp: u32, at: i64) {
        self.next = self.next.max(at);
        self.reference = (timestamp, self.next);
        self.offset = 0;
        self.lag = 0;
    }

    /// Where `timestamp` lies on a line without wraps, taken to be less than 2^31 ticks from the
    /// one before it.
    pub(crate) fn unwrap(&mut self, timestamp: u32) -> i64 {
        let (last, line) = self.reference;
        let step = timestamp.wrapping_sub(last) as i32;
        let line = line.saturating_add(i64::from(step));
        self.reference = (timestamp, line);
        line
    }

    /// Ticks between the last frame and a packet at `line`: the time to be made up. Frames that
    /// would overlap are moved behind the last one.
    pub(crate) fn gap_before(&mut self, line: i64) -> i64 {
        let at = self.at(line);
        let gap = at.saturating_sub(self.next);
        if gap >= 0 {
            let paid = gap.min(self.lag);
            self.lag -= paid;
            gap - paid
        } else {
            let overlap = -gap;
            if overlap <= RESET_SECONDS * i64::from(self.clock_rate) {
                self.lag = self.lag.saturating_add(overlap);
            } else {
                self.offset = self.offset.saturating_add(overlap);
            }
            0
        }
    }

    /// Places a frame of a packet at `line` and returns where it starts.
    pub(crate) fn place(&mut self, line: i64, duration: i64) -> i64 {
        let start = self.at(line).max(self.next);
        self.next = start.saturating_add(duration);
        start
    }

    /// Places a frame right behind the last one and returns where it starts.
    pub(crate) fn append(&mut self, duration: i64) -> i64 {
        let start = self.next;
        self.next = start.saturating_add(duration);
        start
    }

    /// `ticks` of media time in microseconds.
    pub(crate) fn micros(&self, ticks: i64) -> u64 {
        let ticks = u128::from(ticks.max(0).unsigned_abs());
        // Timestamps that jump by hours with each packet could get further than 64 bits.
        u64::try_from(ticks * 1_000_000 / u128::from(self.clock_rate)).unwrap_or(u64::MAX)
    }

    /// The ticks that pass from `earlier` to `now`.
    pub(crate) fn elapsed(&self, earlier: Micros, now: Micros) -> i64 {
        let ticks = now.since(earlier).as_micros() * u128::from(self.clock_rate) / 1_000_000;
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }

    fn at(&self, line: i64) -> i64 {
        line.saturating_add(self.offset).saturating_add(self.lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline() -> Timeline {
        let mut timeline = Timeline::new(48_000);
        timeline.anchor(1_000, 0);
        timeline
    }

    /// Where a packet of 960 ticks at `timestamp` is placed, and the gap before it.
    fn push(timeline: &mut Timeline, timestamp: u32) -> (i64, i64) {
        let line = timeline.unwrap(timestamp);
        let gap = timeline.gap_before(line);
        (gap, timeline.place(line, 960))
    }

    #[test]
    fn timestamps_wrap() {
        let mut timeline = Timeline::new(48_000);
        timeline.anchor(u32::MAX - 959, 0);
        assert_eq!(push(&mut timeline, u32::MAX - 959), (0, 0));
        assert_eq!(push(&mut timeline, 0), (0, 960));
        assert_eq!(push(&mut timeline, 1_920), (960, 2_880));
    }

    #[test]
    fn an_overlap_is_paid_back_from_the_next_gap() {
        let mut timeline = timeline();
        push(&mut timeline, 1_000);
        timeline.append(960);
        assert_eq!(push(&mut timeline, 1_960), (0, 1_920));
        assert_eq!(push(&mut timeline, 2_920), (0, 2_880));
        assert_eq!(push(&mut timeline, 4_840), (0, 3_840));
        assert_eq!(push(&mut timeline, 6_760), (960, 5_760));
    }

    #[test]
    fn a_clock_that_was_reset_goes_on() {
        let mut timeline = timeline();
        push(&mut timeline, 1_000);
        push(&mut timeline, 1_000 + 480_000);
        assert_eq!(push(&mut timeline, 500), (0, 480_960));
        assert_eq!(push(&mut timeline, 1_460), (0, 481_920));
    }

    #[test]
    fn a_jump_of_hours_is_a_jump() {
        let mut timeline = timeline();
        push(&mut timeline, 1_000);
        let hours = 10 * 3_600 * 48_000;
        assert_eq!(push(&mut timeline, 1_000 + hours as u32), (hours - 960, hours));
        assert_eq!(timeline.micros(hours), 36_000_000_000);
    }
}
