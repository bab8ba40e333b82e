//! What the receiver's reports tell.

use std::collections::VecDeque;
use std::time::Duration;

use remotemedia_core::{Micros, ReceptionReport};

/// Sender reports whose answers are awaited; the oldest goes.
const MAX_REPORTS: usize = 8;

/// Loss falls by this share with each report, and rises at once.
const FALL: f32 = 0.5;

/// Loss that recovery is tuned for at most, in percent.
const MAX_LOSS: f32 = 40.0;

/// Loss and round trip. Nothing that a report says is believed further than it can be.
#[derive(Debug, Default)]
pub(super) struct Feedback {
    /// The middle 32 bits of the NTP times of reports, and when they were sent.
    sent: VecDeque<(u32, Micros)>,
    smoothed: f32,
    pub(super) loss: f32,
    pub(super) packets_lost: i64,
    pub(super) jitter: Duration,
    pub(super) round_trip: Option<Duration>,
}

impl Feedback {
    pub(super) fn report_sent(&mut self, now: Micros, ntp: u64) {
        if self.sent.len() >= MAX_REPORTS {
            self.sent.pop_front();
        }
        self.sent.push_back(((ntp >> 16) as u32, now));
    }

    pub(super) fn handle(&mut self, now: Micros, clock_rate: u32, report: &ReceptionReport) {
        self.loss = f32::from(report.fraction_lost) / 256.0;
        self.smoothed = self.loss.max(self.smoothed * FALL);
        self.packets_lost = i64::from(report.cumulative_lost);
        let micros = u64::from(report.jitter) * 1_000_000 / u64::from(clock_rate);
        self.jitter = Duration::from_micros(micros);
        let asked = self.sent.iter().find(|(ntp, _)| *ntp == report.last_sr);
        if let Some((_, at)) = asked.filter(|_| report.last_sr != 0) {
            let held = u64::from(report.delay_since_last_sr) * 1_000_000 / 65_536;
            // A wrong clock on the other side is no round trip below zero.
            let trip = now.since(*at).checked_sub(Duration::from_micros(held));
            self.round_trip = trip.or(self.round_trip);
        }
    }

    /// What recovery is to be tuned for, in percent.
    pub(super) fn expected_loss(&self) -> u8 {
        (self.smoothed * 100.0).ceil().min(MAX_LOSS) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn report(fraction_lost: u8) -> ReceptionReport {
        ReceptionReport {
            ssrc: 1,
            fraction_lost,
            cumulative_lost: 3,
            extended_highest_sequence_number: 9,
            jitter: 480,
            last_sr: 0,
            delay_since_last_sr: 0,
        }
    }

    #[test]
    fn loss_rises_at_once_and_falls_slowly() {
        let mut feedback = Feedback::default();
        feedback.handle(Micros(1), RATE, &report(26));
        assert_eq!((feedback.expected_loss(), feedback.jitter.as_millis()), (11, 10));
        feedback.handle(Micros(2), RATE, &report(0));
        assert_eq!((feedback.loss, feedback.expected_loss()), (0.0, 6));
        feedback.handle(Micros(3), RATE, &report(255));
        assert_eq!(feedback.expected_loss(), 40);
    }

    #[test]
    fn the_round_trip_is_what_the_other_side_did_not_hold() {
        let mut feedback = Feedback::default();
        feedback.report_sent(Micros(1_000_000), 0x0001_2345_6789_abcd);
        let mut answer = report(0);
        (answer.last_sr, answer.delay_since_last_sr) = (0x2345_6789, 65_536 / 4);
        feedback.handle(Micros(1_300_000), RATE, &answer);
        assert_eq!(feedback.round_trip, Some(Duration::from_millis(50)));
        // Held for longer than it took, and of a report that was never sent.
        answer.delay_since_last_sr = u32::MAX;
        feedback.handle(Micros(1_400_000), RATE, &answer);
        (answer.last_sr, answer.delay_since_last_sr) = (7, 0);
        feedback.handle(Micros(1_500_000), RATE, &answer);
        assert_eq!(feedback.round_trip, Some(Duration::from_millis(50)));
    }
}
