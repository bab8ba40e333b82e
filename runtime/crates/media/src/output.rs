//! From packets to planar samples in the format asked for.

use remotemedia_core::{AudioFormat, SampleRate};
use remotemedia_dsp::resample::{Quality, Resampler};

use crate::error::MediaError;
use crate::opus::{OpusDecoder, OpusError, limit};

/// The rates that libopus decodes to.
const OPUS_RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// Decodes into buffers that it keeps. Each frame takes two calls: one of `decode`, `recover`,
/// `conceal` and `silence`, then `emit`, which says where it lies.
#[derive(Debug)]
pub(crate) struct Output {
    decoder: OpusDecoder,
    rate: SampleRate,
    channels: usize,
    /// Interleaved, as libopus gives it.
    decoded: Vec<f32>,
    /// Samples a channel of it.
    samples: usize,
    /// Planar; unused for one channel.
    planar: Vec<f32>,
    resample: Option<Resample>,
}

/// The way to a rate that libopus does not know.
#[derive(Debug)]
struct Resample {
    /// One a channel.
    resamplers: Vec<Resampler>,
    rate: SampleRate,
    /// Planar.
    out: Vec<f32>,
    /// Samples given since the anchor.
    given: u64,
    /// Media time, in microseconds, of the first sample since the last discontinuity.
    anchor_us: u64,
    /// Where the next frame starts, in ticks, unless media time jumps.
    next: i64,
}

impl Output {
    /// # Errors
    /// [`MediaError`] when neither libopus nor the resampler makes the format.
    pub(crate) fn new(format: AudioFormat) -> Result<Self, MediaError> {
        let wanted = format.rate.hz();
        // The lowest one that keeps the whole band.
        let hz = OPUS_RATES.into_iter().find(|hz| *hz >= wanted).unwrap_or(48_000);
        let rate = if hz == wanted { format.rate } else { SampleRate::new(hz)? };
        let decoder = OpusDecoder::new(rate, format.channels)?;
        let resample = if hz == wanted { None } else { Some(Resample::new(rate, format)?) };
        Ok(Self {
            decoder,
            rate,
            channels: format.channels.get(),
            decoded: Vec::new(),
            samples: 0,
            planar: Vec::new(),
            resample,
        })
    }

    /// Decodes a packet and returns its samples a channel at [`Output::decoder_rate`].
    pub(crate) fn decode(&mut self, packet: &[u8]) -> Result<usize, OpusError> {
        let samples = self.decoder.packet_samples(packet)?;
        let out = room(&mut self.decoded, samples * self.channels);
        self.samples = self.decoder.decode(packet, out)?;
        Ok(self.samples)
    }

    /// Makes up `micros` from the copy that the next packet carries.
    pub(crate) fn recover(&mut self, packet: &[u8], micros: u64) -> Result<(), OpusError> {
        let samples = self.rate.samples_in(micros) as usize;
        let out = room(&mut self.decoded, samples * self.channels);
        self.samples = self.decoder.recover(packet, out)?;
        Ok(())
    }

    /// Makes up `micros` from what came before.
    pub(crate) fn conceal(&mut self, micros: u64) -> Result<(), OpusError> {
        let samples = self.rate.samples_in(micros) as usize;
        let out = room(&mut self.decoded, samples * self.channels);
        self.samples = self.decoder.conceal(out)?;
        Ok(())
    }

    /// `micros` of zeros.
    pub(crate) fn silence(&mut self, micros: u64) {
        self.samples = self.rate.samples_in(micros) as usize;
        room(&mut self.decoded, self.samples * self.channels).fill(0.0);
    }

    /// Brings the frame, which lasts from tick `start` (at `start_us`) to `end`, into the output
    /// format, and returns the media time of the first sample; none while a resampler waits for
    /// more.
    pub(crate) fn emit(&mut self, start: i64, end: i64, start_us: u64) -> Option<u64> {
        if self.channels > 1 {
            let planar = room(&mut self.planar, self.samples * self.channels);
            for (channel, run) in planar.chunks_exact_mut(self.samples.max(1)).enumerate() {
                let interleaved = self.decoded[channel..].iter().step_by(self.channels);
                for (sample, value) in run.iter_mut().zip(interleaved) {
                    *sample = *value;
                }
            }
        }
        let Some(resample) = &mut self.resample else { return Some(start_us) };
        let decoded = if self.channels == 1 { &self.decoded } else { &self.planar };
        resample.process(&decoded[..self.samples * self.channels], start, end, start_us)
    }

    /// The last frame, channel after channel.
    pub(crate) fn samples(&self) -> &[f32] {
        match &self.resample {
            Some(resample) => &resample.out,
            None if self.channels == 1 => &self.decoded[..self.samples],
            None => &self.planar[..self.samples * self.channels],
        }
    }

    /// The decoder's rate: what `decode` counts in.
    pub(crate) fn decoder_rate(&self) -> SampleRate {
        self.rate
    }

    /// Another stream begins.
    pub(crate) fn reset(&mut self) {
        self.decoder.reset();
    }
}

impl Resample {
    fn new(input: SampleRate, format: AudioFormat) -> Result<Self, MediaError> {
        let resamplers = (0..format.channels.get())
            .map(|_| Resampler::new(input, format.rate, Quality::High))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            resamplers,
            rate: format.rate,
            out: Vec::new(),
            given: 0,
            anchor_us: 0,
            next: i64::MIN,
        })
    }

    fn process(&mut self, planar: &[f32], start: i64, end: i64, start_us: u64) -> Option<u64> {
        if start != self.next {
            // The tail, a few milliseconds at most, belongs to time that nobody hears.
            self.resamplers.iter_mut().for_each(Resampler::reset);
            self.anchor_us = start_us;
            self.given = 0;
        }
        self.next = end;
        self.out.clear();
        let length = planar.len() / self.resamplers.len();
        for (resampler, channel) in
            self.resamplers.iter_mut().zip(planar.chunks_exact(length.max(1)))
        {
            resampler.process(channel, &mut self.out);
        }
        // A filter overshoots where the signal was clipped.
        limit(&mut self.out);
        let samples = self.out.len() / self.resamplers.len();
        let at = self.anchor_us.saturating_add(self.rate.micros_of(self.given));
        self.given += samples as u64;
        (samples > 0).then_some(at)
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
            assert_eq!(output.emit(0, 960, 0), Some(0));
        }
        let (left, right) = output.samples().split_at(960);
        let energy = |run: &[f32]| run.iter().map(|s| s * s).sum::<f32>();
        assert!(energy(left) > 100.0 && energy(right) < 1.0, "{} {}", energy(left), energy(right));
    }
}
