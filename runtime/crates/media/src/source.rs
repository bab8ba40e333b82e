//! What is known of one SSRC: extended sequence numbers, losses and jitter, as RFC 3550's
//! appendix A computes them.

use std::time::Duration;

use remotemedia_core::{Micros, ReceptionReport};

/// A sequence number may jump ahead by this much (RFC 3550, appendix A.1).
const MAX_DROPOUT: u16 = 3_000;
/// A packet may be this old and still be one of the stream (RFC 3550, appendix A.1).
const MAX_MISORDER: u16 = 100;
/// Transit times that differ by more are a clock that jumped, not jitter.
const MAX_TRANSIT_CHANGE: Duration = Duration::from_secs(5);

/// What a sequence number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// One of the stream, extended: consecutive packets have consecutive numbers.
    Valid(u64),
    /// The first after a jump: the stream starts anew here.
    Restart(u64),
    /// Far from the others; the next one will tell whether the sender restarted.
    Implausible,
}

#[derive(Clone, Copy, Debug)]
struct SenderReport {
    ntp: u64,
    rtp_timestamp: u32,
    arrival: Micros,
}

/// One SSRC as it has been received so far.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) ssrc: u32,
    clock_rate: u32,
    /// Extended number of the first packet. Starts at 2^16 so that older ones have a number too.
    base: u64,
    highest: u64,
    /// The number that would confirm a jump.
    suspect: Option<u16>,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Losses before the last restart.
    lost_before: i64,
    transit: Option<u32>,
    /// In 16ths of the clock's unit.
    jitter: u64,
    sender_report: Option<SenderReport>,
}

impl Source {
    pub(crate) fn new(ssrc: u32, clock_rate: u32, first: u16) -> Self {
        let base = (1 << 16) | u64::from(first);
        Self {
            ssrc,
            clock_rate,
            base,
            highest: base,
            suspect: None,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            lost_before: 0,
            transit: None,
            jitter: 0,
            sender_report: None,
        }
    }

    /// Counts a packet (RFC 3550, appendix A.1) and measures its jitter (A.8).
    pub(crate) fn receive(&mut self, now: Micros, number: u16, timestamp: u32) -> Sequence {
        let ahead = number.wrapping_sub(self.highest as u16);
        let sequence = if ahead < MAX_DROPOUT {
            self.highest += u64::from(ahead);
            Sequence::Valid(self.highest)
        } else if ahead > u16::MAX - MAX_MISORDER {
            // The base leaves 2^16 below the first packet, so this never underflows.
            Sequence::Valid(self.highest - u64::from(ahead.wrapping_neg()))
        } else if self.suspect == Some(number) {
            self.lost_before = self.lost();
            self.highest = (((self.highest >> 16) + 1) << 16) | u64::from(number);
            self.base = self.highest;
            (self.received, self.expected_prior, self.received_prior) = (0, 0, 0);
            Sequence::Restart(self.highest)
        } else {
            self.suspect = Some(number.wrapping_add(1));
            return Sequence::Implausible;
        };
        self.suspect = None;
        self.received += 1;
        self.measure_jitter(now, timestamp);
        sequence
    }

    fn measure_jitter(&mut self, now: Micros, timestamp: u32) {
        let arrival = u128::from(now.0) * u128::from(self.clock_rate) / 1_000_000;
        let transit = (arrival as u32).wrapping_sub(timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            let change = u64::from((transit.wrapping_sub(previous) as i32).unsigned_abs());
            if change <= MAX_TRANSIT_CHANGE.as_secs() * u64::from(self.clock_rate) {
                self.jitter = self.jitter + change - ((self.jitter + 8) >> 4);
            }
        }
    }

    pub(crate) fn jitter(&self) -> Duration {
        let units = self.jitter >> 4;
        Duration::from_micros(units.saturating_mul(1_000_000) / u64::from(self.clock_rate))
    }

    /// The extended number of the first packet.
    pub(crate) fn first(&self) -> u64 {
        self.base
    }

    /// Packets counted since the first or since a restart.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }

    /// Packets that never came, less duplicates.
    pub(crate) fn lost(&self) -> i64 {
        self.lost_before + self.expected() as i64 - self.received as i64
    }

    pub(crate) fn handle_sender_report(&mut self, now: Micros, ntp: u64, rtp_timestamp: u32) {
        self.sender_report = Some(SenderReport { ntp, rtp_timestamp, arrival: now });
    }

    /// When the sender captured `timestamp`: microseconds of its NTP clock, since 1900.
    pub(crate) fn capture_time(&self, timestamp: u32) -> Option<u64> {
        let report = self.sender_report?;
        let seconds = report.ntp >> 32;
        let fraction = ((report.ntp & 0xffff_ffff) * 1_000_000) >> 32;
        let units = i64::from(timestamp.wrapping_sub(report.rtp_timestamp) as i32);
        let offset = units * 1_000_000 / i64::from(self.clock_rate);
        (seconds * 1_000_000 + fraction).checked_add_signed(offset)
    }

    /// A report block, and the beginning of the next interval (RFC 3550, appendix A.3).
    pub(crate) fn report(&mut self, now: Micros) -> ReceptionReport {
        let expected = self.expected() - self.expected_prior;
        let received = self.received - self.received_prior;
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        let fraction_lost = match expected.checked_sub(received) {
            Some(lost) if lost > 0 => ((lost << 8) / expected).min(255) as u8,
            _ => 0,
        };
        let (last_sr, delay_since_last_sr) = match self.sender_report {
            None => (0, 0),
            Some(report) => {
                let delay = now.since(report.arrival).as_micros() * 65_536 / 1_000_000;
                ((report.ntp >> 16) as u32, u32::try_from(delay).unwrap_or(u32::MAX))
            }
        };
        ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost,
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            extended_highest_sequence_number: (self.highest - (1 << 16)) as u32,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sr,
            delay_since_last_sr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: u32 = 48_000;

    fn at(ms: u64) -> Micros {
        Micros(ms * 1_000)
    }

    /// A source that has received `numbers`, one packet each 20 ms, the first time `first`.
    fn received(first: u16, numbers: impl IntoIterator<Item = u16>) -> Source {
        let mut source = Source::new(7, CLOCK, first);
        for number in numbers {
            let index = u64::from(number.wrapping_sub(first));
            source.receive(at(index * 20), number, (index * 960) as u32);
        }
        source
    }

    #[test]
    fn losses_are_reported_as_a_fraction_of_the_interval() {
        let mut source = received(10, [10, 11, 12, 15]);
        let report = source.report(at(100));
        assert_eq!((report.fraction_lost, report.cumulative_lost), (85, 2));
        assert_eq!(report.extended_highest_sequence_number, 15);
        source.receive(at(120), 16, 6 * 960);
        assert_eq!(source.report(at(200)).fraction_lost, 0);
    }

    #[test]
    fn duplicates_make_the_loss_negative() {
        let mut source = received(10, [10, 11, 11, 11]);
        let report = source.report(at(100));
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, -2));
    }

    #[test]
    fn numbers_wrap_and_old_ones_keep_their_place() {
        let mut source = received(65_534, [65_534, 65_535, 0, 1]);
        assert_eq!(source.report(at(1)).extended_highest_sequence_number, (1 << 16) | 1);
        let number = source.receive(at(80), 65_535, 960);
        assert_eq!(number, Sequence::Valid((1 << 16) | 65_535));
    }

    #[test]
    fn a_packet_before_the_first_has_a_number() {
        let mut source = received(0, [0]);
        assert_eq!(source.receive(at(1), 65_500, 0), Sequence::Valid((1 << 16) - 36));
    }

    #[test]
    fn a_jump_counts_once_two_packets_agree() {
        let mut source = received(10, [10, 11]);
        assert_eq!(source.receive(at(40), 30_000, 0), Sequence::Implausible);
        assert_eq!(source.receive(at(40), 12, 2 * 960), Sequence::Valid((1 << 16) | 12));
        assert_eq!(source.receive(at(60), 30_000, 0), Sequence::Implausible);
        assert_eq!(source.receive(at(60), 30_001, 0), Sequence::Restart((2 << 16) | 30_001));
        assert_eq!(source.lost(), 0);
    }

    #[test]
    fn jitter_follows_the_formula_and_ignores_jumping_clocks() {
        let mut source = received(0, 0..200);
        assert_eq!(source.jitter(), Duration::ZERO);
        // Alternating 10 ms early and late: every difference is 20 ms, so that the mean is too.
        for index in 200..600_u16 {
            let late = if index % 2 == 0 { 10 } else { 30 };
            let timestamp = u32::from(index) * 960;
            source.receive(at(u64::from(index) * 20 + late), index, timestamp);
        }
        let jitter = source.jitter().as_millis();
        assert!((19..=20).contains(&jitter), "{jitter} ms");
        source.receive(at(600 * 20), 600, 0x8000_0000);
        assert!(source.jitter().as_millis() <= 21);
    }

    #[test]
    fn a_sender_report_gives_capture_times_and_the_delay() {
        let mut source = received(0, [0]);
        assert_eq!(source.capture_time(0), None);
        source.handle_sender_report(at(100), (5 << 32) | (1 << 31), 48_000);
        assert_eq!(source.capture_time(48_000), Some(5_500_000));
        assert_eq!(source.capture_time(0), Some(4_500_000));
        let report = source.report(at(600));
        assert_eq!((report.last_sr, report.delay_since_last_sr), (0x0005_8000, 32_768));
    }
}
