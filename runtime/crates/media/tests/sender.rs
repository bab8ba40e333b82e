//! A sender alone, in virtual time; what it sends is decoded by a receiver.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use remotemedia_core::{AudioFormat, ChannelCount, Micros, ReceptionReport, SampleRate};
use remotemedia_media::{
    MAX_QUEUED, MAX_SOURCES, Receiver, ReceiverConfig, RtpHeader, RtpStart, Sender, SenderConfig,
    SourceId,
};

const A: SourceId = SourceId(1);
const B: SourceId = SourceId(2);
const MONO: AudioFormat = AudioFormat::MONO_16K;
const START: RtpStart =
    RtpStart { ssrc: 77, sequence_number: 65_000, timestamp: u32::MAX - 10_000 };

fn format(hz: u32, channels: u8) -> AudioFormat {
    AudioFormat {
        rate: SampleRate::new(hz).unwrap(),
        channels: ChannelCount::new(channels).unwrap(),
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A tone of `length` from the sample `from` on.
fn tone(hz: f32, rate: u32, from: usize, length: Duration) -> Vec<f32> {
    let count = length.as_micros() as usize * rate as usize / 1_000_000;
    (from..from + count)
        .map(|n| 0.4 * (std::f32::consts::TAU * hz * n as f32 / rate as f32).sin())
        .collect()
}

/// Amplitude of one frequency.
fn level(samples: &[f32], hz: f32, rate: f32) -> f32 {
    let step = std::f32::consts::TAU * hz / rate;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        re += sample * (step * n as f32).cos();
        im += sample * (step * n as f32).sin();
    }
    2.0 * f32::hypot(re, im) / samples.len() as f32
}

#[derive(Clone, Debug)]
struct Sent {
    at: Micros,
    header: RtpHeader,
    payload: Vec<u8>,
}

/// A sender and its driver.
struct World {
    now: Micros,
    sender: Sender,
    sent: Vec<Sent>,
}

impl World {
    fn new(config: SenderConfig) -> World {
        let sender = Sender::new(config, START).unwrap();
        World { now: Micros(5_000_000), sender, sent: Vec::new() }
    }

    fn mono() -> World {
        World::new(SenderConfig::new([MONO], false))
    }

    /// Lets time pass, exactly from one time-out to the next.
    fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(due) = self.sender.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.drain();
        }
        self.now = until;
        self.drain();
    }

    fn drain(&mut self) {
        self.sender.handle_timeout(self.now);
        while let Some(packet) = self.sender.poll_packet() {
            let (header, payload) = (packet.header, packet.payload.to_vec());
            self.sent.push(Sent { at: self.now, header, payload });
        }
    }

    /// A producer in real time: a frame of 20 ms each 20 ms, so much later at times.
    fn speak(&mut self, hz: f32, frames: std::ops::Range<usize>, late: impl Fn(usize) -> Duration) {
        let begin = self.now;
        for (count, frame) in frames.enumerate() {
            let at = begin + ms(20 * count as u64) + late(count);
            self.pass(at.since(self.now));
            let samples = tone(hz, 16_000, frame * 320, ms(20));
            self.sender.push(self.now, A, MONO, &samples).unwrap();
        }
    }

    /// What a receiver makes of what was sent.
    fn heard(&self, format: AudioFormat) -> Vec<f32> {
        let mut receiver = Receiver::new(ReceiverConfig::new(format)).unwrap();
        let mut heard = Vec::new();
        for sent in &self.sent {
            receiver.handle_rtp(sent.at, &sent.header, &sent.payload);
            while let Some(frame) = receiver.poll_frame() {
                heard.extend_from_slice(frame.samples);
            }
        }
        heard
    }
}

fn on_time(_: usize) -> Duration {
    Duration::ZERO
}

#[test]
fn a_tone_goes_out_a_packet_each_20_ms_and_comes_back() {
    let mut world = World::mono();
    let begin = world.now;
    world.speak(440.0, 0..100, on_time);
    assert_eq!(world.sent[0].at, begin + ms(20));
    for (index, sent) in world.sent.iter().enumerate() {
        assert_eq!(sent.at, begin + ms(20 + 20 * index as u64));
        assert_eq!(sent.header.ssrc, 77);
        assert_eq!(sent.header.sequence_number, 65_000_u16.wrapping_add(index as u16));
        assert_eq!(sent.header.timestamp, START.timestamp.wrapping_add(960 * index as u32));
        assert_eq!(sent.header.marker, index == 0);
    }
    let heard = world.heard(MONO);
    assert!((level(&heard[3_200..], 440.0, 16_000.0) - 0.4).abs() < 0.02);
    assert_eq!(world.sender.stats().underruns, 0);
}

#[test]
fn what_is_made_faster_than_it_is_heard_is_paced_and_complete() {
    let mut world = World::mono();
    let samples = tone(440.0, 16_000, 0, ms(3_000));
    let begin = world.now;
    let mut from = 0;
    while from < samples.len() {
        let taken = world.sender.offer(world.now, A, MONO, &samples, from..usize::MAX).unwrap();
        assert!(world.sender.queued(A) <= MAX_QUEUED);
        from += taken;
        world.pass(ms(20));
    }
    world.pass(ms(1_000));
    assert_eq!(world.sent[0].at, begin + ms(20));
    let spoken = &world.sent[..150];
    assert!(spoken.windows(2).all(|pair| pair[1].at.since(pair[0].at) == ms(20)));
    let heard = world.heard(MONO);
    for second in heard[..48_000].chunks(16_000) {
        assert!((level(&second[800..15_200], 440.0, 16_000.0) - 0.4).abs() < 0.02);
    }
    assert_eq!(world.sender.stats().underruns, 0);
}

#[test]
fn the_oldest_goes_where_a_live_source_runs_ahead() {
    let mut world = World::mono();
    for frame in 0..50 {
        let samples = tone(440.0, 16_000, frame * 320, ms(20));
        world.sender.push(world.now, A, MONO, &samples).unwrap();
        assert!(world.sender.queued(A) <= MAX_QUEUED + ms(20));
    }
    let stats = world.sender.stats();
    assert_eq!(stats.queued + stats.overrun, ms(1_000));
}

#[test]
fn a_long_chunk_is_no_overrun() {
    let mut world = World::mono();
    for chunk in 0..4 {
        let samples = tone(440.0, 16_000, chunk * 16_000, ms(1_000));
        world.sender.push(world.now, A, MONO, &samples).unwrap();
        world.pass(ms(1_000));
    }
    assert_eq!(world.sender.stats().overrun, Duration::ZERO);
    assert_eq!(world.sender.stats().underruns, 0);
}

#[test]
fn a_producer_that_is_late_by_less_than_a_frame_is_not_heard() {
    let mut world = World::mono();
    world.speak(440.0, 0..200, |count| ms([0, 19, 7, 13, 3][count % 5]));
    assert_eq!(world.sender.stats().underruns, 0);
    assert!(world.sent.windows(2).all(|pair| pair[1].at.since(pair[0].at) == ms(20)));
}

#[test]
fn a_late_producer_fades_and_catches_up_in_a_pause() {
    let mut world = World::mono();
    // 70 ms late, and so is what follows at once.
    world.speak(440.0, 0..100, |count| ms(if (50..53).contains(&count) { 70 } else { 0 }));
    let stats = world.sender.stats();
    assert_eq!((stats.underruns, stats.concealed), (1, ms(60)));
    // Nothing is lost, everything is later.
    assert_eq!(stats.queued, ms(20) + ms(60));
    for _ in 0..20 {
        world.sender.push(world.now, A, MONO, &[0.0; 320]).unwrap();
        world.pass(ms(20));
    }
    let stats = world.sender.stats();
    assert_eq!(stats.shortened, ms(60));
    assert!(stats.queued <= ms(20), "{:?}", stats.queued);
}

#[test]
fn with_nothing_to_say_nothing_is_sent_and_time_goes_on() {
    let mut world = World::mono();
    world.speak(440.0, 0..50, on_time);
    world.pass(ms(5_000));
    let pause = world.sent.len();
    assert!((50..=66).contains(&pause), "{pause} packets for 50 frames");
    assert!(world.sent[pause - 1].payload.len() <= 2, "it ends with a packet that says so");
    assert_eq!(world.sender.poll_timeout(), None);
    world.speak(440.0, 0..50, on_time);
    let (last, next) = (&world.sent[pause - 1], &world.sent[pause]);
    assert!(next.header.marker);
    assert_eq!(next.header.sequence_number, last.header.sequence_number.wrapping_add(1));
    let passed = next.at.since(last.at).as_micros() as u32 * 48 / 1_000;
    assert_eq!(next.header.timestamp.wrapping_sub(last.header.timestamp), passed);
}

#[test]
fn a_silent_source_costs_a_packet_now_and_then() {
    let mut world = World::mono();
    for _ in 0..250 {
        world.sender.push(world.now, A, MONO, &[0.0; 320]).unwrap();
        world.pass(ms(20));
    }
    assert!((5..60).contains(&world.sent.len()), "{} packets in 5 s", world.sent.len());
    let markers = world.sent.iter().filter(|sent| sent.header.marker).count();
    assert!(markers > 3);
}

#[test]
fn sources_are_mixed_within_full_scale() {
    let mut world = World::mono();
    for frame in 0..100 {
        let low: Vec<f32> = tone(300.0, 16_000, frame * 320, ms(20));
        let high: Vec<f32> = tone(1_200.0, 16_000, frame * 320, ms(20));
        world.sender.push(world.now, A, MONO, &low).unwrap();
        world.sender.push(world.now, B, MONO, &high).unwrap();
        world.pass(ms(20));
    }
    let heard = world.heard(MONO);
    for hz in [300.0, 1_200.0] {
        let found = level(&heard[3_200..], hz, 16_000.0);
        assert!((found - 0.4).abs() < 0.04, "{hz} Hz: {found}");
    }
}

#[test]
fn an_interrupt_ends_what_waits_at_once() {
    let mut world = World::mono();
    let samples = tone(440.0, 16_000, 0, ms(1_000));
    world.sender.push(world.now, A, MONO, &samples).unwrap();
    world.pass(ms(200));
    let before = world.sent.len();
    world.sender.interrupt(|source| source == A);
    assert_eq!(world.sender.queued(A), ms(5), "a fade is left");
    world.pass(ms(1_000));
    assert!(world.sent.len() - before <= 16, "silence follows, and then nothing");
    assert!(world.sender.stats().interrupted > ms(700));
    let heard = world.heard(MONO);
    let after = &heard[(before + 2) * 320..];
    assert!(after.iter().all(|sample| sample.abs() < 0.01));
    // It was no underrun.
    world.speak(440.0, 0..10, on_time);
    assert_eq!(world.sender.stats().underruns, 0);
}

#[test]
fn every_rate_and_channel_count_is_heard_at_its_level() {
    for (hz, channels) in [(8_000, 1), (16_000, 2), (22_050, 1), (44_100, 2), (48_000, 1)] {
        for stereo in [false, true] {
            let format = format(hz, channels);
            let config = SenderConfig::new([format], stereo);
            let out = if stereo && channels == 2 { 2 } else { 1 };
            assert_eq!(config.format.channels.get(), out);
            let mut world = World::new(config);
            for frame in 0..75 {
                let one = tone(440.0, hz, frame * hz as usize / 50, ms(20));
                let samples = one.repeat(channels.into());
                world.sender.push(world.now, A, format, &samples).unwrap();
                world.pass(ms(20));
            }
            let heard = world.heard(MONO);
            let found = level(&heard[3_200..], 440.0, 16_000.0);
            assert!((found - 0.4).abs() < 0.02, "{hz} Hz, {channels} channels: {found}");
        }
    }
}

#[test]
fn sources_of_different_rates_meet_at_48_khz() {
    let config = SenderConfig::new([MONO, format(24_000, 1)], false);
    assert_eq!(config.format, AudioFormat::MONO_48K);
    let config = SenderConfig::new([MONO, MONO], true);
    assert_eq!(config.format, MONO);
    assert_eq!(config.at_most(Some(8_000), Some(20_000)).bitrate, 20_000);
    assert_eq!(config.at_most(Some(8_000), None).format, format(8_000, 1));
    assert_eq!(config.at_most(Some(48_000), None), config);
    assert_eq!(config.at_most(None, None), config);
}

fn report(fraction_lost: u8) -> ReceptionReport {
    ReceptionReport {
        ssrc: 77,
        fraction_lost,
        cumulative_lost: 5,
        extended_highest_sequence_number: 1,
        jitter: 0,
        last_sr: 0,
        delay_since_last_sr: 0,
    }
}

/// Frames that a receiver recovered when each 10th packet was lost.
fn recovered(fec: bool, loss: u8) -> u64 {
    let mut world = World::new(SenderConfig { fec, ..SenderConfig::new([MONO], false) });
    world.sender.handle_reception_report(world.now, &report(loss));
    for frame in 0..200 {
        // Syllables: a steady tone is background noise to libopus, and not worth copies.
        let syllable =
            |n: usize| (std::f32::consts::TAU * 4.0 * n as f32 / 16_000.0).sin().max(0.0);
        let mut samples = tone(200.0, 16_000, frame * 320, ms(20));
        for (n, sample) in samples.iter_mut().enumerate() {
            *sample *= syllable(frame * 320 + n);
        }
        world.sender.push(world.now, A, MONO, &samples).unwrap();
        world.pass(ms(20));
    }
    let mut receiver = Receiver::new(ReceiverConfig::new(MONO)).unwrap();
    for sent in world.sent.iter().enumerate().filter(|(index, _)| index % 10 != 5) {
        receiver.handle_rtp(sent.1.at, &sent.1.header, &sent.1.payload);
        receiver.handle_timeout(sent.1.at + ms(19));
        while receiver.poll_frame().is_some() {}
    }
    receiver.stats().recovered
}

#[test]
fn reported_loss_is_answered_with_copies_where_the_receiver_uses_them() {
    assert!(recovered(true, 26) > 5);
    assert_eq!(recovered(true, 0), 0);
    assert_eq!(recovered(false, 26), 0);
}

#[test]
fn reports_about_others_are_ignored() {
    let mut world = World::mono();
    world.sender.handle_reception_report(world.now, &ReceptionReport { ssrc: 78, ..report(255) });
    assert_eq!((world.sender.stats().loss, world.sender.stats().packets_lost), (0.0, 0));
    world.sender.handle_reception_report(world.now, &report(128));
    assert_eq!((world.sender.stats().loss, world.sender.stats().packets_lost), (0.5, 5));
}

#[test]
fn a_report_tells_the_time_and_what_was_sent() {
    let mut world = World::mono();
    assert_eq!(world.sender.report(world.now, 1), None);
    world.speak(440.0, 0..50, on_time);
    world.pass(ms(3));
    let info = world.sender.report(world.now, 1).unwrap();
    let last = world.sent.last().unwrap();
    let since = world.now.since(last.at).as_millis() as u32;
    assert_eq!(info.rtp_timestamp, last.header.timestamp.wrapping_add(since * 48));
    assert_eq!(info.packets as usize, world.sent.len());
    assert_eq!(info.octets as usize, world.sent.iter().map(|s| s.payload.len()).sum::<usize>());
}

#[test]
fn a_driver_that_stood_still_does_not_send_a_flood() {
    let mut world = World::mono();
    world.sender.push(world.now, A, MONO, &tone(440.0, 16_000, 0, ms(5_000))).unwrap();
    world.pass(ms(100));
    let before = world.sent.len();
    world.now += ms(2_000);
    world.drain();
    assert_eq!(world.sent.len() - before, 1);
    assert_eq!(world.sender.stats().skipped, ms(1_980));
    let gap =
        world.sent[before].header.timestamp.wrapping_sub(world.sent[before - 1].header.timestamp);
    assert_eq!(gap, 2_000 * 48);
    assert!(world.sent[before].header.marker);
}

#[test]
fn a_source_too_many_is_refused_and_idle_ones_make_room() {
    let mut world = World::mono();
    for id in 0..MAX_SOURCES as u64 {
        world.sender.push(world.now, SourceId(id), MONO, &[0.1; 320]).unwrap();
    }
    assert!(world.sender.push(world.now, SourceId(1_000), MONO, &[0.1; 320]).is_err());
    world.pass(ms(500));
    assert!(world.sender.push(world.now, SourceId(1_000), MONO, &[0.1; 320]).is_ok());
}

#[test]
fn samples_that_are_none_spoil_nothing() {
    for format in [MONO, format(22_050, 1)] {
        let mut world = World::new(SenderConfig::new([format], false));
        let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 0.1].repeat(100);
        world.sender.push(world.now, A, format, &bad).unwrap();
        world.pass(ms(200));
        let from = world.sent.len();
        for frame in 0..50 {
            let count = format.rate.hz() as usize / 50;
            let samples = tone(440.0, format.rate.hz(), frame * count, ms(20));
            world.sender.push(world.now, A, format, &samples).unwrap();
            world.pass(ms(20));
        }
        assert!(world.sent.len() >= from + 50);
        let heard = world.heard(MONO);
        let found = level(&heard[heard.len() - 8_000..], 440.0, 16_000.0);
        assert!((found - 0.4).abs() < 0.05, "{found}");
    }
}

#[test]
fn another_format_keeps_numbers_and_times() {
    let stereo = format(16_000, 2);
    let mut world = World::new(SenderConfig::new([stereo], false));
    let say = |world: &mut World| {
        for frame in 0..10 {
            let samples = tone(440.0, 16_000, frame * 320, ms(20)).repeat(2);
            world.sender.push(world.now, A, stereo, &samples).unwrap();
            world.pass(ms(20));
        }
    };
    say(&mut world);
    world.sender.reconfigure(SenderConfig::new([stereo], true)).unwrap();
    say(&mut world);
    for pair in world.sent.windows(2) {
        let [before, after] = pair else { unreachable!() };
        assert_eq!(after.header.sequence_number, before.header.sequence_number.wrapping_add(1));
        let passed = after.at.since(before.at).as_micros() as u32 * 48 / 1_000;
        assert_eq!(after.header.timestamp.wrapping_sub(before.header.timestamp), passed);
    }
}
