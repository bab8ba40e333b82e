use std::time::Duration;

use remotemedia_core::{Micros, ReceptionReport};

use crate::error::MediaError;
use crate::frame::{Frame, ReceiverConfig, RtpHeader};
use crate::opus::has_recovery;
use crate::output::Output;
use crate::patience::Patience;
use crate::reorder::{Inserted, MAX_PAYLOAD, Packet, Reorder};
use crate::source::{Sequence, Source};
use crate::stats::ReceiverStats;
use crate::timeline::Timeline;

/// After this much concealment in a row frames are zeros: libopus has faded out by then.
const CONCEAL_LIMIT: Duration = Duration::from_millis(120);
/// Made-up time may run ahead of the clock by this much: longer gaps are jumps in media time, so
/// that no sender can have more time made up than passes.
const FILL_LIMIT: Duration = Duration::from_secs(1);
/// A sender in DTX is heard of every 400 ms (libopus); after this it has stopped sending.
const COMFORT_LIMIT: Duration = Duration::from_secs(1);
/// Packets of the SSRC before the present one are late ones for this long.
const OLD_SSRC_GRACE: Duration = Duration::from_millis(500);
/// Until a packet has told.
const FIRST_FRAME: Duration = Duration::from_millis(20);
/// Packets of this length or less carry no audio: the sender is silent (DTX).
const MAX_SILENT_PAYLOAD: usize = 2;
/// The highest [`ReceiverConfig::max_wait`].
const MAX_MAX_WAIT: Duration = Duration::from_secs(2);

/// Receives one stream of Opus packets: reorders, decodes, conceals, and measures.
///
/// Call [`Receiver::handle_rtp`] for each packet and [`Receiver::handle_timeout`] at the time that
/// [`Receiver::poll_timeout`] names; after each of them drain [`Receiver::poll_frame`].
/// [`Receiver::report`] gives an RTCP report block when one is due.
///
/// - Packets in order are decoded at once. A gap is waited for as long as the measured jitter
///   warrants; then what is missing comes from the next packet's copy of the last frame (FEC) or is
///   concealed (PLC, for 120 ms, then zeros). When more than a second is missing, or more than has
///   passed, media time jumps instead.
/// - While the sender is silent (DTX), a timer makes comfort noise, so that media time goes on.
/// - A new SSRC starts anew, with media time going on. A packet of the old one is late.
/// - Whatever the packets hold, nothing panics, and at most 64 packets of 1,500 bytes are kept.
#[derive(Debug)]
pub struct Receiver {
    clock_rate: u32,
    source: Option<Source>,
    /// The SSRC before, and until when its packets are late ones.
    old_source: Option<(u32, Micros)>,
    /// A sender report that came before its source's first packet.
    early_report: Option<(u32, u64, u32, Micros)>,
    reorder: Reorder,
    patience: Patience,
    timeline: Timeline,
    output: Output,
    stats: ReceiverStats,
    now: Micros,
    /// Ticks that may still be made up.
    budget: i64,
    /// How the gap before the front packet is being filled.
    fill: Option<Fill>,
    /// Ticks made up since the last packet.
    concealed: i64,
    comfort: Option<Comfort>,
    /// The last packet could not be decoded.
    damaged: bool,
    last: Option<Last>,
    /// What was given up last: from, to, and when it was seen to be missing.
    given_up: Option<(u64, u64, Micros)>,
    /// Ticks of the last packet.
    frame_ticks: i64,
}

#[derive(Clone, Copy, Debug)]
struct Fill {
    left: i64,
    /// The front packet follows the gap without a jump.
    adjoins: bool,
}

#[derive(Clone, Copy, Debug)]
struct Comfort {
    due: Micros,
    until: Micros,
}

/// The last decoded packet.
#[derive(Clone, Copy, Debug)]
struct Last {
    start: i64,
    timestamp: u32,
    arrival: Micros,
}

/// A frame without its samples, which lie in the output.
struct Made {
    /// Where it lies in media time, ticks.
    start: i64,
    length: i64,
    timestamp: u32,
    arrival: Micros,
    concealed: bool,
}

enum Step {
    Decode,
    Fill(Fill),
    Comfort(Comfort),
}

impl Receiver {
    /// A receiver that has received nothing.
    ///
    /// # Errors
    /// [`MediaError`] when the format or a field is out of its range.
    pub fn new(config: ReceiverConfig) -> Result<Self, MediaError> {
        if config.max_wait > MAX_MAX_WAIT {
            return Err(MediaError::Config { field: "max_wait", message: "at most 2 s" });
        }
        if !(8_000..=192_000).contains(&config.clock_rate) || !config.clock_rate.is_multiple_of(400)
        {
            return Err(MediaError::Config {
                field: "clock_rate",
                message: "8,000 to 192,000 Hz, a multiple of 400",
            });
        }
        Ok(Self {
            clock_rate: config.clock_rate,
            source: None,
            old_source: None,
            early_report: None,
            reorder: Reorder::new(0),
            patience: Patience::new(config.max_wait),
            timeline: Timeline::new(config.clock_rate),
            output: Output::new(config.output)?,
            stats: ReceiverStats::default(),
            now: Micros::ZERO,
            budget: ticks(config.clock_rate, FILL_LIMIT),
            fill: None,
            concealed: 0,
            comfort: None,
            damaged: false,
            last: None,
            given_up: None,
            frame_ticks: ticks(config.clock_rate, FIRST_FRAME),
        })
    }

    /// Takes a packet. `payload` is without padding; an empty one is received but carries no media
    /// (probes, and packets of other payload types in the same sequence).
    pub fn handle_rtp(&mut self, now: Micros, header: &RtpHeader, payload: &[u8]) {
        self.advance(now);
        if payload.len() > MAX_PAYLOAD {
            self.stats.oversized += 1;
            return;
        }
        if self.source.as_ref().is_none_or(|source| source.ssrc != header.ssrc) {
            if self.is_old(header.ssrc) {
                self.stats.late += 1;
                return;
            }
            self.start_source(header);
        }
        let Some(source) = &mut self.source else { return };
        self.stats.packets_received += 1;
        self.stats.bytes_received += payload.len() as u64;
        self.patience.forget();
        let number = match source.receive(self.now, header.sequence_number, header.timestamp) {
            Sequence::Valid(number) => number,
            Sequence::Restart(number) => {
                self.stats.discarded += self.reorder.restart(number) as u64;
                self.fill = None;
                self.given_up = None;
                number
            }
            Sequence::Implausible => {
                self.stats.discarded += 1;
                return;
            }
        };
        match self.reorder.place(number) {
            Inserted::InOrder => {}
            Inserted::Reordered => {
                self.stats.reordered += 1;
                if let Some(revealed) = self.reorder.revealed_at(number) {
                    self.patience.overtaken(self.now.since(revealed));
                }
                self.fill = None;
            }
            Inserted::Duplicate => {
                self.stats.duplicates += 1;
                return;
            }
            Inserted::Late => {
                self.stats.late += 1;
                if let Some((from, to, revealed)) = self.given_up
                    && (from..to).contains(&number)
                {
                    self.patience.overtaken(self.now.since(revealed));
                }
                return;
            }
        }
        let line = self.timeline.unwrap(header.timestamp);
        if self.reorder.insert(number, header.timestamp, line, self.now, payload) {
            self.stats.overflowed += 1;
            self.fill = None;
        }
    }

    /// Takes the timestamps of a sender report (RFC 3550, section 6.4.1). `ntp` is its 64-bit
    /// NTP time.
    pub fn handle_sender_report(&mut self, now: Micros, ssrc: u32, ntp: u64, rtp_timestamp: u32) {
        self.advance(now);
        match &mut self.source {
            Some(source) if source.ssrc == ssrc => {
                source.handle_sender_report(self.now, ntp, rtp_timestamp);
            }
            _ => self.early_report = Some((ssrc, ntp, rtp_timestamp, self.now)),
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Micros) {
        self.advance(now);
    }

    /// When [`Receiver::handle_timeout`] should be called, if nothing arrives before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        self.due().or_else(|| self.comfort.filter(|c| c.due < c.until).map(|c| c.due))
    }

    /// The next frame that is due, decoded or made up into a buffer that is used again.
    pub fn poll_frame(&mut self) -> Option<Frame<'_>> {
        let (made, start_us, pts_us) = loop {
            let made = match self.next_step()? {
                Step::Decode => self.decode(),
                Step::Fill(fill) => self.fill(fill),
                Step::Comfort(comfort) => Some(self.comfort(comfort)),
            };
            if let Some(made) = made {
                let start_us = self.timeline.micros(made.start);
                let end = made.start.saturating_add(made.length);
                if let Some(pts_us) = self.output.emit(made.start, end, start_us) {
                    break (made, start_us, pts_us);
                }
            }
        };
        let seq = self.stats.frames;
        self.stats.frames += 1;
        let source = self.source.as_ref()?;
        let captured = source.capture_time(self.capture_timestamp(&made));
        Some(Frame {
            seq,
            pts_us,
            rtp_timestamp: made.timestamp,
            arrival: made.arrival,
            // A resampler's output lies a little before what it has just been given.
            capture_ntp_us: captured.map(|at| at.saturating_sub(start_us.saturating_sub(pts_us))),
            concealed: made.concealed,
            samples: self.output.samples(),
        })
    }

    /// A report block on the present source, for the interval since the last call; none before the
    /// first packet.
    pub fn report(&mut self, now: Micros) -> Option<ReceptionReport> {
        self.advance(now);
        let now = self.now;
        self.source.as_mut().map(|source| source.report(now))
    }

    /// Counters since the beginning, and the present jitter.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        let mut stats = self.stats;
        stats.pending = self.reorder.len() as u64;
        stats.wait = self.wait();
        if let Some(source) = &self.source {
            stats.packets_lost += source.lost();
            stats.jitter = source.jitter();
        }
        stats
    }

    fn advance(&mut self, now: Micros) {
        let now = now.max(self.now);
        let passed = self.timeline.elapsed(self.now, now);
        self.budget = self.budget.saturating_add(passed).min(ticks(self.clock_rate, FILL_LIMIT));
        self.now = now;
    }

    fn is_old(&self, ssrc: u32) -> bool {
        self.old_source.is_some_and(|(old, until)| old == ssrc && self.now < until)
    }

    fn start_source(&mut self, header: &RtpHeader) {
        let mut source = Source::new(header.ssrc, self.clock_rate, header.sequence_number);
        if let Some((ssrc, ntp, rtp_timestamp, arrival)) = self.early_report
            && ssrc == header.ssrc
        {
            source.handle_sender_report(arrival, ntp, rtp_timestamp);
        }
        if let Some(old) = self.source.take() {
            self.stats.packets_lost += old.lost();
            self.stats.source_changes += 1;
            self.old_source = Some((old.ssrc, self.now + OLD_SSRC_GRACE));
            self.output.reset();
        }
        // Media time goes on by what passed since the last packet, but for the frames made since.
        let at = self.last.map_or(0, |last| {
            last.start.saturating_add(self.timeline.elapsed(last.arrival, self.now))
        });
        self.timeline.anchor(header.timestamp, at);
        self.stats.discarded += self.reorder.restart(source.first()) as u64;
        self.source = Some(source);
        self.fill = None;
        self.concealed = 0;
        self.comfort = None;
        self.damaged = false;
        self.given_up = None;
    }

    fn wait(&self) -> Duration {
        self.source
            .as_ref()
            .map_or(Duration::ZERO, |source| self.patience.wait(source.jitter(), source.received()))
    }

    /// When the front packet is decoded, whatever is missing before it: none waits longer.
    fn due(&self) -> Option<Micros> {
        let front = self.reorder.front()?;
        if self.reorder.missing() == 0 || self.reorder.is_full() {
            return Some(front.arrival);
        }
        self.reorder.revealed_at(self.reorder.next()).map(|revealed| revealed + self.wait())
    }

    fn next_step(&mut self) -> Option<Step> {
        let Some(front) = self.reorder.front() else {
            return self
                .comfort
                .filter(|comfort| self.now >= comfort.due && comfort.due < comfort.until)
                .map(Step::Comfort);
        };
        if self.due().is_some_and(|due| self.now < due) {
            return None;
        }
        if front.payload.is_empty() {
            return Some(Step::Decode);
        }
        let line = front.ticks;
        let fill = match self.fill {
            Some(fill) => fill,
            None => self.plan_fill(line),
        };
        Some(if fill.left > 0 { Step::Fill(fill) } else { Step::Decode })
    }

    fn plan_fill(&mut self, line: i64) -> Fill {
        let gap = self.timeline.gap_before(line);
        let adjoins = gap <= self.budget;
        let left = if adjoins {
            gap
        } else {
            self.stats.jumps += 1;
            ticks(self.clock_rate, CONCEAL_LIMIT).min(self.budget)
        };
        // libopus conceals multiples of 2.5 ms.
        let unit = i64::from(self.clock_rate / 400);
        let fill = Fill { left: left / unit * unit, adjoins };
        self.fill = Some(fill);
        fill
    }

    fn fill(&mut self, fill: Fill) -> Option<Made> {
        let front = self.reorder.front()?;
        let length = fill.left.min(self.frame_ticks);
        let left = fill.left - length;
        let (arrival, timestamp) = (front.arrival, front.timestamp);
        let lost = self.reorder.missing() > 0 || self.damaged;
        let micros = self.timeline.micros(length);
        let recovered = left == 0
            && fill.adjoins
            && lost
            && has_recovery(&front.payload)
            && self.output.recover(&front.payload, micros).is_ok();
        let timestamp = if recovered {
            self.stats.recovered += 1;
            timestamp
        } else {
            self.make_up(length, micros);
            if lost {
                self.stats.concealed += 1;
            } else {
                self.stats.silent += 1;
            }
            self.last.map_or(timestamp, |last| last.timestamp)
        };
        self.fill = Some(Fill { left, ..fill });
        self.budget -= length;
        let start = self.timeline.append(length);
        Some(Made { start, length, timestamp, arrival, concealed: !recovered })
    }

    /// Conceals `length` ticks, or gives zeros when that has gone on for too long.
    fn make_up(&mut self, length: i64, micros: u64) {
        let fading = self.concealed < ticks(self.clock_rate, CONCEAL_LIMIT);
        self.concealed += length;
        if !(fading || self.comfort.is_some()) || self.output.conceal(micros).is_err() {
            self.output.silence(micros);
        }
    }

    fn comfort(&mut self, comfort: Comfort) -> Made {
        let length = self.frame_ticks;
        let micros = self.timeline.micros(length);
        self.make_up(length, micros);
        self.stats.silent += 1;
        let due = comfort.due + Duration::from_micros(micros.max(1));
        self.comfort = Some(Comfort { due, ..comfort });
        Made {
            start: self.timeline.append(length),
            length,
            timestamp: self.last.map_or(0, |last| last.timestamp),
            arrival: comfort.due,
            concealed: true,
        }
    }

    fn decode(&mut self) -> Option<Made> {
        let from = self.reorder.next();
        let packet = self.reorder.pop()?;
        if packet.number > from {
            let revealed = self.reorder.revealed_at(from).unwrap_or(packet.arrival);
            self.given_up = Some((from, packet.number, revealed.min(packet.arrival)));
        }
        let made = if packet.payload.is_empty() { None } else { self.decode_packet(&packet) };
        self.reorder.recycle(packet.payload);
        made
    }

    fn decode_packet(&mut self, packet: &Packet) -> Option<Made> {
        self.fill = None;
        let Ok(samples) = self.output.decode(&packet.payload) else {
            // As if it had been lost: the next packet shows how much is missing.
            self.stats.undecodable += 1;
            self.damaged = true;
            return None;
        };
        self.damaged = false;
        let rate = u64::from(self.output.decoder_rate().hz());
        let length = (samples as u64 * u64::from(self.clock_rate) / rate) as i64;
        let start = self.timeline.place(packet.ticks, length);
        self.frame_ticks = length;
        self.last = Some(Last { start, timestamp: packet.timestamp, arrival: packet.arrival });
        let silent = packet.payload.len() <= MAX_SILENT_PAYLOAD;
        if silent {
            // The next packet would be here by then, if there were one.
            let wait = Duration::from_micros(self.timeline.micros(length)) + self.wait();
            let until = packet.arrival + COMFORT_LIMIT;
            self.comfort = Some(Comfort { due: packet.arrival + wait, until });
            self.stats.silent += 1;
        } else {
            self.comfort = None;
            self.concealed = 0;
        }
        Some(Made {
            start,
            length,
            timestamp: packet.timestamp,
            arrival: packet.arrival,
            concealed: silent,
        })
    }

    /// The timestamp that the sender would have given the frame.
    fn capture_timestamp(&self, made: &Made) -> u32 {
        self.last.map_or(made.timestamp, |last| {
            last.timestamp.wrapping_add(made.start.wrapping_sub(last.start) as u32)
        })
    }
}

fn ticks(clock_rate: u32, duration: Duration) -> i64 {
    // Constants of at most a second.
    (duration.as_micros() as i64) * i64::from(clock_rate) / 1_000_000
}
