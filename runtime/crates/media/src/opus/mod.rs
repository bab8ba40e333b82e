//! libopus behind types that cannot be misused. All `unsafe` code of the crate is in here.

mod decoder;
mod encoder;

use std::ffi::{CStr, c_int};
use std::time::Duration;

use opusic_sys as ffi;
use remotemedia_core::{ChannelCount, SampleRate};

pub use decoder::{OpusDecoder, packet_duration};
pub(crate) use decoder::{has_recovery, limit};
pub use encoder::{OpusApplication, OpusEncoder, OpusEncoderConfig};

/// The longest packet that Opus allows (RFC 6716, section 3.2.5).
pub const MAX_PACKET_DURATION: Duration = Duration::from_millis(120);

/// Why libopus refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// Opus runs at 8, 12, 16, 24 and 48 kHz only.
    #[error("Opus has no {0} Hz: use 8000, 12000, 16000, 24000 or 48000")]
    Rate(u32),
    /// Opus streams have one or two channels.
    #[error("Opus has one or two channels, not {0}")]
    Channels(usize),
    /// A slice does not have a length that Opus can take.
    #[error("{0} samples a channel is no Opus frame: it lasts 2.5, 5, 10, 20, 40, 60 ... 120 ms")]
    Length(usize),
    /// The packet is damaged.
    #[error("not a valid Opus packet")]
    InvalidPacket,
    /// libopus could not get memory.
    #[error("out of memory")]
    Memory,
    /// Anything else that libopus says.
    #[error("libopus: {0}")]
    Library(String),
}

impl OpusError {
    fn from_code(code: c_int) -> Self {
        match code {
            ffi::OPUS_INVALID_PACKET => Self::InvalidPacket,
            ffi::OPUS_ALLOC_FAIL => Self::Memory,
            other => {
                // SAFETY: opus_strerror takes any code and returns a static string.
                let text = unsafe { CStr::from_ptr(ffi::opus_strerror(other)) };
                Self::Library(text.to_string_lossy().into_owned())
            }
        }
    }
}

/// The arguments that both constructors take.
fn check_format(rate: SampleRate, channels: ChannelCount) -> Result<(i32, c_int), OpusError> {
    let rate = match rate.hz() {
        8_000 => 8_000,
        12_000 => 12_000,
        16_000 => 16_000,
        24_000 => 24_000,
        48_000 => 48_000,
        other => return Err(OpusError::Rate(other)),
    };
    match channels.get() {
        1 => Ok((rate, 1)),
        2 => Ok((rate, 2)),
        other => Err(OpusError::Channels(other)),
    }
}
