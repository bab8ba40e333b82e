//! CPU of one 20 ms packet through the receiver, speech in Opus: `cargo bench -p remotemedia-media`.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::Sender;
use remotemedia_core::{AudioFormat, ChannelCount, SampleRate};
use remotemedia_media::opus::{OpusDecoder, OpusEncoderConfig};
use remotemedia_media::{Receiver, ReceiverConfig};

fn main() {
    let config = OpusEncoderConfig {
        bitrate: Some(32_000),
        ..OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO)
    };
    let packets = Sender::new(&config).packets(5_000);
    for hz in [16_000, 48_000] {
        let format =
            AudioFormat { rate: SampleRate::new(hz).unwrap(), channels: ChannelCount::MONO };
        let whole = best(|| {
            let mut receiver = Receiver::new(ReceiverConfig::new(format)).unwrap();
            for packet in &packets {
                receiver.handle_rtp(packet.at, &packet.header, &packet.payload);
                while let Some(frame) = receiver.poll_frame() {
                    black_box(frame.samples);
                }
            }
        });
        let libopus = best(|| {
            let mut decoder = OpusDecoder::new(format.rate, format.channels).unwrap();
            let mut out = vec![0.0; decoder.max_samples()];
            for packet in &packets {
                black_box(decoder.decode(&packet.payload, &mut out).unwrap());
            }
        });
        let count = packets.len() as f64;
        println!(
            "{hz} Hz: {:.2} us a packet, of which decoding {:.2} us",
            whole / count * 1e6,
            libopus / count * 1e6
        );
    }
}

/// Seconds of the fastest of seven runs.
fn best(mut run: impl FnMut()) -> f64 {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..7).map(|_| time(&mut run)).fold(f64::MAX, f64::min)
}
