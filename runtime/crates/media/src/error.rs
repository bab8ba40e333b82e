use remotemedia_core::FormatError;
use remotemedia_dsp::resample::ResampleError;

use crate::opus::OpusError;

/// What cannot be received.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// libopus refuses the format or has no memory.
    #[error(transparent)]
    Opus(#[from] OpusError),
    /// No resampler leads to the output's rate.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// The format is none.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A field of [`crate::ReceiverConfig`] is out of its range.
    #[error("{field}: {message}")]
    Config {
        /// Which.
        field: &'static str,
        /// What would be right.
        message: &'static str,
    },
}
