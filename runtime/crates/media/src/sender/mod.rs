//! RTP send: queues, mixing, pacing, Opus, and what receivers report.

mod feedback;
mod mixer;
mod source;
mod stats;

use std::ops::Range;
use std::time::Duration;

use remotemedia_core::{AudioFormat, ChannelCount, Micros, ReceptionReport, SampleRate};

use self::feedback::Feedback;
use self::mixer::Limiter;
use self::source::Source;
pub use self::stats::SenderStats;
use crate::error::MediaError;
use crate::frame::RtpHeader;
use crate::opus::{OpusApplication, OpusEncoder, OpusEncoderConfig};

/// A packet's audio.
const FRAME: Duration = Duration::from_millis(20);
/// How late a producer may be without being heard: a talk spurt begins so much later than it could.
const CUSHION: Duration = Duration::from_millis(20);
/// Audio that a source may have waiting; see [`Sender::push`] and [`Sender::offer`].
pub const MAX_QUEUED: Duration = Duration::from_millis(200);
/// Sources that one sender mixes; audio of further ones is refused.
pub const MAX_SOURCES: usize = 64;
/// The RTP clock of Opus in hertz (RFC 7587, section 4.1).
const CLOCK_RATE: u32 = 48_000;
/// Ticks of it a packet.
const FRAME_TICKS: u32 = 960;
/// A driver that comes later than this does not catch up: what should have gone out meanwhile is
/// skipped.
const MAX_BEHIND: Duration = Duration::from_millis(100);
/// Below this (-100 dBFS) there is nothing to hear.
const SILENCE_PEAK: f32 = 1e-5;
/// Frames of silence after a talk spurt, at most: by then libopus has said that it is over.
const MAX_HANGOVER: u32 = 15;
/// Bits per second and channel.
const BITRATE: u32 = 32_000;
/// The rates that libopus takes.
const OPUS_RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// Names a source of a sender: whatever the driver likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// How to send a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// What is encoded: 8, 12, 16, 24 or 48 kHz, one or two channels. See [`SenderConfig::new`].
    pub format: AudioFormat,
    /// Bits per second.
    pub bitrate: u32,
    /// The receiver makes use of copies of lost frames (`useinbandfec`, RFC 7587, section 6.1).
    pub fec: bool,
}

impl SenderConfig {
    /// What suits sources of these formats: their rate where Opus takes it and they have it in
    /// common, else 48 kHz; two channels where `stereo` allows it and a source has more than one.
    #[must_use]
    pub fn new(sources: impl IntoIterator<Item = AudioFormat>, stereo: bool) -> SenderConfig {
        let mut rate = None;
        let mut channels = ChannelCount::MONO;
        for format in sources {
            let fits = OPUS_RATES.contains(&format.rate.hz());
            let same = rate.is_none_or(|rate| rate == format.rate);
            rate = Some(if fits && same { format.rate } else { SampleRate::HZ_48000 });
            if stereo && format.channels > ChannelCount::MONO {
                channels = ChannelCount::STEREO;
            }
        }
        let rate = rate.unwrap_or(SampleRate::HZ_48000);
        SenderConfig {
            format: AudioFormat { rate, channels },
            bitrate: BITRATE * channels.get() as u32,
            fec: false,
        }
    }

    /// The same with no more than the receiver makes use of: a rate in hertz, bits per second.
    #[must_use]
    pub fn at_most(mut self, rate: Option<u32>, bitrate: Option<u32>) -> SenderConfig {
        let enough = |hz: &u32| rate.is_some_and(|rate| *hz >= rate);
        let enough = OPUS_RATES.into_iter().find(enough).and_then(|hz| SampleRate::new(hz).ok());
        if let Some(enough) = enough {
            self.format.rate = self.format.rate.min(enough);
        }
        self.bitrate = self.bitrate.min(bitrate.unwrap_or(u32::MAX));
        self
    }
}

/// Where a stream begins: all three random (RFC 3550, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpStart {
    /// The synchronisation source.
    pub ssrc: u32,
    /// Of the first packet. Below 2^15: who misses the first packets must not take the number's
    /// wrap for one that it missed (RFC 3711, section 3.3.1).
    pub sequence_number: u16,
    /// Of the first packet.
    pub timestamp: u32,
}

/// A packet to send, valid until the next call to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The marker tells that a talk spurt begins (RFC 7587, section 4.1).
    pub header: RtpHeader,
    /// An Opus packet.
    pub payload: &'a [u8],
}

/// What a sender report says (RFC 3550, section 6.4.1) besides the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The RTP time of the moment.
    pub rtp_timestamp: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Bytes of their payloads, modulo 2^32.
    pub octets: u32,
}

/// Sends one stream of Opus packets: mixes its sources, paces, encodes, and heeds reports.
///
/// Give it audio ([`Sender::push`] or [`Sender::offer`]), call [`Sender::handle_timeout`] at the time
/// that [`Sender::poll_timeout`] names, then drain [`Sender::poll_packet`].
///
/// - One packet each 20 ms. A talk spurt begins 20 ms after its first audio: so late may a producer
///   be each time. One that is later fades into silence and back, and what is now late catches up
///   in pauses.
/// - With nothing to say nothing is sent, but for the packets by which libopus ends the talk spurt;
///   RTP time goes on, and the marker tells of the next beginning.
/// - Sources are added up; what would exceed full scale is turned down.
/// - Copies of frames against loss (FEC) are sent as far as receivers report loss.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    encoder: OpusEncoder,
    sources: Vec<Source>,
    ssrc: u32,
    sequence_number: u16,
    /// RTP time of the first packet, and when that was due.
    first_timestamp: u32,
    first: Option<Micros>,
    /// When the next frame is due, while anything is being said.
    next: Option<Micros>,
    /// The end of the last frame: none begins before it.
    free: Micros,
    now: Micros,
    /// Interleaved.
    mix: Vec<f32>,
    limiter: Limiter,
    packet: Box<[u8]>,
    /// The last frame was not sent.
    paused: bool,
    /// The last packet said that silence begins or goes on.
    silent: bool,
    dtx: bool,
    hangover: u32,
    expected_loss: u8,
    feedback: Feedback,
    stats: SenderStats,
}

impl Sender {
    /// A sender with nothing to say.
    ///
    /// # Errors
    /// [`MediaError`] when libopus refuses the format.
    pub fn new(config: SenderConfig, start: RtpStart) -> Result<Sender, MediaError> {
        let encoder = encoder(&config, 0)?;
        Ok(Sender {
            encoder,
            sources: Vec::new(),
            ssrc: start.ssrc,
            sequence_number: start.sequence_number,
            first_timestamp: start.timestamp,
            first: None,
            next: None,
            free: Micros::ZERO,
            now: Micros::ZERO,
            mix: vec![0.0; frame_samples(&config)],
            limiter: Limiter::new(),
            packet: vec![0; OpusEncoder::MAX_PACKET_BYTES].into(),
            paused: true,
            silent: false,
            dtx: false,
            hangover: 0,
            expected_loss: 0,
            feedback: Feedback::default(),
            stats: SenderStats::default(),
            config,
        })
    }

    /// What is being sent.
    #[must_use]
    pub fn config(&self) -> &SenderConfig {
        &self.config
    }

    /// Sends another format from now on; numbers and times go on. What waits is lost where the format
    /// changes.
    ///
    /// # Errors
    /// [`MediaError`] when libopus refuses the format; then nothing has changed.
    pub fn reconfigure(&mut self, config: SenderConfig) -> Result<(), MediaError> {
        if config == self.config {
            return Ok(());
        }
        self.encoder = encoder(&config, self.expected_loss)?;
        self.dtx = false;
        if config.format != self.config.format {
            self.sources.clear();
            self.mix = vec![0.0; frame_samples(&config)];
        }
        self.config = config;
        Ok(())
    }

    /// Takes audio that is made as fast as it is heard: planar, of a whole number of samples a
    /// channel. Where more than [`MAX_QUEUED`] waits before it, the oldest goes, counted.
    ///
    /// # Errors
    /// [`MediaError::Config`] for one source more than [`MAX_SOURCES`], and where no resampler leads
    /// from its rate.
    pub fn push(
        &mut self,
        now: Micros,
        source: SourceId,
        format: AudioFormat,
        samples: &[f32],
    ) -> Result<(), MediaError> {
        self.now = now.max(self.now);
        let now = self.now;
        let index = self.source(source, format)?;
        let source = &mut self.sources[index];
        if source.queued() > MAX_QUEUED {
            self.stats.overrun += source.shorten(MAX_QUEUED / 2);
        }
        source.push(now, samples, 0, samples.len() / format.channels.get());
        Ok(())
    }

    /// Samples a channel of a format that a source may still have waiting, of [`MAX_QUEUED`].
    #[must_use]
    pub fn room(&self, source: SourceId, format: AudioFormat) -> usize {
        let room = MAX_QUEUED.saturating_sub(self.queued(source));
        format.rate.samples_in(room.as_micros() as u64) as usize
    }

    /// Takes the samples `range` of each channel of planar audio, as far as there is
    /// [`Sender::room`]; returns how many of each were taken. For what is made faster than it is
    /// heard: the rest is offered again when packets have gone.
    ///
    /// # Errors
    /// As [`Sender::push`].
    pub fn offer(
        &mut self,
        now: Micros,
        source: SourceId,
        format: AudioFormat,
        samples: &[f32],
        range: Range<usize>,
    ) -> Result<usize, MediaError> {
        self.now = now.max(self.now);
        let now = self.now;
        let index = self.source(source, format)?;
        let end = range.end.min(samples.len() / format.channels.get());
        let count = end.saturating_sub(range.start).min(self.room(source, format));
        self.sources[index].push(now, samples, range.start, count);
        Ok(count)
    }

    /// How much audio of a source waits.
    #[must_use]
    pub fn queued(&self, source: SourceId) -> Duration {
        let source = self.sources.iter().find(|one| one.id == source);
        source.map_or(Duration::ZERO, Source::queued)
    }

    /// Drops the audio of sources that wait; what is being played fades out.
    pub fn interrupt(&mut self, mut which: impl FnMut(SourceId) -> bool) {
        for source in self.sources.iter_mut().filter(|source| which(source.id)) {
            self.stats.interrupted += source.clear();
        }
    }

    /// Forgets all sources: nothing is said until something new comes.
    pub fn stop(&mut self) {
        for source in &mut self.sources {
            self.stats.interrupted += source.clear();
        }
        self.sources.clear();
        self.next = None;
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Micros) {
        self.now = now.max(self.now);
    }

    /// When [`Sender::poll_packet`] may have a packet.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        let begin = || self.sources.iter().filter_map(Source::ready).min();
        self.next.or_else(|| Some(begin()?.max(self.free)))
    }

    /// The next packet that is due.
    pub fn poll_packet(&mut self) -> Option<Packet<'_>> {
        let now = self.now;
        loop {
            let due = self.poll_timeout().filter(|due| *due <= now)?;
            let at = self.keep_up(due);
            self.paused |= self.next.is_none();
            self.free = at + FRAME;
            self.next = Some(self.free);
            if let Some(length) = self.tick(at) {
                let header = RtpHeader {
                    ssrc: self.ssrc,
                    sequence_number: self.sequence_number,
                    timestamp: self.timestamp(at),
                    marker: self.paused,
                };
                self.paused = false;
                self.sequence_number = self.sequence_number.wrapping_add(1);
                self.stats.packets_sent += 1;
                self.stats.bytes_sent += length as u64;
                return Some(Packet { header, payload: &self.packet[..length] });
            }
            self.paused = true;
        }
    }

    /// What a sender report is to say about `now`; nothing before the first packet.
    pub fn report(&mut self, now: Micros, ntp: u64) -> Option<SenderInfo> {
        if self.stats.packets_sent == 0 {
            return None;
        }
        self.feedback.report_sent(now, ntp);
        let ticks = now.since(self.first?).as_micros() * u128::from(CLOCK_RATE) / 1_000_000;
        Some(SenderInfo {
            rtp_timestamp: self.first_timestamp.wrapping_add(ticks as u32),
            packets: self.stats.packets_sent as u32,
            octets: self.stats.bytes_sent as u32,
        })
    }

    /// Takes what a receiver reports about this stream; reports about others are ignored.
    pub fn handle_reception_report(&mut self, now: Micros, report: &ReceptionReport) {
        if report.ssrc != self.ssrc {
            return;
        }
        self.feedback.handle(now, CLOCK_RATE, report);
        let expected = if self.config.fec { self.feedback.expected_loss() } else { 0 };
        if expected != self.expected_loss && self.encoder.set_expected_loss(expected).is_ok() {
            self.expected_loss = expected;
        }
    }

    /// Counters since the beginning, and what the receiver last reported.
    #[must_use]
    pub fn stats(&self) -> SenderStats {
        SenderStats {
            queued: self.sources.iter().map(Source::queued).max().unwrap_or_default(),
            loss: self.feedback.loss,
            packets_lost: self.feedback.packets_lost,
            jitter: self.feedback.jitter,
            round_trip: self.feedback.round_trip,
            ..self.stats
        }
    }

    fn source(&mut self, id: SourceId, format: AudioFormat) -> Result<usize, MediaError> {
        let known = self.sources.iter().position(|source| source.id == id);
        if let Some(known) = known {
            if self.sources[known].format() != format {
                self.sources[known] = Source::new(id, format, self.config.format)?;
            }
            return Ok(known);
        }
        if self.sources.len() >= MAX_SOURCES {
            // Those that have ended make room.
            self.sources.retain(|source| !source.is_idle());
        }
        if self.sources.len() >= MAX_SOURCES {
            return Err(MediaError::Config { field: "source", message: "64 at most" });
        }
        self.sources.push(Source::new(id, format, self.config.format)?);
        Ok(self.sources.len() - 1)
    }

    /// The frame to go on with, where one was due at `due`: a later one for a driver that stood
    /// still.
    fn keep_up(&mut self, due: Micros) -> Micros {
        let behind = self.now.since(due);
        if behind <= MAX_BEHIND {
            return due;
        }
        let skipped = FRAME * (behind.as_micros() / FRAME.as_micros()) as u32;
        self.stats.skipped += skipped;
        self.paused = true;
        due + skipped
    }

    /// Mixes and encodes the frame at `at`; returns the packet's length where it is to be sent.
    fn tick(&mut self, at: Micros) -> Option<usize> {
        self.mix.fill(0.0);
        let mut active = false;
        for source in &mut self.sources {
            let played = source.play(at, &mut self.mix);
            active |= played.active;
            if !played.late.is_zero() {
                self.stats.underruns += 1;
                self.stats.concealed += played.late;
            }
            self.stats.shortened += played.shortened;
        }
        let silence = self.limiter.limit(&mut self.mix) < SILENCE_PEAK;
        if silence != self.dtx && self.encoder.set_dtx(silence).is_ok() {
            self.dtx = silence;
        }
        self.hangover = if active { 0 } else { self.hangover + 1 };
        let length = match self.encoder.encode(&self.mix, &mut self.packet) {
            Ok(length) if length > 0 => length,
            // libopus refuses nothing that gets here.
            _ => return None,
        };
        let silent = OpusEncoder::is_silence(&self.packet[..length]);
        let was_silent = std::mem::replace(&mut self.silent, silent);
        if !active && (silent || self.hangover >= MAX_HANGOVER) {
            self.next = None;
        }
        (!(silent && was_silent)).then_some(length)
    }

    /// The RTP time of a frame, in steps of 2.5 ms, which is what receivers can make up.
    fn timestamp(&mut self, at: Micros) -> u32 {
        let first = *self.first.get_or_insert(at);
        let steps = (at.since(first).as_micros() as u64 + 1_250) / 2_500;
        self.first_timestamp.wrapping_add((steps * u64::from(FRAME_TICKS / 8)) as u32)
    }
}

fn frame_samples(config: &SenderConfig) -> usize {
    let frame = config.format.rate.samples_in(FRAME.as_micros() as u64) as usize;
    frame * config.format.channels.get()
}

fn encoder(config: &SenderConfig, expected_loss: u8) -> Result<OpusEncoder, MediaError> {
    let mono = config.format.channels == ChannelCount::MONO;
    Ok(OpusEncoder::new(&OpusEncoderConfig {
        application: if mono { OpusApplication::Voip } else { OpusApplication::Audio },
        bitrate: Some(config.bitrate),
        fec: config.fec,
        expected_loss_percent: if config.fec { expected_loss } else { 0 },
        ..OpusEncoderConfig::new(config.format.rate, config.format.channels)
    })?)
}
