use std::time::Duration;

use remotemedia_core::{AudioFormat, ChannelCount, Micros, ReceptionReport, SampleRate};
use remotemedia_media::opus::{OpusEncoder, OpusEncoderConfig};
use remotemedia_media::{Receiver, ReceiverConfig};
use remotemedia_peer::{Peer, RtpHeader};

/// How often it reports.
const REPORT: Duration = Duration::from_secs(1);

/// What a client hears of the server.
pub struct Ear {
    receiver: Receiver,
    /// 16 kHz.
    pub samples: Vec<f32>,
    /// When they came.
    pub packets: Vec<(Micros, RtpHeader)>,
    /// Frames made up.
    pub concealed: usize,
    /// RTP times of sender reports.
    pub reports: Vec<(Micros, u32)>,
    next_report: Option<Micros>,
    /// Says what is not so.
    pub forged: Vec<ReceptionReport>,
}

impl Ear {
    pub fn new() -> Ear {
        Ear {
            receiver: Receiver::new(ReceiverConfig::new(AudioFormat::MONO_16K)).unwrap(),
            samples: Vec::new(),
            packets: Vec::new(),
            concealed: 0,
            reports: Vec::new(),
            next_report: None,
            forged: Vec::new(),
        }
    }

    pub fn handle_rtp(&mut self, now: Micros, header: RtpHeader, payload: &[u8]) {
        self.next_report.get_or_insert(now + REPORT);
        self.packets.push((now, header));
        let header = remotemedia_media::RtpHeader {
            ssrc: header.ssrc,
            sequence_number: header.sequence_number,
            timestamp: header.timestamp,
            marker: header.marker,
        };
        self.receiver.handle_rtp(now, &header, payload);
        self.take();
    }

    pub fn handle_sender_report(&mut self, now: Micros, ssrc: u32, ntp: u64, rtp_timestamp: u32) {
        self.reports.push((now, rtp_timestamp));
        self.receiver.handle_sender_report(now, ssrc, ntp, rtp_timestamp);
    }

    pub fn next(&self) -> Option<Micros> {
        self.receiver.poll_timeout().into_iter().chain(self.next_report).min()
    }

    pub fn turn(&mut self, now: Micros, peer: &mut Peer) {
        if self.receiver.poll_timeout().is_some_and(|at| at <= now) {
            self.receiver.handle_timeout(now);
            self.take();
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT);
            let mut reports = self.forged.clone();
            reports.extend(self.receiver.report(now));
            peer.send_reception_report(now, &reports);
        }
    }

    fn take(&mut self) {
        while let Some(frame) = self.receiver.poll_frame() {
            self.samples.extend_from_slice(frame.samples);
            self.concealed += usize::from(frame.concealed);
        }
    }

    /// Amplitude of a frequency over the last samples.
    pub fn level(&self, hz: f32, last: usize) -> f32 {
        let samples = &self.samples[self.samples.len().saturating_sub(last)..];
        let step = std::f32::consts::TAU * hz / 16_000.0;
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            re += sample * (step * n as f32).cos();
            im += sample * (step * n as f32).sin();
        }
        2.0 * f32::hypot(re, im) / samples.len().max(1) as f32
    }
}

/// A tone in packets of 20 ms.
pub struct Whistle {
    encoder: OpusEncoder,
    hz: f32,
    phase: usize,
}

impl Whistle {
    pub fn new(hz: f32) -> Whistle {
        let config = OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO);
        Whistle { encoder: OpusEncoder::new(&config).unwrap(), hz, phase: 0 }
    }

    pub fn packet(&mut self) -> Vec<u8> {
        let step = std::f32::consts::TAU * self.hz / 16_000.0;
        let samples: Vec<f32> =
            (self.phase..self.phase + 320).map(|n| 0.4 * (step * n as f32).sin()).collect();
        self.phase += 320;
        let mut packet = vec![0; OpusEncoder::MAX_PACKET_BYTES];
        let length = self.encoder.encode(&samples, &mut packet).unwrap();
        packet.truncate(length);
        packet
    }
}
