//! From packets to planar samples in the format asked for.

use remotemedia_core::{AudioFormat, SampleRate};

use crate::opus::{OpusDecoder, OpusError};

/// Decodes into buffers that it keeps.
#[derive(Debug)]
pub(crate) struct Output {
    decoder: OpusDecoder,
    rate: SampleRate,
    channels: usize,
    /// Interleaved, as libopus gives it.
    decoded: Vec<f32>,
    /// Planar; unused for one channel.
    planar: Vec<f32>,
    /// Samples a channel of the last frame.
    samples: usize,
}

impl Output {
    pub(crate) fn new(format: AudioFormat) -> Result<Self, OpusError> {
        Ok(Self {
            decoder: OpusDecoder::new(format.rate, format.channels)?,
            rate: format.rate,
            channels: format.channels.get(),
            decoded: Vec::new(),
            planar: Vec::new(),
            samples: 0,
        })
    }

    /// Decodes a packet and returns its samples a channel.
    pub(crate) fn decode(&mut self, packet: &[u8]) -> Result<usize, OpusError> {
        let samples = self.decoder.packet_samples(packet)?;
        let out = room(&mut self.decoded, samples * self.channels);
        let samples = self.decoder.decode(packet, out)?;
        self.finish(samples);
        Ok(samples)
    }

    /// Makes up `micros` from the copy that the next packet carries.
    pub(crate) fn recover(&mut self, packet: &[u8], micros: u64) -> Result<(), OpusError> {
        let samples = self.rate.samples_in(micros) as usize;
        let out = room(&mut self.decoded, samples * self.channels);
        let samples = self.decoder.recover(packet, out)?;
        self.finish(samples);
        Ok(())
    }

    /// Makes up `micros` from what came before.
    pub(crate) fn conceal(&mut self, micros: u64) -> Result<(), OpusError> {
        let samples = self.rate.samples_in(micros) as usize;
        let out = room(&mut self.decoded, samples * self.channels);
        let samples = self.decoder.conceal(out)?;
        self.finish(samples);
        Ok(())
    }

    /// `micros` of zeros.
    pub(crate) fn silence(&mut self, micros: u64) {
        let samples = self.rate.samples_in(micros) as usize;
        room(&mut self.decoded, samples * self.channels).fill(0.0);
        self.finish(samples);
    }

    /// The last frame, channel after channel.
    pub(crate) fn samples(&self) -> &[f32] {
        let buffer = if self.channels == 1 { &self.decoded } else { &self.planar };
        &buffer[..self.samples * self.channels]
    }

    /// The decoder's rate: what `decode` counts in.
    pub(crate) fn decoder_rate(&self) -> SampleRate {
        self.rate
    }

    /// Another stream begins.
    pub(crate) fn reset(&mut self) {
        self.decoder.reset();
    }

    fn finish(&mut self, samples: usize) {
        self.samples = samples;
        if self.channels == 1 {
            return;
        }
        let planar = room(&mut self.planar, samples * self.channels);
        for (channel, run) in planar.chunks_exact_mut(samples.max(1)).enumerate() {
            let interleaved = self.decoded[channel..].iter().step_by(self.channels);
            for (sample, value) in run.iter_mut().zip(interleaved) {
                *sample = *value;
            }
        }
    }
}

/// The first `length` places of a buffer that grows when it must.
fn room(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        // Exactly: a stream's frames are as long as its first, and there are many streams.
        buffer.reserve_exact(length - buffer.len());
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

#[cfg(test)]
mod tests {
    use remotemedia_core::ChannelCount;

    use super::*;
    use crate::opus::{OpusApplication, OpusEncoder, OpusEncoderConfig};

    #[test]
    fn stereo_comes_out_channel_after_channel() {
        let config = OpusEncoderConfig {
            application: OpusApplication::Audio,
            bitrate: Some(128_000),
            ..OpusEncoderConfig::new(SampleRate::HZ_48000, ChannelCount::STEREO)
        };
        let mut encoder = OpusEncoder::new(&config).unwrap();
        let format = AudioFormat { rate: SampleRate::HZ_48000, channels: ChannelCount::STEREO };
        let mut output = Output::new(format).unwrap();
        let mut packet = [0; 1_275];
        // A tone on the left, silence on the right.
        for frame in 0..20 {
            let pcm: Vec<f32> = (0..960)
                .flat_map(|n| [0.5 * ((frame * 960 + n) as f32 * 0.06).sin(), 0.0])
                .collect();
            let length = encoder.encode(&pcm, &mut packet).unwrap();
            assert_eq!(output.decode(&packet[..length]), Ok(960));
        }
        let (left, right) = output.samples().split_at(960);
        let energy = |run: &[f32]| run.iter().map(|s| s * s).sum::<f32>();
        assert!(energy(left) > 100.0 && energy(right) < 1.0, "{} {}", energy(left), energy(right));
    }
}
