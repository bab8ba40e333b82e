use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::time::Duration;

use opusic_sys as ffi;
use remotemedia_core::{ChannelCount, SampleRate};

use super::{MAX_PACKET_DURATION, OpusError, check_format};

/// A decoder of one stream, at the rate and with the channels asked for, whatever the packets hold.
///
/// All output is interleaved `f32`, limited to -1.0..=1.0.
#[derive(Debug)]
pub struct OpusDecoder {
    state: NonNull<ffi::OpusDecoder>,
    rate: SampleRate,
    channels: usize,
}

// SAFETY: the state is plain memory that libopus keeps no other reference to; `OpusDecoder` has no
// interior mutability, so it may move between threads, and `&OpusDecoder` gives no access to it.
unsafe impl Send for OpusDecoder {}

impl OpusDecoder {
    /// A decoder: about 20 KiB for mono.
    ///
    /// # Errors
    /// [`OpusError::Rate`], [`OpusError::Channels`] and [`OpusError::Memory`].
    pub fn new(rate: SampleRate, channels: ChannelCount) -> Result<Self, OpusError> {
        let (hz, count) = check_format(rate, channels)?;
        let mut code = ffi::OPUS_OK;
        // SAFETY: rate and channels are ones that libopus knows, `code` outlives the call.
        let state = unsafe { ffi::opus_decoder_create(hz, count, &mut code) };
        let state = NonNull::new(state).ok_or_else(|| OpusError::from_code(code))?;
        Ok(Self { state, rate, channels: channels.get() })
    }

    /// Samples a channel that a packet of the longest duration has: a buffer of this many times
    /// the channels takes any packet.
    #[must_use]
    pub fn max_samples(&self) -> usize {
        samples_in(self.rate, MAX_PACKET_DURATION)
    }

    /// How many samples a channel `packet` holds.
    ///
    /// # Errors
    /// [`OpusError::InvalidPacket`] when its header is damaged or it would last over 120 ms.
    pub fn packet_samples(&self, packet: &[u8]) -> Result<usize, OpusError> {
        packet_duration(packet).map(|duration| samples_in(self.rate, duration))
    }

    /// Decodes `packet` into the front of `out` and returns the samples a channel.
    ///
    /// # Errors
    /// [`OpusError::InvalidPacket`] when it is damaged (the state stays usable) and
    /// [`OpusError::Length`] when `out` is shorter than [`OpusDecoder::packet_samples`] says.
    pub fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, OpusError> {
        let samples = self.packet_samples(packet)?;
        let out = out.get_mut(..samples * self.channels).ok_or(OpusError::Length(samples))?;
        self.run(Some(packet), out, false)
    }

    /// Fills `out` with what was lost before `packet`, from the copy of the last frame that
    /// `packet` carries (RFC 6716, section 2.1.7); where it carries none, like
    /// [`OpusDecoder::conceal`]. The packet itself is still to be decoded afterwards.
    ///
    /// # Errors
    /// As [`OpusDecoder::decode`] and [`OpusDecoder::conceal`].
    pub fn recover(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, OpusError> {
        self.packet_samples(packet)?;
        self.check_concealed(out)?;
        self.run(Some(packet), out, true)
    }

    /// Fills `out` with a continuation of what was decoded last, or with comfort noise when that
    /// was silence (RFC 6716, section 4.4).
    ///
    /// # Errors
    /// [`OpusError::Length`] unless `out` lasts a multiple of 2.5 ms, at most 120 ms.
    pub fn conceal(&mut self, out: &mut [f32]) -> Result<usize, OpusError> {
        self.check_concealed(out)?;
        self.run(None, out, false)
    }

    /// Forgets the stream, as if nothing had been decoded.
    pub fn reset(&mut self) {
        // SAFETY: the state is valid until drop and this request takes no further argument.
        let code = unsafe { ffi::opus_decoder_ctl(self.state.as_ptr(), ffi::OPUS_RESET_STATE) };
        debug_assert_eq!(code, ffi::OPUS_OK, "libopus always knows this request");
    }

    fn check_concealed(&self, out: &[f32]) -> Result<(), OpusError> {
        let samples = out.len() / self.channels;
        let unit = samples_in(self.rate, Duration::from_micros(2_500));
        if samples == 0
            || !out.len().is_multiple_of(self.channels)
            || !samples.is_multiple_of(unit)
            || samples > self.max_samples()
        {
            return Err(OpusError::Length(samples));
        }
        Ok(())
    }

    /// `out` holds whole samples of all channels and at most 120 ms; `packet` has a valid header.
    fn run(
        &mut self,
        packet: Option<&[u8]>,
        out: &mut [f32],
        recover: bool,
    ) -> Result<usize, OpusError> {
        let (data, length) = match packet {
            Some(packet) => (packet.as_ptr(), i32::try_from(packet.len())),
            None => (ptr::null(), Ok(0)),
        };
        let length = length.map_err(|_| OpusError::InvalidPacket)?;
        let samples = out.len() / self.channels;
        // SAFETY: `data` points to `length` bytes or is null with length 0; `out` has room for
        // `samples` samples of all channels and libopus writes no more; the state is valid.
        let decoded = unsafe {
            ffi::opus_decode_float(
                self.state.as_ptr(),
                data,
                length,
                out.as_mut_ptr(),
                samples as c_int,
                c_int::from(recover),
            )
        };
        let decoded = usize::try_from(decoded).map_err(|_| OpusError::from_code(decoded))?;
        let decoded = decoded.min(samples);
        limit(&mut out[..decoded * self.channels]);
        Ok(decoded)
    }
}

impl Drop for OpusDecoder {
    fn drop(&mut self) {
        // SAFETY: made by opus_decoder_create and destroyed once.
        unsafe { ffi::opus_decoder_destroy(self.state.as_ptr()) };
    }
}

/// How long `packet` lasts, from its header alone (RFC 6716, section 3.1).
///
/// # Errors
/// [`OpusError::InvalidPacket`] when it is empty, its header damaged, or it would last over 120 ms.
pub fn packet_duration(packet: &[u8]) -> Result<Duration, OpusError> {
    let length = i32::try_from(packet.len()).map_err(|_| OpusError::InvalidPacket)?;
    if length == 0 {
        return Err(OpusError::InvalidPacket);
    }
    // SAFETY: `packet` has `length` bytes, at least one.
    let samples = unsafe { ffi::opus_packet_get_nb_samples(packet.as_ptr(), length, 48_000) };
    match u64::try_from(samples) {
        Ok(samples) if samples > 0 => {
            let duration = Duration::from_micros(SampleRate::HZ_48000.micros_of(samples));
            Ok(duration.min(MAX_PACKET_DURATION))
        }
        _ => Err(OpusError::InvalidPacket),
    }
}

/// Whether `packet` carries a copy of the frame before it. False for damaged ones.
pub(crate) fn has_recovery(packet: &[u8]) -> bool {
    let Ok(length) = i32::try_from(packet.len()) else { return false };
    if length == 0 {
        return false;
    }
    // SAFETY: `packet` has `length` bytes, at least one.
    unsafe { ffi::opus_packet_has_lbrr(packet.as_ptr(), length) > 0 }
}

/// Brings every sample into -1.0..=1.0, NaN too: one would poison every filter behind.
pub(crate) fn limit(samples: &mut [f32]) {
    for sample in samples {
        #[expect(clippy::manual_clamp, reason = "clamp keeps NaN")]
        {
            *sample = sample.max(-1.0).min(1.0);
        }
    }
}

fn samples_in(rate: SampleRate, duration: Duration) -> usize {
    // At most 120 ms at 48 kHz: fits everything.
    rate.samples_in(duration.as_micros() as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::super::{OpusApplication, OpusEncoder, OpusEncoderConfig};
    use super::*;

    fn tone(samples: usize, hz: f32, rate: f32) -> Vec<f32> {
        (0..samples).map(|n| 0.5 * (std::f32::consts::TAU * hz * n as f32 / rate).sin()).collect()
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn decodes_to_any_opus_rate_and_to_stereo() {
        let config = OpusEncoderConfig::new(SampleRate::HZ_48000, ChannelCount::MONO);
        let mut encoder = OpusEncoder::new(&config).unwrap();
        let source = tone(48_000, 440.0, 48_000.0);
        let mut packet = [0; 1_275];
        for (hz, channels) in [(8_000, 1), (12_000, 1), (16_000, 1), (24_000, 2), (48_000, 2)] {
            let rate = SampleRate::new(hz).unwrap();
            let count = ChannelCount::new(channels).unwrap();
            let mut decoder = OpusDecoder::new(rate, count).unwrap();
            let mut out = vec![0.0; decoder.max_samples() * count.get()];
            let mut last = Vec::new();
            for frame in source.chunks_exact(960) {
                let length = encoder.encode(frame, &mut packet).unwrap();
                let samples = decoder.decode(&packet[..length], &mut out).unwrap();
                assert_eq!(samples, hz as usize / 50);
                last = out[..samples * count.get()].to_vec();
            }
            assert!((rms(&last) - 0.35).abs() < 0.05, "{hz} Hz: {}", rms(&last));
        }
    }

    #[test]
    fn rates_and_channels_that_opus_lacks_are_refused() {
        let odd = SampleRate::new(44_100).unwrap();
        assert_eq!(OpusDecoder::new(odd, ChannelCount::MONO).unwrap_err(), OpusError::Rate(44_100));
        let three = ChannelCount::new(3).unwrap();
        assert_eq!(
            OpusDecoder::new(SampleRate::HZ_16000, three).unwrap_err(),
            OpusError::Channels(3)
        );
    }

    #[test]
    fn damaged_packets_and_short_buffers_are_errors() {
        let mut decoder = OpusDecoder::new(SampleRate::HZ_16000, ChannelCount::MONO).unwrap();
        let mut out = [0.0; 1_920];
        assert_eq!(decoder.decode(&[], &mut out), Err(OpusError::InvalidPacket));
        // Code 3 with 63 frames of 20 ms: over 120 ms.
        assert_eq!(decoder.decode(&[0x0b, 63], &mut out), Err(OpusError::InvalidPacket));
        assert_eq!(decoder.decode(&[0x08], &mut out[..10]), Err(OpusError::Length(320)));
        assert_eq!(decoder.conceal(&mut out[..41]), Err(OpusError::Length(41)));
        assert_eq!(decoder.conceal(&mut out[..320]), Ok(320));
    }

    #[test]
    fn a_lost_frame_is_recovered_from_the_next_packet() {
        let config = OpusEncoderConfig {
            application: OpusApplication::Voip,
            fec: true,
            expected_loss_percent: 20,
            bitrate: Some(24_000),
            ..OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO)
        };
        let mut encoder = OpusEncoder::new(&config).unwrap();
        let source = tone(16_000, 200.0, 16_000.0);
        let packets: Vec<Vec<u8>> = source
            .chunks_exact(320)
            .map(|frame| {
                let mut packet = vec![0; 1_275];
                let length = encoder.encode(frame, &mut packet).unwrap();
                packet.truncate(length);
                packet
            })
            .collect();
        assert!(has_recovery(&packets[30]));
        let mut decoder = OpusDecoder::new(SampleRate::HZ_16000, ChannelCount::MONO).unwrap();
        let mut out = [0.0; 1_920];
        for packet in &packets[..29] {
            decoder.decode(packet, &mut out).unwrap();
        }
        assert_eq!(decoder.recover(&packets[30], &mut out[..320]), Ok(320));
        assert!((rms(&out[..320]) - 0.35).abs() < 0.1, "{}", rms(&out[..320]));
    }
}
