//! CPU of one 20 ms frame through the sender, a voice-like signal: `cargo bench -p remotemedia-media`.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use remotemedia_core::{AudioFormat, ChannelCount, Micros, SampleRate};
use remotemedia_media::opus::{OpusApplication, OpusEncoder, OpusEncoderConfig};
use remotemedia_media::{RtpStart, Sender, SenderConfig, SourceId};

const FRAME: Duration = Duration::from_millis(20);
const FRAMES: usize = 2_000;

fn main() {
    for (hz, sources) in [(16_000, 1), (24_000, 1), (48_000, 1), (44_100, 1), (16_000, 4)] {
        let format =
            AudioFormat { rate: SampleRate::new(hz).unwrap(), channels: ChannelCount::MONO };
        let samples = hz as usize / 50;
        let voice = voice(samples * FRAMES, hz as f32);
        let config = SenderConfig::new([format], false);
        let whole = best(|| {
            let start = RtpStart { ssrc: 1, sequence_number: 1, timestamp: 1 };
            let mut sender = Sender::new(config, start).unwrap();
            let mut now = Micros(1);
            for frame in voice.chunks_exact(samples) {
                for source in 0..sources {
                    sender.push(now, SourceId(source), format, frame).unwrap();
                }
                now += FRAME;
                sender.handle_timeout(now);
                while let Some(packet) = sender.poll_packet() {
                    black_box(packet.payload);
                }
            }
        });
        let rate = config.format.rate;
        let opus = OpusEncoderConfig {
            application: OpusApplication::Voip,
            bitrate: Some(config.bitrate),
            ..OpusEncoderConfig::new(rate, ChannelCount::MONO)
        };
        let encoded = rate.hz() as usize / 50;
        let voice = self::voice(encoded * FRAMES, rate.hz() as f32);
        let libopus = best(|| {
            let mut encoder = OpusEncoder::new(&opus).unwrap();
            let mut packet = [0; OpusEncoder::MAX_PACKET_BYTES];
            for frame in voice.chunks_exact(encoded) {
                black_box(encoder.encode(frame, &mut packet).unwrap());
            }
        });
        println!(
            "{hz} Hz, {sources} sources: {:.1} us a packet, encoding alone {:.1} us",
            whole / FRAMES as f64 * 1e6,
            libopus / FRAMES as f64 * 1e6
        );
    }
}

/// Harmonics of 150 Hz in syllables.
fn voice(samples: usize, rate: f32) -> Vec<f32> {
    let sample = |n: usize| {
        let at = std::f32::consts::TAU * n as f32 / rate;
        let tone: f32 = (1..12).map(|k| (at * 150.0 * k as f32).sin() / k as f32).sum();
        0.15 * tone * (at * 4.0).sin().max(0.0)
    };
    (0..samples).map(sample).collect()
}

/// Seconds of the fastest of five runs.
fn best(mut run: impl FnMut()) -> f64 {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(|_| time(&mut run)).fold(f64::MAX, f64::min)
}
