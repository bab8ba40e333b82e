use serde::{Deserialize, Serialize};

/// A format that no stream can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The rate lies outside [`SampleRate::MIN_HZ`]..=[`SampleRate::MAX_HZ`].
    #[error("{0} Hz is not a sample rate between 4000 and 384000 Hz")]
    Rate(u32),
    /// There are no channels or more than [`ChannelCount::MAX`].
    #[error("{0} is not a number of channels between 1 and 8")]
    Channels(u8),
}

/// Samples per second and channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SampleRate(u32);

impl SampleRate {
    /// The lowest rate accepted.
    pub const MIN_HZ: u32 = 4_000;
    /// The highest rate accepted.
    pub const MAX_HZ: u32 = 384_000;
    /// 16 kHz: what speech models take.
    pub const HZ_16000: SampleRate = SampleRate(16_000);
    /// 48 kHz: the RTP clock of Opus (RFC 7587, section 4.1).
    pub const HZ_48000: SampleRate = SampleRate(48_000);

    /// A rate in hertz.
    ///
    /// # Errors
    /// [`FormatError::Rate`] outside 4 to 384 kHz.
    pub const fn new(hz: u32) -> Result<SampleRate, FormatError> {
        if hz < Self::MIN_HZ || hz > Self::MAX_HZ {
            return Err(FormatError::Rate(hz));
        }
        Ok(SampleRate(hz))
    }

    /// Hertz.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// How long `samples` of one channel last, in microseconds, rounded down.
    #[must_use]
    pub const fn micros_of(self, samples: u64) -> u64 {
        // 128 bits: a session of years at 384 kHz must not overflow.
        (samples as u128 * 1_000_000 / self.0 as u128) as u64
    }

    /// How many whole samples of one channel fit in `micros`.
    #[must_use]
    pub const fn samples_in(self, micros: u64) -> u64 {
        (micros as u128 * self.0 as u128 / 1_000_000) as u64
    }
}

impl TryFrom<u32> for SampleRate {
    type Error = FormatError;

    fn try_from(hz: u32) -> Result<Self, FormatError> {
        Self::new(hz)
    }
}

impl From<SampleRate> for u32 {
    fn from(rate: SampleRate) -> u32 {
        rate.0
    }
}

/// How many channels a frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ChannelCount(u8);

impl ChannelCount {
    /// The most channels a stream may have.
    pub const MAX: u8 = 8;
    /// One channel.
    pub const MONO: ChannelCount = ChannelCount(1);
    /// Two channels.
    pub const STEREO: ChannelCount = ChannelCount(2);

    /// A number of channels.
    ///
    /// # Errors
    /// [`FormatError::Channels`] for zero and above [`ChannelCount::MAX`].
    pub const fn new(channels: u8) -> Result<ChannelCount, FormatError> {
        if channels == 0 || channels > Self::MAX {
            return Err(FormatError::Channels(channels));
        }
        Ok(ChannelCount(channels))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u8> for ChannelCount {
    type Error = FormatError;

    fn try_from(channels: u8) -> Result<Self, FormatError> {
        Self::new(channels)
    }
}

impl From<ChannelCount> for u8 {
    fn from(channels: ChannelCount) -> u8 {
        channels.0
    }
}

/// Rate and channels of PCM audio. Samples are `f32` in -1.0..=1.0, channel after channel (planar).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioFormat {
    /// Samples per second and channel.
    pub rate: SampleRate,
    /// Channels.
    pub channels: ChannelCount,
}

impl AudioFormat {
    /// 16 kHz mono.
    pub const MONO_16K: AudioFormat =
        AudioFormat { rate: SampleRate::HZ_16000, channels: ChannelCount::MONO };
    /// 48 kHz mono.
    pub const MONO_48K: AudioFormat =
        AudioFormat { rate: SampleRate::HZ_48000, channels: ChannelCount::MONO };
}

impl std::fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} Hz, {} ch", self.rate.hz(), self.channels.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_outside_the_bounds_are_refused() {
        assert_eq!(SampleRate::new(0), Err(FormatError::Rate(0)));
        assert_eq!(SampleRate::new(3_999), Err(FormatError::Rate(3_999)));
        assert!(serde_json::from_str::<SampleRate>("400000").is_err());
        assert!(serde_json::from_str::<ChannelCount>("0").is_err());
    }

    #[test]
    fn a_long_session_does_not_overflow() {
        let rate = SampleRate::HZ_48000;
        assert_eq!(rate.micros_of(u64::MAX / 64) / 1_000_000, u64::MAX / 64 / 48_000);
        assert_eq!(rate.samples_in(20_000), 960);
    }
}
