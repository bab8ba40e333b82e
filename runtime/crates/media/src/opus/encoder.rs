use std::ffi::c_int;
use std::ptr::NonNull;

use opusic_sys as ffi;
use remotemedia_core::{ChannelCount, SampleRate};

use super::{OpusError, check_format};

/// What the encoder is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpusApplication {
    /// Speech: the only one that carries copies of frames for recovery at usual bit rates.
    Voip,
    /// Music and anything else.
    Audio,
    /// Least delay; no speech coding.
    LowDelay,
}

/// How to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpusEncoderConfig {
    /// Rate of the samples given: 8, 12, 16, 24 or 48 kHz.
    pub rate: SampleRate,
    /// One or two.
    pub channels: ChannelCount,
    /// See [`OpusApplication`].
    pub application: OpusApplication,
    /// Bits per second; `None` leaves it to libopus.
    pub bitrate: Option<u32>,
    /// Puts a coarse copy of each frame into the next packet (RFC 6716, section 2.1.7).
    pub fec: bool,
    /// What `fec` is weighed by, 0 to 100.
    pub expected_loss_percent: u8,
    /// Lets silence shrink to packets of one byte, which need not be sent
    /// ([`OpusEncoder::is_silence`]).
    pub dtx: bool,
    /// 0 (cheap) to 10.
    pub complexity: u8,
}

impl OpusEncoderConfig {
    /// Speech at libopus' own bit rate, without FEC and DTX, complexity 5.
    #[must_use]
    pub fn new(rate: SampleRate, channels: ChannelCount) -> Self {
        Self {
            rate,
            channels,
            application: OpusApplication::Voip,
            bitrate: None,
            fec: false,
            expected_loss_percent: 0,
            dtx: false,
            complexity: 5,
        }
    }
}

/// An encoder of one stream: interleaved `f32` in -1.0..=1.0 to packets.
#[derive(Debug)]
pub struct OpusEncoder {
    state: NonNull<ffi::OpusEncoder>,
    rate: usize,
    channels: usize,
}

// SAFETY: as for `OpusDecoder`: plain memory with one owner and no interior mutability.
unsafe impl Send for OpusEncoder {}

impl OpusEncoder {
    /// The largest packet that is worth room: one frame of the highest bit rate.
    pub const MAX_PACKET_BYTES: usize = 1_275;

    /// An encoder.
    ///
    /// # Errors
    /// [`OpusError::Rate`], [`OpusError::Channels`], [`OpusError::Memory`], and
    /// [`OpusError::Library`] when libopus refuses a setting.
    pub fn new(config: &OpusEncoderConfig) -> Result<Self, OpusError> {
        let (hz, count) = check_format(config.rate, config.channels)?;
        let application = match config.application {
            OpusApplication::Voip => ffi::OPUS_APPLICATION_VOIP,
            OpusApplication::Audio => ffi::OPUS_APPLICATION_AUDIO,
            OpusApplication::LowDelay => ffi::OPUS_APPLICATION_RESTRICTED_LOWDELAY,
        };
        let mut code = ffi::OPUS_OK;
        // SAFETY: all arguments are ones that libopus knows, `code` outlives the call.
        let state = unsafe { ffi::opus_encoder_create(hz, count, application, &mut code) };
        let state = NonNull::new(state).ok_or_else(|| OpusError::from_code(code))?;
        let mut encoder =
            Self { state, rate: config.rate.hz() as usize, channels: config.channels.get() };
        if let Some(bitrate) = config.bitrate {
            let bitrate = c_int::try_from(bitrate).unwrap_or(c_int::MAX);
            encoder.set(ffi::OPUS_SET_BITRATE_REQUEST, bitrate)?;
        }
        encoder.set(ffi::OPUS_SET_INBAND_FEC_REQUEST, c_int::from(config.fec))?;
        encoder.set(
            ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
            c_int::from(config.expected_loss_percent),
        )?;
        encoder.set(ffi::OPUS_SET_DTX_REQUEST, c_int::from(config.dtx))?;
        encoder.set(ffi::OPUS_SET_COMPLEXITY_REQUEST, c_int::from(config.complexity))?;
        Ok(encoder)
    }

    /// Encodes one frame of 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms and returns the bytes that it
    /// took at the front of `packet`; with little room the quality suffers.
    ///
    /// # Errors
    /// [`OpusError::Length`] for other durations, [`OpusError::Library`] when `packet` is too short.
    pub fn encode(&mut self, frame: &[f32], packet: &mut [u8]) -> Result<usize, OpusError> {
        let samples = frame.len() / self.channels;
        // In units of 2.5 ms.
        let units = samples * 400 / self.rate;
        if !frame.len().is_multiple_of(self.channels)
            || units * self.rate != samples * 400
            || ![1, 2, 4, 8, 16, 24, 32, 40, 48].contains(&units)
        {
            return Err(OpusError::Length(samples));
        }
        let room = i32::try_from(packet.len()).unwrap_or(i32::MAX);
        // SAFETY: `frame` holds `samples` samples of all channels, `packet` has `room` bytes or
        // more, the state is valid.
        let written = unsafe {
            ffi::opus_encode_float(
                self.state.as_ptr(),
                frame.as_ptr(),
                samples as c_int,
                packet.as_mut_ptr(),
                room,
            )
        };
        usize::try_from(written).map_err(|_| OpusError::from_code(written))
    }

    /// Weighs recovery against quality: how much is lost on the way, 0 to 100; without FEC of no
    /// effect.
    ///
    /// # Errors
    /// [`OpusError::Library`] for more than 100.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), OpusError> {
        self.set(ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST, c_int::from(percent))
    }

    /// See [`OpusEncoderConfig::dtx`].
    ///
    /// # Errors
    /// [`OpusError::Library`]; libopus gives no reason for any.
    pub fn set_dtx(&mut self, on: bool) -> Result<(), OpusError> {
        self.set(ffi::OPUS_SET_DTX_REQUEST, c_int::from(on))
    }

    /// Whether `packet` only says that silence goes on: with DTX a sender may leave it out, but for
    /// the first of a row.
    #[must_use]
    pub fn is_silence(packet: &[u8]) -> bool {
        packet.len() <= 2
    }

    fn set(&mut self, request: c_int, value: c_int) -> Result<(), OpusError> {
        // SAFETY: the state is valid and all requests used here take one int.
        match unsafe { ffi::opus_encoder_ctl(self.state.as_ptr(), request, value) } {
            ffi::OPUS_OK => Ok(()),
            code => Err(OpusError::from_code(code)),
        }
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: made by opus_encoder_create and destroyed once.
        unsafe { ffi::opus_encoder_destroy(self.state.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder(config: &OpusEncoderConfig) -> OpusEncoder {
        OpusEncoder::new(config).unwrap()
    }

    #[test]
    fn only_durations_of_opus_are_taken() {
        let mut encoder =
            encoder(&OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::STEREO));
        let mut packet = [0; OpusEncoder::MAX_PACKET_BYTES];
        assert!(encoder.encode(&[0.0; 640], &mut packet).is_ok());
        assert_eq!(encoder.encode(&[0.0; 642], &mut packet), Err(OpusError::Length(321)));
        assert_eq!(encoder.encode(&[0.0; 641], &mut packet), Err(OpusError::Length(320)));
        assert_eq!(encoder.encode(&[], &mut packet), Err(OpusError::Length(0)));
        assert!(encoder.encode(&[0.0; 640], &mut []).is_err());
    }

    #[test]
    fn silence_shrinks_with_dtx() {
        let config = OpusEncoderConfig {
            dtx: true,
            ..OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO)
        };
        let mut encoder = encoder(&config);
        let mut packet = [0; OpusEncoder::MAX_PACKET_BYTES];
        let silent = (0..50)
            .filter(|_| {
                let length = encoder.encode(&[0.0; 320], &mut packet).unwrap();
                OpusEncoder::is_silence(&packet[..length])
            })
            .count();
        assert!(silent > 25, "{silent} of 50");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let config = OpusEncoderConfig {
            complexity: 11,
            ..OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO)
        };
        assert!(matches!(OpusEncoder::new(&config), Err(OpusError::Library(_))));
    }
}
