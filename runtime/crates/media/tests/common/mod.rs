//! A sender, a network and a driver in virtual time.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use remotemedia_core::{AudioFormat, ChannelCount, Micros, SampleRate};
use remotemedia_media::opus::{OpusEncoder, OpusEncoderConfig};
use remotemedia_media::{Receiver, ReceiverConfig, RtpHeader};

/// A packet of the sender below.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Micros,
    pub header: RtpHeader,
    pub payload: Vec<u8>,
}

/// Encodes 20 ms a packet of a voice-like signal at 16 kHz.
pub struct Sender {
    encoder: OpusEncoder,
    pub header: RtpHeader,
    pub now: Micros,
    phase: usize,
}

impl Sender {
    pub fn new(config: &OpusEncoderConfig) -> Self {
        Self {
            encoder: OpusEncoder::new(config).unwrap(),
            header: RtpHeader { ssrc: 1, sequence_number: 100, timestamp: 5_000, marker: false },
            now: Micros(1_000_000),
            phase: 0,
        }
    }

    pub fn plain() -> Self {
        Self::new(&OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO))
    }

    pub fn with_fec() -> Self {
        Self::new(&OpusEncoderConfig {
            fec: true,
            expected_loss_percent: 20,
            bitrate: Some(24_000),
            ..OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO)
        })
    }

    pub fn with_dtx() -> Self {
        Self::new(&OpusEncoderConfig {
            dtx: true,
            ..OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO)
        })
    }

    pub fn packets(&mut self, count: usize) -> Vec<Sent> {
        (0..count).map(|_| self.packet(0.3)).collect()
    }

    /// The next packet; time, number and timestamp go on.
    pub fn packet(&mut self, loudness: f32) -> Sent {
        let pcm: Vec<f32> = (self.phase..self.phase + 320)
            .map(|n| {
                let t = n as f32 / 16_000.0;
                let voice: f32 =
                    (1..8).map(|h| (t * 130.0 * h as f32 * std::f32::consts::TAU).sin()).sum();
                // Syllables: the encoder takes what is steady for background noise.
                let syllable = 0.2 + (t * 4.0 * std::f32::consts::TAU).sin().abs();
                loudness * 0.25 * syllable * voice
            })
            .collect();
        self.phase += 320;
        let mut payload = vec![0; OpusEncoder::MAX_PACKET_BYTES];
        let length = self.encoder.encode(&pcm, &mut payload).unwrap();
        payload.truncate(length);
        let sent = Sent { at: self.now, header: self.header, payload };
        self.now = Micros(self.now.0 + 20_000);
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(960);
        sent
    }
}

/// What a receiver gave out.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    pub at: Micros,
    pub seq: u64,
    pub pts_us: u64,
    pub rtp_timestamp: u32,
    pub arrival: Micros,
    pub capture_ntp_us: Option<u64>,
    pub concealed: bool,
    pub samples: Vec<f32>,
}

impl Got {
    pub fn rms(&self) -> f32 {
        (self.samples.iter().map(|s| s * s).sum::<f32>() / self.samples.len() as f32).sqrt()
    }
}

pub fn receiver() -> Receiver {
    Receiver::new(ReceiverConfig::new(AudioFormat::MONO_16K)).unwrap()
}

pub fn drain(receiver: &mut Receiver, at: Micros, got: &mut Vec<Got>) {
    while let Some(frame) = receiver.poll_frame() {
        got.push(Got {
            at,
            seq: frame.seq,
            pts_us: frame.pts_us,
            rtp_timestamp: frame.rtp_timestamp,
            arrival: frame.arrival,
            capture_ntp_us: frame.capture_ntp_us,
            concealed: frame.concealed,
            samples: frame.samples.to_vec(),
        });
    }
}

/// Lets time pass to `until`, stopping at each timeout.
pub fn wait(receiver: &mut Receiver, until: Micros, got: &mut Vec<Got>) {
    while let Some(due) = receiver.poll_timeout()
        && due <= until
    {
        receiver.handle_timeout(due);
        drain(receiver, due, got);
    }
    receiver.handle_timeout(until);
    drain(receiver, until, got);
}

/// Delivers packets at their times, ends 200 ms after the last.
pub fn deliver(receiver: &mut Receiver, packets: &[Sent]) -> Vec<Got> {
    let mut got = Vec::new();
    for packet in packets {
        wait(receiver, packet.at, &mut got);
        receiver.handle_rtp(packet.at, &packet.header, &packet.payload);
        drain(receiver, packet.at, &mut got);
    }
    if let Some(last) = packets.last() {
        wait(receiver, Micros(last.at.0 + 200_000), &mut got);
    }
    got
}

/// Delays each packet by up to `jitter_us`, drops and doubles some, and sorts by arrival.
pub fn network(seed: u64, loss: f64, jitter_us: u64, doubled: f64, packets: &[Sent]) -> Vec<Sent> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut arrived = Vec::new();
    for packet in packets {
        for _ in 0..if rng.random_bool(doubled) { 2 } else { 1 } {
            let delay = rng.random_range(0..=jitter_us);
            if !rng.random_bool(loss) {
                arrived.push(Sent { at: Micros(packet.at.0 + delay), ..packet.clone() });
            }
        }
    }
    arrived.sort_by_key(|packet| packet.at);
    arrived
}

/// Frames are numbered without a gap and never overlap.
pub fn check_order(got: &[Got], rate: u64) {
    for pair in got.windows(2) {
        let end = pair[0].pts_us + pair[0].samples.len() as u64 * 1_000_000 / rate;
        assert_eq!(pair[1].seq, pair[0].seq + 1);
        assert!(pair[1].pts_us + 1 >= end, "{} us after {end} us", pair[1].pts_us);
        assert!(pair[1].at >= pair[0].at);
    }
}
